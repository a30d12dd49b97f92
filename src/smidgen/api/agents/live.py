"""A run that goes on: its events are numbered and stored before anybody sees them, whoever is listening."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from smidgen.errors import NothingToApprove, SessionsUnavailable, SmidgenError, UnknownRun
from smidgen.events import AgentEvent, ApprovalNeeded, Notice
from smidgen.messages import ToolCall

Store = Callable[[Sequence[bytes]], Awaitable[None]]
"""Keeps encoded events, durably when it returns."""

encode = msgspec.json.Encoder().encode


class Live:
    """`events` are those that were stored; the first has number 1. asks: there is somebody to ask for approvals."""

    def __init__(self, store: Store, *, asks: bool) -> None:
        self.asks = asks
        self._store = store
        self._changed = asyncio.Event()
        self._approval: asyncio.Future[bool] | None = None
        self._approving = 0
        self.events: list[bytes] = []
        self.over = False
        self._kept = True

    @property
    def waiting(self) -> bool:
        """For somebody's approval, which the events have told of."""
        return self._approval is not None and self._approving > 0

    @property
    def kept(self) -> bool:
        """Whether everything so far could be stored."""
        return self._kept

    async def tell(self, events: Sequence[AgentEvent]) -> None:
        """Any but the last one, which is stored together with how the run ended: `end`. Where they can't be kept, the
        run goes on all the same, and that is told."""
        encoded = [encode(event) for event in events]
        if self._kept:
            try:
                await self._store(encoded)
            except (SessionsUnavailable, UnknownRun) as error:
                self._kept = False
                self.events.append(not_kept(error))
        for data, event in zip(encoded, events, strict=True):
            self.events.append(data)
            if isinstance(event, ApprovalNeeded):
                self._approving = len(self.events)
        self._announce()

    def end(self, encoded: Sequence[bytes]) -> None:
        """The last events, which are stored already."""
        self.events += encoded
        self.over = True
        if self._approval is not None and not self._approval.done():
            self._approval.cancel()
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int, timeout_s: float) -> tuple[list[bytes], bool]:
        """Events after this number, waiting for one, and whether there will be no more. None in time: []."""
        if len(self.events) <= number and not self.over:
            changed = self._changed
            try:
                async with asyncio.timeout(timeout_s):
                    await changed.wait()
            except TimeoutError:
                return [], False
        return self.events[number:], self.over

    # --- approvals ----------------------------------------------------------------------------------------------------

    async def ask(self, call: ToolCall, preview: str) -> bool:
        """Waits for `approve`."""
        self._approval = asyncio.get_running_loop().create_future()
        try:
            return await self._approval
        finally:
            self._approval, self._approving = None, 0

    def approve(self, yes: bool, event: int | None) -> None:
        """Raises NothingToApprove."""
        waits = self._approval
        if waits is None or waits.done() or not self._approving:
            raise NothingToApprove("No call of this run waits for an approval.", hint="It may have been answered.")
        if event is not None and event != self._approving:
            raise NothingToApprove(
                f"What waits for an approval is event {self._approving}, not {event}.", hint="Look at it first."
            )
        waits.set_result(yes)


def not_kept(error: SmidgenError) -> bytes:
    """What tells of it, as an event."""
    return encode(Notice(code="not_kept", message=f"This run is not kept: {error}"))
