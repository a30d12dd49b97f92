"""What a clause asks of dates: a weekday, the days between, a date some time away, the time somewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from smidgen.agent.rules.spans import WEEKDAY, Duration, Span, dates, durations, zones
from smidgen.messages import ToolCall

_WEEKDAY = re.compile(
    r"\b(?:week\s?days?|days?\s+of\s+the\s+week|(?:what|which)\s+day\s+(?:is|was|will|does|did|of)|weekend)\b",
    re.IGNORECASE,
)
_IS_A_DAY = re.compile(
    rf"^(?:is|was|will|does|did|do)\b.*?\b(?:an?\s+|on\s+(?:an?\s+)?){WEEKDAY}(?:\s+or\s+(?:an?\s+)?{WEEKDAY})?$",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\bhow\s+(?:many\s+days|far\s+apart)\b|\bhow\s+far\s+away\s+is\b(?!.*\bisland\b)"
    r"|\bhow\s+long\b(?=\s+(?:is\s+(?:it|that|there|left)|do\s+(?:i|we)\s+have|have\s+(?:i|we)|has|ago|until|till|til|to|since"
    r"|left|from|between|before)\b)|\bhow\s+old\b.*\bdays\b|\bdays\s+(?:from|between|until|till|to|since)\b"
    r"|\b(?:number|count)\s+of\s+days\b|^days\s+(?:left|to\s+go)\b|\bdays\s+(?:is|are)\s+(?:that|it|there)\b",
    re.IGNORECASE,
)
_UNTIL = re.compile(r"\b(?:until|till|til|before|to\s+go|left|away)\b|\bto$", re.IGNORECASE)
_SINCE = re.compile(
    r"\b(?:since|ago|so\s+far|old|have\s+(?:i|we)|has\s+(?:he|she|it)|by\s+now|passed)\b", re.IGNORECASE
)
_WHICH_DATE = re.compile(
    r"\b(?:when|(?:what|which)\s+(?:date|day)|(?:the|a)\s+date|dates?)\b|^\S+\s+\S+\s+(?:from|after|before)\b",
    re.IGNORECASE,
)
_BACK = re.compile(r"\b(?:ago|before|earlier|prior)\b", re.IGNORECASE)
_NEXT_TO = re.compile(
    r"\b(?:comes?|is|was|right|just|directly|the\s+day)\s+(?:right\s+|just\s+)?(?P<side>before|after)\b", re.IGNORECASE
)
_NOW = re.compile(
    r"^(?:what(?:['’]s|\s+is)?\s+)?(?:the\s+)?(?:current\s+|exact\s+)?(?:local\s+)?time(?:\s+is\s+it|\s+it\s+is)?(?:\s+now|\s+right\s+now|\s+over\s+there)?(?=$|\s+(?:in|at)\b)"
    r"|\bwhat\s+time\s+(?:is\s+it|it\s+is)\b|^how\s+late\s+is\s+it\b|^(?:what|which)\s+(?:date|day)\s+(?:is\s+(?:it\s+)?today|it\s+is\s+today|do\s+we\s+have\s+today|is\s+it)\b"
    r"|^today['’]?s\s+date\b|^the\s+date\s+today\b|^what(?:['’]s|\s+is)\s+(?:the\s+)?(?:date|day)\s+today\b",
    re.IGNORECASE,
)


_RUNS_OUT = re.compile(
    r"^when\s+(?:does|do|will|did|is|was)\s+(?:it|that|this|my\s+\w+|the\s+\w+)\b.*\b(?:expires?|run\s+out|ends?|due|over)\b",
    re.IGNORECASE,
)


_OTHER_DAYS = re.compile(
    r"\b(?:working|work|business|school|trading|rainy|sunny|holiday|vacation)\s?days?\b|\bworkdays?\b"
    r"|\bweekdays?\s+(?:are|between|until|from)\b"
    r"|\b(?:inclusive|including|excluding|counting|without|not|moved|opens|closes|rule)\b",
    re.IGNORECASE,
)
"""Days of a kind, or between other things than two dates."""
_OTHER_YEAR = re.compile(
    r"\b(?:last|next|previous|following)\s+(?:year|christmas|xmas|easter|halloween|new\s+year)", re.IGNORECASE
)
_EARLIER = re.compile(
    r"\b(?:start|begin|began|leave|left|buy|bought|book|cancel|order|in\s+advance|notice|apply|send|post)\b",
    re.IGNORECASE,
)
"""What is asked for comes before the date that is said."""
_COUNTED_FROM = re.compile(r"\b(?:after|from|before|ago|later|earlier|prior|past)\b", re.IGNORECASE)


def wanted(clause: str, request: str) -> str | None:
    """The tool that a clause plainly wants, though its date isn't said: how long something lasts was."""
    return "date_add" if _RUNS_OUT.match(clause) and durations(request) else None


