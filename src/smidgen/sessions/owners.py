"""Which process a run belongs to. A process is known by its number and when it started: numbers are used again."""

from __future__ import annotations

import os
from functools import cache

import psutil

STARTS_APART_S = 1.0
"""Seconds within which two readings of a process's start are the same: the system's clock may have been set."""


@cache
def this_process() -> str:
    return f"{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_alive(owner: str) -> bool:
    """What can't be read counts as dead: nobody writes to its runs any more."""
    number, _, started = owner.partition(":")
    try:
        found = psutil.Process(int(number))
        return found.status() != psutil.STATUS_ZOMBIE and abs(found.create_time() - float(started)) < STARTS_APART_S
    except (psutil.Error, ValueError):
        return False
