"""The structure that keeps smidgen quick to start, safe from native code in the caller's process, and readable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "smidgen"
PARENT_ROOMS = (
    "api",
    "sessions",
    "cli",
    "eval",
    "runtime",
    "config",
    "patterns",
    "agent",
    "engine",
    "tools",
    "dialects",
    "models",
    "supervise",
    "testing",
)
SHARED = ("wire", "events", "messages", "errors")
NATIVE = {"llama_cpp", "llguidance"}
HEAVY = {
    *("numpy", "pydantic", "pint", "httpx", "huggingface_hub", "jinja2", "prompt_toolkit"),
    *("tqdm", "dateutil", "psutil", "filelock", "sqlite3"),
}
MOST_LINES = 500


def imported_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has after the statement and did not have before."""
    script = (
        f"import json, sys\nbefore = set(sys.modules)\n{statement}\nprint(json.dumps([*set(sys.modules) - before]))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def modules_of(room: str) -> list[str]:
    paths = sorted((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]
    dotted = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in dotted if not name.endswith("__main__")]


def test_importing_the_package_loads_nothing_heavy_or_native() -> None:
    assert not imported_by("import smidgen") & (HEAVY | NATIVE)


def test_showing_help_loads_nothing_heavy_or_native() -> None:
    loaded = imported_by(
        "import contextlib, io\n"
        "from smidgen.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])"
    )
    assert not loaded & (HEAVY | NATIVE)


@pytest.mark.parametrize("room", [*PARENT_ROOMS, *SHARED])
def test_no_module_above_the_process_boundary_loads_native_code(room: str) -> None:
    statement = "\n".join(f"import {name}" for name in modules_of(room))
    assert not imported_by(statement) & NATIVE


@pytest.mark.parametrize("room", ["worker", "llama"])
def test_the_rooms_below_the_boundary_have_a_contract_without_native_code(room: str) -> None:
    assert not imported_by(f"import smidgen.{room}") & NATIVE


def test_every_room_belongs_to_one_side_of_the_process_boundary() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == {*PARENT_ROOMS, *SHARED, "worker", "llama"}


def test_every_package_says_what_it_is_for() -> None:
    contracts = {path.relative_to(SOURCE): path.read_text("utf-8") for path in SOURCE.rglob("__init__.py")}
    assert [str(path) for path, text in contracts.items() if not text.startswith('"""')] == []


def test_no_module_outgrows_one_concept() -> None:
    sizes = {path.relative_to(SOURCE): len(path.read_text("utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    assert {path: lines for path, lines in sizes.items() if lines > MOST_LINES} == {}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


# Folders that only one machine has. A group stands before each name, so that this file does not find itself.
MACHINE_PATH = re.compile(r"/(?:root|work)/|/(?:home|Users)/\w+/")
PLACEHOLDERS = re.compile(r"/(home|Users)/(you|me|user|someone|somebody|USER|name)\b")


def machine_paths(text: str) -> list[str]:
    return MACHINE_PATH.findall(PLACEHOLDERS.sub("", text))


@pytest.mark.parametrize("folder", ["root", "work", "home/anna", "Users/anna"])
def test_the_search_for_machine_paths_finds_them(folder: str) -> None:
    assert machine_paths(f"see /{folder}/models")


def test_the_search_for_machine_paths_lets_placeholders_pass() -> None:
    assert not machine_paths(f"models in /{'home'}/you/models, /var/cache/x")


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    found: dict[str, list[str]] = {}
    for path in tracked_files():
        if path.suffix == ".lock":
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        if paths := machine_paths(text):
            found[str(path.relative_to(ROOT))] = paths
    assert found == {}


OPTIONS_AND_ADDRESSES = re.compile(r"^\s*(?:-[a-z]\b|--(?!hash=))\S*|\w+://\S+", re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"])
def test_lock_files_pin_by_hash_and_name_no_registry(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    pins = [line for line in text.splitlines() if re.match(r"^[a-z0-9]", line)]
    assert pins and all("==" in line and line.endswith("\\") for line in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    assert not OPTIONS_AND_ADDRESSES.findall(text)


def test_the_lock_file_pins_the_native_binding_that_pyproject_asks_for() -> None:
    asked = re.search(r'"llama-cpp-python==([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert asked is not None
    assert f"\nllama-cpp-python=={asked[1]} \\" in (ROOT / "requirements.lock").read_text("utf-8")