def calls_of(clause: str, earlier: Sequence[Span], places: Sequence[Span] = ()) -> list[ToolCall]:
    """The calls that a clause without courtesies stands for; [] if that isn't sure. earlier, places: dates and zones of
    what was told beside it, which it may lean on."""
    for rule in (_weekday, _which_date, _days_between):
        found = rule(clause, earlier)
        if found:
            return found
    return _now(clause, places)


def _weekday(clause: str, earlier: Sequence[Span]) -> list[ToolCall]:
    asked = _WEEKDAY.search(clause)
    is_a_day = _IS_A_DAY.match(clause)
    if not asked and not is_a_day:
        return []
    spans = [span for span in dates(clause) if not re.fullmatch(WEEKDAY, span.text, re.IGNORECASE)]
    spans = spans or list(earlier)
    if (
        durations(clause)
        or not spans
        or _OTHER_YEAR.search(clause)
        or re.search(r"\bday\s+(?:after|before)\b", clause, re.IGNORECASE)
        or re.search(r"\b(?:best|good|better|should|between|from)\b", clause, re.IGNORECASE)
    ):
        return []
    if any(span.text.lower() == "today" for span in spans):
        return []
    return [ToolCall(name="weekday", arguments={"date": span.text}) for span in spans]


def _days_between(clause: str, earlier: Sequence[Span]) -> list[ToolCall]:
    if not _COUNT.search(clause) or re.search(r"\bhours|minutes|weeks|months|years\b", clause, re.IGNORECASE):
        return []
    spans = dates(clause)
    if durations(clause) or len(spans) > 2 or _OTHER_DAYS.search(clause) or _OTHER_YEAR.search(clause):
        return []
    if len(spans) == 2:
        start, end = spans
        if re.search(r"\bbefore\b", clause[: start.start], re.IGNORECASE):
            start, end = end, start  # "how many days before Christmas is 3 December?"
        return [_between(start.text, end.text)]
    if not spans and len(earlier) == 2 and re.search(r"\b(?:that|it|apart|all\s+in\s+all|in\s+total|this)\b", clause):
        return [_between(earlier[0].text, earlier[1].text)]
    known = spans or earlier
    if len(known) != 1:
        return []
    if _SINCE.search(clause):
        return [_between(_directed(known[0].text, -1), "today")]
    if (spans and _UNTIL.search(clause[: spans[0].start])) or re.search(r"\b(?:left|to\s+go|remain)\b", clause):
        return [_between("today", _directed(known[0].text, 1))]
    return []


def _directed(text: str, direction: int) -> str:
    """A day without its year, or a day of the week, on that side of today: until 1 January is until the next one."""
    from smidgen.tools.builtin.dates import parse_date

    day, today = parse_date(text), parse_date("today")
    if re.search(r"\d{4}", text) or (day - today).days * direction >= 0:
        return text
    if re.fullmatch(WEEKDAY, text, re.IGNORECASE):
        return (day + timedelta(days=7 * direction)).isoformat()
    try:
        return day.replace(year=day.year + direction).isoformat()
    except ValueError:  # the 29th of February
        return text


