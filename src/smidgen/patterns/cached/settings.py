"""What can be set of a cache."""

from __future__ import annotations

from typing import Literal

import msgspec

Scope = Literal["all", "conversation", "user text"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """threshold: how near a request must be to one that was answered, as the cosine of their embeddings, 0 to 1.
    by_meaning: whether that is tried at all. scope: what must be equal, the model and the pattern always being so:
    "all" is the conversation, `seed` and `max_tokens`; "conversation" leaves the seed out; "user text" also leaves out
    what was said before, but not the instructions. ttl_s: seconds that an answer is kept, 0 for no limit. size: answers
    at most, the least recently used going first. store: an SQLite file, "" for memory. tools: also keep answers that
    rest on files, tables and the web, which may change meanwhile.

    Raises ValueError."""

    threshold: float = 0.92
    scope: Scope = "all"
    ttl_s: float = 3600.0
    size: int = 1000
    store: str = ""
    by_meaning: bool = True
    tools: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"threshold = {self.threshold} isn't above 0 and at most 1")
        if not 0.0 <= self.ttl_s < float("inf"):
            raise ValueError(f"ttl_s = {self.ttl_s} isn't a number of seconds; 0 means no limit")
        if self.size < 1:
            raise ValueError(f"size = {self.size} would keep nothing")
        if self.scope not in ("all", "conversation", "user text"):
            raise ValueError(f'scope = {self.scope!r} is none of "all", "conversation" and "user text"')
