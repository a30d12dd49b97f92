"""Output that may be endless: its beginning and its end are kept, what was between is counted. Pure."""

from __future__ import annotations

from collections import deque


class Kept:
    """most: bytes that are kept. Of more, the first and the last half."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = self._most - self._most // 2 - len(self._head)
        self._head += data[:room]
        rest = data[room:] if room < len(data) else b""
        if not rest:
            return
        self._tail.append(rest)
        self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._most // 2:
            self._tail_bytes -= len(self._tail.popleft())

    @property
    def cut(self) -> int:
        """Bytes that were left out."""
        return max(0, self.total - self._most)

    def text(self) -> str:
        """Both parts with a note between them where something was left out. Broken characters are replaced."""
        tail = b"".join(self._tail)
        if not self.cut:
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        kept = tail[len(tail) - self._most // 2 :]
        begin, end = bytes(self._head).decode("utf-8", "replace"), kept.decode("utf-8", "replace")
        return f"{begin}\n[... {self.cut} bytes left out ...]\n{end}"
