"""The worker's end of the socket to its parent: blocking sends, receives with a time limit."""

from __future__ import annotations

import selectors
import socket
import time

from smidgen.wire import FrameReader, ParentMessage, WorkerMessage, decode_from_parent, frame


class ParentGone(Exception):
    """The other end was closed: there is nobody left to work for."""


class Channel:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._readable = selectors.DefaultSelector()  # select() itself fails for descriptors over 1023
        self._readable.register(sock, selectors.EVENT_READ)
        self._reader: FrameReader[ParentMessage] = FrameReader(decode_from_parent)

    def send(self, message: WorkerMessage) -> None:
        """Raises ParentGone."""
        try:
            self._socket.sendall(frame(message))
        except (BrokenPipeError, ConnectionError) as error:
            raise ParentGone from error

    def receive(self, seconds: float | None) -> list[ParentMessage]:
        """Messages that are there, after waiting up to `seconds` for the first (None: as long as it takes).
        Raises ParentGone, ProtocolError."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._readable.select(left):
                return []
            try:
                data = self._socket.recv(1 << 18)
            except ConnectionError as error:
                raise ParentGone from error
            if not data:
                raise ParentGone
            messages = self._reader.feed(data)
            if messages:
                return messages
