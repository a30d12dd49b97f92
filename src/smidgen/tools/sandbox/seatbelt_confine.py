"""Sets a job's limits, then becomes `sandbox-exec` with the job. Run as a program, by its path.

Nothing but the standard library, and little of it: this runs before every job. `seatbelt_confine.py ORDERS GO`: orders
are read from the first descriptor (seatbelt.py writes them), as `marshal` has them; at the second the job waits. Exits
with 126 if anything fails: then nothing is run.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

PATH_FILTER, NO_REPORT = 1, 0x40000000
"""Of `sandbox_check`, which is in no header: a path follows, and a refusal isn't logged."""
SEEN, UNSEEN = "seen", "unseen"
"""In a job's folder: the file that it may know of, and the one that it may not."""
ROUNDS, PAUSE_S = 200, 0.005


def marked(mark: str, among: Iterable[int] | None = None) -> list[int]:
    """Processes, of all or of these, that a job's profile holds: they may know of the one file in the folder `mark`
    and not of the other. Who isn't held may know of both, who is held by another profile of both or of neither.
    Empty where that can't be asked, or this process itself isn't free to ask."""
    libc = ctypes.CDLL(None)
    if sys.platform != "darwin" or not hasattr(libc, "sandbox_check"):
        return []
    libc.sandbox_check.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    kind = PATH_FILTER | NO_REPORT
    seen, unseen = os.fsencode(f"{mark}/{SEEN}"), os.fsencode(f"{mark}/{UNSEEN}")

    def answers(pid: int) -> tuple[int, int]:
        ask = libc.sandbox_check
        what = b"file-read-metadata"
        return ask(pid, what, kind, ctypes.c_char_p(seen)), ask(pid, what, kind, ctypes.c_char_p(unseen))

    # Of a file that isn't there it says no to everyone.
    if answers(os.getpid()) != (0, 0):
        return []
    return [pid for pid in (everyone(libc) if among is None else among) if answers(pid) == (0, 1)]


def everyone(libc: ctypes.CDLL) -> list[int]:
    """The numbers of all processes. Source: libproc.h."""
    room = 2 * max(0, libc.proc_listallpids(None, 0)) + 64
    numbers = (ctypes.c_int * room)()
    count = libc.proc_listallpids(numbers, ctypes.sizeof(numbers))
    return [pid for pid in numbers[: max(0, count)] if pid > 1]


def end_marked(find: Callable[[], Collection[int]]) -> None:
    """Kills what is found until nothing is. Those that start others meanwhile are found again."""
    for _ in range(ROUNDS):
        found = find()
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, 9)
            except OSError:
                pass
        time.sleep(PAUSE_S)


def watch(orders: int, go: int, mark: str) -> None:
    """A second process, not held, in the job's group: when whoever gave the orders is gone, or has done with it, all of
    the job ends, also what left the group. The job can't signal it."""
    if os.fork() != 0:
        return
    try:
        for handle in (0, 1, 2, go):
            os.close(handle)
        while os.read(orders, 1):
            pass
        end_marked(lambda: marked(mark))
    finally:
        os.killpg(0, 9)


def orders_from(pipe: int) -> dict[str, Any]:
    with open(pipe, "rb", closefd=False) as file:
        return marshal.load(file)


def set_limits(limits: dict[int, int]) -> None:
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        # The signal for too much processor time can be caught; a second later comes the one that can't.
        highest = most + 1 if kind == resource.RLIMIT_CPU else most
        highest = highest if hard == resource.RLIM_INFINITY else min(highest, hard)
        resource.setrlimit(kind, (min(most, highest), highest))


def main() -> None:
    pipe, go = int(sys.argv[1]), int(sys.argv[2])
    orders = orders_from(pipe)
    watch(pipe, go, orders["mark"])
    os.close(pipe)
    if go != orders["go"]:
        os.dup2(go, orders["go"])
        os.close(go)
    set_limits(orders["limits"])
    os.nice(10)
    os.execve(orders["argv"][0], orders["argv"], orders["variables"])


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.stderr.write(f"confine: {error}\n")
    sys.exit(126)
