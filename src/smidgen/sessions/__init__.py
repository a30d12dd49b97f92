"""KEEPS: conversations and runs that survive the program, in one SQLite file; facts that a memory keeps, in another.

store     SessionStore: what is kept, asked for without blocking
database  the file: one thread that owns the connection; opened, repaired, moved aside
schema    tables, and versions of them
facts     FactStore: what users said, with when, where and its vector
owners    which process a run belongs to, and whether it still lives
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from smidgen.messages import Message

if TYPE_CHECKING:
    from smidgen.sessions.store import SessionStore

Status = Literal["running", "waiting", "finished", "failed", "cancelled", "interrupted"]
"""`waiting`: for an approval. `interrupted`: the process that ran it is gone."""


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """created, updated: UTC, ISO 8601."""

    id: str
    agent: str
    title: str
    created: str
    updated: str


class Session(SessionInfo, frozen=True, kw_only=True):
    messages: tuple[Message, ...] = ()


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an agent. session: "" if it belongs to none. ended: "" while it lasts. last_event: the number of
    the latest event that is kept, 0 for none. input: what was asked."""

    id: str
    session: str
    agent: str
    model: str
    status: Status
    created: str
    ended: str = ""
    last_event: int = 0
    input: tuple[Message, ...] = ()


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """number: from 1 on within its run. data: JSON of a `smidgen.events.AgentEvent`."""

    number: int
    data: bytes


def __getattr__(name: str) -> Any:
    if name != "SessionStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smidgen.sessions.store import SessionStore

    return SessionStore


__all__ = ["Run", "Session", "SessionInfo", "SessionStore", "Status", "StoredEvent"]
