"""What requests and patterns are the same by."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec
import pytest

from smidgen.messages import Constraint, Message
from smidgen.patterns import Task, task_of
from smidgen.patterns.cached.asked import CHANGING, asked, fingerprint
from smidgen.patterns.cached.settings import Settings
from smidgen.patterns.plain import Direct, WithTools


def task(*turns: tuple[Any, str], **options: Any) -> Task:
    return Task(messages=tuple(Message(role=role, content=text) for role, text in turns), **options)


def key(given: Task, scope: Any = "all", model: str = "tiny", pattern: bytes = b"p") -> bytes:
    return asked(given, model, pattern, scope).key


ASKED = (("system", "Be short."), ("user", "a"), ("assistant", "b"), ("user", "Why?"))


def test_white_space_around_and_how_characters_are_composed_does_not_matter() -> None:
    assert key(task_of(" Cafe\u0301?\r\nYes\n")) == key(task_of("Café?\nYes"))
    assert key(task_of("us")) != key(task_of("US"))
    assert key(task_of("a  b")) != key(task_of("a b"))


@pytest.mark.parametrize("scope", ["all", "conversation", "user text"])
def test_model_pattern_length_and_instructions_always_matter(scope: Any) -> None:
    there = key(task(*ASKED), scope)
    assert key(task(*ASKED), scope, model="other") != there
    assert key(task(*ASKED), scope, pattern=b"q") != there
    assert key(task(*ASKED, max_tokens=5), scope) != there
    assert key(task(("system", "Be long."), *ASKED[1:]), scope) != there


def test_a_scope_says_what_else_matters() -> None:
    other_seed, other_past = task(*ASKED, seed=7), task(ASKED[0], ("user", "x"), ("assistant", "y"), ASKED[3])
    same = {scope: key(task(*ASKED), scope) for scope in ("all", "conversation", "user text")}
    assert [key(other_seed, scope) == there for scope, there in same.items()] == [False, True, True]
    assert [key(other_past, scope) == there for scope, there in same.items()] == [False, False, True]


def test_a_group_is_all_but_the_last_words() -> None:
    one, other = asked(task(*ASKED), "m", b"p", "all"), asked(task(*ASKED[:3], ("user", "How?")), "m", b"p", "all")
    assert one.group == other.group
    assert one.key != other.key
    assert asked(task(*ASKED[1:]), "m", b"p", "all").group != one.group


def test_after_a_tool_nothing_is_compared_by_meaning() -> None:
    found = asked(task(("user", "a"), ("tool", "5")), "m", b"p", "user text")
    assert found.text == ""
    assert found.key != asked(task(("user", "b"), ("tool", "5")), "m", b"p", "user text").key


def twice(number: int) -> int:
    return 2 * number


def adder(more: int) -> Callable[[int], int]:
    return lambda number: number + more


class Holding:
    def __init__(self, held: Any) -> None:
        self._held = held


class _Slots:
    __slots__ = ("__held",)

    def __init__(self, held: Any) -> None:
        self.__held = held


class InSlots(_Slots):
    """Has a slot and a `__dict__`."""


class Number(int):
    """Is more than its attributes tell."""


def test_equal_patterns_have_equal_fingerprints_and_others_do_not() -> None:
    values: list[Callable[[], Any]] = [
        lambda: Direct(system="Be short."),
        lambda: Direct(system="Be long."),
        lambda: Direct(temperature=0.0),
        lambda: Direct(temperature=0.5),
        lambda: Direct(constraint=Constraint(kind="regex", source="a+")),
        lambda: WithTools(tools=("calculator",)),
        lambda: WithTools(tools=("weekday",)),
        lambda: Holding(twice),
        lambda: Holding(adder(1)),
        lambda: Holding(adder(2)),
        lambda: Holding(functools.partial(twice, 1)),
        lambda: Holding({"a": 1, "b": {2, 3}}),
        lambda: Holding({"a": 1, "b": {2, 4}}),
        lambda: Holding(Holding(True)),
        lambda: Holding(Holding(1)),
        lambda: Holding(re.compile("a" * 300 + "b")),
        lambda: Holding(re.compile("a" * 300 + "c")),
        lambda: Holding(re.compile("a" * 300 + "c", re.IGNORECASE)),
        lambda: Holding({"Paris"}.__contains__),
        lambda: Holding({"Rome"}.__contains__),
        lambda: Holding(json),
        lambda: Holding(re),
        lambda: InSlots(1),
        lambda: InSlots(2),
    ]
    prints = [fingerprint(make()) for make in values]
    assert prints == [fingerprint(make()) for make in values]
    assert len({one.digest for one in prints}) == len(values)
    assert all(one.lasting for one in prints)


def test_what_cannot_be_looked_into_is_nobody_elses() -> None:
    for held in (lambda: iter(()), lambda: Number(1), lambda: ValueError("a")):
        one, other = fingerprint(Holding(held())), fingerprint(Holding(held()))
        assert not one.lasting
        assert one.digest != other.digest


def test_a_pattern_that_holds_itself_ends() -> None:
    held: list[Any] = []
    held.append(held)
    assert fingerprint(Holding(held)).lasting


def test_another_process_makes_the_same_fingerprint() -> None:
    program = (
        "from smidgen.patterns.cached.asked import fingerprint\nfrom smidgen.patterns.plain import WithTools\n"
        "print(fingerprint(WithTools(tools=('calculator',), system='Be short.')).digest.hex())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == fingerprint(WithTools(tools=("calculator",), system="Be short.")).digest.hex()


@pytest.mark.parametrize("name", sorted(CHANGING))
def test_parts_that_change_are_known_by_their_names(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert isinstance(getattr(import_module(module), kind), type)


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"threshold": 1.1}, {"ttl_s": -1.0}, {"ttl_s": float("nan")}, {"size": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)
    with pytest.raises(ValueError, match="scope"):
        msgspec.structs.replace(Settings(), scope="some")
