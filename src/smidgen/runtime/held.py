"""What a runtime tells of the models in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

if TYPE_CHECKING:
    from smidgen.engine.local import LocalEngine
    from smidgen.engine.pool import Held
    from smidgen.runtime.planning import Plan


class HeldModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory, or on its way there.

    path, sha256, file_bytes: of its own file; "" and 0 while that is still fetched or read for the first time, as are
    bytes (what it takes in memory, estimated) and context (tokens). users: leases out now, that of a load included.
    loading: not open yet; fraction: of it that is loaded, 0.0 to 1.0. closes_in_s: seconds until it is closed if nobody
    uses it any more from now on, 0 while it is closed, None if it stays until its room is needed. restarts: how often
    its worker process was replaced.
    """

    name: str
    path: str = ""
    sha256: str = ""
    file_bytes: int = 0
    bytes: int = 0
    context: int = 0
    users: int = 0
    loading: bool = False
    fraction: float = 1.0
    closes_in_s: float | None = None
    restarts: int = 0


def coming(plan: Plan, closes_in_s: float | None) -> HeldModel:
    """A model of which is known how to open it, but nothing is in memory: it waits for room."""
    own = (plan.plain or plan).options
    return HeldModel(
        name=plan.name,
        path=own.path,
        sha256=own.sha256,
        file_bytes=plan.file_bytes,
        bytes=plan.bytes,
        context=plan.options.context,
        loading=True,
        fraction=0.0,
        closes_in_s=closes_in_s,
    )


def held_model(held: Held[Plan], opening: LocalEngine | None) -> HeldModel:
    """Of a place in the pool. opening: the engine that isn't open yet, if that was started."""
    engine = opening if held.engine is None else cast("LocalEngine", held.engine)
    fraction = 1.0
    if held.opening:
        fraction = 0.0 if engine is None else engine.load_fraction
    return msgspec.structs.replace(
        coming(held.key, held.closes_in_s),
        users=held.users,
        loading=held.opening,
        fraction=fraction,
        restarts=0 if engine is None else engine.restarts,
    )
