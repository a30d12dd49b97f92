"""Programs tried in the sandbox: what each of many calls gave, in one run. `outcomes` asks for one."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from smidgen.patterns import Resources
from smidgen.patterns.micro.examples import Example

CALL_S = 0.5
"""For one call; the whole run has RUN_S, and after two slow calls the others aren't tried."""
RUN_S = 6.0
AT_ONCE = 4
"""Programs that run at the same time."""
SHOWN = 160
"""Characters of a value that are kept; longer ones go by their beginning and a hash."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """kind: "value", "raised", "slow" or "lost" (never came to it). shown: the value as Python shows it, floats to nine
    digits, or the exception's name. message: the exception's. ok: whether it is what was expected; None if nothing
    was."""

    kind: str
    shown: str = ""
    message: str = ""
    ok: bool | None = None

    @property
    def told(self) -> str:
        if self.kind == "value":
            return f"it returned {self.shown}"
        if self.kind == "raised":
            return f"it raised {self.shown}: {self.message}" if self.message else f"it raised {self.shown}"
        return "it took too long" if self.kind == "slow" else "it ended the whole program"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """error: why the program itself can't be run, "" if it can."""

    outcomes: tuple[Outcome, ...]
    error: str = ""

    @property
    def passed(self) -> int:
        return sum(outcome.ok is True for outcome in self.outcomes)

    @property
    def expected(self) -> int:
        return sum(outcome.ok is not None for outcome in self.outcomes)


_HARNESS = r"""
import json, math, signal, hashlib
class _Slow(BaseException): pass
def _alarm(*_): raise _Slow()
_timed = hasattr(signal, "setitimer")
if _timed: signal.signal(signal.SIGALRM, _alarm)
def _limit(seconds):
    if _timed: signal.setitimer(signal.ITIMER_REAL, seconds)
def _plain(value, depth=0):
    if isinstance(value, float) and value == value and value not in (math.inf, -math.inf): return float("%.9g" % value)
    if depth > 6: return value
    if type(value) in (list, tuple): return type(value)(_plain(one, depth + 1) for one in value)
    if type(value) is dict: return {key: _plain(one, depth + 1) for key, one in value.items()}
    if type(value) in (set, frozenset):
        try: return sorted(value)
        except TypeError: return value
    return value
def _shown(value):
    text = repr(_plain(value)) if type(value) not in (set, frozenset) else "set %r" % (_plain(value),)
    if len(text) <= SHOWN: return text
    return text[:SHOWN] + "… " + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
def _same(value, wanted):
    if isinstance(value, float) or isinstance(wanted, float):
        try: return math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-6) and not isinstance(value, bool)
        except TypeError: return False
    if type(value) in (list, tuple) and type(value) is type(wanted):
        return len(value) == len(wanted) and all(_same(one, other) for one, other in zip(value, wanted))
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)
def _try(setup, call, wanted, raises):
    names = dict(_names)
    try:
        _limit(CALL_S)
        try:
            if setup: exec(setup, names)
            value = eval(call, names)
            shown = _shown(value)
        finally:
            _limit(0)
    except _Slow:
        return ["slow", "", "", False if wanted is not None or raises else None]
    except BaseException as error:
        name = type(error).__name__
        try: said = str(error)[:200]
        except BaseException: said = ""
        ok = name == raises if raises else None if wanted is None else False
        return ["raised", name, said, ok]
    if raises: return ["value", shown, "", False]
    if wanted is None: return ["value", shown, "", None]
    if repr(value) == wanted.strip(): return ["value", shown, "", True]
    try: expected = eval(wanted, dict(_names))
    except BaseException: return ["value", shown, "", str(value) == wanted.strip()]
    try: ok = _same(value, expected)
    except BaseException: ok = False
    return ["value", shown, "", ok]
_names = {"__name__": "candidate"}
_error, _outcomes = "", []
try:
    _limit(2)
    try: exec(compile(_data["code"], "candidate.py", "exec"), _names)
    finally: _limit(0)
except BaseException as error:
    _error = type(error).__name__ + ": " + str(error)[:200]
if not _error:
    _slow = 0
    for _one in _data["calls"]:
        if _slow >= 2:
            _outcomes.append(["lost", "", "", False if _one[2] is not None else None])
            continue
        try: _outcomes.append(_try(*_one))
        except _Slow: _outcomes.append(["slow", "", "", False if _one[2] is not None else None])
        _slow += _outcomes[-1][0] == "slow"
json.dumps([_error, _outcomes])
"""


async def trials(
    resources: Resources, programs: Sequence[str], examples: Sequence[Example], inputs: Sequence[str] = ()
) -> list[Trial]:
    """The same for several programs, a few at a time. Raises SandboxUnavailable."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(program: str) -> Trial:
        async with few:
            return await trial(resources, program, examples, inputs)

    return await asyncio.gather(*map(one, programs))


async def trial(resources: Resources, program: str, examples: Sequence[Example], inputs: Sequence[str] = ()) -> Trial:
    """What the program gives for these examples, then for these calls of which nothing is expected. Raises
    SandboxUnavailable."""
    calls: list[list[str | None]] = [[one.setup, one.call, one.expected, one.raises] for one in examples]
    calls += [["", call, None, ""] for call in inputs]
    data = json.dumps({"code": program, "calls": calls})
    limits = f"SHOWN, CALL_S = {SHOWN}, {CALL_S}\n"
    code = f"import json\n_data = json.loads({data!r})\n{limits}{_HARNESS}"
    executed = await resources.python(code, RUN_S)
    lost = tuple(Outcome(kind="lost", ok=False if call[2] is not None else None) for call in calls)
    if not executed.ok or not executed.value:
        return Trial(outcomes=lost, error=executed.error or f"stopped: {executed.stopped or 'no result'}")
    try:
        error, outcomes = cast("tuple[str, list[Any]]", json.loads(ast.literal_eval(executed.value)))
        read = tuple(
            Outcome(kind=str(kind), shown=str(shown), message=str(message), ok=ok)
            for kind, shown, message, ok in outcomes
        )
    except (ValueError, SyntaxError, TypeError):
        return Trial(outcomes=lost, error="its results can't be read")
    return Trial(outcomes=read if len(read) == len(calls) else lost, error=error)
