"""macOS' own sandbox, through `sandbox-exec`: a profile says what a job may do, and the kernel refuses all else.

A short Python program (seatbelt_confine.py) sets the limits and becomes `sandbox-exec`. The job runs in its workspace
itself, with a scratch folder on disk, and waits at a pipe until its process is seen to be held. Its processes may leave
their session, so they are told from others by what their profile lets them see.

Source: sandbox-exec(1), sandbox(7), and the profiles in /System/Library/Sandbox/Profiles.
"""

from __future__ import annotations

import marshal
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec
import psutil

from smidgen.tools.sandbox import Job, Tier, places, scratch
from smidgen.tools.sandbox.launch import Descriptors
from smidgen.tools.sandbox.limits import kernel_limits
from smidgen.tools.sandbox.seatbelt_confine import SEEN, UNSEEN, end_marked, marked
from smidgen.tools.sandbox.watch import WATCHMEN

PROGRAM = "/usr/bin/sandbox-exec"
SYSTEM = (
    "/bin", "/sbin", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/sbin", "/usr/share",
    "/usr/local/bin", "/usr/local/lib", "/usr/local/opt", "/usr/local/Cellar", "/usr/local/Frameworks",
    "/opt/homebrew/bin", "/opt/homebrew/lib", "/opt/homebrew/opt", "/opt/homebrew/Cellar", "/opt/homebrew/Frameworks",
    "/System/Library", "/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes", "/private/preboot/Cryptexes",
    "/Library/Apple", "/Library/Frameworks", "/Library/Developer/CommandLineTools",
    "/private/var/db/dyld", "/private/var/db/timezone", "/private/var/select", "/private/etc/localtime",
)  # fmt: skip
"""Programs, libraries and the linker's cache. Not all of /System, which holds another way to every file, and of
Homebrew's folders not those with settings and data."""
LINKS = ("/etc", "/tmp", "/var")
"""To folders of the same name in /private."""
DEVICES = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
SINKS = ("/dev/null", "/dev/zero")
SYSCTLS = (
    "kern.argmax", "kern.hostname", "kern.maxfilesperproc", "kern.osproductversion", "kern.osrelease", "kern.ostype",
    "kern.osversion", "kern.usrstack64", "kern.version", "sysctl.proc_cputype", "vm.pagesize",
)  # fmt: skip
"""By name, beside the hardware's: among the others are all processes' arguments and variables."""
_HELD_S, _LOOK_S = 5.0, 0.001
"""For how long a start waits until the job is held, and between two looks."""
_GO = 3
_WAITS = f'read -r smidgen_go <&{_GO} && exec {_GO}<&- && exec "$@"'
_REMOVALS = 3

Marked = Callable[[str, Iterable[int] | None], Collection[int]]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """text: in the sandbox's language; no path of a job's is in it. values: the paths, by the names it has for them."""

    text: str
    values: Mapping[str, str]

    def words(self) -> list[str]:
        """For `sandbox-exec`."""
        return [*(word for name, value in self.values.items() for word in ("-D", f"{name}={value}")), "-p", self.text]


def profile(*, read: Sequence[str], write: Sequence[str], hidden: Sequence[str] = (), mark: str) -> Profile:
    """All are absolute paths without links. read, write: folders or files with all beneath; what may be written may be
    read. hidden: neither. mark: the folder with the files by which the job is known. Pure."""
    values: dict[str, str] = {}
    seen, unseen = f"{mark}/{SEEN}", f"{mark}/{UNSEEN}"

    def named(kind: str, name: str, paths: Iterable[str]) -> str:
        names = [f"{name}{number}" for number, _ in enumerate(dict.fromkeys(paths))]
        values.update(zip(names, dict.fromkeys(paths), strict=True))
        return " ".join(f'({kind} (param "{name}"))' for name in names)

    readable = f"{_listed('subpath', SYSTEM)} {named('subpath', 'READ', read)} {named('subpath', 'WRITE', write)}"
    above = {str(folder) for path in (*SYSTEM, *read, *write, seen, *DEVICES) for folder in Path(path).parents}
    rules = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        f"(allow process-exec file-read* file-map-executable {readable})",
        f"(allow file-write* {named('subpath', 'WRITE', write)})",
        # The linker gives up where it can't read the topmost folder.
        f'(allow file-read* (literal "/") {_listed("literal", DEVICES)})',
        f"(allow file-write-data {_listed('literal', SINKS)})",
        f"(allow file-read-metadata {_listed('literal', LINKS)} {named('literal', 'SEEN', sorted({*above, seen}))})",
        f'(allow sysctl-read (sysctl-name-prefix "hw.") {_listed("sysctl-name", SYSCTLS)})',
        "(allow signal (target same-sandbox))",
        "(allow process-info* (target same-sandbox))",
        # Of no service: who asks for users, logs or notices does without. The last rule that fits is the one that
        # holds, so what is refused in any case comes last.
        "(deny mach-lookup)",
        "(deny network*)",
        # With these a job could make files that can't be removed.
        "(deny file-write-flags file-write-acl)",
        # A rule knows a file by its path: what is above a hidden one keeps its name, and so do the folders lent.
        f"(deny file-write-unlink {named('literal', 'KEPT', _kept(write, [*hidden, seen]))})",
        f"(deny file-write* {named('literal', 'MARK', [seen])})",
        f"(deny file* process-exec {named('subpath', 'HIDDEN', [*hidden, unseen])})",
    ]
    return Profile(text="\n".join(rules) + "\n", values=values)


