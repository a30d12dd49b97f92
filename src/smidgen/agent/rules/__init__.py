"""Requests that need no model to be understood: exact commands, arithmetic, dates, files by name, one or several.

A rule applies only if a tool of that name with those parameters is offered. Every rule must be sure: what could mean
something else is left to the model. A request of several clauses is taken only if every clause is understood, tells
something only, or is said out of courtesy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smidgen.agent.rules import clauses, commands, dates, files, plain, problems, spans
from smidgen.agent.rules.languages import in_english
from smidgen.agent.rules.plain import MAX_REQUEST
from smidgen.agent.rules.spelling import corrected
from smidgen.agent.state import Choice
from smidgen.messages import ToolCall, ToolSpec

MAX_CALLS = 8
_READ_ON = re.compile(
    r"^(?:please\s+)?(?:more|read\s+(?:on|more)|go\s+on|continue(?:\s+reading)?|next(?:\s+part)?|show\s+(?:me\s+)?more"
    r"|(?:and\s+)?the\s+rest)[.!?]*$",
    re.IGNORECASE,
)


def match(request: str, tools: Sequence[ToolSpec], before: str = "", answered: str = "") -> Choice | None:
    """The calls a request plainly stands for, or None. The results of such calls are the answer. before: the user's
    request before this one, which "and in Tokyo?" leans on; answered: what was answered to it, which "save that in
    notes.txt" means."""
    written = commands.written(request, tools)
    if written is not None:
        return Choice(tool=written.name, reason="the request is a call", calls=(written,), direct=True, literal=True)
    text = " ".join(request.split())
    if not text or len(text) > MAX_REQUEST:
        return None
    if _READ_ON.match(text) and _offered([ToolCall(name="read_more", arguments={})], tools):
        call = ToolCall(name="read_more", arguments={})
        return Choice(tool="read_more", reason="the request is to read on", calls=(call,), direct=True)
    kept = files.answer_kept(clauses.bare(text), answered)
    if kept and _offered(kept, tools):
        return Choice(
            tool=kept[0].name, reason="plainly the answer before, into a file", calls=tuple(kept), direct=True
        )
    readings = [request.strip(), corrected(request.strip())]
    if before and (spelled := clauses.following(text, " ".join(before.split()))):
        readings.append(spelled)
    readings += in_english(text)
    for reading in dict.fromkeys(readings):
        calls = _understood(reading)
        if calls and len(calls) <= MAX_CALLS and _offered(calls, tools) and _accounts_for(calls, reading):
            told = " and ".join(dict.fromkeys(call.name for call in calls))
            return Choice(tool=calls[0].name, reason=f"plainly {told}", calls=tuple(calls), direct=True)
    return None


def speaks_for(request: str, tools: Sequence[ToolSpec]) -> str | None:
    """The tool that a request plainly wants, though its arguments aren't plain."""
    text = " ".join(request.split())
    offered = {tool.name for tool in tools}
    if len(text) > MAX_REQUEST:
        return None
    for clause in [*clauses.strong(text), *clauses.weak(text)]:
        shorn = clauses.bare(clause)
        wanted = files.wanted(shorn) or dates.wanted(shorn, text)
        if wanted in offered:
            return wanted
    parts = [clauses.bare(clause) for clause in (*clauses.strong(text), *clauses.weak(text))]
    has_sum = any(plain.arithmetic(part) for part in parts) and not any(dates.calls_of(part, ()) for part in parts)
    wanted = problems.wanted(text) or ("calculator" if has_sum else None)
    return wanted if wanted in offered else None


def asked(request: str) -> int:
    """How many things a request asks for: its clauses that begin as a question or a command does."""
    text = " ".join(request.split())
    return clauses.questions(text) if len(text) <= MAX_REQUEST else 0


def _offered(calls: Sequence[ToolCall], tools: Sequence[ToolSpec]) -> bool:
    parameters = {tool.name: set(tool.parameters.get("properties", {})) for tool in tools}
    return all(call.name in parameters and set(call.arguments) <= parameters[call.name] for call in calls)


