"""Requests that are one plain thing as a whole: arithmetic, a date, a file by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from smidgen.agent.rules.files import is_searched_for
from smidgen.agent.rules.spans import files, zones
from smidgen.errors import SmidgenError
from smidgen.messages import ToolCall

MAX_REQUEST = 300
_ASKING = re.compile(
    r"^(?:please\s+|can you\s+|could you\s+)*"
    r"(?:(?:tell me\s+)?(?:what\s+is|what's|whats|what\s+are|how\s+much\s+is|how\s+much\s+are)"
    r"|calculate|compute|work\s+out|evaluate|calc|convert|solve)\b\s*:?\s*",
    re.IGNORECASE,
)
_COMPUTING = re.compile(
    r"^(?:please\s+)*(?:calculate|compute|work\s+out|evaluate|calc|convert|how\s+much)\b", re.IGNORECASE
)
_HOW_MANY = re.compile(
    r"^(?:what\s+is|how\s+many|how\s+much)\s+(?P<unit>[a-z°]+(?:\s+(?:per\s+[a-z]+|fahrenheit|celsius))?)\s+"
    r"(?:is|are(?:\s+there)?(?:\s+in)?|in|makes?|equals?)\s+(?P<amount>(?:an?\s|\d).*)$",
    re.IGNORECASE,
)
_MUCH = re.compile(r"^(?:how\s+much|what)\s+(?P<expression>.*\d.*?)\s+(?:is|are|makes?)$", re.IGNORECASE)
_SHARE = re.compile(
    r"^(?P<part>[\d.,]+) (?:is what (?:percentage|percent|%) of|as a (?:percentage|percent) of) (?P<whole>[\d.,]+)$",
    re.IGNORECASE,
)
_WHAT_PERCENT = re.compile(
    r"^(?:what (?:percentage|percent|%) (?:is|of) (?P<part>[\d.,]+) (?:of|out of) (?P<whole>[\d.,]+)"
    r"|what (?:percentage|percent|%) of (?P<whole2>[\d.,]+) is (?P<part2>[\d.,]+))$",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"^(?:on\s+)?(?:what|which)\s+(?:day(?:\s+of\s+the\s+week)?|weekday)\s+"
    r"(?:is|was|will|does)\s+(?:it\s+on\s+)?(?P<date>.+?)"
    r"(?:\s+(?:be|fall(?:\s+on)?|on))?$",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"^(?:what(?:'s|\s+is|\s+are)\s+(?:the\s+)?(?:current\s+)?(?:time|date|date and time|time and date)"
    r"|what\s+time\s+is\s+it|what(?:'s|\s+is)\s+today'?s\s+date|what\s+day\s+is\s+(?:it|today))"
    r"(?:\s+(?:now|today|right now|here))?"
    r"(?:\s+in\s+(?P<zone>[A-Za-z_ /]+))?$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"^how\s+many\s+days\s+(?:are\s+(?:there\s+)?|is\s+it\s+)?(?:between\s+(?P<start>.+?)\s+and\s+(?P<end>.+)"
    r"|from\s+(?P<start2>.+?)\s+(?:to|until|till)\s+(?P<end2>.+)|(?:until|till|to)\s+(?P<end3>.+))$",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"^(?:please\s+)?(?:ls|dir|(?:list|show)(?:\s+me)?(?:\s+all)?(?:\s+the)?\s+(?:files|folders?|directory|contents)"
    r"|(?:what|which)\s+files\s+(?:are|do\s+(?:i|we)\s+have)(?:\s+there)?)"
    r"(?:\s+(?:here|in\s+(?:here|this\s+folder|this\s+directory|the\s+(?:current\s+)?(?:folder|directory))))?"
    r"(?:\s+(?:in\s+)?(?P<folder>[\w.\-]+(?:/[\w.\-]+)*/?))?$",
    re.IGNORECASE,
)
_READ = re.compile(
    r"^(?:please\s+)?(?:cat|read|open|show(?:\s+me)?|print|display|what(?:'s|\s+is)\s+in|what\s+does)\s+(?:the\s+)?"
    r"(?:contents?\s+of\s+)?(?:the\s+)?(?:file\s+)?[`'\"]?(?P<path>[\w\-./]*\w\.\w{1,8})[`'\"]?(?:\s+say)?$",
    re.IGNORECASE,
)
_SEARCH = re.compile(
    r"^(?:(?:which|what)\s+files?\s+(?:mentions?|contains?|talks?\s+about|says?)"
    r"|(?:search|look|grep)\s+(?:the\s+files\s+|in\s+the\s+files\s+)?for|find\s+the\s+files?\s+(?:that|which)\s+(?:mention|contain)s?)"
    r"\s+(?:the\s+word\s+)?[`'\"]?(?P<text>[^`'\"]+?)[`'\"]?(?:\s+in\s+(?:the|my|all)\s+files)?$",
    re.IGNORECASE,
)
Rule = Callable[[str], "tuple[str, dict[str, str]] | None"]


def call_of(clause: str) -> ToolCall | None:
    """The call that a clause without courtesies plainly stands for, whatever tools there are."""
    for rule in RULES:
        found = rule(clause)
        if found:
            return ToolCall(name=found[0], arguments=dict(found[1]))
    return None


def arithmetic(clause: str) -> str | None:
    """The expression that a clause asks for."""
    found = _arithmetic(clause)
    return found[1]["expression"] if found else None


def _arithmetic(text: str) -> tuple[str, dict[str, str]] | None:
    """Anything the calculator understands as a whole and that does something: an operator, a function, a conversion."""
    for expression in _expressions(text):
        if _is_sure(expression, text):
            return "calculator", {"expression": expression}
    return None


def _expressions(text: str) -> list[str]:
    """The ways to read a request as an expression, the surest first."""
    found: list[str] = []
    for pattern in (_SHARE, _WHAT_PERCENT):
        share = pattern.match(_ASKING.sub("", text) if pattern is _SHARE else text)
        if share:
            groups = {key.rstrip("2"): value for key, value in share.groupdict().items() if value}
            found.append(f"{groups['part']} / {groups['whole']} in %")
    how_many = _HOW_MANY.match(text)
    if how_many:
        amount = re.sub(r"^an?\s+", "1 ", how_many["amount"], flags=re.IGNORECASE)
        found.append(f"{amount} in {how_many['unit']}")
    much = _MUCH.match(text)
    if much:
        found.append(much["expression"])
    found.append(_ASKING.sub("", text).rstrip("= "))
    return found


def _is_sure(expression: str, request: str) -> bool:
    from smidgen.tools.builtin.arithmetic import compute

    if not re.search(r"\d", expression) or re.search(r"\b\d{4}-\d\d?-\d\d?\b|\d-\d+-\d|\b\d{3}-\d{4}\b", expression):
        return False
    asked_about_pair = re.fullmatch(r"\d+/\d+", expression) and _ASKING.match(request) and not _COMPUTING.match(request)
    if asked_about_pair:
        return False
    if re.search(r"\b(?:an?|per)\s+(?:hour|night|day|week|month|year)\b|\bquarter\s+of\b", expression, re.IGNORECASE):
        return False  # "20 a month" is no product
    try:
        return compute(expression).operations > 0
    except SmidgenError as error:
        return "Division by zero" in error.message and bool(re.fullmatch(r"[\d\s.,+*/()^×÷−-]+", expression))


def _dated(text: str) -> str | None:
    from smidgen.tools.builtin.dates import parse_date

    cleaned = re.sub(r"^(?:the\s+)?(?:date\s+)?", "", text.strip(), flags=re.IGNORECASE)
    try:
        parse_date(cleaned)
    except SmidgenError:
        return None
    return cleaned


def _weekday(text: str) -> tuple[str, dict[str, str]] | None:
    found = _WEEKDAY.match(text)
    date = _dated(found["date"]) if found and found["date"].lower() not in ("it", "today") else None
    return ("weekday", {"date": date}) if date else None


def _days_between(text: str) -> tuple[str, dict[str, str]] | None:
    found = _BETWEEN.match(text)
    if not found:
        return None
    start = _dated(found["start"] or found["start2"] or "today")
    end = _dated(found["end"] or found["end2"] or found["end3"])
    return ("days_between", {"start": start, "end": end}) if start and end else None


def _now(text: str) -> tuple[str, dict[str, str]] | None:
    found = _NOW.match(text)
    if not found:
        return None
    if not found["zone"]:
        return "current_time", {}
    places = zones(f"in {found['zone']}")
    if len(places) != 1 or places[0].text.lower() != found["zone"].strip().lower():
        return None
    return "current_time", {"timezone": places[0].text}


def _list_files(text: str) -> tuple[str, dict[str, str]] | None:
    found = _LIST.match(text)
    if not found:
        return None
    if found["folder"] and re.match(r"-|recursive", found["folder"]):
        return None
    return "list_files", {"folder": found["folder"]} if found["folder"] else {}


def _read_file(text: str) -> tuple[str, dict[str, str]] | None:
    found = _READ.match(text)
    return ("read_file", {"path": found["path"]}) if found and files(found["path"]) else None


def _search_files(text: str) -> tuple[str, dict[str, str]] | None:
    found = _SEARCH.match(text)
    if found is None or not is_searched_for(found["text"]):
        return None
    return "search_files", {"text": found["text"]}


RULES: tuple[Rule, ...] = (_now, _weekday, _days_between, _list_files, _read_file, _search_files)
