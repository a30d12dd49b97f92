"""Everyday requests in words, several at once, misspelt or in other languages: understood, or left to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.rules import asked, match, speaks_for
from smidgen.agent.rules.languages import in_english, languages
from smidgen.agent.rules.spelling import corrected, words
from smidgen.tools.builtin import builtin_tools

TOOLS = tuple(tool.spec for tool in builtin_tools(Path()))


def calls(request: str, before: str = "") -> list[tuple[str, Any]]:
    """Name and values of each call; a single value bare."""
    choice = match(request, TOOLS, before)
    found = choice.calls if choice else ()
    return [(call.name, _bare([*call.arguments.values()])) for call in found]


def _bare(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


@pytest.mark.parametrize(
    ("request_text", "expression"),
    [
        ("Lunch was 54 euros and we are 3, what does each pay?", "54 / 3"),
        ("Split 240 between four friends please, how much is it per person?", "240 / 4"),
        ("The shoes cost 90 and are 20% off. What do I pay?", "90 - 20%"),
        ("I'd like to leave a 10% tip on 45, how much is that?", "10% of 45"),
        ("The meal is 45 plus a 10% tip, what is the total?", "45 + 10%"),
        ("My salary rose from 2,000 to 2,100, how many percent is that?", "(2100 - 2000) / 2000 in %"),
        ("Her weight is 70 kg. What is that in pounds?", "70 kg in pounds"),
        ("How many miles is a 5k race?", "5 km in miles"),
        ("my scale only shows pounds and the recipe says 500 g, what is it?", "500 g in pounds"),
        ("6 pens cost 4.50. How much are 10 pens?", "4.50 / 6 * 10"),
        ("I save 20 euros a week, how much is that after a year?", "20 * 52"),
        ("I put 50 a month aside. How much do I have in one and a half years?", "50 * 18"),
        ("The bedroom is 3 by 4.5 metres, what's its area in square metres?", "3 * 4.5"),
        ("How many hours are ten sessions of 30 minutes?", "10 * 30 minutes in hours"),
        ("how many days are 5 weeks", "5 weeks in days"),
        ("We used 28 litres for 350 km. What is that per 100 km?", "28 / 350 * 100"),
    ],
)
def test_arithmetic_in_words(request_text: str, expression: str) -> None:
    assert calls(request_text) == [("calculator", expression)]


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Was 4 July 2020 a Saturday?", [("weekday", "4 July 2020")]),
        ("The party is on 2027-05-08. Which weekday is that?", [("weekday", "2027-05-08")]),
        ("How many days have I been here? I came on 2026-01-05.", [("days_between", ["2026-01-05", "today"])]),
        ("how long is it until halloween", [("days_between", ["today", "halloween"])]),
        ("It began on 1 March 2026 and ended on 9 April 2026. How many days is that?",
         [("days_between", ["1 March 2026", "9 April 2026"])]),
        ("Which date is 3 weeks after 2026-02-01?", [("date_add", ["2026-02-01", 3, "weeks"])]),
        ("What are the dates 10 and 20 days after 2026-05-01?",
         [("date_add", ["2026-05-01", 10, "days"]), ("date_add", ["2026-05-01", 20, "days"])]),
        ("What was the date five months ago?", [("date_add", ["today", -5, "months"])]),
        ("The guarantee began on 2025-08-01 and lasts two years. When does it end?",
         [("date_add", ["2025-08-01", 2, "years"])]),
        ("which day comes after 2024-02-28", [("date_add", ["2024-02-28", 1, "days"])]),
        ("time in Berlin and Tokyo", [("current_time", "Berlin"), ("current_time", "Tokyo")]),
        ("My aunt lives in Lima, what time is it there?", [("current_time", "Lima")]),
    ],
)  # fmt: skip
def test_dates_in_words(request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text) == expected


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Is there anything in the drafts folder?", [("list_files", "drafts")]),
        ("show me a.txt and b.txt", [("read_file", "a.txt"), ("read_file", "b.txt")]),
        ("I need lines 3 to 9 of src/app.py", [("read_file", ["src/app.py", 3, 9])]),
        ("show the first 20 lines of big.log please", [("read_file", ["big.log", 20])]),
        ("where did I mention the dentist?", [("search_files", "dentist")]),
        ("find all lines with FIXME in the lib folder", [("search_files", ["FIXME", "lib"])]),
        ("save 'water the plants' to list.txt", [("write_file", ["list.txt", "water the plants"])]),
    ],
)
def test_files_in_words(request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text) == expected


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("What's 8% of 300, and what weekday is 2026-07-01?", [("calculator", "8% of 300"), ("weekday", "2026-07-01")]),
        ("Hello! How much is 12 times 12? Thanks!", [("calculator", "12 times 12")]),
        ("1) 5 + 6 2) what time is it in Paris", [("calculator", "5 + 6"), ("current_time", "Paris")]),
        ("search for apples in my files, then for pears", [("search_files", "apples"), ("search_files", "pears")]),
        ("How many days until Christmas and how many until Halloween?",
         [("days_between", ["today", "Christmas"]), ("days_between", ["today", "Halloween"])]),
    ],
)  # fmt: skip
def test_several_in_one(request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text) == expected


@pytest.mark.parametrize(
    ("before", "request_text", "expected"),
    [
        ("What is 5 miles in km?", "and 8?", [("calculator", "8 miles in km")]),
        ("What time is it in Rome?", "And in Cairo?", [("current_time", "Cairo")]),
        ("hello", "and in Cairo?", []),
    ],
)
def test_what_leans_on_the_request_before(before: str, request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text, before) == expected


@pytest.mark.parametrize(
    "request_text",
    [
        "What's 8% of 300, and write me a poem about it", "Which weekday is 2026-07-01, and why is it called so?",
        "Tell me about the 4th of July", "Is 35 percent of the world's land desert?", "Split the bill for us",
        "What does 20% off mean?", "I paid 30 for 5 people and 20 for 2, what is the average?",
        "Look for it in my files",
        "Write something to notes.txt", "append 'milk' to list.txt", "delete a.txt and read b.txt",
        "Book a table for 4",
        "How many people live in Tokyo?", "What happened on 9 November 1989 in Berlin?", "how do I open a.txt in vim?",
        "Explain the first 10 lines of main.c", "what is the best day to plant beans?", "set an alarm in 20 minutes",
        "How long is the Nile in miles?", "when was the war of 1812",
        "The 3 of us walked 4 km. Who was first?",
        "translate 'see you on Friday' into Spanish", "read the news", "What's in it?",
        "how old is the universe in days",
        "Do I have time on 3 May 2026?",
        "what day is good for you, 2026-05-01 or 2026-05-02?",
    ],
)  # fmt: skip
def test_left_to_the_model(request_text: str) -> None:
    assert calls(request_text) == []


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("waht tiem is it in paris", [("current_time", "paris")]),
        ("hw many days til 2030-01-01", [("days_between", ["today", "2030-01-01"])]),
        ("wich weekday is 2026-03-03", [("weekday", "2026-03-03")]),
        ("whats 2,5 times 4 plz", [("calculator", "2.5 times 4")]),
        ("serch for tiem in my files", [("search_files", "time")]),
    ],
)
def test_misspelt(request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text) == expected


def test_spelling_leaves_quotes_files_names_and_numbers() -> None:
    kept = "write 'waht tiem' to tiem.txt for Tiem, round(3,14) and docs/waht"
    assert corrected(kept) == kept
    assert corrected("form the docs") == "form the docs"
    assert not words().known & set(words().short)


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Was ist 7 % von 2.400?", [("calculator", "7 % of 2400")]),
        ("Welcher Wochentag ist der 24.12.2027?", [("weekday", "2027-12-24")]),
        ("Wie spät ist es in Tokyo?", [("current_time", "Tokyo")]),
        ("Quel jour était le 3 mars 2001 ?", [("weekday", "3 March 2001")]),
        ("Combien font 12,5 fois 8 ?", [("calculator", "12.5 times 8")]),
        ("¿Qué hora es en Madrid?", [("current_time", "Madrid")]),
        ("¿Cuánto es 40 dividido por 5?", [("calculator", "40 divided by 5")]),
        ("Quanti giorni ci sono tra il 1 marzo 2026 e il 15 marzo 2026?",
         [("days_between", ["1 March 2026", "15 March 2026"])]),
        ("Quanto é 15% de 80?", [("calculator", "15% of 80")]),
        ("Hoe laat is het in Paramaribo?", [("current_time", "Paramaribo")]),
        ("Hur många dagar är det till 2030-01-01?", [("days_between", ["today", "2030-01-01"])]),
        ("Сколько будет 12 умножить на 3?", [("calculator", "12 times 3")]),
        ("2030年1月1日是星期几?", [("weekday", "2030-1-1")]),
        ("Erzähl mir einen Witz", []),
        ("Écris un poème sur la mer", []),
    ],
)  # fmt: skip
def test_other_languages(request_text: str, expected: list[tuple[str, Any]]) -> None:
    assert calls(request_text) == expected


def test_tables_of_languages_are_whole() -> None:
    for code, language in languages().items():
        assert len(language.months) in (0, 12), code
        assert in_english("what is the weather like today, and how do I get to the station?") == ()


@given(st.text(max_size=200))
def test_any_text_is_taken_or_left(request_text: str) -> None:
    match(request_text, TOOLS)
    corrected(request_text)
    in_english(request_text)


SAID = (
    "what", "is", "5", "% of", "20", "and", ",", "?", ".", "then", "2026-01-02", "days", "until", "from", "to",
    "in", "Tokyo",
    "weekday", "a.txt", "read", "show", "'x'", "write", "how many", "km", "miles", "off", "tip", "each", "we are 3",
    "search",
)  # fmt: skip


@given(st.lists(st.sampled_from(SAID), max_size=14))
def test_any_words_make_calls_that_the_tools_have(said: list[str]) -> None:
    choice = match(" ".join(said), TOOLS)
    parameters = {tool.name: set(tool.parameters["properties"]) for tool in TOOLS}
    assert choice is None or all(set(call.arguments) <= parameters[call.name] for call in choice.calls)


@pytest.mark.parametrize(
    ("request_text", "tool"),
    [
        ("Make a file plan.txt with three points", "write_file"),
        ("lovely, save that in poem.txt", "write_file"),
        ("I have it somewhere, can you look for it?", "search_files"),
        ("The visa is good for 90 days. When does it expire?", "date_add"),
        ("make a cake", None),
        ("A tank holds 300 litres, 20 run in each minute. How many minutes until it's full?", "calculator"),
        ("I earn 14 an hour for six hours, how much is that?", "calculator"),
        ("how many moons does Mars have?", None),
        ("How much snow fell on 3 January 2021 in the 2 towns?", None),
        ("look for a cheap flight on the web", None),
        ("add two and two", None),
        ("delete plan.txt", None),
        ("When does the film end?", None),
        ("Sing me a song and then work out 12 * 7", "calculator"),
        ("Sing me a song, and 1200 divided by 16? oh and the weekday of june 1 2026", None),
    ],
)
def test_the_tool_may_be_plain_where_its_arguments_are_not(request_text: str, tool: str | None) -> None:
    assert speaks_for(request_text, TOOLS) == tool
    assert speaks_for(request_text, ()) is None


def test_what_was_answered_before_is_written_word_by_word() -> None:
    poem = "Rain on the tin roof,\nand nobody minds."
    for request_text in (
        "nice, put that in rain.txt",
        "Thanks! Save it as notes/rain.md please",
        "store this poem in r.txt",
    ):
        choice = match(request_text, TOOLS, "A poem about rain", poem)
        assert choice is not None and choice.calls[0].name == "write_file"
        assert choice.calls[0].arguments["content"] == poem
    assert match("put that in rain.txt", TOOLS, "A poem about rain", "") is None
    assert match("put that idea for dinner in rain.txt", TOOLS, "A poem", poem) is None
    assert match("put that in a.txt and b.txt", TOOLS, "A poem", poem) is None
    assert match("put that in rain.txt", (), "A poem", poem) is None
    for other in ("write the summary to notes.txt", "save the password to pw.txt", "Save the changes to main.py"):
        assert match(other, TOOLS, "Hi", "Hello! I can help you.") is None
    assert match("save it in notes.txt", TOOLS, "Hi", "Hello! How can I help you?") is None


def test_the_comma_of_a_date_joins_no_clauses() -> None:
    choice = match("How many days old is a house built on May 17, 1901?", TOOLS)
    assert choice is not None
    assert dict(choice.calls[0].arguments) == {"start": "May 17, 1901", "end": "today"}


@pytest.mark.parametrize(
    ("request_text", "count"),
    [
        ("Tell me a joke and then work out 37 * 48", 2),
        ("What is the capital of Peru, and what time is it there?", 2),
        ("could you tell me what 15% of 80 is please", 1),
        ("I have 3 apples and you have 5, how many do we have?", 1),
        ("", 0),
    ],
)
def test_how_much_is_asked_for(request_text: str, count: int) -> None:
    assert asked(request_text) == count


def test_a_question_that_no_rule_understands_leaves_the_other_to_the_model() -> None:
    for request_text in (
        "What is the capital of Norway, and what time is it in Oslo?",
        "What time is it in Oslo, and what is the capital of Norway?",
    ):
        assert match(request_text, TOOLS) is None
