"""What this machine has, found without native code: usable cores, memory within limits, SIMD, GPUs, disk.

Sources: sched_getaffinity and the cgroup files (v2 `cpu.max`, `memory.max`; v1 `cpu.cfs_quota_us`,
`memory.limit_in_bytes`) of this process's group and those above it; psutil for the rest. Anything that can't be found
out is left at its neutral value; a probe never fails.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

CGROUP_ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 1 << 60  # cgroup v1 writes its "no limit" as a number about this large
SIMD_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "avx512f", "avx512bw", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve", "bf16"),
)


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """kind: "cuda", "metal" or "rocm". Bytes are 0 where unknown; Metal shares the machine's memory."""

    kind: str
    name: str
    total_bytes: int = 0
    free_bytes: int = 0


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """One look at this machine.

    physical_cores, logical_cores: those that this process may use. cpu_quota: cores' worth of time it may take, 0.0 for
    no limit. total_bytes, available_bytes: memory, within cgroup limits. memory_limit: such a limit, 0 if none.
    simd: names of the instruction sets that ggml makes use of. disk_free_bytes: where `probe` was asked to look.
    """

    physical_cores: int
    logical_cores: int
    cpu_quota: float
    total_bytes: int
    available_bytes: int
    memory_limit: int
    swap_bytes: int
    cpu_name: str
    simd: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    disk_free_bytes: int
    system: str
    machine: str

    @property
    def threads(self) -> int:
        """Threads for decoding: one per physical core, within the quota. A second thread on a core only gets in the way
        of the first, and more threads than quota are stopped together."""
        cores = self.physical_cores
        if self.cpu_quota:
            cores = min(cores, math.floor(self.cpu_quota + 0.25))
        return max(1, cores)


def probe(disk: Path | None = None) -> Hardware:
    """Look at this machine; quick, but up to 2 s where nvidia-smi hangs. `disk`: a folder whose free space counts, the
    home folder by default."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    groups = list(_cgroups(CGROUP_ROOT, Path("/proc/self/cgroup")))
    limit, used = memory_limit(groups)
    total, available = memory.total, memory.available
    if limit:
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    usable = _usable_cpus()
    cpu_name, flags = _cpu()
    return Hardware(
        physical_cores=_physical_cores(usable),
        logical_cores=len(usable),
        cpu_quota=cpu_quota(groups),
        total_bytes=total,
        available_bytes=available,
        memory_limit=limit,
        swap_bytes=swap.total,
        cpu_name=cpu_name,
        simd=tuple(flag for flag in SIMD_FLAGS if flag in flags),
        gpus=tuple(_gpus(total, available)),
        disk_free_bytes=_disk_free(disk or Path.home()),
        system=platform.system(),
        machine=platform.machine(),
    )


# --- cgroups --------------------------------------------------------------------------------------------------------


def _cgroups(root: Path, membership: Path) -> Iterator[Path]:
    """Folders of this process's control groups and those above, whose limits all hold."""
    for line in _read(membership).splitlines():
        _, controllers, path = ([*line.split(":", 2), "", "", ""])[:3]
        bases = [root] if not controllers else [root / name for name in (controllers, *controllers.split(","))]
        for base in bases:
            folder = base / path.lstrip("/")
            while True:
                yield folder
                if folder == base or base not in folder.parents:
                    break
                folder = folder.parent


