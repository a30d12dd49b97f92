"""Model files on their way here: what is said before, and the progress while they come."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from smidgen.cli import terminal
from smidgen.errors import Cancelled, ChecksumMismatch, ModelNotPulled

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.events import Notice
    from smidgen.models.library import Library, ModelFile
    from smidgen.models.sources import Progress

T = TypeVar("T")

_LINE_EVERY_S = 10.0
_WORDS = {
    "waiting": "waiting for another pull of the same model",
    "downloading": "downloading",
    "assembling": "assembling",
    "hashing": "checking",
    "validating": "validating",
    "converting": "converting",
    "arranging": "arranging the weights for this processor",
}


class Display(Protocol):
    def show(self, progress: Progress) -> None: ...


async def fetch_if_missing(library: Library, spec: str, arguments: argparse.Namespace, config: Config) -> ModelFile:
    """The model's file, pulled with a notice of its size and origin if it isn't here. Raises the library's errors."""
    try:
        return await asyncio.to_thread(library.resolve, spec)
    except (ModelNotPulled, ChecksumMismatch) as missing:
        terminal.say(f"note: {missing.message} Fetching it now{announced(library, spec)}.", quiet=arguments.quiet)
    model = await pull(library, spec, arguments)
    await lay_out(library, model, arguments, config)
    terminal.say(f"note: {model.name} is kept for the next time, in {library.store.root}.", quiet=arguments.quiet)
    return model


def announced(library: Library, spec: str) -> str:
    """Size and first source of a catalogue model, in brackets; nothing for others."""
    entry = library.catalog.find(spec)
    if entry is None:
        return ""
    return f" ({terminal.size(entry.bytes)}, {entry.license}, from {entry.sources[0]})"


async def pull(library: Library, spec: str, arguments: argparse.Namespace) -> ModelFile:
    """Fetch with progress. Ctrl-C ends it and keeps what has come."""
    accept = asker(arguments.accept_license)

    def tell(notice: Notice) -> None:
        terminal.say(f"note: {notice.message}", quiet=arguments.quiet)

    with display(quiet=arguments.quiet) as shown:
        return await in_thread(lambda progress: library.pull(spec, progress, accept, tell), shown)


async def lay_out(library: Library, model: ModelFile, arguments: argparse.Namespace, config: Config) -> None:
    """Make the copy with weights for this processor if one is worth it and it isn't here, with progress."""
    from smidgen.runtime.loading import lay_out

    with display(quiet=arguments.quiet) as shown:
        notices = await in_thread(lambda progress: lay_out(model, config, library, progress), shown)
    for notice in notices:
        terminal.say(f"note: {notice.message}", quiet=arguments.quiet)


async def convert(library: Library, source: str, arguments: argparse.Namespace) -> ModelFile:
    """Make a GGUF of what lies in `source`, with progress."""

    def tell(notice: Notice) -> None:
        terminal.say(f"note: {notice.message}", quiet=arguments.quiet)

    with display(quiet=arguments.quiet) as shown:
        return await in_thread(lambda progress: library.convert(source, progress, tell), shown)


async def verify(library: Library, name: str, arguments: argparse.Namespace) -> ModelFile:
    """Read the whole file again, with progress."""

    def tell(notice: Notice) -> None:
        terminal.say(f"note: {notice.message}", quiet=arguments.quiet)

    with display(quiet=arguments.quiet) as shown:
        return await in_thread(lambda progress: library.verify(name, progress, tell), shown)


async def in_thread(work: Callable[[Callable[[Progress], None]], T], shown: Display) -> T:
    """Blocking work that reports progress, in a thread. A cancelled await makes its next report raise, and waits."""
    stopped = threading.Event()

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise Cancelled("Stopped. What was fetched so far is kept.")
        shown.show(progress)

    task = asyncio.create_task(asyncio.to_thread(work, report))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait([task])
        raise


def asker(accepted: bool) -> Callable[[str, str], bool]:
    """Yes for `--accept-license`; else asks at the terminal, where there is one."""

    def ask(name: str, terms: str) -> bool:
        return accepted or terminal.confirm(f"{name} comes under these terms: {terms}.\nDo you accept them?")

    return ask


def display(*, quiet: bool) -> AbstractContextManager[Display]:
    """A bar at a terminal, else now and then a line, else nothing."""
    if quiet:
        return nullcontext(Silent())
    return Bar() if sys.stderr.isatty() else nullcontext(Lines())


class Silent:
    def show(self, progress: Progress) -> None:
        del progress


class Lines:
    """A line for each new phase, and every ten seconds within one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase = ""
        self._said = 0.0

    def show(self, progress: Progress) -> None:
        now = self._clock()
        if progress.phase == self._phase and now - self._said < _LINE_EVERY_S:
            return
        self._phase, self._said = progress.phase, now
        of = f" of {terminal.size(progress.total_bytes)}" if progress.total_bytes else ""
        done = (
            f" {terminal.size(progress.done_bytes)}{of}" if progress.phase == "downloading" else of.replace(" of", "")
        )
        terminal.say(f"{_WORDS[progress.phase]}{done}")


class Bar:
    def __init__(self) -> None:
        self._bar: Any = None
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def show(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is None or progress.phase != self._phase:
            self.__exit__()
            self._phase = progress.phase
            self._bar = tqdm(
                desc=_WORDS[progress.phase],
                total=progress.total_bytes,
                initial=progress.done_bytes,
                unit="B",
                unit_scale=True,
                file=sys.stderr,
                leave=False,
            )
        self._bar.update(progress.done_bytes - self._bar.n)
