"""The one retry authority for crashes: owns every accepted request until its end, sends it to the worker, and sends it
again when the worker was replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from smidgen.engine import together
from smidgen.engine.job import Generation, Job, Question
from smidgen.engine.quarantine import Quarantine
from smidgen.errors import EngineBusy, EngineCrashed, EngineUnavailable, SmidgenError
from smidgen.events import Notice
from smidgen.supervise.child import Child
from smidgen.supervise.plan import Limits
from smidgen.supervise.supervisor import Crash, Supervisor
from smidgen.wire import Cancel, Done, LoadOptions, ModelInfo, RequestFailed, Step, WorkerMessage

log = logging.getLogger("smidgen.engine.desk")

DEADLINE_GRACE_S = 1.0
"""The worker ends a request at its deadline itself; this much later the parent does."""


class Desk:
    """Consumer of one supervisor's messages."""

    def __init__(
        self,
        name: str,
        options: LoadOptions,
        *,
        limits: Limits,
        module: str,
        crash_folder: Path | None,
        on_notice: Callable[[Notice], None] | None,
        spare: Child | None = None,
    ) -> None:
        self.info: ModelInfo | None = None
        self._name = name
        self._max_queue = options.max_queue
        self._on_notice = on_notice
        self.supervisor = Supervisor(
            name, options, self, limits=limits, module=module, crash_folder=crash_folder, spare=spare
        )
        self._quarantine = Quarantine()
        self._jobs: dict[int, Job] = {}
        self._waiting: dict[int, Job] = {}
        self._sent: dict[int, Job] = {}
        self._numbers = count(1)
        self._wire_ids = count(1)
        self._opening: asyncio.Future[ModelInfo] | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._closed = False

    # --- for the engine ---------------------------------------------------------------------------------------------

    def number(self) -> int:
        return next(self._numbers)

    @property
    def waiting(self) -> int:
        """Accepted requests that no worker has."""
        return len(self._waiting)

    @property
    def sent(self) -> int:
        return len(self._sent)

    async def open(self) -> ModelInfo:
        """Wait for a worker with the model open. Raises what it was refused for, or EngineUnavailable."""
        if self._closed:
            raise self._closed_error()
        if self.supervisor.ready and self.info is not None:
            return self.info
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_future()
        opening = self._opening
        self.supervisor.want()
        return await asyncio.shield(opening)

    def accept(self, job: Job) -> None:
        """Take responsibility for a job. Raises EngineBusy, EngineUnavailable."""
        if self._closed:
            raise self._closed_error()
        if self.info is None:
            raise EngineUnavailable(f"{self._name} isn't open.", hint="Await open() first.", retryable=False)
        if len(self._jobs) >= self._max_queue:
            raise EngineBusy(
                f"{self._name} has {len(self._jobs)} requests already, its limit.",
                hint="Try again when some are done, or raise max_queue.",
                queued=len(self._jobs),
            )
        self._jobs[job.number] = self._waiting[job.number] = job
        if job.deadline is not None:
            job.timer = asyncio.get_running_loop().call_at(job.deadline, self._deadline, job, False)
        if not self.supervisor.ready:
            self.supervisor.want()
        elif not self._gathers(job):
            self._dispatch()

    def _gathers(self, job: Job) -> bool:
        """It waits for others that come with it."""
        arrival = together.current.get()
        others = arrival is not None and arrival.arrived()
        if not others or self._sent or not isinstance(job, Generation):
            return False
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(together.LONGEST_S, self._dispatch)
        return True

    def drop(self, job: Job) -> None:
        """The job ended, or nobody wants its answer any more: then the worker is told."""
        if job.number not in self._jobs:
            return
        wire_id = job.wire_id
        self._end(job)
        if wire_id and self.supervisor.ready:
            self.supervisor.send(Cancel(id=wire_id))

    async def aclose(self) -> None:
        """Fails what is in flight with EngineUnavailable; afterwards there is no process."""
        self._closed = True
        if self._gathering is not None:
            self._gathering.cancel()
        self.unavailable(self._closed_error())
        await self.supervisor.aclose()

    # --- from the supervisor ----------------------------------------------------------------------------------------

    def opened(self, info: ModelInfo) -> None:
        self.info = info
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(info)
        self._dispatch()

    def received(self, message: WorkerMessage) -> None:
        now = asyncio.get_running_loop().time()
        match message:
            case Step(chunks=chunks):
                for chunk in chunks:
                    job = self._sent.get(chunk.id)
                    if isinstance(job, Generation):
                        job.add(chunk, now)
                        if self._quarantine.watching and self._quarantine.advanced(job.number, job.advanced):
                            self._cleared(job)
                return
            case Done(id=wire_id):
                job = self._sent.get(wire_id)
                if isinstance(job, Generation):
                    job.done(message, now)
            case RequestFailed(id=wire_id, error=error):
                job = self._sent.get(wire_id)
                if isinstance(job, Generation) and (error.fault == "caller" or error.retryable):
                    job.refuse(error.to_exception())
                elif job is not None:
                    job.fail(error.to_exception())
            case _:
                wire_id: int = getattr(message, "id", 0)
                job = self._sent.get(wire_id)
                if isinstance(job, Question):
                    job.finish(message)
        if job is not None:
            self._end(job)
            self._dispatch()

    def crashed(self, crash: Crash) -> None:
        met = list(self._sent.values())
        self._sent.clear()
        culprit = self._quarantine.crashed(job.number for job in met)
        for job in met:
            job.wire_id, job.advanced = 0, 0
            if job.number != culprit:
                job.interrupted(crash.cause)
                self._waiting[job.number] = job
        self._waiting = dict(sorted(self._waiting.items()))
        if culprit is not None:
            self._blame(self._jobs[culprit], crash)
        self._notice("worker_restarted", f"The worker of {self._name} is replaced: {crash.cause}.")

    def unavailable(self, error: SmidgenError) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(error)
            self._opening.exception()  # whoever waited may be gone
        for job in list(self._jobs.values()):
            if isinstance(job, Generation):
                job.refuse(error)
            else:
                job.fail(error)
            self._end(job)
        if not self._closed:
            self._notice(error.code, error.message)

    def shapes(self) -> list[dict[str, Any]]:
        return [job.shape() for job in self._sent.values()]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Send whatever may be sent now."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if not self._waiting or not self.supervisor.ready:
            return
        running = [job.number for job in self._sent.values()]
        for number in self._quarantine.admit(tuple(self._waiting), running):
            job = self._waiting.pop(number)
            job.wire_id, job.advanced = next(self._wire_ids), 0
            self._sent[job.wire_id] = job
            try:
                self.supervisor.send(job.message(job.wire_id, asyncio.get_running_loop().time()))
            except SmidgenError as error:
                job.fail(error)
                self._end(job)
        self.supervisor.work(len(self._sent))

    def _cleared(self, job: Job) -> None:
        """An innocent: it waits while other suspects are tried alone, else the others join it."""
        if self._quarantine.suspects:
            self.supervisor.send(Cancel(id=job.wire_id))
            del self._sent[job.wire_id]
            job.wire_id = 0
            self._waiting[job.number] = job
        self._dispatch()

    def _blame(self, job: Job, crash: Crash) -> None:
        crashes = self._quarantine.crashes(job.number)
        job.fail(
            EngineCrashed(
                f"This request crashed the worker of {self._name}: it was in flight at {crashes} crashes, alone at the "
                f"last; {crash.cause}.",
                hint="Don't send it again unchanged. The crash report says more.",
                signal=crash.signal,
                report=crash.report,
                crashes=crashes,
            )
        )
        self._end(job)
        self.supervisor.blame()
        self._notice("request_quarantined", f"A request that crashes the worker of {self._name} was given up.")

    def _deadline(self, job: Job, late: bool) -> None:
        if job.number not in self._jobs:
            return
        loop = asyncio.get_running_loop()
        if job.wire_id and job.worker_knows_deadline and not late and self.supervisor.ready:
            job.timer = loop.call_later(DEADLINE_GRACE_S, self._deadline, job, True)
            return
        job.expire(loop.time())
        self.drop(job)
        self._dispatch()

    def _end(self, job: Job) -> None:
        self._jobs.pop(job.number, None)
        self._waiting.pop(job.number, None)
        self._sent.pop(job.wire_id, None)
        job.wire_id = 0
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        was_suspect = job.number in self._quarantine.suspects
        self._quarantine.forget(job.number)
        self.supervisor.work(len(self._sent))
        if was_suspect and self._waiting:
            self._dispatch()

    def _notice(self, code: str, message: str) -> None:
        """What the listener raises is its own trouble: the requests go on."""
        if self._on_notice is None:
            return
        try:
            self._on_notice(Notice(code=code, message=message))
        except Exception:
            log.exception("%s: on_notice raised at %s", self._name, code)

    def _closed_error(self) -> EngineUnavailable:
        return EngineUnavailable(f"{self._name} is closed.", retryable=False)
