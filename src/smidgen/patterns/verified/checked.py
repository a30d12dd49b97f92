"""What a check says of an answer, and what may be one: a `Verifier`, or a plain function of the user's own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.tools.threads import in_daemon_thread

LONGEST = 100_000
"""Characters of an answer that is checked at all."""

_FENCE = re.compile(r"[ \t]*(?P<marks>`{3,}|~{3,})(?P<rest>[^\n`]*)")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """ok: the answer holds. value: what it says, as data. text: it as it is to be shown, without anything around it
    that was not checked. reason: what is wrong with it, in words for the model that is asked again."""

    ok: bool
    value: Any = None
    reason: str = ""
    text: str = ""


@runtime_checkable
class Verifier(Protocol):
    """Checks an answer by code. It never raises for what is wrong with the answer, only for what keeps it from
    checking: the errors of smidgen.errors."""

    @property
    def name(self) -> str:
        """As events and answers call it."""
        ...

    @property
    def constraint(self) -> Constraint | None:
        """What every answer that can pass matches, None if no grammar says it."""
        ...

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        """text: the answer, and nothing else."""
        ...


def held(text: str, value: Any = None) -> Checked:
    return Checked(ok=True, text=text, value=text if value is None else value)


def wrong(reason: str) -> Checked:
    return Checked(ok=False, reason=reason)


class Own:
    """A function of the user's own: of the text, and if it takes them of the task and the resources too; it may be a
    coroutine, and else runs in a thread of its own. False and None refuse the answer, and so does a text, which is then
    the reason; "" and True accept it, and any other value accepts it as what it says. So does a `Checked`. A ValueError
    and an assertion that fails are reasons as well."""

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.name = name or str(getattr(function, "__name__", "check")).strip("<>")
        self.constraint: Constraint | None = None
        self._function = function
        self._takes = _parameters(function)

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        given = (text, task, resources)[: self._takes]
        try:
            if inspect.iscoroutinefunction(self._function):
                found = await self._function(*given)
            else:
                found = await in_daemon_thread(lambda: self._function(*given))
            if inspect.isawaitable(found):
                found = await found
        except (ValueError, AssertionError) as error:
            return wrong(str(error) or f"it doesn't pass {self.name}")
        return _meant(found, text, self.name)


def _meant(found: object, text: str, name: str) -> Checked:
    if isinstance(found, Checked):
        return found if found.text or not found.ok else msgspec.structs.replace(found, text=text)
    if isinstance(found, str):
        return wrong(found) if found else held(text)
    if type(found).__name__ in ("bool", "bool_"):  # NumPy's are no Python ones
        found = bool(found)
    if found is None or found is False:
        return wrong(f"it doesn't pass {name}")
    return held(text) if found is True else held(text, found)


def _parameters(function: Callable[..., Any]) -> int:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some of those written in C tell nothing
        return 1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 3
    taken = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in taken if one.default is one.empty]
    named = [one for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    if not taken or len(needed) > 3 or named:
        raise InvalidRequest("A check can't be called.", hint="It takes the text, and may take the task and resources.")
    return max(1, len(needed))


def verifier(check: object) -> Verifier:
    """A verifier as it is, a function as one. Raises InvalidRequest."""
    if inspect.isclass(check) and hasattr(check, "check"):
        raise InvalidRequest(f"{check.__name__} is a class.", hint=f"Make one, as in check={check.__name__}(...).")
    if isinstance(check, Verifier):
        return check
    if callable(check):
        return Own(cast("Callable[..., Any]", check))
    raise InvalidRequest(f"{check!r} is no check.", hint="Give a verifier, or a function that takes the text.")


def block(text: str) -> str | Checked:
    """What stands in the only block of code, or all of the text where there is none; or why it is not one answer. A
    block that isn't closed goes on to the end."""
    if len(text) > LONGEST:
        return wrong(f"it is longer than {LONGEST} characters")
    blocks, marks = list[list[str]](), ""
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if not marks and fence:
            marks = fence["marks"]
            blocks.append([])
        elif marks and fence and fence["marks"].startswith(marks) and not fence["rest"].strip():
            marks = ""
        elif marks:
            blocks[-1].append(line)
    if len(blocks) > 1:
        return wrong(f"it has {len(blocks)} blocks of code instead of one")
    return ("\n".join(blocks[0]) if blocks else text).strip("\n").rstrip()
