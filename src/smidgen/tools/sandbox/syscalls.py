"""Numbers of the system calls that the filter looks at, by machine; None where a machine doesn't have one.

Source: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux 6.12.
"""

from __future__ import annotations

from collections.abc import Mapping

_BOTH: Mapping[str, tuple[int, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "chmod": (90, None), "chown": (92, None),
    "chroot": (161, 51), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "delete_module": (176, 106), "fchmodat": (268, 53), "fchmodat2": (452, 452), "fchownat": (260, 54),
    "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "futimesat": (261, None), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "kcmp": (312, 272), "kexec_file_load": (320, 294),
    "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129), "lchown": (94, None), "lremovexattr": (198, 15),
    "lsetxattr": (189, 6), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "reboot": (169, 142), "removexattr": (197, 14), "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setns": (308, 268), "setpgid": (109, 154),
    "setsid": (112, 157), "settimeofday": (164, 170), "setxattr": (188, 5), "socket": (41, 198), "swapoff": (168, 225),
    "swapon": (167, 224), "tgkill": (234, 131), "tkill": (200, 130), "truncate": (76, 45), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "utime": (132, None), "utimensat": (280, 88),
    "utimes": (235, None),
    "fanotify_init": (300, 262), "fchmod": (91, 52), "fchown": (93, 55), "file_setattr": (469, 469),
    "fremovexattr": (199, 16), "fsetxattr": (190, 7), "inotify_add_watch": (254, 27), "ioctl": (16, 29),
    "ioprio_set": (251, 30), "memfd_create": (319, 279), "memfd_secret": (447, 447), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "msgctl": (71, 187), "msgget": (68, 186), "msgrcv": (70, 188), "msgsnd": (69, 189),
    "prlimit64": (302, 261), "removexattrat": (466, 466), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "semctl": (66, 191),
    "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "setpriority": (141, 140),
    "setxattrat": (463, 463), "shmat": (30, 196), "shmctl": (31, 195), "shmget": (29, 194), "socketpair": (53, 199),
}  # fmt: skip

NUMBERS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {name: first for name, (first, _) in _BOTH.items()},
    "aarch64": {name: second for name, (_, second) in _BOTH.items() if second is not None},
}