def _accounts_for(calls: Sequence[ToolCall], text: str) -> bool:
    """Does every number in digits stand in some call? One that doesn't means that more was said than is understood."""
    text = re.sub(r"(?:(?<=\s)|^)\(?\d\)(?=\s)", " ", text)
    held = [digits for call in calls for value in call.arguments.values() for digits in _digits(str(value))]
    return all(digits in held for digits in _digits(text))


def _digits(text: str) -> list[str]:
    """Runs of digits without leading zeros, which a written-out date has."""
    return [run.lstrip("0") or "0" for run in re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3})", "", text))]


def _understood(text: str) -> list[ToolCall]:
    for whole in dict.fromkeys((text.rstrip("?!. "), clauses.bare(text))):
        expression = plain.arithmetic(whole)
        if expression is not None:
            return [ToolCall(name="calculator", arguments={"expression": expression})]
    if clauses.is_taken_back(text):
        return []
    told_in_words = problems.calls_of(text)
    if told_in_words and clauses.questions(text) <= len(told_in_words):
        return told_in_words
    pieces = [clause for clause in clauses.strong(text) if not clauses.is_courtesy(clause)]
    told = [clause for clause in pieces if clauses.only_tells(clause)]
    calls: list[ToolCall] = []
    before = ""
    for clause in pieces:
        found = _clause(clause, [other for other in told if other != clause], before)
        if not found and (clause not in told or (calls and clauses.counts(clause) and not _uses(calls, clause))):
            return []
        calls += found
        before = clause if found else before
    return list({repr(call): call for call in calls}.values())


def _clause(clause: str, told: Sequence[str], before: str) -> list[ToolCall]:
    """What a clause stands for as a whole, or what each of its parts does, whichever finds more in it."""
    whole = _simple(clause, told, before)
    parts = [part for part in clauses.weak(clause) if not clauses.is_courtesy(part)]
    if len(parts) < 2:
        return whole
    known, calls, asked = list(told), list[ToolCall](), before
    for part in parts:
        found = _simple(part, known, asked)
        if found:
            calls += found
            asked = part
        elif (clauses.only_tells(part) or clauses.is_purpose(part)) and not (calls and clauses.counts(part)):
            known.append(part)
        elif calls and clauses.counts(part) and part != parts[0]:
            return whole if len(whole) > len(calls) else []  # or it says more than is understood
        elif clauses.is_request(part) and (part != parts[0] or _asks_besides(parts[1:], known)):
            return []  # something else is wanted beside what the whole seems to say
        else:
            calls = []
            break
    return calls if len(calls) > len(whole) else whole


def _asks_besides(parts: Sequence[str], known: Sequence[str]) -> bool:
    """Is one of them a question or a command of its own?"""
    return any(clauses.is_request(part) and _simple(part, known, "") for part in parts)


def _uses(calls: Sequence[ToolCall], clause: str) -> bool:
    """Does some call hold a date or a place of the clause?"""
    held = {value for call in calls for value in call.arguments.values()}
    return any(span.text in held for span in (*spans.dates(clause), *spans.zones(clause)))


def _simple(clause: str, told: Sequence[str], before: str) -> list[ToolCall]:
    shorn = clauses.bare(clause)
    if not shorn:
        return []
    earlier = [span for text in told for span in spans.dates(text)]
    places = [span for text in told for span in spans.zones(text)]
    spelled = clauses.elliptic(clause, before) if before else None
    for text in dict.fromkeys(filter(None, (shorn, spelled))):
        expression = plain.arithmetic(text)
        if expression is not None:
            return [ToolCall(name="calculator", arguments={"expression": expression})]
        found = dates.calls_of(text, earlier, places) or files.calls_of(text) or problems.calls_of(_asked(text, clause))
        if found:
            return found
        direct = plain.call_of(text)
        if direct is not None:
            return [direct]
    return dates.later(" ".join(told), shorn) if told else []


def _asked(text: str, clause: str) -> str:
    return f"{text}?" if clause.rstrip().endswith("?") or re.match(r"convert\b", text, re.IGNORECASE) else text
