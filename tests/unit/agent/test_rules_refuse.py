"""What rules must not answer, because something else is meant than what they would work out."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.agent.rules import match
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.builtin.arithmetic import compute
from smidgen.tools.builtin.dates import parse_date

TOOLS = tuple(tool.spec for tool in builtin_tools(Path()))


@pytest.mark.parametrize(
    "request_text",
    [
        # the percentage is in the amount already, or is taken out of it
        "The bill came to $120 including a 20% tip. What was it before the tip?",
        "The price is 120 including 20% VAT. What is the VAT?",
        "What is the price without VAT if 119 euros includes 19% VAT?",
        "A shirt cost $40 after a 20% discount. What was the original price?",
        "A jacket is 30% off, now $70. What was it before?",
        "The price increased 10% to 55. What was it before the increase?",
        "The gross price is 60, VAT is 20%. What's the net price?",
        "I earn 3000 and pay 20% tax. What do I take home after tax?",
        "250 minus tax of 10%",
        "My pay of 3000 rises by 5%. What will I earn?",
        # the amount is one person's, or not all share it
        "There are 4 people and each pays 25 dollars. How much in total?",
        "5 kids get 12 apples each, how many apples?",
        "3 people each paid 45 dollars. How much is that altogether?",
        "How much is it for 4 people at 12 per person?",
        "tickets cost 15 per person, how much for 6 people?",
        "Each ticket is 12. How much for 4 people?",
        "There are 30 students in groups of 5, how many in each group?",
        "Split a $120 bill among 4 people, but I pay for two of them. How much do I pay?",
        # scales, remainders, rounding
        "What is 2 million divided by 4?",
        "Split 1.5k between 3 people, how much each?",
        "what is the remainder of 17 divided by 5",
        "17 divided by 5, rounded up",
        # pieces, shares, consumption, areas, periods, changes
        "If 4 tickets cost $12 each, how much for 6 tickets?",
        "7 out of 28 students failed. What percentage passed?",
        "7 liters per 100 km. How much for 350 km?",
        "10 gallons for 300 miles. How many liters per 100 km?",
        "How many square feet is a 3 m by 4 m room?",
        "5 m by 400 cm, what area?",
        "He runs 10 km per week. How far in half a year?",
        "I work from 9 to 17, what percentage of the day is that?",
        "Convert 5 pounds sterling to kg?",
        "how much is 20 a month",
        # dates counted back, of a kind, or of another year
        "My loan of 12 months ended on 5 May 2026. When did it start?",
        "The contract ends on 31 December 2026 with 3 months notice. When do I need to cancel?",
        "When should I start if I need 6 weeks and the exam is 12 June 2026?",
        "what date is 1 year and 3 months after 5 May 2026",
        "half a year after 5 May 2026",
        "How many working days between 2024-01-01 and 2024-03-01?",
        "business days until 2026-12-25",
        "What weekday was 5 May last year?",
        "How long is the flight before Christmas?",
        "How far away is Christmas Island?",
        # places whose names go on
        "What time is it in South Africa?",
        "What time is it in Paris, Texas?",
        "What time is it in Jersey City?",
        "what time is it in Boston",
        # files that are not what is wanted
        "read notes.txt but not todo.txt",
        "read everything except a.txt",
        "show me the size of notes.txt",
        "what does the function in main.py return?",
        "read a.txt in docs",
        "open google.com",
        "write 'x' to a.txt unless it is there already",
        "which file mentions Kiel or Rome?",
        "which files contain TODO but not FIXME?",
        "which file has the most lines?",
        "search for the cheapest flights",
        "ls -la",
    ],
)
def test_what_a_rule_would_get_wrong_is_left_alone(request_text: str) -> None:
    assert match(request_text, TOOLS) is None


@pytest.mark.parametrize(
    ("request_text", "result"),
    [
        ("How much is $250 plus 8% tax?", 270),
        ("add 20% VAT to 60, how much?", 72),
        ("How much tax do I pay on 250 at 8%?", 20),
        ("What's the discount on $80 at 20% off?", 16),
        ("How much do I save with 20% off $80?", 16),
        ("What's the total with a 20% tip on $60?", 72),
        ("A $80 coat is 25% off, how much is it?", 60),
        ("Split 90 between 4 people, how much each?", 22.5),
    ],
)
def test_what_is_asked_of_a_percentage_is_worked_out(request_text: str, result: float) -> None:
    choice = match(request_text, TOOLS)
    assert choice is not None
    assert float(compute(str(choice.calls[0].arguments["expression"])).value.number) == pytest.approx(result)


def test_a_year_is_no_length_of_time() -> None:
    choice = match("I'm pregnant since 5 May 2026, 40 weeks. When is it due?", TOOLS)
    assert choice is None or [call.arguments["amount"] for call in choice.calls] == [40]


def test_a_day_without_a_year_lies_on_the_side_that_is_asked_about() -> None:
    for request_text, key in (("How many days until January 1?", "end"), ("How many days since Christmas?", "start")):
        choice = match(request_text, TOOLS)
        assert choice is not None
        days = (parse_date(str(choice.calls[0].arguments[key])) - parse_date("today")).days
        assert 0 <= days <= 366 if key == "end" else -366 <= days <= 0


def test_reading_and_writing_in_one_request_does_both_or_nothing() -> None:
    choice = match("read a.txt and write 'x' to b.txt", TOOLS)
    assert choice is None or [call.name for call in choice.calls] == ["read_file", "write_file"]
