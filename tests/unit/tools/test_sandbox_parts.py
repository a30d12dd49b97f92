"""The sandbox's pure parts: what is kept of endless output, and the filter, run on an interpreter of its own."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.tools.sandbox import places, seccomp
from smidgen.tools.sandbox.kept import Kept
from smidgen.tools.sandbox.syscalls import NUMBERS

ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(2, 60))
def test_the_beginning_and_the_end_are_kept(pieces: list[bytes], most: int) -> None:
    kept, whole = Kept(most), b"".join(pieces)
    for piece in pieces:
        kept.add(piece)
    assert kept.total == len(whole)
    assert kept.cut == max(0, len(whole) - most)
    if not kept.cut:
        assert kept.text() == whole.decode("utf-8", "replace")
    else:
        head, tail = whole[: most - most // 2], whole[len(whole) - most // 2 :]
        begin, end = kept.text().split(f"\n[... {kept.cut} bytes left out ...]\n")
        assert (begin, end) == (head.decode("utf-8", "replace"), tail.decode("utf-8", "replace"))


def test_no_more_is_held_than_is_kept() -> None:
    kept = Kept(1000)
    for _ in range(1000):
        kept.add(b"x" * 999)
    assert sys.getsizeof(kept._tail) + sum(map(len, kept._tail)) < 4000


def answer(code: bytes, number: int, machine: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would answer: classic BPF, as far as filters use it."""
    padded = (*arguments, *(0,) * 6)[:6]
    data = struct.pack("<iIQ6Q", number, machine, 0, *padded)
    held, at = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        if operation == 0x20:
            (held,) = struct.unpack_from("<I", data, value)
        elif operation == 0x54:
            held &= value
        elif operation == 0x06:
            return value
        else:
            tests = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}
            at += if_true if tests[operation] else if_false


@pytest.mark.parametrize("machine", seccomp.machines())
def test_the_filter_refuses_what_it_should_and_nothing_else(machine: str) -> None:
    refused = (*seccomp.ALWAYS, *seccomp.WITHOUT_NAMESPACES, *seccomp.SIGNALS, *seccomp.TRUNCATION)
    numbers, audit = NUMBERS[machine], AUDIT[machine]
    code = seccomp.program(machine, refused)
    assert len(code) % 8 == 0 and len(code) // 8 < 4096
    for name in refused:
        if name in numbers:
            assert answer(code, numbers[name], audit) == REFUSED, name
    assert answer(code, numbers["clone3"], audit) == UNKNOWN
    others = (*refused, *seccomp.OF_ITSELF, "clone", "clone3", "socketpair", "ioctl")
    looked_at = {numbers[name] for name in others if name in numbers}
    for number in set(range(470)) - looked_at:
        assert answer(code, number, audit, (random.getrandbits(64),) * 6) == ALLOWED
    other = next(value for name, value in AUDIT.items() if name != machine)
    assert answer(code, 0, other) == KILLED


@pytest.mark.parametrize("machine", seccomp.machines())
def test_some_are_refused_by_their_arguments(machine: str) -> None:
    numbers, audit = NUMBERS[machine], AUDIT[machine]
    code = seccomp.program(machine, (*seccomp.ALWAYS, *seccomp.WITHOUT_NAMESPACES))
    threads = 0x3D0F00
    assert answer(code, numbers["clone"], audit, (threads,)) == ALLOWED
    for flag in (0x80, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(code, numbers["clone"], audit, (threads | flag,)) == REFUSED
    for name in seccomp.OF_ITSELF:
        assert answer(code, numbers[name], audit, (0, 7)) == ALLOWED
        assert answer(code, numbers[name], audit, (1234, 7)) == REFUSED
    for request, said in ((0x5413, ALLOWED), (0x40086602, REFUSED), (0x401C5820, REFUSED)):
        assert answer(code, numbers["ioctl"], audit, (1, request)) == said
    for family, kind, said in (
        (1, 1, ALLOWED),
        (1, 0x80801, ALLOWED),
        (1, 2, REFUSED),
        (1, 5, REFUSED),
        (2, 1, REFUSED),
    ):
        assert answer(code, numbers["socketpair"], audit, (family, kind)) == said
    apart = seccomp.program(machine, seccomp.ALWAYS)
    for family, said in ((2, ALLOWED), (10, ALLOWED), (16, ALLOWED), (1, REFUSED), (40, REFUSED), (17, REFUSED)):
        assert answer(apart, numbers["socket"], audit, (family,)) == said
    assert answer(apart, numbers["utimensat"], audit, (3, 9)) == ALLOWED
    assert answer(apart, numbers["setpriority"], audit, (0, 9)) == ALLOWED


def test_calls_of_the_other_kind_of_x86_are_refused() -> None:
    code = seccomp.program("x86_64", ())
    assert answer(code, 0x40000000 + 41, AUDIT["x86_64"]) == REFUSED


def test_a_folder_that_holds_the_home_folder_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for prefix, shown in ((tmp_path, False), (Path("/"), False), (Path("/usr/local"), False), (tmp_path / "py", True)):
        monkeypatch.setattr(sys, "prefix", str(prefix))
        monkeypatch.setattr(sys, "base_prefix", str(prefix))
        assert (prefix in places.interpreter()) is shown
