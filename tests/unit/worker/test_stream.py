"""Bytes to shown text: never a broken character, never a lost one, stop strings never shown."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.worker.stream import TextStream

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()), None
)


def run(data: bytes, cuts: list[int], stop: tuple[str, ...] = (), cut_off: bool = False) -> tuple[str, str]:
    stream = TextStream(stop)
    shown = ""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut <= len(data))})
    for start, end in itertools.pairwise(edges):
        shown += stream.feed(data[start:end])
    return shown + stream.finish(cut=cut_off), stream.stopped


def cases() -> list[tuple[str, bytes, bytes]]:
    if SHARED is None:
        return []
    found: list[tuple[str, bytes, bytes]] = []
    for line in (SHARED / "utf8tests" / "utf8tests.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        number, kind, *fields = line.split(":")
        if kind == "valid":
            text = ":".join(fields).encode()
            found.append((number, text, text))
        elif kind == "valid hex":
            found.append((number, bytes.fromhex(fields[0]), bytes.fromhex(fields[0])))
        elif kind == "invalid hex":
            found.append((number, bytes.fromhex(fields[0]), bytes.fromhex(fields[2])))
    return found


@pytest.mark.skipif(SHARED is None, reason="the utf8tests data is not beside this checkout")
def test_the_utf8tests_suite_passes_whole_and_byte_by_byte() -> None:
    suite = cases()
    assert len(suite) >= 200
    wrong = [
        number
        for number, data, expected in suite
        for cuts in ([], list(range(len(data))))
        if run(data, cuts)[0].encode() != expected
    ]
    assert wrong == []


@given(st.text(), st.lists(st.integers(0, 60)))
def test_valid_text_comes_out_as_it_went_in_however_it_is_cut(text: str, cuts: list[int]) -> None:
    assert run(text.encode(), cuts)[0] == text


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
def test_any_bytes_give_the_same_text_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    assert run(data, cuts)[0] == data.decode(errors="replace")


@pytest.mark.parametrize("text", ["naïve café", "日本語のテキスト", "👩‍👩‍👧 family", "mixed ü 漢 👍 end"])
@pytest.mark.parametrize("stop", ["f", "é", "語", "👍", " end", "x", "漢 👍"])
def test_a_stop_string_is_found_at_every_split(text: str, stop: str) -> None:
    data = text.encode()
    expected = text.split(stop)[0] if stop in text else text
    for size in range(1, len(data) + 1):
        shown, stopped = run(data, list(range(0, len(data), size)), (stop,))
        assert shown == expected
        assert stopped == (stop if stop in text else "")


@given(
    st.text("abé", max_size=30),
    st.lists(st.text("abé", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 40)),
)
def test_the_earliest_stop_string_ends_the_text(text: str, stops: list[str], cuts: list[int]) -> None:
    shown, stopped = run(text.encode(), cuts, tuple(stops))
    present = [text.find(stop) for stop in stops if stop in text]
    if not present:
        assert (shown, stopped) == (text, "")
    else:
        # fed in pieces, a stop string that is complete ends the text before a longer one that began earlier can be
        assert stopped in stops
        assert text.startswith(shown + stopped)
        assert not any(stop in shown for stop in stops)


def test_what_might_become_a_stop_string_is_held_back() -> None:
    stream = TextStream(("</tool>",))
    assert stream.feed(b"value </to") == "value "
    assert stream.feed(b"ol") == ""
    assert stream.feed(b"s>") == "</tools>"


def test_nothing_is_shown_after_a_stop_string() -> None:
    stream = TextStream(("END",))
    assert stream.feed(b"abcENDdef") == "abc"
    assert stream.feed(b"ghi") == ""
    assert stream.finish() == ""


def test_a_character_cut_in_half_from_outside_is_dropped() -> None:
    assert run("ok 👍".encode()[:-1], [], cut_off=True)[0] == "ok "
    assert run("ok 👍".encode()[:-1], [], cut_off=False)[0] == "ok �"


@given(st.text(max_size=30), st.integers(0, 60), st.lists(st.integers(0, 90)))
def test_a_resumed_stream_continues_without_gap_or_repeat(text: str, upto: int, cuts: list[int]) -> None:
    data = text.encode()
    upto = min(upto, len(data))
    first = TextStream(("zz",))
    delivered = first.feed(data[:upto])
    second = TextStream(("zz",), skip_bytes=len(delivered.encode()))
    assert second.feed(data[:upto]) == ""
    assert delivered + second.feed(data[upto:]) + second.finish() == run(data, cuts, ("zz",))[0]
