"""RUNS: Python and commands that a model wrote, in the sandbox and nowhere else.

interpreter   one Python in a sandbox that is told what to execute; driver.py is what runs in there
pool          such interpreters kept warm, each used for one program: for callers from Python
sessions      one interpreter for each conversation, which keeps what was defined
python        the tool `run_python`
command       the tool `run_command`

A program finds the workspace read-only unless its user said otherwise.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from smidgen.tools.sandbox import MIB, Limits, Stopped, Tier

SESSION = Limits(wall_s=15.0, cpu_s=120.0, memory=1024 * MIB, file_bytes=16 * MIB)
"""Of an interpreter: the time is one execution's, all else is of its whole life."""


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some code. output: what it wrote, to both streams; cut: bytes left out of it. value: its last
    expression's, as Python shows it, "" for None. error: its exception with the lines it came from, "" if there was
    none. stopped: the limit that ended it. gone: the interpreter has ended with it, and what was defined is lost."""

    output: str = ""
    cut: int = 0
    value: str = ""
    error: str = ""
    stopped: Stopped | Literal["exit", "garbled"] = ""
    gone: bool = False
    seconds: float = 0.0
    tier: Tier

    @property
    def ok(self) -> bool:
        return not self.error and not self.stopped
