from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen import wire
from smidgen.errors import ProtocolError

MESSAGES: list[wire.WorkerMessage] = [
    wire.Hello(version=1, pid=7),
    wire.Loading(fraction=0.5),
    wire.Pong(id=3),
    wire.Step(number=1, decoded=2, chunks=(wire.Chunk(id=1, tokens=(1, 2), text="äöü"),)),
    wire.Text(id=4, text="x" * 5000),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_any_cut_of_the_stream_gives_the_same_messages(messages, sizes):
    stream = b"".join(wire.frame(message) for message in messages)
    reader = wire.FrameReader(wire.decode_from_worker)
    got: list[wire.WorkerMessage] = []
    position = 0
    for size in itertools.cycle(sizes):
        if position >= len(stream):
            break
        got += reader.feed(stream[position : position + size])
        position += size
    assert got == messages
    assert reader.pending == 0


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error_or_waits_for_more(data):
    reader = wire.FrameReader(wire.decode_from_worker)
    try:
        reader.feed(data)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            reader.feed(wire.frame(wire.Pong(id=1)))
    else:
        assert reader.pending <= len(data)


def test_oversized_frame_is_refused_by_its_header_alone():
    reader = wire.FrameReader(wire.decode_from_worker)
    with pytest.raises(ProtocolError, match="at most"):
        reader.feed((wire.MAX_FRAME + 1).to_bytes(4, "little"))


def test_message_of_the_other_direction_is_refused():
    reader = wire.FrameReader(wire.decode_from_worker)
    with pytest.raises(ProtocolError, match="isn't a known message"):
        reader.feed(wire.frame(wire.Ping(id=1)))


def test_deeply_nested_garbage_is_refused():
    body = b"\x83\xa1t\xa5stats\xa2id\x01\xa6values" + b"\x91" * 200_000 + b"\x90"
    reader = wire.FrameReader(wire.decode_from_worker)
    with pytest.raises(ProtocolError):
        reader.feed(len(body).to_bytes(4, "little") + body)


def test_message_over_the_limit_is_not_sent():
    with pytest.raises(ProtocolError) as caught:
        wire.frame(wire.Text(id=1, text="x" * (wire.MAX_FRAME + 1)))
    assert not caught.value.retryable
