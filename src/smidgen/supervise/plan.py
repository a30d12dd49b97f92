"""What to do with a worker process next. Pure: state and event in, new state and one action out; time is an argument.

    idle ──Wanted──> waiting ──> loading ──Opened──> ready
                        ^           │ silence, Lost, Garbled, Refused │
                        │           v                                 v
                        └─Exited─ ending (Abort, then Kill) <─────────┘
                        └─Exited, cap reached─> given_up ──Wanted after the cool-down──> waiting

Liveness is progress: messages of the decode loop itself. While there is work, or a Ping is unanswered, silence longer
than the limit ends the process: SIGABRT so that it writes its stack, then SIGKILL. All times are seconds of one
monotonic clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Phase = Literal["idle", "waiting", "loading", "ready", "ending", "given_up"]

LATE_S = 1.0
"""A tick later than this proves that this process itself was stopped; the worker's silence is then measured anew."""

KILL_AGAIN_S = 1.0
SLOWEST_FLOPS = 1e10
"""Floor for the machine: 10 GFLOP/s. A 2-core AVX-512 machine does about 230 on a 0.5B model (prefill of 230 tok/s)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a worker counts as hung, and how often it is replaced.

    progress_limit_s: longest silence while there is work. load_limit_s: longest silence while opening the model.
    abort_grace_s: between SIGABRT and SIGKILL. exit_grace_s: between the end of its socket and SIGKILL.
    ping_every_s: an idle worker is asked this often. close_grace_s: for leaving on request.
    restarts: crashes within window_s that are answered by a restart; one more gives up.
    load_restarts: the same for crashes in a row before the model was ever open.
    backoff_s: delay before the second restart, doubled for each further one up to max_backoff_s. The first is
    at once.
    cool_down_s: after giving up, a request that comes later than this starts the worker again.
    """

    progress_limit_s: float = 30.0
    load_limit_s: float = 120.0
    abort_grace_s: float = 2.0
    exit_grace_s: float = 0.25
    ping_every_s: float = 5.0
    close_grace_s: float = 2.0
    restarts: int = 5
    load_restarts: int = 2
    window_s: float = 60.0
    backoff_s: float = 0.25
    max_backoff_s: float = 10.0
    cool_down_s: float = 15.0


def slowest_step(parameters: int, batch: int, limits: Limits) -> float:
    """The progress limit for a model: one full batch may take 2 FLOP per parameter and token at SLOWEST_FLOPS."""
    return max(limits.progress_limit_s, 2.0 * parameters * batch / SLOWEST_FLOPS)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """at: when the phase's own timer is due (start, kill, end of the cool-down). progress: last sign of life.
    pinged: when the unanswered Ping was sent. crashes: times of those that still count. load_crashes: how many of them
    in a row came before the model was open. limit: silence allowed when ready. announce: an action that tells of the
    new phase is due. wake: when the next Tick was asked for."""

    phase: Phase = "idle"
    at: float = 0.0
    progress: float = 0.0
    in_flight: int = 0
    pinged: float | None = None
    crashes: tuple[float, ...] = ()
    load_crashes: int = 0
    opened: bool = False
    refused: bool = False
    limit: float = 0.0
    announce: bool = False
    wake: float | None = None

    @property
    def running(self) -> bool:
        """There is a process."""
        return self.phase in ("loading", "ready", "ending")

    @property
    def owed(self) -> float | None:
        """Since when a ready worker owes a sign of life; None when it owes nothing."""
        return self.progress if self.in_flight else self.pinged


# --- events ---------------------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True):
    """Somebody needs the worker."""


class Opened(msgspec.Struct, frozen=True):
    """The model is open; `limit` seconds of silence are allowed from now on."""

    limit: float


class Refused(msgspec.Struct, frozen=True):
    """The model can't be opened, for a reason that a restart won't change."""


class Work(msgspec.Struct, frozen=True):
    """How many requests the worker has now."""

    in_flight: int


class Lost(msgspec.Struct, frozen=True):
    """The socket ended."""


class Garbled(msgspec.Struct, frozen=True):
    """A frame that isn't a message, or a worker of another version."""


class Exited(msgspec.Struct, frozen=True):
    """The process is gone and reaped."""


class Blamed(msgspec.Struct, frozen=True):
    """The cause of the crashes so far was found and removed: they don't count any more."""


class Tick(msgspec.Struct, frozen=True):
    """Time passed, or the last action was performed."""


Event = Wanted | Opened | Refused | Work | Lost | Garbled | Exited | Blamed | Tick

# --- actions --------------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True):
    pass


class WaitUntil(msgspec.Struct, frozen=True):
    """Nothing to do before `at` (None: before the next event)."""

    at: float | None


class Ping(msgspec.Struct, frozen=True):
    pass