def cpu_quota(groups: list[Path]) -> float:
    """Cores' worth of processor time that the groups may take, 0.0 for no limit."""
    quotas: list[float] = []
    for group in groups:
        quota, _, period = _read(group / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if _number(quota) > 0 and _number(period) > 0:
            quotas.append(_number(quota) / _number(period))
    return min(quotas, default=0.0)


def memory_limit(groups: list[Path]) -> tuple[int, int]:
    """(bytes that the tightest group may use, bytes in use that can't be given back); (0, 0) for no limit."""
    tightest: tuple[int, int] | None = None
    for group in groups:
        limit = _number(_read(group / "memory.max")) or _number(_read(group / "memory.limit_in_bytes"))
        if not 0 < limit < NO_LIMIT:
            continue
        used = _number(_read(group / "memory.current")) or _number(_read(group / "memory.usage_in_bytes"))
        cache = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
        used = max(0, used - (int(cache[1]) if cache else 0))
        if tightest is None or limit - used < tightest[0] - tightest[1]:
            tightest = (limit, used)
    return tightest or (0, 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


# --- processor ------------------------------------------------------------------------------------------------------


def _usable_cpus() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _physical_cores(usable: frozenset[int]) -> int:
    """Cores among the usable CPUs: hardware threads of one core count once."""
    if sys.platform == "darwin":
        fast = _run("sysctl", "-n", "hw.perflevel0.physicalcpu") or _run("sysctl", "-n", "hw.physicalcpu")
        return _number(fast.strip()) or len(usable)
    siblings: set[str] = set()
    for cpu in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        listed = _read(topology / "core_cpus_list") or _read(topology / "thread_siblings_list")
        siblings.add(listed or str(cpu))
    if sys.platform == "win32":
        import psutil

        return min(psutil.cpu_count(logical=False) or len(usable), len(usable))
    return max(1, len(siblings))


def _cpu() -> tuple[str, frozenset[str]]:
    """The processor's name, and its flags."""
    text = _read(Path("/proc/cpuinfo"))
    if text:
        name = re.search(r"^(?:model name|Model|Processor)\s*: (.+)$", text, re.MULTILINE)
        flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
        return name[1] if name else platform.machine(), frozenset(flags[1].split() if flags else ())
    if sys.platform == "darwin":
        listed = _run("sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features").lower()
        flags = set(listed.replace("avx1.0", "avx").replace(".", "_").split())
        if platform.machine() == "arm64":
            flags |= {"asimd", "asimddp"}
        return _run("sysctl", "-n", "machdep.cpu.brand_string").strip() or platform.machine(), frozenset(flags)
    return platform.processor() or platform.machine(), frozenset()


# --- GPUs and disk --------------------------------------------------------------------------------------------------


def _gpus(total: int, available: int) -> Iterator[Gpu]:
    yield from _cuda()
    yield from _rocm(Path("/sys/class/drm"))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        # Metal lets a process use about three quarters of the machine's memory.
        yield Gpu(kind="metal", name="Apple GPU", total_bytes=total * 3 // 4, free_bytes=min(available, total * 3 // 4))


def _cuda() -> Iterator[Gpu]:
    listed = _run("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
    found = list(parse_nvidia_smi(listed))
    yield from found
    if not found:
        for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
            name = re.search(r"^Model:\s*(.+)$", _read(information), re.MULTILINE)
            yield Gpu(kind="cuda", name=name[1] if name else "NVIDIA GPU")


def parse_nvidia_smi(listed: str) -> Iterator[Gpu]:
    """GPUs of nvidia-smi's CSV lines `name, total MiB, free MiB`; other lines are its error messages."""
    for line in listed.splitlines():
        name, total, free = ([*(part.strip() for part in line.rsplit(",", 2)), "", ""])[:3]
        if _number(total):
            yield Gpu(kind="cuda", name=name, total_bytes=_number(total) << 20, free_bytes=_number(free) << 20)


def _rocm(cards: Path) -> Iterator[Gpu]:
    for device in sorted(cards.glob("card[0-9]*/device")):
        total = _number(_read(device / "mem_info_vram_total"))
        if _read(device / "vendor") == "0x1002" and total:
            used = _number(_read(device / "mem_info_vram_used"))
            name = _read(device / "product_name") or "AMD GPU"
            yield Gpu(kind="rocm", name=name, total_bytes=total, free_bytes=max(0, total - used))


def _run(*command: str) -> str:
    """Standard output of a system tool, "" if it isn't there or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _disk_free(folder: Path) -> int:
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return 0
