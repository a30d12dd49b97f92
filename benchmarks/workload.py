"""What is asked in the measurements: made here from fixed words, so that every run asks the same of every side."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

CountTokens = Callable[[str], Awaitable[int]]

SUBJECTS = [
    "invoice",
    "parcel",
    "customer",
    "refund",
    "voucher",
    "supplier",
    "warehouse",
    "courier",
    "account",
    "receipt",
]
VERBS = ["checks", "returns", "records", "forwards", "reviews", "cancels", "orders", "confirms"]
OBJECTS = [
    "the address",
    "the total amount",
    "a delivery date",
    "the signed form",
    "two photographs",
    "the serial number",
]

CITIES = [
    "Oslo",
    "Lisbon",
    "Nairobi",
    "Quito",
    "Osaka",
    "Tallinn",
    "Porto",
    "Perth",
    "Lima",
    "Accra",
    "Turin",
    "Bergen",
    "Sofia",
    "Riga",
    "Hanoi",
    "Cairo",
]
DAYS = ("tomorrow", "for the next three days", "over five days", "for a whole week")

WEATHER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"const": "get_weather_forecast"},
        "arguments": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 40},
                "temperature_unit": {"enum": ["celsius", "fahrenheit"]},
                "number_of_days": {"type": "integer", "minimum": 1, "maximum": 14},
            },
            "required": ["city", "temperature_unit", "number_of_days"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "arguments"],
    "additionalProperties": False,
}

INTENTS = (
    *("card_arrival", "card_not_working", "lost_or_stolen_card", "activate_my_card", "change_pin"),
    *("cash_withdrawal_charge", "declined_transfer", "transfer_timing", "cancel_transfer", "exchange_rate"),
    *("top_up_failed", "verify_my_identity", "edit_personal_details", "close_account", "request_refund"),
    *("direct_debit_not_recognised", "receiving_money", "age_limit", "country_support", "passcode_forgotten"),
)
UTTERANCES = (
    "I ordered a new card ten days ago and it still is not here.",
    "Somebody took my wallet on the train, please block everything.",
    "Why was I charged for taking out cash abroad?",
    "The money that I sent to my sister was refused.",
    "I moved house and need my letters to go to the new address.",
    "What do you give me for 200 dollars today?",
    "I typed the wrong number three times and now I can't pay in shops.",
    "There is a monthly payment to a gym that I never joined.",
    "I would like to leave your bank for good.",
    "Can my daughter of fifteen have her own account?",
    "My top-up by credit card didn't go through this morning.",
    "How long until my employer's payment shows up?",
)


def chat(system: str, user: str) -> str:
    """The ChatML layout that all sides get as plain text, so that no template engine is part of a measurement."""
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def sentence(draw: random.Random) -> str:
    return f"The {draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)} {draw.randint(2, 99)}."


async def text_of(tokens: int, seed: int, count: CountTokens, ending: str = "\n\n") -> str:
    """A text of exactly so many tokens. Different seeds share nothing but the start-of-text token, if any."""
    draw = random.Random(seed)
    words = f"Case {seed} of the handbook.".split()
    while await count(" ".join(words) + ending) < tokens:
        words.extend(sentence(draw).split() * 4)
    low, high = 1, len(words)
    while low < high:  # the most words that do not exceed the wanted size
        middle = (low + high + 1) // 2
        low, high = (middle, high) if await count(" ".join(words[:middle]) + ending) <= tokens else (low, middle - 1)
    text = " ".join(words[:low])
    while await count(text + " a" + ending) <= tokens:
        text += " a"
    return text + ending


def tails(number: int, seed: int) -> list[str]:
    """Short questions that differ from their first word on, 15 to 20 tokens each."""
    draw = random.Random(seed)
    starts = [f"{subject.capitalize()} {draw.randint(100, 999)}" for subject in SUBJECTS]
    return [
        f"{starts[i % len(starts)]}-{i}: which step {draw.choice(VERBS)} {draw.choice(OBJECTS)}?\nAnswer:"
        for i in range(number)
    ]


def weather_prompts(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    system = (
        "You call functions. Answer with one JSON object and nothing else.\n"
        "Function: get_weather_forecast(city: string, "
        'temperature_unit: "celsius" or "fahrenheit", number_of_days: integer from 1 to 14) - the weather of a place.\n'
        'Form: {"name": "get_weather_forecast", '
        '"arguments": {"city": ..., "temperature_unit": ..., "number_of_days": ...}}'
    )
    asked = [
        f"How will the weather be in {draw.choice(CITIES)} {draw.choice(DAYS)}, in {unit}?"
        for unit in (["celsius", "fahrenheit"] * number)[:number]
    ]
    return [chat(system, question) for question in asked]


INTENT_SYSTEM = "Name the intent of the customer's message, nothing else. Intents: " + ", ".join(INTENTS) + "."


def intent_prompts(number: int) -> list[str]:
    return [chat(INTENT_SYSTEM, UTTERANCES[i % len(UTTERANCES)]) for i in range(number)]


def intent_instructions() -> str:
    """What all of these prompts begin with."""
    return chat(INTENT_SYSTEM, "\0").split("\0")[0]


def is_weather_call(text: str) -> bool:
    """Whether the text is a call that the schema allows."""
    try:
        arguments = json.loads(text)["arguments"]
    except (ValueError, KeyError, TypeError):
        return False
    return set(arguments) == {"city", "temperature_unit", "number_of_days"}
