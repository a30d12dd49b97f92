"""Items through a caller: what is kept, what is asked again, what ends a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from smidgen.errors import ContextOverflow, EngineUnavailable, SmidgenError
from smidgen.eval import CallOutcome, Item, Request, Verdict
from smidgen.eval.record import Record, ResultFile, RunKey
from smidgen.eval.runner import measure
from smidgen.messages import Message, ToolCall, ToolSpec

CALL = ToolCall(name="f", arguments={})


class NoCall:
    """A suite's judgement: right without any call."""

    name, version, notices = "tiny", "1", ()
    categories = default_categories = ("a",)
    groups: dict[str, tuple[str, ...]] = {}  # noqa: RUF012

    def fingerprint(self, category: str) -> str:
        return ""

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        return [Item(id=f"a_{i}", category="a", request=f"request {i}", tools=()) for i in range(3)]

    def check(self, item: Item, calls: Sequence[ToolCall]) -> Verdict:
        return Verdict(correct=not calls, reason="" if not calls else "one too many")


class Scripted:
    name, steps = "scripted", ()

    def __init__(self, *answers: CallOutcome | SmidgenError) -> None:
        self._answers = list(answers)
        self.asked: list[Request] = []

    def with_steps(self, off: Collection[str]) -> Scripted:
        return self

    async def call(self, request: Request, tools: Sequence[ToolSpec]) -> CallOutcome:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, SmidgenError):
            raise answer
        return answer


NONE, ONE = CallOutcome(calls=(), seconds=2.5, prompt_tokens=7), CallOutcome(calls=(CALL,), completion_tokens=3)


async def test_each_item_is_asked_once_in_order_and_kept(run_key: RunKey, tmp_path: Path) -> None:
    caller, told = Scripted(NONE, ONE, NONE), list[tuple[Record, bool]]()
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(NoCall(), NoCall().items("a"), caller, file, lambda *step: told.append(step))
    assert caller.asked == ["request 0", "request 1", "request 2"]
    assert [record.correct for record in records] == [True, False, True]
    assert (records[0].seconds, records[0].prompt_tokens, records[1].completion_tokens) == (2.5, 7, 3)
    assert records[1].reason == "one too many"
    assert told == [(record, False) for record in records]
    with ResultFile(tmp_path, run_key, "a") as file:
        assert list(file.records.values()) == records


async def test_an_error_that_is_the_items_own_is_never_right(run_key: RunKey, tmp_path: Path) -> None:
    caller = Scripted(NONE, ContextOverflow("too long"), NONE)
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(NoCall(), NoCall().items("a"), caller, file, lambda *_: None)
    assert [record.correct for record in records] == [True, False, True]
    assert records[1].error == records[1].reason == "context_overflow: too long"


async def test_a_stopped_run_goes_on_where_it_was(run_key: RunKey, tmp_path: Path) -> None:
    items = NoCall().items("a")
    with ResultFile(tmp_path, run_key, "a") as file, pytest.raises(EngineUnavailable):
        await measure(NoCall(), items, Scripted(ONE, EngineUnavailable("gone")), file, lambda *_: None)
    caller, known = Scripted(NONE, NONE), list[bool]()
    with ResultFile(tmp_path, run_key, "a") as file:
        records = await measure(NoCall(), items, caller, file, lambda _, there: known.append(there))
    assert caller.asked == ["request 1", "request 2"]
    assert known == [True, False, False]
    assert [record.correct for record in records] == [False, True, True]


async def test_notes_that_json_cannot_hold_are_kept_as_text(run_key: RunKey, tmp_path: Path) -> None:
    outcome = CallOutcome(calls=(), notes={"path": tmp_path, "n": 1})
    items = [Item(id="a_0", category="a", request=[Message(role="user", content="hi")], tools=())]
    with ResultFile(tmp_path, run_key, "a") as file:
        (record,) = await measure(NoCall(), items, Scripted(outcome), file, lambda *_: None)
    assert record.notes == {"path": str(tmp_path), "n": 1}
    assert record.request == "[user] hi"