class Abort(msgspec.Struct, frozen=True):
    """SIGABRT. `silence` seconds went by without progress."""

    silence: float


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL to the whole group."""


class RestartAfter(msgspec.Struct, frozen=True):
    delay: float


class GiveUp(msgspec.Struct, frozen=True):
    """No more restarts before `until`; whoever waits has to be told. `crashes` of them counted."""

    until: float
    crashes: int


Action = Start | WaitUntil | Ping | Abort | Kill | RestartAfter | GiveUp


def heard(state: State, at: float) -> State:
    """The state after a message of the worker at this time. Apart from `decide`, because it happens hundreds of times a
    second and never calls for an action: enough to apply it before the next event."""
    if at <= state.progress:
        return state
    return msgspec.structs.replace(state, progress=at, pinged=None)


def decide(state: State, event: Event, now: float, limits: Limits) -> tuple[State, Action]:
    """One action. After performing any but WaitUntil, ask again with a Tick."""
    return _due(_after(state, event, now, limits), now, limits)


def _after(state: State, event: Event, now: float, limits: Limits) -> State:
    """The state after the event, before looking at the clock. Events that don't fit the phase change nothing: they
    are late news of a process that is already being replaced."""
    change = msgspec.structs.replace
    phase = state.phase
    match event:
        case Wanted() if phase == "idle":
            return change(state, phase="waiting", at=now, announce=False)
        case Wanted() if phase == "given_up":
            if now >= state.at:
                return change(state, phase="waiting", at=now, crashes=(), load_crashes=0, announce=False)
            return change(state, announce=True)
        case Opened(limit) if phase == "loading":
            return change(state, phase="ready", opened=True, limit=limit, progress=now, pinged=None)
        case Refused() if phase == "loading":
            return change(state, phase="ending", at=now + limits.exit_grace_s, refused=True)
        case Work(count):
            began = count > 0 and state.in_flight == 0
            return change(state, in_flight=count, progress=max(now, state.progress) if began else state.progress)
        case Lost() if phase in ("loading", "ready"):
            return change(state, phase="ending", at=now + limits.exit_grace_s)
        case Garbled() if phase in ("loading", "ready"):
            return change(state, phase="ending", at=now)
        case Exited() if state.running:
            return _crashed(state, now, limits)
        case Blamed():
            return change(state, crashes=())
        case Tick() if state.wake is not None and now > state.wake + LATE_S:
            pinged = None if state.pinged is None else now
            return change(state, progress=max(now, state.progress), pinged=pinged)
        case _:
            return state


def _crashed(state: State, now: float, limits: Limits) -> State:
    change = msgspec.structs.replace
    state = change(state, in_flight=0, pinged=None)
    if state.refused:
        return change(state, phase="idle", refused=False, opened=False)
    # Crashes at load stay counted however long a load takes; else a slow one would be tried for ever.
    kept = tuple(at for at in state.crashes if now - at < limits.window_s) if state.opened else state.crashes
    crashes = (*kept, now)
    load_crashes = 0 if state.opened else state.load_crashes + 1
    state = change(state, crashes=crashes, load_crashes=load_crashes, opened=False, announce=True)
    if len(crashes) > limits.restarts or load_crashes > limits.load_restarts:
        return change(state, phase="given_up", at=now + limits.cool_down_s)
    delay = restart_delay(len(crashes), limits)
    return change(state, phase="waiting", at=now + delay)


def restart_delay(crashes: int, limits: Limits) -> float:
    """Seconds before the restart after this many crashes: 0 after the first, then doubling."""
    if crashes <= 1:
        return 0.0
    return min(limits.max_backoff_s, limits.backoff_s * 2.0 ** min(crashes - 2, 60))


def _due(state: State, now: float, limits: Limits) -> tuple[State, Action]:
    change = msgspec.structs.replace
    state = change(state, wake=None)
    match state.phase:
        case "given_up" if state.announce:
            return change(state, announce=False), GiveUp(state.at, len(state.crashes))
        case "waiting" if state.announce:
            return change(state, announce=False), RestartAfter(max(0.0, state.at - now))
        case "waiting" if now >= state.at:
            return change(state, phase="loading", progress=now, pinged=None, opened=False), Start()
        case "ending" if now >= state.at:
            return change(state, at=now + KILL_AGAIN_S), Kill()
        case "loading" if now >= state.progress + limits.load_limit_s:
            return _abort(state, now, limits)
        case "ready" if state.owed is not None and now >= state.owed + state.limit:
            return _abort(state, now, limits)
        case "ready" if state.owed is None and now >= state.progress + limits.ping_every_s:
            return change(state, pinged=now), Ping()
        case _:
            at = _next_look(state, now, limits)
            return change(state, wake=at), WaitUntil(at)


def _abort(state: State, now: float, limits: Limits) -> tuple[State, Action]:
    return msgspec.structs.replace(state, phase="ending", at=now + limits.abort_grace_s), Abort(now - state.progress)


def _next_look(state: State, now: float, limits: Limits) -> float | None:
    match state.phase:
        case "waiting" | "ending":
            return state.at
        case "loading":
            return state.progress + limits.load_limit_s
        case "ready" if state.in_flight:
            return state.progress + state.limit
        case "ready" if state.pinged is not None:
            # Sooner than its limit: once the Pong is there, the next Ping is due.
            return min(state.pinged + state.limit, now + limits.ping_every_s)
        case "ready":
            return state.progress + limits.ping_every_s
        case _:
            return None
