"""A file of tasks as a suite: its items, and what counts as right."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from smidgen import __version__
from smidgen.errors import ConfigError
from smidgen.eval import Bench, Item, Measured, Prepared, Request, Verdict
from smidgen.eval.calls import prepared
from smidgen.eval.tasks import checker
from smidgen.eval.tasks.checker import Expected
from smidgen.messages import Message, ToolCall, ToolSpec

FOLDER = Path(__file__).parent
FOR_TUNING = ("calibration",)
"""Suites that smidgen's own weights and thresholds are set on; a score on them proves nothing."""


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`expect`: the calls that must be made; if there are none, no call must be. `ask`: what only the user can say."""

    id: str
    kind: str
    request: str | list[Message]
    tools: tuple[str, ...]
    expect: tuple[Expected, ...] = ()
    ask: tuple[str, ...] = ()


class TaskFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tools`: the file's own; a name that isn't among them is that of a built-in tool."""

    about: str
    tools: tuple[ToolSpec, ...]
    tasks: tuple[Task, ...]


class Tasks:
    """`categories` are the kinds of task, in the file's order."""

    version = __version__
    measures: Measured = "model"
    options: Mapping[str, Any] = MappingProxyType({})
    notices: tuple[str, ...] = ()

    def __init__(self, name: str, content: bytes) -> None:
        """Raises ConfigError for content that makes no suite."""
        self.name = name
        file = _decoded(name, content)
        self._tasks = {task.id: task for task in file.tasks}
        self._specs = _specs(file)
        self.about = file.about
        self.categories = tuple(dict.fromkeys(task.kind for task in file.tasks))
        if len(self._tasks) < len(file.tasks):
            raise ConfigError(f"Two tasks of {name} have the same id.")
        for task in file.tasks:
            self._require_offered(task)

    @classmethod
    def shipped(cls, name: str) -> Tasks:
        """Raises ConfigError if there is no such file, or one that makes no suite."""
        path = FOLDER / f"{name}.json"
        try:
            return cls(name, path.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"The tasks of {name} can't be read: {path}: {error.strerror}.", hint="Install smidgen again."
            ) from error

    @property
    def default_categories(self) -> tuple[str, ...]:
        return self.categories

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        return {"all": self.categories}

    def tasks(self, category: str) -> tuple[Task, ...]:
        return tuple(task for task in self._tasks.values() if task.kind == category)

    def tools(self, task: Task) -> tuple[ToolSpec, ...]:
        """Those on offer, in the task's order."""
        return tuple(self._specs[name] for name in task.tools)

    def fingerprint(self, category: str) -> str:
        """Of the checker, the category's tasks and the tools they offer."""
        tasks = self.tasks(category)
        offered = sorted({name for task in tasks for name in task.tools})
        digest = hashlib.sha256(Path(checker.__file__).read_bytes())
        digest.update(msgspec.json.encode([tasks, [self._specs[name] for name in offered]]))
        return digest.hexdigest()

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        tasks = self.tasks(category)
        until = len(tasks) if limit is None else skip + limit
        return [
            Item(
                id=task.id,
                category=category,
                request=_request(task),
                tools=self.tools(task),
                expected=_told(task),
                tuning=self.name in FOR_TUNING,
            )
            for task in tasks[skip:until]
        ]

    async def prepare(self, bench: Bench) -> Prepared:
        return await prepared(bench, self.check)

    def check(self, item: Item, calls: Sequence[ToolCall]) -> Verdict:
        task = self._tasks[item.id]
        return checker.check(task.expect, calls, item.tools, ask=task.ask)

    def _require_offered(self, task: Task) -> None:
        for name in task.tools:
            if name not in self._specs:
                raise ConfigError(f"Task {task.id} of {self.name} offers a tool that isn't there: {name!r}.")
        for expected in task.expect:
            if expected.tool not in task.tools:
                raise ConfigError(f"Task {task.id} of {self.name} expects {expected.tool!r}, which it doesn't offer.")


def _decoded(name: str, content: bytes) -> TaskFile:
    try:
        return msgspec.json.decode(content, type=TaskFile)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"The file of {name} holds no tasks: {error}.", hint="Install smidgen again.") from error


def _specs(file: TaskFile) -> dict[str, ToolSpec]:
    """By name: the file's own tools, and the built-in ones where it names others."""
    specs = {tool.name: tool for tool in file.tools}
    if any(name not in specs for task in file.tasks for name in task.tools):
        from smidgen.tools.builtin import builtin_tools

        built_in = {tool.spec.name: tool.spec for tool in builtin_tools(Path())}  # described, never called
        specs = {**built_in, **specs}
    return specs


def _request(task: Task) -> Request:
    return task.request if isinstance(task.request, str) else list(task.request)


def _told(task: Task) -> Any:
    """What is right, for people."""
    if task.expect:
        return msgspec.to_builtins(task.expect)
    return f"no call; ask for {' and '.join(task.ask)}" if task.ask else "no call"
