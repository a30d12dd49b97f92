"""Crash reports: one JSON file per crash in a folder of bounded size. Shapes of requests, never their text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

KEPT = 20


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """time: UTC, ISO 8601. phase: what the worker was doing. cause: in words. signal: its name or "". stack: by
    faulthandler or a traceback. output: tail of the worker's stdout and stderr. requests: kind, counts and parameters
    of what was in flight."""

    time: str
    model: str
    phase: str
    cause: str
    signal: str
    status: int
    pid: int
    seconds: float
    stack: str
    output: str
    requests: list[dict[str, Any]]


def write(folder: Path, report: CrashReport, kept: int = KEPT) -> Path:
    """Add a report, whole or not at all, and forget the oldest beyond `kept`. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    path = folder / f"crash-{stamp}-{time.time_ns() % 1_000_000_000:09d}-{report.pid}.json"
    half = path.with_suffix(".part")
    half.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    half.replace(path)
    for old in sorted(folder.glob("crash-*.json"))[:-kept]:
        old.unlink(missing_ok=True)
    return path


def read(path: Path) -> CrashReport:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=CrashReport)
