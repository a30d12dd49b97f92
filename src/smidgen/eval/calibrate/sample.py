"""Which tasks are for choosing and which are held back, and tools to choose among. Pure and always the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from smidgen.eval import Item, as_messages
from smidgen.eval.tasks.checker import Expected, check
from smidgen.eval.tasks.suite import Task, Tasks
from smidgen.messages import Message, ToolCall, ToolSpec

SUITE = "calibration"
HELD_BACK = 4
"""Every fourth task of a kind."""
OFFERED = 8
"""Tools on offer where one must be chosen."""
SEED = 0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A task and the tools on offer."""

    task: Task
    tools: tuple[ToolSpec, ...]

    @property
    def history(self) -> tuple[Message, ...]:
        return as_messages(self.task.request if isinstance(self.task.request, str) else list(self.task.request))

    @property
    def request(self) -> str:
        return next(turn.content for turn in reversed(self.history) if turn.role == "user")

    @property
    def said(self) -> str:
        """All that a call's values may come from."""
        return "\n".join(turn.content for turn in self.history if turn.role != "system")

    @property
    def names(self) -> frozenset[str]:
        """The tools that do for the first call: of several calls, each may come first."""
        return frozenset(one.tool for expected in self.task.expect for one in (expected, *expected.alternatives))

    def tool(self, name: str) -> ToolSpec:
        return next(tool for tool in self.tools if tool.name == name)

    def is_right(self, call: ToolCall | None) -> bool:
        """Is it one of the calls that must be made?"""
        return call is not None and any(check([expected], [call], self.tools).correct for expected in self.task.expect)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks for choosing by kind, and the items that are held back. extra: of every kind of work, all tools."""

    single: tuple[Case, ...]
    several: tuple[Case, ...]
    none: tuple[Case, ...]
    missing: tuple[Case, ...]
    held_back: tuple[Item, ...]

    @property
    def size(self) -> int:
        return len(self.single) + len(self.several) + len(self.none) + len(self.missing)


def sample(suite: Tasks, most: int | None = None) -> Sample:
    """most: tasks of each kind at most, before some are held back; None for all."""
    chosen: dict[str, tuple[Case, ...]] = {}
    held_back: list[Item] = []
    for kind in ("single", "several", "none", "missing"):
        tasks, items = suite.tasks(kind)[:most], suite.items(kind)[:most]
        held_back += [item for number, item in enumerate(items, 1) if number % HELD_BACK == 0]
        chosen[kind] = tuple(
            Case(task=task, tools=suite.tools(task)) for number, task in enumerate(tasks, 1) if number % HELD_BACK
        )
    return Sample(held_back=tuple(held_back), **chosen)


def crowded(cases: Sequence[Case], all_cases: Sequence[Case]) -> tuple[Case, ...]:
    """The same with as many tools of other fields of work on offer that there are eight, in an order drawn by the
    task's name. A task's field is its name without the number."""
    fields: dict[str, set[str]] = {}
    specs: dict[str, ToolSpec] = {}
    for case in all_cases:
        fields.setdefault(_field(case), set()).update(tool.name for tool in case.tools)
        specs.update((tool.name, tool) for tool in case.tools)
    found: list[Case] = []
    for case in cases:
        drawn = random.Random(f"{SEED} {case.task.id}")
        near = {tool.name for tool in case.tools} | fields[_field(case)]
        others = sorted(specs.keys() - near)
        more = drawn.sample(others, min(len(others), max(0, OFFERED - len(case.tools))))
        tools = [*case.tools, *(specs[name] for name in more)]
        drawn.shuffle(tools)
        found.append(Case(task=case.task, tools=tuple(tools)))
    return tuple(found)


def mixed(first: Sequence[Case], second: Sequence[Case]) -> tuple[Case, ...]:
    """Both by turns, two of the first to one of the second, as long as both last; then the rest."""
    left, right = list(first), list(second)
    found: list[Case] = []
    while left or right:
        found += left[:2] + right[:1]
        del left[:2], right[:1]
    return tuple(found)


def calls_of(expected: Sequence[Expected]) -> tuple[ToolCall, ...]:
    """The calls that must be made, each with the first value that is accepted of those that can't be left out."""
    return tuple(
        ToolCall(
            name=one.tool,
            arguments={
                name: _value(values[0])
                for name, values in one.arguments.items()
                if name not in one.may_omit and values and values[0] is not None
            },
        )
        for one in expected
    )


def _value(accepted: Any) -> Any:
    """A text that holds what an accepted value says that it must."""
    if not isinstance(accepted, dict):
        return accepted
    wanted = cast(dict[str, Any], accepted)
    held: str | list[str] = wanted.get("contains", "")
    if "contains" in wanted:
        return held if isinstance(held, str) else " ".join(held)
    return "any" if wanted == {"any": True} else wanted


def _field(case: Case) -> str:
    return case.task.id.rpartition("-")[0]
