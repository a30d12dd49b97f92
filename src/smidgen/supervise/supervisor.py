"""Keeps one worker running: performs the actions of `plan`, hands messages to a consumer, writes crash reports.

It restarts processes, never requests: what was in flight is the consumer's business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Protocol

import msgspec

from smidgen.errors import EngineUnavailable, ProtocolError, SmidgenError
from smidgen.supervise import plan, reports
from smidgen.supervise.child import Child, Exit
from smidgen.supervise.plan import Limits
from smidgen.wire import (
    PROTOCOL_VERSION,
    Hello,
    Loading,
    LoadOptions,
    ModelInfo,
    Open,
    Opened,
    OpenFailed,
    ParentMessage,
    Ping,
    Pong,
    Shutdown,
    WorkerMessage,
)

log = logging.getLogger("smidgen.supervise")


REPORT_S = 1.0
"""A restart waits no longer than this for the crash report to be written."""


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """cause: in words. signal: its name, "" if it wasn't one. report: path of the crash report, "" if none is kept."""

    cause: str
    signal: str = ""
    report: str = ""


class Consumer(Protocol):
    """Who the messages are for. Called from the event loop; must not block or raise."""

    def opened(self, info: ModelInfo) -> None:
        """A worker is ready and has no requests."""
        ...

    def received(self, message: WorkerMessage) -> None:
        """Anything but the handshake and Pong."""
        ...

    def crashed(self, crash: Crash) -> None:
        """The worker is gone, with whatever was sent to it; a restart or `unavailable` follows."""
        ...

    def unavailable(self, error: SmidgenError) -> None:
        """There is no worker, and none will come unless asked for again with `want`."""
        ...

    def shapes(self) -> list[dict[str, Any]]:
        """Counts and parameters of the requests in flight, for a crash report; never text."""
        ...


