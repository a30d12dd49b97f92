"""A seccomp filter as a classic BPF program: what a contained program may not ask of the kernel. Pure.

What is refused gets EPERM, so that programs can say what failed. Source of the layout: linux/seccomp.h, linux/filter.h
and linux/audit.h; of the numbers: the kernel's tables for x86-64 and arm64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from smidgen.tools.sandbox.syscalls import NUMBERS

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT = 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE = 0, 4
_LOW = (16, 24)
"""Offsets into struct seccomp_data, little-endian: of the lower halves of the first two arguments, which are ints."""
_ALLOW, _REFUSE, _UNKNOWN, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
"""Allow, EPERM, ENOSYS, kill the process."""
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_NEW_NAMESPACE = 0x7E020080
"""CLONE_NEW*: of time, mounts, cgroups, UTS, IPC, users, PIDs, network."""

ALWAYS = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "mount", "umount2", "pivot_root",
    "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "setns", "unshare",
    "open_by_handle_at", "name_to_handle_at", "add_key", "request_key", "keyctl", "bpf", "perf_event_open",
    "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
    "settimeofday", "clock_settime", "memfd_create", "memfd_secret", "fanotify_init",
)  # fmt: skip
"""What no program needs that only computes: other processes' memory, mounts, namespaces, keys, the kernel itself, and
memory that no limit counts."""
WITHOUT_NAMESPACES = (
    "socket", "setsid", "setpgid", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat",
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
    "file_setattr", "utime", "utimes", "futimesat", "utimensat", "inotify_add_watch", "setpriority", "ioprio_set",
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink",
)  # fmt: skip
"""Besides, where nothing but Landlock stands between a program and the rest: sockets, leaving the process group, shared
memory by number, and what Landlock doesn't look at: modes, owners, times, attributes, watches."""
OF_ITSELF = ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
"""There, what a program may ask for itself (0) and for no other process."""
_FAMILIES = (2, 10, 16)
"""AF_INET, AF_INET6, AF_NETLINK: those that a network namespace holds. AF_UNIX would reach sockets in the workspace."""
_ATTRIBUTES = (0x40086602, 0x401C5820)
"""ioctl's FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR."""
SIGNALS = ("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""Besides, where Landlock can't keep signals within: before ABI 6."""
TRUNCATION = ("truncate",)
"""Besides, before ABI 3."""


def machines() -> tuple[str, ...]:
    """For which a filter can be written, as `platform.machine` names them."""
    return tuple(_AUDIT)


def program(machine: str, refused: Iterable[str]) -> bytes:
    """The filter: an array of struct sock_filter. Raises KeyError for another machine or an unknown call."""
    numbers, refused = NUMBERS[machine], frozenset(refused)
    code = [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, 1, 0, _AUDIT[machine]),
        _instruction(_RETURN, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += _answer(_instruction(_JUMP_IF_AT_LEAST, 0, 1, _X32), _REFUSE)
    for name in sorted(refused & set(numbers)):
        code += _answer(_instruction(_JUMP_IF_EQUAL, 0, 1, numbers[name]), _REFUSE)
    # clone3 hides its flags behind a pointer: the C library falls back to clone, whose flags are looked at.
    code += _answer(_instruction(_JUMP_IF_EQUAL, 0, 1, numbers["clone3"]), _UNKNOWN)
    code += _looking(numbers["clone"], _LOW[0], _answer(_instruction(_JUMP_IF_ANY_BIT, 0, 1, _NEW_NAMESPACE), _REFUSE))
    # A pair of datagram sockets could send to any socket in the file system.
    code += _looking(numbers["socketpair"], _LOW[0], _unless(1))
    code += _looking(numbers["socketpair"], _LOW[1], [_instruction(_AND, 0, 0, 0xF), *_unless(1)])
    if "socket" in refused:
        for name in OF_ITSELF:
            code += _looking(numbers[name], _LOW[0], _unless(0))
        for request in _ATTRIBUTES:
            code += _looking(numbers["ioctl"], _LOW[1], _answer(_instruction(_JUMP_IF_EQUAL, 0, 1, request), _REFUSE))
    else:
        code += _looking(numbers["socket"], _LOW[0], _unless(*_FAMILIES))
    code.append(_instruction(_RETURN, 0, 0, _ALLOW))
    return b"".join(code)


def _answer(test: bytes, answer: int) -> list[bytes]:
    """`test` goes on if it holds, and jumps over one if it doesn't."""
    return [test, _instruction(_RETURN, 0, 0, answer)]


def _unless(*values: int) -> list[bytes]:
    """Refuses unless what is loaded is one of these."""
    tests = [_instruction(_JUMP_IF_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*tests, _instruction(_RETURN, 0, 0, _REFUSE)]


def _looking(number: int, argument: int, then: list[bytes]) -> list[bytes]:
    """Of one call an argument is loaded and looked at. What follows finds the call's number again."""
    return [
        _instruction(_JUMP_IF_EQUAL, 0, len(then) + 2, number),
        _instruction(_LOAD, 0, 0, argument),
        *then,
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