def _listed(kind: str, known: Iterable[str]) -> str:
    return " ".join(f'({kind} "{one}")' for one in known)


def _kept(write: Sequence[str], hidden: Sequence[str]) -> list[str]:
    above = [folder for path in hidden for folder in Path(path).parents]
    inside = [str(folder) for folder in above if any(folder.is_relative_to(place) for place in write)]
    return [*write, *dict.fromkeys(folder for folder in inside if folder not in write)]


def is_possible() -> bool:
    """Not for root, whose number of processes nothing holds there."""
    return os.access(PROGRAM, os.X_OK) and os.geteuid() != 0


class Seatbelt:
    """A `Launch`. program: what applies a profile. marked: tells which processes are the job's."""

    tier: Tier = "seatbelt"
    root = handle = 0

    def __init__(self, job: Job, program: str = PROGRAM, marked: Marked = marked) -> None:
        _sweep()
        self._marked = marked
        self._handles = Descriptors()
        # Not a name that a link leads to: the kernel compares those that files really have.
        self._mark = _real(Path(tempfile.mkdtemp(prefix=f"{scratch.PREFIX}{os.getpid()}-")).resolve())
        try:
            own = _furnish(self._mark)
            workspace = own if job.workspace is None else _real(job.workspace.resolve(strict=True))
            hidden = _hidden(workspace, job.hidden)
            write = [own, workspace] if job.writable and workspace != own else [own]
            read = [*map(_real, places.interpreter()), workspace]
            held = profile(read=read, write=write, hidden=hidden, mark=self._mark)
            self._orders = marshal.dumps(
                {
                    "argv": [program, *held.words(), "--", "/bin/sh", "-c", _WAITS, "sh", *job.argv],
                    "limits": _limits(job),
                    "variables": places.variables(own, job.variables),
                    "mark": self._mark,
                    "go": _GO,
                }
            )
            orders, self._tells = self._handles.pipe()
            waits, self._starts = self._handles.pipe()
        except BaseException:
            self.close()
            raise
        confine = str(Path(__file__).with_name("seatbelt_confine.py"))
        self.argv: Sequence[str] = (sys.executable, "-I", "-S", confine, str(orders), str(waits))
        self.variables: Mapping[str, str] = {"LANG": "C.UTF-8"}
        self.folder = workspace
        self.descriptors: Sequence[int] = (orders, waits)

    def started(self, pid: int) -> None:
        self._handles.close(*self.descriptors)
        rest = memoryview(self._orders)
        while rest:
            rest = rest[os.write(self._tells, rest) :]
        # It stays open: once it is closed, by our death too, the watchman inside ends the job.
        until = time.monotonic() + _HELD_S
        while pid not in self._marked(self._mark, (pid,)):
            if _has_ended(pid):
                raise OSError("sandbox-exec set up no sandbox")
            if time.monotonic() > until:
                raise OSError("the job can't be seen to be held")
            time.sleep(_LOOK_S)
        os.write(self._starts, b"\n")
        self._handles.close(self._starts)

    def status(self, code: int) -> int:
        return code

    def close(self) -> None:
        end_marked(lambda: self._marked(self._mark, None))
        self._handles.close()
        _remove(self._mark)


def _furnish(mark: str) -> str:
    """A job's folder: with the file that it may know of, the one that it may not, and what it may write to."""
    Path(mark, SEEN).touch()
    Path(mark, UNSEEN).touch()
    own = Path(mark, "scratch")
    own.mkdir(mode=0o700)
    return str(own)


def _real(path: Path) -> str:
    """As the file system spells it, where that takes other spellings for the same."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.fsdecode(fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(1024)).partition(b"\0")[0])
            finally:
                os.close(handle)
    return str(path)


def _hidden(workspace: str, hidden: Sequence[str]) -> list[str]:
    """Of a link, what it leads to. What isn't there can't be made by the job either."""
    folder = Path(workspace)
    found = [Path(_real((folder / path).resolve())) for path in hidden]
    return [str(path) for path in dict.fromkeys(found) if path.is_relative_to(folder) and path != folder]


def _limits(job: Job) -> dict[int, int]:
    """The kernel holds no address space there: memory is watched."""
    limits = kernel_limits(job.limits)
    del limits[resource.RLIMIT_AS]
    limits[resource.RLIMIT_NPROC] += WATCHMEN + _processes_of_this_user()
    return limits


def _processes_of_this_user() -> int:
    """Which are counted together."""
    mine = os.getuid()
    return sum(1 for one in psutil.process_iter(["uids"]) if one.info["uids"] and one.info["uids"].real == mine)


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _remove(folder: str) -> None:
    """Never raises; what can't be removed stays. By programs of the system, which follow no link and take any depth,
    and only if there is anything to remove: once the job is dead, nobody changes names there."""
    own = Path(folder, "scratch")
    with suppress(OSError):
        own.rmdir()
    for _ in range(_REMOVALS):
        if not own.exists():
            break
        for words in (("/bin/chmod", "-R", "u+rwx"), ("/bin/rm", "-rf")):
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run([*words, str(own)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    with suppress(OSError):
        for name in (SEEN, UNSEEN):
            Path(folder, name).unlink(missing_ok=True)
        Path(folder).rmdir()


@cache
def _sweep() -> None:
    """Removes, once, what processes that were killed had to leave. Never raises."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{scratch.PREFIX}*-*"):
            number = folder.name.removeprefix(scratch.PREFIX).partition("-")[0]
            if number.isdigit() and not psutil.pid_exists(int(number)):
                _remove(str(folder))
