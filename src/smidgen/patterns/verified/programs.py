"""Answers that are programs: SQL that runs on given data, Python that parses, Python whose tests pass."""

from __future__ import annotations

import ast
import secrets
import sqlite3
import tempfile
import warnings
from pathlib import Path

import msgspec

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import LONGEST, Checked, held, unfenced, wrong
from smidgen.tools.data import Caps, Refused, Rows, Source
from smidgen.tools.threads import in_daemon_thread

LONGEST_REASON = 200
"""Characters of an error that a model is told."""


class Sql:
    """One SELECT that runs: on an SQLite file, or on empty tables that `schema` creates. It is run in the sandbox, on
    data that it can't change. The answer is the statement, and the value its rows, at most 100. rows: it must find
    some."""

    def __init__(self, database: str | Path = "", schema: str = "", *, rows: bool = False) -> None:
        if bool(database) == bool(schema):
            raise InvalidRequest("A check of SQL needs a database or a schema.", hint="Give one of the two.")
        if schema and rows:
            raise InvalidRequest("A schema has no rows to find.", hint="Give a database.")
        from smidgen.tools.sandbox.probe import Probing

        self.name = "sql"
        self.constraint: Constraint | None = None
        self.database = Path(database).expanduser().absolute() if database else None
        self.schema, self.rows = schema, rows
        self._boxes = Probing()
        if schema:
            _made(":memory:", schema)

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        statement = unfenced(text).strip()
        caps = Caps()
        if len(statement) > caps.sql:
            return wrong(f"the statement is longer than {caps.sql} characters")
        found = await self._run(statement, caps)
        if isinstance(found, Refused):
            return self._refused(found, statement)
        if self.rows and not found.rows:
            return wrong("it finds no rows")
        return held(statement, [list(row) for row in found.rows])

    def _refused(self, refused: Refused, statement: str) -> Checked:
        """Raises ToolFailed for what isn't the statement's fault."""
        from smidgen.tools.data.hints import explained

        if refused.kind in ("file", "failed"):
            raise ToolFailed(f"SQL can't be checked: {refused.message}")
        told = explained(refused.message, statement, refused.tables) if refused.kind == "sql" else refused.message
        return wrong(told.rstrip("."))

    async def _run(self, statement: str, caps: Caps) -> Rows | Refused:
        if self.database:
            return await self._asked(self.database, statement, caps)
        with tempfile.TemporaryDirectory(prefix="smidgen-sql-") as folder:
            path = Path(folder) / "schema.sqlite"
            await in_daemon_thread(lambda: _made(str(path), self.schema))
            return await self._asked(path, statement, caps)

    async def _asked(self, path: Path, statement: str, caps: Caps) -> Rows | Refused:
        from smidgen.tools.data.engine import Engine

        engine = Engine(path.parent, self._boxes.sandbox, caps)
        found, _ = await engine.query((Source(path=path.name, kind="sqlite"),), statement)
        return found


class PythonCode(msgspec.Struct, frozen=True, kw_only=True):
    """Python that parses, in a code block or not; it isn't run. defines: functions and classes that it must define.
    The answer is the code."""

    defines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "python"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        code = unfenced(text)
        if not code.strip():
            return wrong("there is no code")
        tree = parsed(code)
        if isinstance(tree, str):
            return wrong(tree)
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        defined = {node.name for node in tree.body if isinstance(node, kinds)}
        missing = [name for name in self.defines if name not in defined]
        if missing:
            return wrong(f"it must define {', '.join(missing)}")
        return held(code)


class Tests(msgspec.Struct, frozen=True, kw_only=True):
    """Python that passes tests: statements that are run after it, in the sandbox, and raise nothing ("assert add(1, 2)
    == 3"). seconds: for both together. The answer is the code without the tests."""

    __test__ = False
    tests: str
    seconds: float = 5.0

    def __post_init__(self) -> None:
        problem = parsed(self.tests)
        if isinstance(problem, str):
            raise InvalidRequest(f"The tests are no Python: {problem}.")
        if not self.tests.strip():
            raise InvalidRequest("There are no tests.", hint='Write statements such as "assert add(1, 2) == 3".')

    @property
    def name(self) -> str:
        return "tests"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        code = unfenced(text)
        problem = parsed(code) if code.strip() else "there is no code"
        if isinstance(problem, str):
            return wrong(problem)
        # Only a program that has come to its end knows what its last value must be.
        end = secrets.token_hex(8)
        done = await resources.python(f"{code}\n\n{self.tests}\n\n{end!r}", self.seconds)
        if done.stopped == "time":
            return wrong(f"it takes longer than {self.seconds:g} seconds")
        if done.error or done.stopped:
            return wrong(f"a test fails: {_said(done.error) or done.stopped}")
        if done.value != repr(end):
            return wrong("it ends before the tests do")
        return held(code)


def parsed(code: str) -> ast.Module | str:
    """The program, or why it is none."""
    if len(code) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of escapes that Python takes as they are
            return ast.parse(code)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        return f"it is no valid Python: {error.msg}{where}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"it is no valid Python: {error or type(error).__name__}"


def _said(error: str) -> str:
    """The test, and what it raised."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    tests = (line.partition(": ")[2] for line in lines)
    test = next((line for line in tests if line.startswith("assert ")), "")
    last = lines[-1] if lines else ""
    return ": ".join(part for part in (test, last) if part)[:LONGEST_REASON]


def _made(path: str, schema: str) -> None:
    """Raises InvalidRequest for a schema that isn't one."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(schema)
        connection.commit()
    except sqlite3.Error as error:
        raise InvalidRequest(f"The schema can't be created: {error}.", hint="Write CREATE TABLE statements.") from error
    finally:
        connection.close()
