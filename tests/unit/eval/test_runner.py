"""Items through a solver: what is kept, what is asked again, what ends a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from smidgen.errors import ContextOverflow, EngineUnavailable, SmidgenError
from smidgen.eval import Item, Outcome, Request, Verdict
from smidgen.eval.record import Record, ResultFile, RunKey
from smidgen.eval.runner import measure
from smidgen.messages import Message, ToolCall

CALL = ToolCall(name="f", arguments={})


ITEMS = [Item(id=f"a_{i}", category="a", request=f"request {i}") for i in range(3)]


async def no_call(item: Item, outcome: Outcome) -> Verdict:
    """Right without any call."""
    return Verdict(correct=not outcome.calls, reason="" if not outcome.calls else "one too many")


class Scripted:
    name, steps = "scripted", ()

    def __init__(self, *outcomes: Outcome | SmidgenError) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[Request] = []

    def with_steps(self, off: Collection[str]) -> Scripted:
        return self

    async def solve(self, item: Item) -> Outcome:
        self.asked.append(item.request)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, SmidgenError):
            raise outcome
        return outcome


NONE, ONE = Outcome(seconds=2.5, prompt_tokens=7), Outcome(calls=(CALL,), completion_tokens=3)


async def test_each_item_is_asked_once_in_order_and_kept(run_key: RunKey, tmp_path: Path) -> None:
    solver, told = Scripted(NONE, ONE, NONE), list[tuple[Record, bool]]()
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(ITEMS, solver, no_call, file, lambda *step: told.append(step))
    assert solver.asked == ["request 0", "request 1", "request 2"]
    assert [record.correct for record in records] == [True, False, True]
    assert (records[0].seconds, records[0].prompt_tokens, records[1].completion_tokens) == (2.5, 7, 3)
    assert records[1].reason == "one too many"
    assert told == [(record, False) for record in records]
    with ResultFile(tmp_path, run_key, "a") as file:
        assert list(file.records.values()) == records


async def test_an_error_that_is_the_items_own_is_never_right(run_key: RunKey, tmp_path: Path) -> None:
    solver = Scripted(NONE, ContextOverflow("too long"), NONE)
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(ITEMS, solver, no_call, file, lambda *_: None)
    assert [record.correct for record in records] == [True, False, True]
    assert records[1].error == records[1].reason == "context_overflow: too long"


async def test_a_stopped_run_goes_on_where_it_was(run_key: RunKey, tmp_path: Path) -> None:
    with ResultFile(tmp_path, run_key, "a") as file, pytest.raises(EngineUnavailable):
        await measure(ITEMS, Scripted(ONE, EngineUnavailable("gone")), no_call, file, lambda *_: None)
    solver, known = Scripted(NONE, NONE), list[bool]()
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(ITEMS, solver, no_call, file, lambda _, there: known.append(there))
    assert solver.asked == ["request 1", "request 2"]
    assert known == [True, False, False]
    assert [record.correct for record in records] == [False, True, True]


async def test_notes_that_json_cannot_hold_are_kept_as_text(run_key: RunKey, tmp_path: Path) -> None:
    outcome = Outcome(notes={"path": tmp_path, "n": 1})
    items = [Item(id="a_0", category="a", request=[Message(role="user", content="hi")])]
    with ResultFile(tmp_path, run_key, "a") as file:
        (record,) = await measure(items, Scripted(outcome), no_call, file, lambda *_: None)
    assert record.notes == {"path": str(tmp_path), "n": 1}
    assert record.request == "[user] hi"
