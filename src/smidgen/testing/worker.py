"""The real worker over FakeBackend: `python -m smidgen.testing.worker`. It fails on request, for tests of its parent.

What goes wrong is said in `LoadOptions.path`, or in the environment variable SMIDGEN_FAKE for what has to happen before
that is known, as `fake:fault=KIND@POINT&...`:

    KIND    segv abort bus fpe ill kill stop spin sleep deaf exit raise garbage truncated flood noise memory version
            slow offspring
    POINT   start (before the handshake), load, prefill (the first decode of more than one token), token:N (the Nth
            decode that asks for logits)
    times=N counter=FILE   only the first N times, over all restarts, counted in FILE
    seconds=S              for slow
    step=S                 seconds per decode
    refuse=CODE            the model can't be opened, with that error

A prompt can carry a fault too: `<|segv|>` (written as a control token) strikes when it is decoded, `<|segv|>20;` when
there are 20 tokens behind it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ErrorInfo
from smidgen.llama import Backend
from smidgen.testing.backend import FakeBackend
from smidgen.wire import LoadOptions
from smidgen.worker import main

VARIABLE = "SMIDGEN_FAKE"
SIGNALS = {
    "abort": "SIGABRT",
    "bus": "SIGBUS",
    "fpe": "SIGFPE",
    "ill": "SIGILL",
    "kill": "SIGKILL",
    "stop": "SIGSTOP",
}
KINDS = (
    *SIGNALS, "segv", "spin", "sleep", "deaf", "exit", "raise", "garbage", "truncated", "flood", "noise", "memory",
    "version", "slow", "offspring",
)  # fmt: skip
FLOOD_BYTES = 10 * 1024 * 1024


class Faults:
    """One fault to strike at one point, as many times as asked for."""

    def __init__(self, wishes: dict[str, str], fd: int) -> None:
        fault = wishes.get("fault", "")
        self.kind, _, self.point = fault.partition("@")
        self.seconds = float(wishes.get("seconds", "1"))
        self._times = int(wishes["times"]) if "times" in wishes else None
        self._counter = Path(wishes.get("counter", os.devnull))
        self._fd = fd

    def reach(self, point: str) -> None:
        """Strike if this is the point."""
        if self.kind and point == self.point and self._counted():
            self.strike(self.kind)

    def strike(self, kind: str) -> None:
        if kind in SIGNALS:
            os.kill(os.getpid(), getattr(signal, SIGNALS[kind]))
            return
        match kind:
            case "segv":
                ctypes.string_at(0)
            case "spin":
                _spin()
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGABRT, signal.SIG_IGN)
                _spin()
            case "sleep":
                time.sleep(1e6)
            case "slow":
                time.sleep(self.seconds)
            case "exit":
                os._exit(3)
            case "raise":
                raise RuntimeError("a fault was asked for")
            case "garbage":
                os.write(self._fd, b"\x08\x00\x00\x00garbage!")
            case "truncated":
                os.write(self._fd, b"\xff\x00\x00\x00half a frame")
                os._exit(0)
            case "flood":
                for _ in range(FLOOD_BYTES // 65536):
                    os.write(2, b"x" * 65535 + b"\n")
            case "noise":
                os.write(1, b"noise of native code \xff\x00\x00\x00\n" * 100)
            case "memory":
                hoard = bytearray()
                while True:
                    hoard += bytes(16 * 1024 * 1024)
            case "offspring":
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            case "version":
                main.PROTOCOL_VERSION = 999
            case _:
                raise ValueError(f"unknown fault: {kind}")

    def _counted(self) -> bool:
        if self._times is None:
            return True
        with self._counter.open("ab+") as file:
            file.seek(0)
            if len(file.read()) >= self._times:
                return False
            file.write(b".")
            return True


class FaultyBackend(FakeBackend):
    def __init__(self, options: LoadOptions, faults: Faults, step_s: float) -> None:
        super().__init__(options, control=[f"<|{kind}|>" for kind in KINDS], step_s=step_s)
        self._faults = faults
        self._poison = {self._ids[f"<|{kind}|>"]: kind for kind in KINDS}
        self._poisoned = False
        self._asked = 0

    def decode(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: Sequence[Sequence[int]],
        wants_logits: NDArray[np.int8],
    ) -> None:
        super().decode(tokens, positions, sequences, wants_logits)
        if len(tokens) > 1:
            self._faults.reach("prefill")
        if wants_logits.any():
            self._asked += 1
            self._faults.reach(f"token:{self._asked}")
        self._poisoned = self._poisoned or not self._poison.keys().isdisjoint(tokens.tolist())
        if self._poisoned:
            for owner in {owner for owners in sequences for owner in owners}:
                self._look_for_poison(self.held(owner))

    def _look_for_poison(self, held: tuple[int, ...]) -> None:
        for index, token in enumerate(held):
            if token in self._poison:
                digits = bytes(value for value in held[index + 1 : index + 6] if value < 256)
                number, mark, _ = digits.partition(b";")
                delay = int(number) if mark and number.isdigit() else 0
                if len(held) - index - 1 >= delay:
                    self._faults.strike(self._poison[token])


def _spin() -> NoReturn:
    while True:
        pass


def _wishes(text: str) -> dict[str, str]:
    return dict(parse_qsl(text.removeprefix("fake:")))


def serve(argv: Sequence[str]) -> int:
    fd = int(argv[argv.index("--fd") + 1]) if "--fd" in argv else -1
    Faults(_wishes(os.environ.get(VARIABLE, "")), fd).reach("start")

    def open_fake(options: LoadOptions, progress: Callable[[float], None]) -> Backend:
        wishes = _wishes(options.path)
        if "refuse" in wishes:
            raise ErrorInfo(code=wishes["refuse"], message="The fake model refuses.", fault="model").to_exception()
        faults = Faults(wishes, fd)
        progress(0.5)
        faults.reach("load")
        progress(1.0)
        return FaultyBackend(options, faults, float(wishes.get("step", "0")))

    return main.run(open_fake, argv)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
