"""Build llama-cpp-python for this machine's processor once, keep the wheel, and install it.

Prebuilt wheels stay with the instructions that every processor has; one built here was 1.7 times as fast at prefill
on a machine with AVX-512 (docs/performance.md). The build takes minutes, so the wheel is kept outside the checkout:

    ${XDG_CACHE_HOME:-~/.cache}/smidgen/wheels/<version>-<key>/

`<key>` covers what decides whether a wheel runs here: the locked source's hash, operating system, C library,
processor model and flags, compiler flags and build arguments. The wheel holds no compiled Python extension (py3-none),
so one serves every Python of the machine. Standard library only: it runs before anything else is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "llama-cpp-python"
# GGML_NATIVE is on by default, but not when SOURCE_DATE_EPOCH is set; the image and audio tools are not used.
BUILD_ARGUMENTS = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"
BUILD_VARIABLES = ("CMAKE_ARGS", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")

NO_COMPILER = """\
A C++ compiler is needed to build llama.cpp for this processor, and none was found.

  Debian, Ubuntu   sudo apt install g++
  Fedora           sudo dnf install gcc-c++
  macOS            xcode-select --install

Or name one: CXX=/path/to/compiler make run
"""


def locked_requirement(lock: Path) -> str:
    """The package's own lines of the lock file: its pin and its hashes."""
    block = re.search(rf"^{PACKAGE}==.*?(?=^\S)", lock.read_text("utf-8") + "\nend", re.MULTILINE | re.DOTALL)
    if not block:
        sys.exit(f"{lock} does not name {PACKAGE}: run `make lock`")
    lines = [line for line in block[0].splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).rstrip("\\ \n") + "\n"


def processor() -> str:
    """Model and instruction flags of the first core, as the system tells them."""
    if sys.platform == "darwin":
        names = ["machdep.cpu.brand_string", "machdep.cpu.features", "machdep.cpu.leaf7_features"]
        return subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True, check=False).stdout
    with contextlib.suppress(OSError):
        first_core = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
        wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa")
        return "\n".join(line for line in first_core.splitlines() if line.startswith(wanted))
    return platform.processor()


def cache_folder(requirement: str) -> Path:
    parts = [requirement, sys.platform, platform.machine(), *platform.libc_ver(), processor(), BUILD_ARGUMENTS]
    parts += [f"{name}={os.environ.get(name, '')}" for name in BUILD_VARIABLES]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    version = requirement.split("==")[1].split()[0]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "smidgen" / "wheels" / f"{version}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        folder = Path(".wheels") / folder.name
        print(f"No cache outside this checkout ({error}); using {folder}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def compiler() -> str | None:
    if named := os.environ.get("CXX"):
        return shutil.which(named.split()[0])
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if found and sys.platform == "darwin":  # without the command line tools, c++ is a stub that opens a dialogue
        tools = subprocess.run(["xcode-select", "-p"], capture_output=True, check=False)
        return found if tools.returncode == 0 else None
    return found


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Two checkouts that build at once would each use all cores for the same wheel."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another build of the same wheel is running; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]


def run_with_progress(command: list[str], log: Path, environment: dict[str, str]) -> int:
    """Runs the build with its output in `log`; shows ninja's own count of steps."""
    started, last = time.monotonic(), 0.0
    tty = sys.stdout.isatty()
    with log.open("a", encoding="utf-8", errors="replace") as out:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert process.stdout is not None
        for line in process.stdout:
            out.write(line)
            step = re.search(r"\[(\d+)/(\d+)\]", line)
            now = time.monotonic()
            if step and now - last > (0.2 if tty else 30):
                last = now
                text = f"  llama.cpp: {step[1]} of {step[2]} files compiled, {now - started:.0f} s"
                print(f"\r{text}\033[K" if tty else text, end="" if tty else "\n", flush=True)
        if tty:
            print("\r\033[K", end="")
        return process.wait()


def build(requirement: str, folder: Path) -> Path:
    """Downloads the locked source, checks its hash, compiles it and leaves the wheel in `folder`."""
    if not compiler():
        sys.exit(NO_COMPILER)
    print(f"Building {requirement.split()[0]} for this processor: several minutes, once per machine", flush=True)
    log = folder / "build.log"
    log.write_text("", encoding="utf-8")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smidgen-build-") as scratch:
        lines = Path(scratch, "requirement.txt")
        lines.write_text(requirement, encoding="utf-8")
        source, out = Path(scratch, "source"), Path(scratch, "wheel")
        arguments = f"{BUILD_ARGUMENTS} {os.environ.get('CMAKE_ARGS', '')}".strip()
        environment = {**os.environ, "CMAKE_ARGS": arguments}
        only_source = ["--no-deps", "--no-build-isolation", "--no-binary", PACKAGE]
        download = pip("download", "--require-hashes", *only_source, "-r", str(lines), "-d", str(source))
        status = run_with_progress(download, log, environment)
        if status == 0:
            # Without pip's own wheel cache: its key knows neither the processor nor the build arguments.
            archive = str(next(source.iterdir()))
            compile_it = pip("wheel", "-v", "--no-cache-dir", *only_source, archive, "-w", str(out))
            status = run_with_progress(compile_it, log, environment)
        if status != 0:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-40:])
            sys.exit(f"{tail}\n\nThe build failed with status {status}. The whole output is in {log}")
        built = next(out.glob("*.whl"))
        partial = folder / f"{built.name}.part"
        shutil.copyfile(built, partial)
        wheel = partial.rename(folder / built.name)
    print(f"Built in {time.monotonic() - started:.0f} s, kept in {folder}", flush=True)
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    parser.add_argument("--print-folder", action="store_true", help="say where the wheel is kept, and do nothing")
    options = parser.parse_args()
    requirement = locked_requirement(options.lock)
    folder = cache_folder(requirement)
    if options.print_folder:
        print(folder)
        return
    with locked(folder):
        wheel = next(folder.glob("*.whl"), None) or build(requirement, folder)
    subprocess.run(pip("install", "--quiet", "--no-deps", "--force-reinstall", str(wheel)), check=True)


if __name__ == "__main__":
    main()
