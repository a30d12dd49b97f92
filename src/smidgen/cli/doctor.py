"""`smidgen doctor`: what this machine and this installation can do, and what is wrong with them."""

from __future__ import annotations

import argparse
import os
import platform
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from smidgen.cli import exits, options, terminal
from smidgen.errors import SmidgenError

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.models.hardware import Hardware
    from smidgen.runtime.installed import NativeLibrary

Status = Literal["ok", "note", "failed"]


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
        description="Check the machine, the native library, the sandbox, the store, and that a worker answers.",
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
    from smidgen.runtime.installed import native_library

    hardware = probe()
    add(program(), configuration(), machine(hardware))
    native = native_library()
    add(library(native), graphics(native, hardware, config))
    add(await sandbox(), models_here(config), answers_kept(config))
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


def library(told: NativeLibrary) -> Check:
    if told.problem:
        return Check(
            name="native library",
            status="failed",
            detail=told.problem,
            hint="Install it again on this machine: pip install --force-reinstall --no-binary llama-cpp-python "
            "llama-cpp-python==0.3.36",
            exit_status=exits.ENGINE,
        )
    features = " ".join(told.cpu_features)
    return Check(name="native library", status="ok", detail=f"{told.version}, built for {features or 'any processor'}")


def graphics(told: NativeLibrary, hardware: Hardware, config: Config) -> Check:
    there = ", ".join(gpu.name for gpu in hardware.gpus)
    if config.gpu == "off":
        return Check(name="GPU", status="ok", detail="not used, as the configuration says")
    if told.gpus:
        return Check(name="GPU", status="ok", detail=", ".join(told.gpus))
    if there:
        return Check(
            name="GPU",
            status="note",
            detail=f"{there} is there, but the native library can't use it; the CPU does the work",
            hint="docs/install.md says how to build it: CMAKE_ARGS=-DGGML_CUDA=ON (NVIDIA), -DGGML_METAL=ON (Apple), "
            "-DGGML_VULKAN=ON (others).",
        )
    return Check(name="GPU", status="ok", detail="none found; the CPU does the work")


async def sandbox() -> Check:
    """What holds programs that a model asks for; tried just now."""
    from smidgen.tools.sandbox.probe import choose

    choice = await choose()
    weaker = [f"{one.tier} can't be used: {one.problem}" for one in choice.probed if one.problem]
    if choice.sandbox is None:
        return Check(
            name="sandbox",
            status="note",
            detail="; ".join(weaker) or f"there is none for {platform.system()}",
            hint="Tools that run programs refuse. docs/sandbox.md says what they need.",
        )
    held = len(choice.probed[-1].held)
    return Check(
        name="sandbox",
        status="note" if weaker else "ok",
        detail=f"{choice.sandbox.tier}, held in {held} of {held} attempts to get out",
        hint="; ".join(weaker),
    )


def models_here(config: Config) -> Check:
    """The store: where it is, what is in it, what is wrong with it."""
    from smidgen.models.disk import free_bytes
    from smidgen.runtime.loading import library_of

    library = library_of(config)
    models, root = library.list(), library.store.root
    taken = sum(model.bytes + library.store.layout_bytes(model.sha256) for model in models)
    detail = f"{len(models)} models, {terminal.size(taken)}, in {root}; {terminal.size(free_bytes(root))} free there"
    problems = " ".join(library.store.problems())
    return Check(name="models", status="note" if problems else "ok", detail=detail, hint=problems)


def answers_kept(config: Config) -> Check:
    """Files of answers that patterns keep: those in the data folder, and those of the agents in the configuration."""
    import sqlite3

    from smidgen.config import config_path
    from smidgen.patterns.cached.reading import stores_of
    from smidgen.patterns.cached.store import summary_of

    folder = config.home_path() / "caches"
    paths = dict.fromkeys(sorted(folder.glob("*.sqlite")))
    for agent in config.agents.values():
        with suppress(OSError, ValueError):  # the agent itself will tell
            paths |= dict.fromkeys(stores_of(config_path().parent / agent.pattern) if agent.pattern else ())
    told: list[str] = []
    problems: list[str] = []
    for path in paths:
        try:
            found = summary_of(path)
        except FileNotFoundError:  # nothing was asked yet
            continue
        except (sqlite3.Error, OSError) as error:
            problems.append(f"{path} can't be read: {error}.")
            continue
        hits = f", {found.hits} of {found.asked} requests ({found.hits / found.asked:.0%})" if found.asked else ""
        told.append(f"{path.name}: {found.answers} answers, {terminal.size(found.bytes)}{hits}")
    detail = "; ".join(told) or f"none in {folder}"
    return Check(name="cached answers", status="note" if problems else "ok", detail=detail, hint=" ".join(problems))


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