def _between(start: str, end: str) -> ToolCall:
    return ToolCall(name="days_between", arguments={"start": start, "end": end})


def _which_date(clause: str, earlier: Sequence[Span]) -> list[ToolCall]:
    spans = dates(clause)
    beside = _NEXT_TO.search(clause)
    if beside and len(spans) == 1 and re.match(r"(?:what|which)\b", clause, re.IGNORECASE) and not durations(clause):
        return [_add(spans[0].text, -1 if beside["side"].lower() == "before" else 1, "days")]
    spread = durations(clause)
    if not spread or not _WHICH_DATE.search(clause) or _OTHER_YEAR.search(clause):
        return []
    if len({duration.unit for duration in spread}) > 1 or re.search(r"\bhalf\b", clause, re.IGNORECASE):
        return []  # one sum of several lengths
    if _EARLIER.search(clause) and not _COUNTED_FROM.search(clause):
        return []
    if re.search(r"\b(?:how\s+many|how\s+long|how\s+old|how\s+much)\b", clause, re.IGNORECASE):
        return []
    if re.search(r"\b(?:valid|lasts?|takes?|long)\b", clause, re.IGNORECASE) and not spans and len(earlier) != 1:
        return []
    calls: list[ToolCall] = []
    for duration in spread:
        start = _start_of(clause, spans, earlier, duration)
        if start is None:
            return []
        sign = -1 if _BACK.search(clause[duration.end :][:12]) else 1
        calls += [_add(start, sign * count, duration.unit) for count in duration.counts]
    return calls


def _start_of(clause: str, spans: Sequence[Span], earlier: Sequence[Span], duration: Duration) -> str | None:
    if len(spans) == 1:
        return spans[0].text
    if spans:
        return None
    if re.match(r"\s*ago\b", clause[duration.end :]) or re.search(r"\bin\s+$", clause[: duration.start]):
        return "today"
    if re.match(r"\s*(?:from\s+(?:now|here)|hence)\b", clause[duration.end :]):
        return "today"
    return earlier[0].text if len(earlier) == 1 else None


def _add(date: str, amount: int, unit: str) -> ToolCall:
    return ToolCall(name="date_add", arguments={"date": date, "amount": amount, "unit": unit})


def later(statement: str, question: str) -> list[ToolCall]:
    """A date and a duration in what was told, and "when" or "which date" in the question that follows: "issued on
    12 October 2021, valid for ten years. When does it run out?" """
    spans, spread = dates(statement), durations(statement)
    if len(spans) != 1 or len(spread) != 1 or dates(question) or durations(question):
        return []
    if not re.match(r"(?:when\b|(?:what|which)\s+(?:date|day)\b)", question, re.IGNORECASE):
        return []
    if _EARLIER.search(question) or re.search(r"\b(?:ended|ends|returned|notice|half)\b", statement, re.IGNORECASE):
        return []  # counted back from its end
    (duration,) = spread
    if re.search(r"\bof\s+the\s+week\b|\bweekday\b", question) or _BACK.match(statement[duration.end :].strip()):
        return []
    return [_add(spans[0].text, count, duration.unit) for count in duration.counts]


def _now(clause: str, places: Sequence[Span]) -> list[ToolCall]:
    named = re.search(r"\b(?:current|exact)\s+(?P<zone>UTC|GMT)\s+time\b", clause, re.IGNORECASE)
    if named:
        return [ToolCall(name="current_time", arguments={"timezone": named["zone"].upper()})]
    if not _NOW.search(clause) or durations(clause):
        return []
    where = zones(clause)
    if where:
        return [ToolCall(name="current_time", arguments={"timezone": span.text}) for span in where]
    if re.search(r"\bthere\b", clause, re.IGNORECASE):
        return [ToolCall(name="current_time", arguments={"timezone": places[0].text})] if len(places) == 1 else []
    if re.search(r"\b(?:in|at|of)\b", clause, re.IGNORECASE):
        return []
    return [ToolCall(name="current_time", arguments={})]
