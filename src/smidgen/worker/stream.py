"""Token bytes to text that may be shown: whole characters only, nothing that might still become a stop string.

No I/O: `feed(bytes) -> text`, `finish() -> text`.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """skip_bytes: text already delivered by an earlier worker; it is worked through but not given out again.

    After a stop string was found, `stopped` is that string and further bytes are ignored. Bytes that can't be UTF-8
    become U+FFFD, one for each maximal part of a character (Unicode 15, section 3.9, practice of substitution).
    """

    def __init__(self, stop: Sequence[str] = (), skip_bytes: int = 0) -> None:
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._longest = max((len(text) for text in self._stop), default=0)
        self._held: str = ""
        self._skip = skip_bytes
        self.stopped = ""

    def feed(self, data: bytes) -> str:
        if self.stopped or not data:
            return ""
        text = self._held + self._decoder.decode(data)
        if not self._stop:
            return self._deliver(text)
        found = min(((at, stop) for stop in self._stop if (at := text.find(stop)) >= 0), default=None)
        if found is not None:
            self.stopped, self._held = found[1], ""
            return self._deliver(text[: found[0]])
        undecided = self._undecided(text)
        self._held = text[len(text) - undecided :]
        return self._deliver(text[: len(text) - undecided])

    def finish(self, cut: bool = False) -> str:
        """What was held back and turned out not to be a stop string. With `cut` (the output was ended from outside,
        in the middle of a character perhaps) an incomplete character is dropped, else it becomes U+FFFD."""
        text, self._held = self._held, ""
        if self.stopped:
            return ""
        return self._deliver(text if cut else text + self._decoder.decode(b"", final=True))

    def _undecided(self, text: str) -> int:
        """Length of the longest end of the text that a stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0

    def _deliver(self, text: str) -> str:
        if not self._skip or not text:
            return text
        data = text.encode()
        taken = min(self._skip, len(data))
        self._skip -= taken
        return data[taken:].decode()
