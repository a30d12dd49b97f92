"""What the installed native library is, asked in a process of its own: native code never runs in this one."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import msgspec

TIMEOUT_S = 60

_ASK = """
import json, os
answers = os.dup(1)
os.dup2(2, 1)
from smidgen.llama import binding
told = {"version": binding.version(), "features": binding.system_info(), "devices": binding.devices(),
        "gpu_offload": bool(binding.lib.llama_supports_gpu_offload())}
os.write(answers, json.dumps(told).encode())
"""


class NativeLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """`features` is llama.cpp's own line about the build. `problem` is why it could not be asked, "" if it could."""

    version: str = ""
    features: str = ""
    devices: tuple[str, ...] = ()
    gpu_offload: bool = False
    problem: str = ""

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """Names of the instruction sets and extras that were built in."""
        cpu = self.features.partition("CPU :")[2].partition(" : ")[0] or self.features
        pairs = (part.strip().partition(" = ") for part in cpu.split("|"))
        return tuple(name.strip() for name, _, value in pairs if value.strip() == "1")

    @property
    def gpus(self) -> tuple[str, ...]:
        return tuple(name for name in self.devices if not name.startswith("CPU")) if self.gpu_offload else ()


@cache
def native_library() -> NativeLibrary:
    """Blocks for a few tenths of a second, the first time."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _ASK],  # -P: nothing is imported from the current folder
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return NativeLibrary(problem=f"the native library did not load within {TIMEOUT_S} s")
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return NativeLibrary(problem=lines[-1] if lines else f"its process ended with status {done.returncode}")
    return msgspec.json.decode(done.stdout, type=NativeLibrary)
