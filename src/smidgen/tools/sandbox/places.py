"""Folders and variables that a contained program finds: what it needs to run, and nothing of its user's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
"""Programs and libraries."""
SETTINGS = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
    "/etc/mime.types", "/etc/magic", "/etc/fonts",
)  # fmt: skip
"""Of the system's settings only what programs read to start and to tell the time: no users, no hosts, no keys."""
PATH = "/usr/local/bin:/usr/bin:/bin"


def home() -> Path | None:
    """None for a user without one."""
    try:
        return Path.home().resolve()
    except (RuntimeError, OSError):
        return None


def interpreter() -> tuple[Path, ...]:
    """Where this Python and its packages are, if they are outside of the system's folders. A folder that holds the home
    folder is never given away."""
    own = home()
    found: list[Path] = []
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        folder = Path(prefix).resolve()
        inside = any(folder.is_relative_to(system) for system in SYSTEM)
        if not inside and folder != Path("/") and not (own is not None and own.is_relative_to(folder)):
            found.append(folder)
    return tuple(found)


def own_code() -> tuple[Path, ...]:
    """Folders whose files smidgen runs itself, unheld."""
    package = Path(__file__).resolve().parents[2]
    return (package, *(Path(prefix).resolve() for prefix in (sys.base_prefix, sys.prefix)))


def variables(scratch: str, more: Mapping[str, str]) -> dict[str, str]:
    """The whole environment. scratch: the folder that is gone afterwards."""
    python = os.pathsep.join(str(folder / "bin") for folder in reversed(interpreter()))
    plain = {
        "PATH": f"{python}{os.pathsep}{PATH}" if python else PATH,
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return {**plain, **more}
