"""Problems with their solutions, as programs and in words, that a model is shown as earlier turns."""

from __future__ import annotations

import msgspec


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """code: the body of a function. words: with one calculation in a sentence."""

    question: str
    code: str
    words: str


EXAMPLES = (
    Example(
        question="A library shelf has 4 rows of 12 books. On Monday 9 books are lent out, and on Tuesday 3 of them "
        "come back. How many books are on the shelf now?",
        code="""    rows = 4
    books_per_row = 12
    books_at_first = rows * books_per_row
    books_lent = 9
    books_returned = 3
    books_now = books_at_first - books_lent + books_returned
    return books_now""",
        words="""The shelf holds 4 * 12 = 48 books at first.
After 9 are lent out there are 48 - 9 = 39.
When 3 come back there are 39 + 3 = 42.
The answer is 42.""",
    ),
    Example(
        question="Mira's tank holds 60 liters and is two thirds full. She uses a quarter of that water for her "
        "tomatoes, and the rain adds 5 liters. How much room is left in the tank, in liters?",
        code="""    tank_size = 60
    water_at_first = tank_size * 2 / 3
    water_used = water_at_first / 4
    rain = 5
    water_now = water_at_first - water_used + rain
    room_left = tank_size - water_now
    return room_left""",
        words="""Two thirds of 60 liters is 60 * 2 / 3 = 40 liters.
A quarter of that is 40 / 4 = 10 liters, so 40 - 10 = 30 liters stay.
With the rain it is 30 + 5 = 35 liters.
The room left is 60 - 35 = 25 liters.
The answer is 25.""",
    ),
    Example(
        question="A plumber asks $45 for coming and $30 for each hour after the first one, which costs nothing more. "
        "The material is $80 with a discount of 15%. What does a repair of 4 hours cost?",
        code="""    fee_for_coming = 45
    hours = 4
    paid_hours = hours - 1
    cost_of_hours = paid_hours * 30
    material_price = 80
    material_cost = material_price * (1 - 15 / 100)
    total_cost = fee_for_coming + cost_of_hours + material_cost
    return total_cost""",
        words="""Of 4 hours, 4 - 1 = 3 are paid, which is 3 * 30 = 90 dollars.
The discount on the material is 80 * 15 / 100 = 12 dollars, so it costs 80 - 12 = 68 dollars.
Together it is 45 + 90 + 68 = 203 dollars.
The answer is 203.""",
    ),
    Example(
        question="Oskar is 3 times as old as his sister Lena was 2 years ago. Lena is 9 years old now. How old will "
        "Oskar be in 5 years?",
        code="""    lena_now = 9
    lena_two_years_ago = lena_now - 2
    oskar_now = 3 * lena_two_years_ago
    oskar_in_five_years = oskar_now + 5
    return oskar_in_five_years""",
        words="""Two years ago Lena was 9 - 2 = 7 years old.
Oskar is 3 * 7 = 21 years old now.
In 5 years he will be 21 + 5 = 26.
The answer is 26.""",
    ),
)
