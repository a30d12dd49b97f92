from __future__ import annotations

import asyncio
import socket

from smidgen import wire
from smidgen.supervise.frames import Channel


class Ends:
    """A channel and the socket on the other side."""

    def __init__(self) -> None:
        self.messages: list[wire.WorkerMessage] = []
        self.lost: list[object] = []
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)
        self._ours = ours
        self.channel = Channel(self.messages.append, self.lost.append)

    async def connect(self) -> Ends:
        await asyncio.get_running_loop().create_connection(lambda: self.channel, sock=self._ours)
        return self

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.other, data)
        await asyncio.sleep(0.02)

    async def close(self) -> None:
        self.channel.close()
        self.other.close()
        await asyncio.sleep(0)


async def test_messages_arrive_in_order_however_cut():
    ends = await Ends().connect()
    data = b"".join(wire.frame(wire.Pong(id=number)) for number in range(3))
    await ends.say(data[:7])
    await ends.say(data[7:])
    assert ends.messages == [wire.Pong(id=0), wire.Pong(id=1), wire.Pong(id=2)]
    await ends.close()
    assert ends.lost == []


async def test_sent_messages_are_framed():
    ends = await Ends().connect()
    ends.channel.send(wire.Ping(id=5))
    reader = wire.FrameReader(wire.decode_from_parent)
    assert reader.feed(await asyncio.get_running_loop().sock_recv(ends.other, 1000)) == [wire.Ping(id=5)]
    await ends.close()


async def test_end_is_told_once():
    ends = await Ends().connect()
    ends.other.close()
    await asyncio.sleep(0.02)
    assert ends.lost == [None]
    ends.channel.send(wire.Ping(id=1))
    await ends.close()
    assert ends.lost == [None]


async def test_end_inside_a_frame_is_an_error():
    ends = await Ends().connect()
    await ends.say(b"\xff\x00\x00\x00half")
    ends.other.close()
    await asyncio.sleep(0.02)
    (error,) = ends.lost
    assert "inside a frame" in str(error)


async def test_garbage_ends_it_and_later_frames_are_ignored():
    ends = await Ends().connect()
    await ends.say(b"\x02\x00\x00\x00xx" + wire.frame(wire.Pong(id=1)))
    assert len(ends.lost) == 1
    assert ends.messages == []
    await ends.close()
