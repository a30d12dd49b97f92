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

LONGEST = 100_000
"""Characters of an answer that is checked at all."""

_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


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
    coroutine. False and None refuse the answer, and so does a text, which is then the reason; "" and True accept it,
    and any other value accepts it as what it says. So does a `Checked`. A ValueError is a reason as well."""

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.name = name or str(getattr(function, "__name__", "check")).strip("<>")
        self.constraint: Constraint | None = None
        self._function = function
        self._takes = _parameters(function)

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        try:
            found = self._function(*(text, task, resources)[: self._takes])
            if inspect.isawaitable(found):
                found = await found
        except ValueError as error:
            return wrong(str(error) or f"it doesn't pass {self.name}")
        return _meant(found, text, self.name)


def _meant(found: object, text: str, name: str) -> Checked:
    if isinstance(found, Checked):
        return found if found.text or not found.ok else msgspec.structs.replace(found, text=text)
    if found is None or found is False:
        return wrong(f"it doesn't pass {name}")
    if found is True or found == "":
        return held(text)
    if isinstance(found, str):
        return wrong(found)
    return held(text, found)


def _parameters(function: Callable[..., Any]) -> int:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some of those written in C tell nothing
        return 1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 3
    taken = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in taken if one.default is one.empty]
    if not taken or len(needed) > 3:
        raise InvalidRequest("A check can't be called.", hint="It takes the text, and may take the task and resources.")
    return max(1, len(needed))


def verifier(check: object) -> Verifier:
    """A verifier as it is, a function as one. Raises InvalidRequest."""
    if isinstance(check, Verifier):
        return check
    if callable(check):
        return Own(cast("Callable[..., Any]", check))
    raise InvalidRequest(f"{check!r} is no check.", hint="Give a verifier, or a function that takes the text.")


def unfenced(text: str) -> str:
    """What stands in the only block of code, or all of the text where there is none."""
    blocks = _FENCED.findall(text)
    return (blocks[0] if len(blocks) == 1 else text).strip("\n").rstrip()
