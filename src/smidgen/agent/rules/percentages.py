"""Percentages told in words: on top, off, of a whole, from one amount to another; only where what is asked is plain."""

from __future__ import annotations

import re
from decimal import Decimal

from smidgen.agent.rules.spans import NUMBER, amounts, dates, durations

PERCENT = re.compile(rf"(?<![\w.,])(?P<number>{NUMBER})\s?(?:%|per\s?cent\b|percent\b)", re.IGNORECASE)
_OFF = re.compile(r"\b(?:off|discount|cheaper|reduc(?:ed|tion)|on\s+sale|rebate)\b", re.IGNORECASE)
_ON = re.compile(
    r"\b(?:tips?|vat|tax(?:es)?|service|surcharge|raise|rises?|increase[sd]?|on\s+top|gratuity|markup)\b", re.IGNORECASE
)
_WHOLE = re.compile(
    r"\b(?:total|altogether|all\s+in\s+all|all\s+together|to\s+pay|do\s+(?:i|we)\s+pay|incl(?:uding|usive|\.)?|new|on\s+top|after|afterwards|then|end\s+up)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(rf"\bfrom\s+[$€£]?(?P<old>{NUMBER})\s*\w*\s+to\s+[$€£]?(?P<new>{NUMBER})(?![\w%])", re.IGNORECASE)
_OUT_OF = re.compile(
    rf"(?<![\w.,])(?P<part>{NUMBER})\s+(?:out\s+)?of\s+(?:the\s+)?(?P<whole>{NUMBER})(?![\w.,]\d)", re.IGNORECASE
)
_BACKWARDS = re.compile(
    rf"\b(?:before|without|original(?:ly)?|net|gross|pre-?tax|was\s+it|used\s+to\s+be|includ(?:es|ed)|minus|less|left)\b"
    rf"|{NUMBER}\s*(?:[a-z]+|€|\$|£)?,?\s+incl|\bnow\s+(?:only\s+)?[$€£]?\d|^(?!.*\badd\b).*\bto\s+[$€£]?\d",
    re.IGNORECASE,
)
"""A percentage that is in the amount already, or is to be taken out of it."""
_INCOME = re.compile(
    r"\b(?:income|earn(?:s|ed|ing|ings)?|salary|wages?|take\s+home|after\s+(?:\w+\s+)?tax(?:es)?)\b", re.IGNORECASE
)
_PART = re.compile(
    r"\b(?:how\s+much(?:\s+is)?|what(?:['’]s|\s+is|\s+are)?)\s+(?:the\s+|my\s+|a\s+)?(?:sales\s+)?"
    r"(?:tips?|tax(?:es)?|vat|discount|gratuity|service|surcharge|savings?|rebate)\b|\b(?:do|did|will|would|can)\s+(?:i|we|you)\s+save\b",
    re.IGNORECASE,
)
_GROWS = re.compile(r"\b(?:rises?|rose|increases?|increased|grows?|grew)\b", re.IGNORECASE)
_CHANGES = re.compile(
    r"\b(?:went|goes|going|rose|rises?|rise|fell|falls?|grow\w*|grew|increas\w+|decreas\w+|dropp?\w*|chang\w+|rais\w+|gain\w*"
    r"|lost|lose|up|down|cut|reduc\w+|jump\w*|improv\w+|more|less|higher|lower|cheaper|expensive|difference)\b",
    re.IGNORECASE,
)
_COMPLEMENT = re.compile(
    r"\b(?:left|remain\w*|still|owes?|rest|not|other|didn['’]t|aren['’]t|isn['’]t)\b", re.IGNORECASE
)
_SIDE = re.compile(r"\b(?:pass(?:ed)?|fail(?:ed)?|right|wrong|won|lost|(?:in)?correct)\b", re.IGNORECASE)


def numbers(text: str) -> list[Decimal]:
    """In digits, in their order."""
    return [value for value, _, _ in amounts(text)]


def on_or_off(text: str) -> list[str]:
    """A tip, a tax or a discount: itself, or the amount with it."""
    percents = [match["number"] for match in PERCENT.finditer(text)]
    plain = numbers(PERCENT.sub(" ", text))
    if len(percents) != 1 or len(plain) != 1 or durations(text) or dates(text):
        return []
    (percent,), (amount,) = percents, plain
    if _BACKWARDS.search(text) or (_INCOME.search(text) and not _GROWS.search(text)):
        return []
    part, off, on = _PART.search(text), _OFF.search(text), _ON.search(text)
    if off and not on:
        return [f"{percent}% of {amount}" if part else f"{amount} - {percent}%"]
    if on and not off:
        if _GROWS.search(text) and not part and not _WHOLE.search(text):
            return []
        whole = not part and (_WHOLE.search(text) or re.search(r"\b(?:plus|add)\b", text, re.IGNORECASE))
        return [f"{amount} + {percent}%" if whole else f"{percent}% of {amount}"]
    return []


def changes(text: str) -> list[str]:
    """By how many percent something went from one amount to another."""
    found = _CHANGE.search(text)
    asked = re.search(r"\bper\s?cent(?:age)?s?\b|%", text, re.IGNORECASE)
    if found is None or not asked or PERCENT.search(text) or len(numbers(text)) != 2 or not _CHANGES.search(text):
        return []
    old, new = found["old"].replace(",", ""), found["new"].replace(",", "")
    return [f"({new} - {old}) / {old} in %"]


def share_of_whole(text: str) -> list[str]:
    """What percentage so many out of so many are."""
    found = _OUT_OF.search(text)
    asked = re.search(r"\b(?:per\s?cent|percentage)\b|%", text, re.IGNORECASE)
    if found is None or not asked or PERCENT.search(text) or len(numbers(text)) != 2:
        return []
    if _COMPLEMENT.search(text) or len({side[0].lower() for side in _SIDE.finditer(text)}) > 1:
        return []
    return [f"{found['part']} / {found['whole']} in %"]
