"""A seccomp filter as a classic BPF program: what a contained program may not ask of the kernel. Pure.

What is refused gets EPERM, so that programs can say what failed. Source of the layout: linux/seccomp.h, linux/filter.h
and linux/audit.h; of the numbers: the kernel's tables for x86-64 and arm64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from smidgen.tools.sandbox.syscalls import NUMBERS

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FLAGS, _PATH_LOW, _PATH_HIGH = 0, 4, 16, 24, 28
"""Offsets into struct seccomp_data, little-endian: of clone's first argument, and of utimensat's second."""
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
    "settimeofday", "clock_settime",
)  # fmt: skip
"""What no program needs that only computes: other processes' memory, mounts, namespaces, keys, the kernel itself."""
WITHOUT_NAMESPACES = (
    "socket", "setsid", "setpgid", "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "setxattr",
    "lsetxattr", "removexattr", "lremovexattr", "utime", "utimes", "futimesat",
)  # fmt: skip
"""Besides, where nothing but Landlock stands between a program and the rest: sockets, leaving the process group, and
what Landlock doesn't look at."""
SIGNALS = ("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""Besides, where Landlock can't keep signals within: before ABI 6."""
TRUNCATION = ("truncate",)
"""Besides, before ABI 3."""


def machines() -> tuple[str, ...]:
    """For which a filter can be written, as `platform.machine` names them."""
    return tuple(_AUDIT)


def program(machine: str, refused: Iterable[str]) -> bytes:
    """The filter: an array of struct sock_filter. Raises KeyError for another machine or an unknown call."""
    numbers = NUMBERS[machine]
    known = [numbers[name] for name in dict.fromkeys(refused) if numbers.get(name) is not None]
    code = [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, 1, 0, _AUDIT[machine]),
        _instruction(_RETURN, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += _answer(_instruction(_JUMP_IF_AT_LEAST, 0, 1, _X32), _REFUSE)
    for number in known:
        code += _answer(_instruction(_JUMP_IF_EQUAL, 0, 1, number), _REFUSE)
    # clone3 hides its flags behind a pointer: the C library falls back to clone, whose flags are looked at.
    code += _answer(_instruction(_JUMP_IF_EQUAL, 0, 1, numbers["clone3"]), _UNKNOWN)
    code += _unless_clear(numbers["clone"], _FLAGS, _NEW_NAMESPACE)
    if "utimes" in refused:
        # With a path (not NULL) it's any file's times; without one those of a file that is open already.
        for half in (_PATH_LOW, _PATH_HIGH):
            code += _unless_clear(numbers["utimensat"], half, 0xFFFFFFFF)
    code.append(_instruction(_RETURN, 0, 0, _ALLOW))
    return b"".join(code)


def _answer(test: bytes, answer: int) -> list[bytes]:
    return [test, _instruction(_RETURN, 0, 0, answer)]


def _unless_clear(number: int, argument: int, bits: int) -> list[bytes]:
    """One call is refused if any of these bits of an argument is set. What follows finds the call's number again."""
    return [
        _instruction(_JUMP_IF_EQUAL, 0, 4, number),
        _instruction(_LOAD, 0, 0, argument),
        _instruction(_JUMP_IF_ANY_BIT, 0, 1, bits),
        _instruction(_RETURN, 0, 0, _REFUSE),
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