class Supervisor:
    """One worker process at a time, from `want` until `aclose`."""

    def __init__(
        self,
        name: str,
        options: LoadOptions,
        consumer: Consumer,
        *,
        limits: Limits,
        module: str,
        crash_folder: Path | None,
        spare: Child | None = None,
    ) -> None:
        """spare: a started process of `module` that nobody is attached to, for the first life."""
        self._spare = spare
        self.restarts = 0
        self.fraction = 0.0
        self._name = name
        self._options = options
        self._consumer = consumer
        self._limits = limits
        self._module = module
        self._crash_folder = crash_folder
        self._state = plan.State()
        self._child: Child | None = None
        self._life: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._greeted = False
        self._ready = False
        self._cause = ""
        self._trouble: SmidgenError | None = None
        self._report = ""
        self._pings = 0
        self._shapes: list[dict[str, Any]] = []
        self._closing = False

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def pid(self) -> int | None:
        """Of the present worker process."""
        return self._child.pid if self._child is not None else None

    @property
    def phase(self) -> plan.Phase:
        return self._state.phase

    def want(self) -> None:
        """Start the worker if it isn't running; `opened` or `unavailable` of the consumer answers."""
        self._tell(plan.Wanted())

    def send(self, message: ParentMessage) -> None:
        """To a ready worker. Raises ProtocolError for an oversized message, EngineUnavailable if there is no worker."""
        if self._child is None or not self._ready:
            raise EngineUnavailable(f"The worker of {self._name} isn't ready.")
        self._child.send(message)

    def work(self, in_flight: int) -> None:
        """How many requests the worker has: with any, silence counts as a hang."""
        if (in_flight > 0) != (self._state.in_flight > 0):
            self._tell(plan.Work(in_flight))

    def blame(self) -> None:
        """The request that made it crash was found and won't be sent again: forget the crashes so far."""
        self._tell(plan.Blamed())

    async def aclose(self) -> None:
        """Shut the worker down, by force after `close_grace_s`. No process is left; safe to call twice."""
        self._closing = True
        self._ready = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._spare is not None:
            spare, self._spare = self._spare, None
            spare.kill()
            await spare.wait()
        life = self._life
        if life is not None and not life.done():
            try:
                if self._child is not None and self._greeted:
                    self._child.send(Shutdown())
                    await asyncio.wait({life}, timeout=self._limits.close_grace_s)
            finally:
                while not life.done():
                    if self._child is not None:
                        self._child.kill()
                    await asyncio.wait({life}, timeout=plan.KILL_AGAIN_S)

    # --- performing the plan ----------------------------------------------------------------------------------------

    def _tell(self, event: plan.Event) -> None:
        if self._closing:
            return
        now = time.monotonic()
        state = plan.heard(self._state, self._heard)
        self._state, action = plan.decide(state, event, now, self._limits)
        while not isinstance(action, plan.WaitUntil):
            self._perform(action)
            if self._closing:
                return
            self._state, action = plan.decide(self._state, plan.Tick(), time.monotonic(), self._limits)
        self._wake_at(action.at)

    def _wake_at(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None:
            delay = max(0.0, at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tell, plan.Tick())

    def _perform(self, action: plan.Action) -> None:
        match action:
            case plan.Start():
                self._greeted = self._ready = False
                self._cause, self._trouble, self.fraction = "", None, 0.0
                self._shapes = []
                self._life = asyncio.get_running_loop().create_task(self._live(), name=f"worker of {self._name}")
            case plan.Ping():
                self._pings += 1
                if self._child is not None:
                    self._child.send(Ping(id=self._pings))
            case plan.Abort(silence):
                self._cause = f"no progress for {silence:.1f} s"
                if self._child is not None:
                    self._child.abort()
                self._down()
            case plan.Kill():
                if self._child is not None:
                    self._child.kill()
            case plan.RestartAfter(delay):
                self.restarts += 1
                log.info("%s: restarting the worker in %.2f s", self._name, delay)
            case plan.GiveUp(until, crashes):
                self._consumer.unavailable(self._gave_up(until, crashes))
            case plan.WaitUntil():
                pass

    def _gave_up(self, until: float, crashes: int) -> EngineUnavailable:
        wait = max(0.0, until - time.monotonic())
        details: dict[str, Any] = {"restarts": crashes, "cause": self._cause, "retry_after_s": round(wait, 1)}
        if self._report:
            details["report"] = self._report
        return EngineUnavailable(
            f"The worker of {self._name} crashed {crashes} times and is left alone for now; last: {self._cause}.",
            hint=f"Try again in {wait:.0f} s. If it goes on, `smidgen doctor` and the crash reports say more.",
            **details,
        )

    # --- one life of one process ------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Whatever goes wrong in it, the plan is told of its end: else nothing would ever be started again."""
        try:
            end = await self._run()
            if end is not None:
                await self._over(end)
        except Exception as error:
            log.exception("%s: supervising the worker failed", self._name)
            self._cause = f"supervising the worker failed: {error!r}"
        refusal = self._trouble if self._state.refused else None
        self._tell(plan.Exited())
        if refusal is not None and not self._closing:
            self._consumer.unavailable(refusal)

    async def _run(self) -> Exit | None:
        """From start to end of a process; None if it could not be started."""
        child = self._child = self._spare or Child(self._module)
        spare, self._spare = self._spare, None
        try:
            if spare is None:
                await child.start()
            child.attach(self._receive, self._lost)
            if self._closing:
                child.kill()
            return await child.wait()
        except OSError as error:
            self._cause = f"the process can't be started: {error}"
            return None
        finally:
            self._child = None

    async def _over(self, end: Exit) -> None:
        """The process is gone: write it down and tell the consumer."""
        phase = "serving" if self._state.opened else "load"
        cause = end.describe()
        if self._trouble is not None:
            cause = f"{self._trouble.message} ({cause})"
        elif self._cause:
            cause = f"{self._cause} ({cause})"
        self._cause = cause
        self._down()
        if self._closing or (self._state.refused and self._trouble is not None):
            return
        log.warning("%s: worker %d ended: %s", self._name, end.pid, cause)
        self._report = ""
        if self._crash_folder is not None:
            report = reports.CrashReport(
                time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                model=self._name,
                phase=phase,
                cause=cause,
                signal=end.signal,
                status=end.status,
                pid=end.pid,
                seconds=round(end.seconds, 3),
                stack=end.stack,
                output=end.output,
                requests=self._shapes,
            )
            await self._write(self._crash_folder, report)
        self._consumer.crashed(Crash(cause=cause, signal=end.signal, report=self._report))

    def _down(self) -> None:
        """Nothing more is sent to this worker, and nothing more believed."""
        if self._ready:
            self._ready = False
            self._shapes = self._consumer.shapes()

    async def _write(self, folder: Path, report: reports.CrashReport) -> None:
        try:
            path = await asyncio.wait_for(asyncio.to_thread(reports.write, folder, report), REPORT_S)
        except (OSError, TimeoutError) as error:
            log.warning("%s: the crash report can't be kept: %s", self._name, error or "the disk doesn't answer")
        else:
            self._report = str(path)

    # --- what the worker says ---------------------------------------------------------------------------------------

    def _receive(self, message: WorkerMessage) -> None:
        self._heard = time.monotonic()
        if self._ready:
            if not isinstance(message, Pong):
                self._consumer.received(message)
            return
        if self._state.phase != "loading":
            return
        match message:
            case Hello(version=version, pid=pid) if not self._greeted:
                self._greet(version, pid)
            case Loading(fraction=fraction) if self._greeted:
                self.fraction = fraction
            case Opened(info=info) if self._greeted:
                self._ready = True
                self._tell(plan.Opened(plan.slowest_step(info.parameters, self._options.batch, self._limits)))
                self._consumer.opened(info)
            case OpenFailed(error=error) if self._greeted:
                self._trouble = error.to_exception()
                self._tell(plan.Refused())
            case _:
                self._garbled(ProtocolError(f"Unexpected {type(message).__name__} before the model was open."))

    def _greet(self, version: int, pid: int) -> None:
        if version != PROTOCOL_VERSION:
            why = f"The worker speaks protocol version {version}, this process {PROTOCOL_VERSION}."
            self._garbled(ProtocolError(why, hint="Two versions of smidgen are mixed; reinstall it."))
        elif self._child is None or pid != self._child.pid:
            self._garbled(ProtocolError(f"The greeting came from process {pid}, not from the worker."))
        else:
            self._greeted = True
            self._child.send(Open(version=PROTOCOL_VERSION, options=self._options))

    def _lost(self, error: ProtocolError | None) -> None:
        if error is not None:
            self._garbled(error)
            return
        self._down()
        self._tell(plan.Lost())

    def _garbled(self, error: ProtocolError) -> None:
        self._trouble = error
        self._down()
        self._tell(plan.Garbled())
