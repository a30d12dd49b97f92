"""The low-level module of llama-cpp-python, without the package around it.

`import llama_cpp` would also import its high-level API, servers' chat formats and jinja2 (0.4 s); only the ctypes
declarations in `llama_cpp/llama_cpp.py` are wanted, so its parent package is registered as an empty one first.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

from smidgen.errors import EngineError

LIBRARY_VERSION_FILE = "llama_cpp_python"


def _load() -> Any:
    # On abort ggml forks a debugger that prints to stdout and takes a second (docs: 3-engine traps).
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    # OpenMP threads that spin at every barrier starve each other as soon as anything else runs on the machine (100
    # tokens took 28 to 43 s beside other programs, against 5 s so); threads that sleep at once lose half the speed on
    # an idle one. A short spin, then sleep, costs nothing measurable on either: docs/performance.md.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if "llama_cpp" not in sys.modules:
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None or not spec.submodule_search_locations:
            raise EngineError(
                "The native library is not installed.",
                hint="Install it with `pip install llama-cpp-python==0.3.36`, or run `make run` in a checkout.",
            )
        package = types.ModuleType("llama_cpp")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["llama_cpp"] = package
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    except (OSError, ImportError, RuntimeError, AttributeError) as error:
        raise EngineError(
            f"The native library does not load: {error}.",
            hint="Reinstall it on this machine: `pip install --force-reinstall --no-binary llama-cpp-python "
            "llama-cpp-python==0.3.36`.",
        ) from error


lib: Any = _load()


def function(name: str, restype: Any, *argtypes: Any) -> Any:
    """A second, cheaper prototype of a native function (raw addresses instead of ctypes pointer objects)."""
    entry = lib._lib[name]
    entry.restype, entry.argtypes = restype, list(argtypes)
    return entry


def library_folder() -> Path:
    return Path(lib.__file__).parent / "lib"


def version() -> str:
    from importlib import metadata

    try:
        binding = metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        binding = "unknown"
    return f"llama-cpp-python {binding}"


def system_info() -> str:
    """The instruction sets the installed build uses, in llama.cpp's own words."""
    return lib.llama_print_system_info().decode(errors="replace").strip()


def devices() -> tuple[str, ...]:
    """Names of ggml's devices, as "CUDA0: NVIDIA H200"; the CPU is one of them."""
    suffix = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    prefix = "" if sys.platform == "win32" else "lib"
    ggml = ctypes.CDLL(str(library_folder() / f"{prefix}ggml{suffix}"))
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for describe in (ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description):
        describe.restype, describe.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    found: list[str] = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        name = ggml.ggml_backend_dev_name(device).decode(errors="replace")
        found.append(f"{name}: {ggml.ggml_backend_dev_description(device).decode(errors='replace')}")
    return tuple(found)


LOG_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}


@lib.llama_log_callback
def _log(level: int, text: bytes, _data: Any) -> None:
    # Informational lines would fill the crash report's stderr tail with hundreds of lines at each load.
    if level >= 3 or (level == 5 and _log_state["shown"]):
        os.write(2, text)
        _log_state["shown"] = True
    elif level != 5:
        _log_state["shown"] = False


_log_state = {"shown": False}


def quiet() -> None:
    """Only warnings and errors of the library go to standard error."""
    lib.llama_log_set(_log, ctypes.c_void_p(0))
