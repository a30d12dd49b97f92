"""Takes this process' rights away, then becomes the command it was given. Run as a program, by its path.

Nothing but the standard library, and little of it: this runs before every job. `confine.py FD`: orders are read from
this descriptor (landlock.py writes them), as `marshal` has them: loading `json` would take as long as all else. Exits
with 126 if anything can't be taken away: then nothing is run. Source: landlock(7), seccomp(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
NO_NEW_PRIVILEGES, DROP_BOUNDING, SET_SECCOMP, DIE_WITH_PARENT = 38, 24, 22, 1
FILTER_MODE = 2
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
REFER, TRUNCATE, DEVICE = 1 << 13, 1 << 14, 1 << 15
FILES_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE
CAPABILITIES = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


class Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]


def checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        sys.exit(f"{what}: {os.strerror(number)}")
    return result


def handled(abi: int) -> int:
    rights = (1 << 13) - 1
    return rights | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (DEVICE if abi >= 5 else 0)


def confine_files(orders: dict[str, Any]) -> None:
    abi = orders["abi"]
    every = handled(abi)
    rules = Ruleset(every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = checked(libc.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0), "Landlock")
    seen = EXECUTE | READ_FILE | READ_FOLDER
    device = WRITE_FILE | READ_FILE | (TRUNCATE & every)
    for places, rights in ((orders["read"], seen), (orders["write"], every & ~DEVICE), (orders["devices"], device)):
        for place in places:
            allow(ruleset, place, rights)
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def allow(ruleset: int, place: str, rights: int) -> None:
    handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        rights &= -1 if os.path.isdir(place) else FILES_ONLY  # noqa: PTH112
        rule = Beneath(rights, handle)
        checked(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0), place)
    finally:
        os.close(handle)


def drop_capabilities() -> None:
    """All of them, root's too."""
    for number in range(64):
        libc.prctl(DROP_BOUNDING, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()), "capabilities")


def confine_calls(code: bytes) -> None:
    program = ctypes.create_string_buffer(code, len(code))
    described = Filter(len(code) // 8, ctypes.cast(program, ctypes.c_void_p))
    checked(libc.prctl(SET_SECCOMP, FILTER_MODE, ctypes.byref(described), 0, 0), "seccomp")


def watch(orders_pipe: int) -> None:
    """A second process, not held, in the job's group: when whoever gave the orders is gone, or has done with it, the
    whole group ends. The job can neither see nor signal it."""
    if os.fork() != 0:
        return
    try:
        for handle in range(3):
            os.close(handle)
        while os.read(orders_pipe, 1):
            pass
    finally:
        os.killpg(0, 9)


def orders_from(pipe: int) -> dict[str, Any]:
    size = int.from_bytes(whole(pipe, 8), "little")
    return marshal.loads(whole(pipe, size))


def whole(pipe: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(pipe, size - len(data))
        if not piece:
            sys.exit("the orders ended early")
        data += piece
    return data


def main() -> None:
    pipe = int(sys.argv[1])
    orders = orders_from(pipe)
    watch(pipe)
    os.close(pipe)
    for kind, most in orders["limits"].items():
        hard = resource.getrlimit(int(kind))[1]
        # The signal for too much processor time can be caught; a second later comes the one that can't.
        highest = most + 1 if int(kind) == resource.RLIMIT_CPU else most
        highest = highest if hard == resource.RLIM_INFINITY else min(highest, hard)
        resource.setrlimit(int(kind), (min(most, highest), highest))
    os.nice(10)
    checked(libc.prctl(DIE_WITH_PARENT, 9, 0, 0, 0), "the parent's death")
    checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    drop_capabilities()
    confine_files(orders)
    confine_calls(bytes.fromhex(orders["filter"]))
    try:
        os.execvpe(orders["argv"][0], orders["argv"], orders["variables"])
    except OSError as error:
        sys.stderr.write(f"{orders['argv'][0]}: {error.strerror}\n")
        sys.exit(127)


def run() -> None:
    problem = "nothing was run"
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        problem = end.code
    except Exception as error:
        problem = str(error)
    sys.stderr.write(f"confine: {problem}\n")
    sys.exit(126)


if __name__ == "__main__":
    run()
