"""`smidgen doctor`: what this machine and this installation can do, and what is wrong with them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from smidgen.cli import exits, options, terminal
from smidgen.errors import SmidgenError

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.models.hardware import Hardware

Status = Literal["ok", "note", "failed"]

# Run in a process of its own: native code never runs in this one.
_ASK_BINDING = """
import json, os, sys
answers = os.dup(1)
os.dup2(2, 1)
from smidgen.llama import binding
told = {"version": binding.version(), "features": binding.system_info(), "devices": binding.devices(),
        "gpu_offload": bool(binding.lib.llama_supports_gpu_offload())}
os.write(answers, json.dumps(told).encode())
"""
_BINDING_TIMEOUT_S = 60


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report. `exit_status` is what the command ends with if this failed."""

    name: str
    status: Status
    detail: str
    hint: str = ""
    exit_status: int = exits.OK


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="check this machine and this installation",
        description="Check the machine, the native library, the store, and that a worker can start and answer.",
        allow_abbrev=False,
    )
    options.add_model(parser)
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON object")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end

    config = options.configured(arguments)
    return run_to_end(lambda: examine(arguments, config))


async def examine(arguments: argparse.Namespace, config: Config) -> int:
    checks: list[Check] = []

    def add(*found: Check) -> None:
        checks.extend(found)
        if not arguments.json:
            for check in found:
                terminal.write(shown(check))

    from smidgen.models.hardware import probe

    hardware = probe()
    add(program(), configuration(), machine(hardware))
    binding = ask_binding()
    add(library(binding), graphics(binding, hardware, config))
    add(models_here(config))
    add(await answer(config))
    failed = [check for check in checks if check.status == "failed"]
    if arguments.json:
        terminal.write_json({"ok": not failed, "checks": checks})
    elif failed:
        terminal.say(f"{len(failed)} of {len(checks)} checks failed.")
    return max((check.exit_status for check in failed), default=exits.OK)


def shown(check: Check) -> str:
    mark = {"ok": "ok  ", "note": "note", "failed": "FAIL"}[check.status]
    lines = [f"{mark}  {check.name:<15} {check.detail}"]
    if check.hint:
        lines.append(f"{'':22}{check.hint}")
    return "\n".join(lines) + "\n"


def program() -> Check:
    from smidgen import __version__

    detail = f"smidgen {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Check(name="program", status="ok", detail=detail)


def configuration() -> Check:
    from smidgen.config import config_path

    path = config_path()
    named = sorted(name for name in os.environ if name.startswith("SMIDGEN_"))
    detail = f"{path}" if path.exists() else "no file, all defaults"
    return Check(name="configuration", status="ok", detail=detail + (f"; {', '.join(named)}" if named else ""))


def machine(hardware: Hardware) -> Check:
    limit = " (a limit on this process group)" if hardware.memory_limit else ""
    detail = (
        f"{hardware.cpu_name}, {hardware.physical_cores} cores, {hardware.threads} threads for a model, "
        f"{terminal.size(hardware.total_bytes)} memory{limit}, {terminal.size(hardware.available_bytes)} of it free"
    )
    return Check(name="machine", status="ok", detail=detail)


def ask_binding() -> dict[str, Any] | str:
    """What the native library says of itself, or why it could not be asked."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_BINDING],
            capture_output=True,
            timeout=_BINDING_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"it did not load within {_BINDING_TIMEOUT_S} s"
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with status {done.returncode}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def library(told: dict[str, Any] | str) -> Check:
    if isinstance(told, str):
        return Check(
            name="native library",
            status="failed",
            detail=told,
            hint="Install it again on this machine: pip install --force-reinstall --no-binary llama-cpp-python "
            "llama-cpp-python==0.3.36",
            exit_status=exits.ENGINE,
        )
    features = cpu_features(str(told["features"]))
    return Check(name="native library", status="ok", detail=f"{told['version']}, built for {features or 'any CPU'}")


def cpu_features(system_info: str) -> str:
    """The names that llama.cpp's `system_info` line says are 1."""
    cpu = system_info.partition("CPU :")[2].partition(" : ")[0] or system_info
    pairs = (part.strip().partition(" = ") for part in cpu.split("|"))
    return " ".join(name.strip() for name, _, value in pairs if value.strip() == "1")


def graphics(told: dict[str, Any] | str, hardware: Hardware, config: Config) -> Check:
    if config.gpu == "off":
        return Check(name="GPU", status="ok", detail="not used, as the configuration says")
    gpus = [gpu.name for gpu in hardware.gpus]
    usable = [] if isinstance(told, str) else [name for name in told["devices"] if not name.startswith("CPU")]
    if usable and not isinstance(told, str) and told["gpu_offload"]:
        return Check(name="GPU", status="ok", detail=", ".join(usable))
    if gpus:
        return Check(
            name="GPU",
            status="note",
            detail=f"{', '.join(gpus)} is there, but the native library was built without it; the CPU is used",
            hint="To use it, see docs/install.md: CMAKE_ARGS=-DGGML_CUDA=ON (NVIDIA), -DGGML_METAL=ON (Apple), "
            "-DGGML_VULKAN=ON (others).",
        )
    return Check(name="GPU", status="ok", detail="none found; the CPU is used")


def models_here(config: Config) -> Check:
    """The store: where it is, what is in it, what is wrong with it."""
    from smidgen.models.disk import free_bytes
    from smidgen.runtime.loading import library_of

    library = library_of(config)
    models, root = library.list(), library.store.root
    detail = (
        f"{len(models)} models, {terminal.size(sum(model.bytes for model in models))}, in {root}; "
        f"{terminal.size(free_bytes(root))} free there"
    )
    problems = " ".join(library.store.problems())
    return Check(name="models", status="note" if problems else "ok", detail=detail, hint=problems)


async def answer(config: Config) -> Check:
    """Start a worker with the default model, if that is here, and let it write a few words."""
    from smidgen.errors import ChecksumMismatch, ModelNotPulled
    from smidgen.runtime.loading import default_spec, library_of
    from smidgen.runtime.runtime import Runtime

    spec = default_spec(config)
    try:
        library_of(config).resolve(spec)
    except (ModelNotPulled, ChecksumMismatch) as missing:
        return Check(name="worker", status="note", detail=f"not tried: {missing.message}", hint=missing.hint)
    except SmidgenError as error:
        return failure("default model", error)
    try:
        async with Runtime(config) as runtime:
            started = time.monotonic()
            await runtime.aload()
            loaded = time.monotonic()
            generation = await runtime.agenerate("1, 2, 3, 4,", max_tokens=16, temperature=0.0, timeout_s=60)
    except SmidgenError as error:
        return failure("worker", error)
    timings, usage = generation.timings, generation.usage
    speed = usage.completion_tokens / timings.decode_s if timings.decode_s else 0.0
    detail = (
        f"{spec} loaded in {loaded - started:.1f} s, wrote {usage.completion_tokens} tokens at {speed:.0f} a second"
    )
    return Check(name="worker", status="ok", detail=detail)


def failure(name: str, error: SmidgenError) -> Check:
    status = exits.exit_status(error)
    return Check(name=name, status="failed", detail=error.message, hint=error.hint, exit_status=status)
