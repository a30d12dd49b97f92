"""/api/pull: a model fetched from the catalogue or the hub, with its progress as lines. A client that goes away ends
it; what was fetched so far is kept."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import PATIENCE_S, Streamed, abandoned_with, encode, line
from smidgen.api.documented import LINES, documented
from smidgen.api.ollama import answers
from smidgen.api.ollama.lines import MEDIA_TYPE, failed
from smidgen.api.ollama.names import spellings
from smidgen.api.ollama.requests import PullRequest
from smidgen.api.openai.shapes import crash
from smidgen.api.service import Service
from smidgen.config import Config
from smidgen.errors import Cancelled, EngineBusy, InvalidRequest, LicenseNotAccepted
from smidgen.events import Notice
from smidgen.models.library import Library
from smidgen.models.sources import Progress
from smidgen.models.spec import Wanted, read
from smidgen.runtime.loading import lay_out, library_of
from smidgen.tools.threads import in_daemon_thread

EVERY_S = 0.1
"""Seconds between two lines of one phase."""

PHASES: Mapping[str, str] = {
    "waiting": "waiting for another pull of the same model",
    "assembling": "assembling",
    "hashing": "verifying sha256 digest",
    "validating": "validating",
    "converting": "converting",
    "arranging": "arranging the weights for this processor",
}
Line = Mapping[str, Any]
Tell = Callable[[Line], None]
MOST_PULLS = 4
"""At once: each has a thread, and more of them fetch nothing sooner."""


def routes(service: Service) -> APIRouter:
    router = APIRouter()
    pulls = set[Pull]()

    @router.post(
        "/api/pull",
        **documented("Fetch a model", answers.PULLED, stream=LINES, refused=(404, 409, 502, 503, 504, 507)),
    )
    async def pull(body: PullRequest, request: Request) -> Response:
        config = service.runtime.config
        library = library_of(config)
        spec, wanted = await asyncio.to_thread(meant, library, body.asked)
        pulls.difference_update({pulling for pulling in pulls if pulling.over})
        if len(pulls) >= MOST_PULLS:
            raise EngineBusy(f"{len(pulls)} models are being fetched.", hint="Wait for one of them.", retry_after_s=30)
        pulling = Pull(lambda tell: fetched(library, config, spec, wanted, body, tell))
        pulls.add(pulling)
        try:
            await pulling.begin(PATIENCE_S if body.stream is not False else None)
        except BaseException:
            await pulling.aclose()
            raise
        if body.stream is not False:
            return Streamed(pulling, PullWriter())
        try:
            async with abandoned_with(request.receive, pulling):
                last = await pulling.end()
        finally:
            await pulling.aclose()
        return Response(encode(last), media_type="application/json") if last else Response(status_code=499)

    del pull
    return router


def meant(library: Library, name: str) -> tuple[str, Wanted | None]:
    """The spec, and what it stands for, None for a model that was pulled under a name that no catalogue has. Only
    those that are here, the catalogue's and the hub's: others would let whoever calls this server make it read
    files and addresses of its network. Raises InvalidRequest."""
    if not name:
        raise InvalidRequest("model is required.", hint="Name one.", param="model")
    if name.lower().startswith("hf:"):
        return name, read(name, library.catalog)
    for spelling in spellings(name):
        if (entry := library.catalog.find(spelling)) is not None:
            return entry.name, read(entry.name, library.catalog)
    plain = name.removesuffix(":latest")
    if any(sign in plain for sign in (":", "/", "\\")) or plain.startswith((".", "~")) or plain.endswith(".gguf"):
        raise InvalidRequest(
            f"{name!r} can't be pulled over HTTP.",
            hint="Give a catalogue name or hf:owner/repo/file.gguf. `smidgen models pull` takes addresses and files.",
            param="model",
        )
    return plain, None


def fetched(library: Library, config: Config, spec: str, wanted: Wanted | None, body: PullRequest, tell: Tell) -> None:
    """Blocks until the model is here, told line by line. Raises what `Library.pull` raises."""
    digest = {"digest": f"sha256:{wanted.sha256}"} if wanted and wanted.sha256 else {}
    progress = Paced(tell, digest)
    warnings = ["insecure has no effect here: certificates are always checked."] if body.insecure else []

    def notice(told: Notice) -> None:
        warnings.append(told.message)
        tell({"status": told.message})

    tell({"status": "pulling manifest"})
    try:
        file = library.pull(spec, progress, lambda name, terms: body.accept_license is True, notice)
    except LicenseNotAccepted as error:
        terms = error.details.get("terms", "")
        hint = f'Read them at {terms}, then send "accept_license": true.'
        raise LicenseNotAccepted(error.message, hint=hint, **error.details) from error
    for told in lay_out(file, config, library, progress):
        notice(told)
    tell({"status": "success", "smidgen": {"model": file.name, "warnings": warnings}})


class Paced:
    """Progress as lines, not more of one phase than somebody can read."""

    def __init__(self, tell: Tell, digest: Line) -> None:
        self._tell, self._digest = tell, digest
        self._phase = ""
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        whole = progress.done_bytes == progress.total_bytes
        if progress.phase == self._phase and not whole and now - self._told < EVERY_S:
            self._tell({})
            return
        self._phase, self._told = progress.phase, now
        named = str(self._digest.get("digest", "")).removeprefix("sha256:")[:12] or progress.source
        line: dict[str, Any] = {"status": PHASES.get(progress.phase, f"pulling {named}")}
        if progress.total_bytes and progress.phase != "waiting":
            line |= {**self._digest, "total": progress.total_bytes, "completed": progress.done_bytes}
        self._tell(line)


class Pull:
    """Work in a thread, told line by line; a `Source` of them. Close it with `aclose`, which ends the work at its next
    line, also one without content."""

    def __init__(self, work: Callable[[Tell], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queued: deque[Line] = deque()
        self._arrived = asyncio.Event()
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._abandoned = False
        self._task = self._loop.create_task(self._run(work))

    async def _run(self, work: Callable[[Tell], None]) -> None:
        try:
            await in_daemon_thread(lambda: work(self._tell))
        except Exception as error:
            self._error = error
        finally:
            self._arrived.set()

    def _tell(self, line: Line) -> None:
        """In the thread."""
        if self._stopped.is_set():
            raise Cancelled("Stopped. What was fetched so far is kept.")
        if line:
            self._loop.call_soon_threadsafe(self._put, line)

    def _put(self, line: Line) -> None:
        self._queued.append(line)
        self._arrived.set()

    @property
    def over(self) -> bool:
        return self._task.done()

    @property
    def abandoned(self) -> bool:
        return self._abandoned

    async def begin(self, patience_s: float | None) -> None:
        """Waits for `patience_s` seconds, or until more is told than that it begins. Raises what went wrong until
        then."""
        until = None if patience_s is None else self._loop.time() + patience_s
        while not self._task.done() and len(self._queued) < 2:
            left = None if until is None else until - self._loop.time()
            if left is not None and left <= 0:
                return
            self._arrived.clear()
            await self._wait(left)
        if self._error is not None:
            raise self._error

    async def take(self, timeout_s: float | None = None) -> Sequence[Line] | None:
        while not self._queued:
            if self._abandoned:
                return []
            if self._task.done():
                if self._error is not None:
                    raise self._error
                return []
            self._arrived.clear()
            if not await self._wait(timeout_s):
                return None
        lines = list(self._queued)
        self._queued.clear()
        return [] if self._abandoned else lines

    async def end(self) -> Line | None:
        """The last line, None if whoever asked has gone. Raises what went wrong."""
        last: Line | None = None
        while lines := await self.take():
            last = lines[-1]
        return None if self._abandoned else last

    def abandon(self) -> None:
        self._abandoned = True
        self._stopped.set()
        self._arrived.set()

    async def aclose(self) -> None:
        self._stopped.set()
        await asyncio.wait({self._task})

    async def _wait(self, timeout_s: float | None) -> bool:
        arrived = self._loop.create_task(self._arrived.wait())
        try:
            done, _ = await asyncio.wait({arrived, self._task}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
        return bool(done)


class PullWriter:
    """Lines as they are. The last one is repeated as the sign of life."""

    media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._last: Line = {"status": "pulling manifest"}

    def begin(self) -> bytes:
        return b""

    def feed(self, events: Sequence[Line]) -> bytes:
        self._last = events[-1]
        return b"".join(line(event) for event in events)

    def quiet(self) -> bytes:
        return line(self._last)

    def crashed(self, error: BaseException) -> bytes:
        return failed(crash(error))

    def end(self) -> bytes:
        return b""
