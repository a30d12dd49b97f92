"""Asks data files in the sandbox: one run for each question, of the modules in `inside`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools.data import Caps, Refused, Rows, Schema, Source, inside
from smidgen.tools.sandbox import MIB, Finished, Job, Limits, Stopped, Tier
from smidgen.tools.sandbox.box import Boxes, OutOfSight

_T = TypeVar("_T")

GRACE_S = 5.0
"""Beyond a statement's own time: to start, to open files, to end what can't be interrupted."""
SQLITE_MEMORY, DUCKDB_MEMORY = 512 * MIB, 1536 * MIB
"""Of address space. DuckDB takes 800 MiB of it before it does anything, and half a GiB for a query."""
_START = """
import json, sys, types
request = json.loads(sys.stdin.buffer.read())
for name, text in request["modules"].items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main(request)
"""
_ENDED: dict[Stopped, Refused] = {
    "time": Refused(kind="time", message="The query takes too long."),
    "cpu": Refused(kind="time", message="The query takes too long."),
    "memory": Refused(kind="memory", message="The query takes too much memory."),
}


class Engine:
    """workspace: the folder with the data. sandbox: gives what holds the program. out_of_sight: files of the folder
    that it can't read; none if left out."""

    def __init__(self, workspace: Path, sandbox: Boxes, caps: Caps, out_of_sight: OutOfSight | None = None) -> None:
        self._workspace, self._sandbox, self._caps = workspace, sandbox, caps
        self._out_of_sight = out_of_sight

    async def schema(self, sources: Sequence[Source]) -> tuple[Schema | Refused, Tier]:
        """Raises SandboxUnavailable where nothing holds, ToolFailed for a workspace that isn't there."""
        reply, tier = await self._run(sources, {"do": "schema"})
        return reply if isinstance(reply, Refused) else _read(reply, Schema), tier

    async def query(self, sources: Sequence[Source], sql: str) -> tuple[Rows | Refused, Tier]:
        """sources: one database, or any number of other files. Raises as `schema` does."""
        reply, tier = await self._run(sources, {"do": "query", "sql": sql})
        return reply if isinstance(reply, Refused) else _read(reply, Rows), tier

    async def _run(self, sources: Sequence[Source], asked: dict[str, Any]) -> tuple[dict[str, Any] | Refused, Tier]:
        caps = self._caps
        request = {
            **asked,
            "modules": _modules(),
            "files": [msgspec.to_builtins(source) for source in sources],
            "seconds": caps.seconds,
            "rows": caps.rows,
            "cell": caps.cell,
            "total": caps.total,
        }
        only_sqlite = all(source.kind == "sqlite" for source in sources)
        # Without packages a Python starts sooner; only DuckDB is one.
        flags = ("-I", "-S") if only_sqlite else ("-I",)
        sandbox = await self._sandbox()
        # Landlock hides no single files and refuses such jobs. This program opens only the files that it is given, none
        # of which is hidden, so it runs there all the same.
        look = self._out_of_sight if sandbox.tier != "landlock" else None
        job = Job(
            argv=(sys.executable, *flags, "-c", _START),
            workspace=self._workspace,
            hidden=await look() if look is not None else (),
            stdin=json.dumps(request).encode(),
            limits=Limits(
                wall_s=caps.seconds + GRACE_S,
                cpu_s=caps.seconds + GRACE_S,
                memory=SQLITE_MEMORY if only_sqlite else DUCKDB_MEMORY,
                # Every character may take up to six bytes in JSON.
                output_bytes=6 * (caps.total + caps.rows * caps.cell) + MIB,
                flood_bytes=64 * MIB,
            ),
        )
        try:
            finished = await sandbox.run(job)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ToolFailed(f"The workspace folder can't be opened: {error}.") from error
        return _reply(finished), finished.tier


@cache
def _modules() -> dict[str, str]:
    """Their text, by name."""
    folder = files(inside)
    return {f"{inside.__name__}.{name}": (folder / f"{name}.py").read_text("utf-8") for name in inside.MODULES}


def _reply(finished: Finished) -> dict[str, Any] | Refused:
    """What came back is data from a program that may have gone wrong: nothing of it is trusted to be there."""
    try:
        reply: Any = json.loads(finished.output)
        if reply.pop("ok"):
            return reply
        return msgspec.convert(reply, Refused)
    except (ValueError, KeyError, AttributeError, RecursionError, msgspec.ValidationError):
        pass
    if refused := _ENDED.get(finished.stopped):
        return refused
    said = finished.errors.strip().rsplit("\n", 1)[-1][:200]
    why = f"it was ended for its {finished.stopped}" if finished.stopped else f"status {finished.status}"
    return Refused(kind="failed", message=f"The program that reads the data failed ({why}). {said}".strip())


def _read(reply: dict[str, Any], kind: type[_T]) -> _T | Refused:
    try:
        return msgspec.convert(reply, kind)
    except msgspec.ValidationError as error:
        return Refused(kind="failed", message=f"The program that reads the data failed: {error}.")
