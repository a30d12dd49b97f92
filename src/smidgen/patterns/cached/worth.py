"""Which requests and answers are kept. Pure.

An answer is kept if giving it again is as good as making it anew: nothing was done besides answering, nothing went
wrong, and it rests on nothing that may have changed meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smidgen.events import AgentEvent, ApprovalNeeded, Asked, Failed, Finished, Notice, ToolCalled, ToolRecord
from smidgen.messages import Message

PURE = frozenset({"calculator", "weekday", "days_between", "date_add"})
"""Built-in tools whose results depend on their arguments alone."""
READING = frozenset({"list_files", "read_file", "search_files", "look_up", "query", "web_search", "fetch"})
"""Built-in tools that only read, what others may change."""
MOST_BYTES = 1_000_000
"""Of an answer with what belongs to it."""

_NOW = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|current|currently|latest|newest|recent|recently|so far|until|"
    r"till|since|ago|at the moment|at present|these days|"
    r"this (?:morning|afternoon|evening|week|month|year|quarter|season)|"
    r"(?:next|last|past|coming|previous) (?:\w+ )?(?:hour|day|week|weekend|month|year|quarter|season|decade)s?|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|what time|which day|what day|the time|the date|news|weather|forecast|"
    r"heute|jetzt|gerade|aktuell\w*|morgen|gestern|neuest\w*|derzeit|aujourd['’]hui|maintenant|actuel\w*|demain|hier|"
    r"hoy|ahora|actual\w*|mañana|ayer|oggi|adesso|domani|ieri|attual\w*)\b",
    re.IGNORECASE,
)
"""What makes an answer depend on when it is asked for. English, with the plainest words of some other languages."""
_REFUSAL = re.compile(r"\brefusal\b")
"""In the strategy of an answer that says that there is none."""
_YEAR = re.compile(r"\d{4}")


def asks_of_now(messages: Iterable[Message]) -> str:
    """The word by which one of the user's requests depends on the time, "" if none does."""
    for message in messages:
        if message.role == "user" and (found := _NOW.search(message.content)):
            return found[0]
    return ""


class Watch:
    """What happens while an answer is made. tools: what those read may be kept."""

    def __init__(self, *, tools: bool) -> None:
        self._tools = tools
        self._reason = ""

    def see(self, event: AgentEvent) -> None:
        match event:
            case ToolCalled():
                self._because(self._against(event.call.name, event.call.arguments))
            case ApprovalNeeded():
                self._because("it was asked about")
            case Asked():
                self._because("it asks for something that is missing")
            case Notice():
                again = "it was kept elsewhere already" if event.code == "cached" else f"of a notice ({event.code})"
                self._because(again)
            case _:
                pass

    def against(self, end: Finished | Failed | None) -> str:
        """Why the answer isn't kept, in words after "because"; "" if it is."""
        if not isinstance(end, Finished):
            return "it failed"
        if end.finish_reason != "stop" or end.wanted:
            return f"it ended by {end.finish_reason!r}"
        if not end.text.strip():
            return "it is empty"
        if _REFUSAL.search(end.strategy):
            return "it is a refusal"
        if end.warnings:
            return "it came with a warning"
        against = [reason for record in end.tool_calls if (reason := self._against_record(record))]
        return self._reason or (against[0] if against else "")

    def _because(self, reason: str) -> None:
        self._reason = self._reason or reason

    def _against_record(self, record: ToolRecord) -> str:
        if not record.ok:
            return f"{record.name} failed"
        return self._against(record.name, record.arguments)

    def _against(self, tool: str, arguments: dict[str, object]) -> str:
        if tool in PURE:
            dates = [value for name, value in arguments.items() if name in ("date", "start", "end")]
            # "friday" and "christmas" are other days at other times.
            if all(isinstance(value, str) and _YEAR.search(value) and not _NOW.search(value) for value in dates):
                return ""
            return f"{tool} was asked for a day that depends on when it is asked"
        if tool in READING:
            return "" if self._tools else f"what {tool} read may change"
        return f"{tool} may do or tell something else each time"
