"""The parent's end of a worker's socket: frames in, messages out, over an asyncio transport.

A Protocol, not streams: a Step frame costs one callback and no task switch, because on few cores every microsecond of
the parent is taken from the decode threads. The framing itself is in `smidgen.wire`, for both ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from smidgen.errors import ProtocolError
from smidgen.wire import FrameReader, ParentMessage, WorkerMessage, decode_from_worker, frame


class Channel(asyncio.Protocol):
    """`receive` gets each message in order; `lost` is called once, at the end, with what was wrong or None."""

    def __init__(self, receive: Callable[[WorkerMessage], None], lost: Callable[[ProtocolError | None], None]) -> None:
        self.receive = receive
        self.lost = lost
        self._reader: FrameReader[WorkerMessage] = FrameReader(decode_from_worker)
        self._transport: asyncio.Transport | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data)
        except ProtocolError as error:
            self._end(error)
            return
        for message in messages:
            if self._ended:
                return
            self.receive(message)

    def eof_received(self) -> bool:
        if self._reader.pending:
            self._end(ProtocolError(f"The stream ended inside a frame, {self._reader.pending} bytes into it."))
        else:
            self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(None)

    def send(self, message: ParentMessage) -> None:
        """Queue a message; dropped when the other end is gone. Raises ProtocolError for one over MAX_FRAME."""
        data = frame(message)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End without calling `lost`."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _end(self, error: ProtocolError | None) -> None:
        if self._ended:
            return
        self._ended = True
        if self._transport is not None:
            self._transport.abort()
        self.lost(error)
