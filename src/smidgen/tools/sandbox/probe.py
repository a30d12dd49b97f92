"""What holds on this computer: each tier is tried with what it must forbid, the strongest first.

Nobody's word is taken for it, neither the kernel's version nor a tool's help: a program inside tries to read and write
where it must not, to reach a listener, to see and to signal its parent, and tells how far it came.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Job, Limits, Tier
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.places import variables

_ATTEMPTS = """
import json, os, socket, sys
told = json.load(sys.stdin)
held = {}
def attempt(name, act):
    try:
        held[name] = not act()
    except OSError:
        held[name] = True
attempt("files outside can't be read", lambda: told["secret"] in open(told["file"]).read())
attempt("files outside can't be written", lambda: open(told["file"], "a").write("x"))
attempt("files outside can't be removed", lambda: os.remove(told["file"]) is None)
attempt("the workspace is read-only", lambda: open(os.path.join(os.getcwd(), "new"), "w"))
def reach(kind, sent):
    def act():
        with socket.socket(socket.AF_INET, kind) as end:
            end.settimeout(1)
            end.connect(("127.0.0.1", told["port"]))
            end.send(sent)
            return kind == socket.SOCK_STREAM
    return act
attempt("no connection leaves", reach(socket.SOCK_STREAM, b"x"))
attempt("no datagram leaves", reach(socket.SOCK_DGRAM, told["secret"].encode()))
def look():
    if sys.platform == "darwin":  # its arguments and variables: CTL_KERN, KERN_PROCARGS2
        import ctypes
        name, size = (ctypes.c_int * 3)(1, 49, told["pid"]), ctypes.c_size_t(1 << 20)
        return ctypes.CDLL(None).sysctl(name, 3, ctypes.create_string_buffer(1 << 20), ctypes.byref(size), None, 0) == 0
    with open(f"/proc/{told['pid']}/cmdline", "rb") as seen:
        return seen.read() == bytes.fromhex(told["cmdline"])
def signal():
    os.kill(told["pid"], 0)
    if sys.platform == "darwin":
        return True
    try:
        return look()  # by the same number there may be another process in here
    except OSError:
        return True
attempt("no other process is looked into", look)
attempt("no other process is signalled", signal)
held["the environment is bare"] = not any(os.environ.get(name) == value for name, value in told["variables"].items())
print(json.dumps(held))
"""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """held: what the program tried, and whether it was held. problem: why the tier can't be used, "" if it can."""

    tier: Tier
    held: dict[str, bool]
    problem: str = ""


async def probe(sandbox: Sandbox) -> Probed:
    """Tries one tier. Never raises."""
    with _Scene() as scene:
        argv = (sys.executable, "-I", "-S", "-c", _ATTEMPTS)
        told = json.dumps(scene.told).encode()
        job = Job(argv=argv, workspace=scene.workspace, stdin=told, limits=Limits(wall_s=10, cpu_s=5))
        try:
            finished = await sandbox.run(job)
        except Exception as error:
            return Probed(tier=sandbox.tier, held={}, problem=str(error))
        try:
            held: dict[str, bool] = json.loads(finished.output)
        except ValueError:
            return Probed(tier=sandbox.tier, held={}, problem=(finished.errors.strip() or "it said nothing")[:300])
        held["no datagram leaves"] = not scene.heard()
        held["files outside can't be written"] &= scene.is_untouched()
    broken = [name for name, is_held in held.items() if not is_held]
    return Probed(tier=sandbox.tier, held=held, problem=f"not held: {', '.join(broken)}" if broken else "")


def candidates() -> list[Sandbox]:
    """What could hold here, the strongest first."""
    found: list[Sandbox] = []
    if sys.platform == "linux":
        from smidgen.tools.sandbox import bubblewrap, landlock

        for bwrap in bubblewrap.programs():
            found.append(Sandbox("bubblewrap", partial(bubblewrap.Bubblewrap, bwrap=bwrap)))
        if landlock.is_possible():
            found.append(Sandbox("landlock", landlock.Landlock))
    if sys.platform == "darwin":
        from smidgen.tools.sandbox import seatbelt

        if seatbelt.is_possible():
            found.append(Sandbox("seatbelt", seatbelt.Seatbelt))
    return found


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """probed: every tier that was tried, in their order; the last one holds if `sandbox` is there."""

    sandbox: Sandbox | None
    probed: tuple[Probed, ...]

    @property
    def problem(self) -> str:
        """Why nothing can be run; "" if something can."""
        if self.sandbox is not None:
            return ""
        return "; ".join(f"{one.tier}: {one.problem}" for one in self.probed) or "there is none for this system"


async def choose(tiers: Callable[[], list[Sandbox]] = candidates) -> Choice:
    """The strongest that holds."""
    probed: list[Probed] = []
    for sandbox in tiers():
        probed.append(await probe(sandbox))
        if not probed[-1].problem:
            return Choice(sandbox=sandbox, probed=tuple(probed))
    return Choice(sandbox=None, probed=tuple(probed))


class Probing:
    """Chooses when first needed, and again where nothing held."""

    def __init__(self, tiers: Callable[[], list[Sandbox]] = candidates) -> None:
        self._tiers = tiers
        self._choice: Choice | None = None
        self._lock = asyncio.Lock()

    async def choice(self) -> Choice:
        async with self._lock:
            found = self._choice or await choose(self._tiers)
            if found.sandbox is not None:
                self._choice = found
            return found

    async def sandbox(self) -> Sandbox:
        """Raises SandboxUnavailable where nothing holds."""
        found = await self.choice()
        if found.sandbox is None:
            raise SandboxUnavailable(
                f"Nothing on this computer contains programs: {found.problem}.",
                hint="On Linux, allow user namespaces or use a kernel with Landlock. `smidgen doctor` tells more.",
            )
        return found.sandbox


class _Scene:
    """What must stay out of reach: a file beside the workspace, a listener on loopback, this process. told: where they
    are."""

    def __enter__(self) -> _Scene:
        self._folder = tempfile.TemporaryDirectory(prefix="smidgen-probe-")
        self._secret = secrets.token_hex(8)
        self._outside = Path(self._folder.name, "outside")
        self._outside.write_text(self._secret)
        self.workspace = Path(self._folder.name, "workspace")
        self.workspace.mkdir()
        self._stream, self._datagrams = _listeners()
        self.told = {
            "file": str(self._outside),
            "secret": self._secret,
            "port": int(self._stream.getsockname()[1]),
            "pid": os.getpid(),
            "cmdline": _command_line(),
            "variables": {name: value for name, value in os.environ.items() if name not in variables("", {})},
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._datagrams.close()
        self._folder.cleanup()

    def heard(self) -> bool:
        """Did a datagram come out?"""
        try:
            return self._secret.encode() in self._datagrams.recv(4096)
        except OSError:
            return False

    def is_untouched(self) -> bool:
        return self._outside.exists() and self._outside.read_text() == self._secret


def _listeners() -> tuple[socket.socket, socket.socket]:
    """For connections and for datagrams, on the same port."""
    while True:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            stream.bind(("127.0.0.1", 0))
            datagrams.bind(stream.getsockname())
        except OSError:
            stream.close()
            datagrams.close()
            continue
        stream.listen(1)
        datagrams.setblocking(False)
        return stream, datagrams


def _command_line() -> str:
    """This process', as hexadecimal digits; "" where that isn't told."""
    try:
        return Path("/proc/self/cmdline").read_bytes().hex()
    except OSError:
        return ""
