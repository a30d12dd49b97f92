"""Answers that are programs: SQL that runs on given data, Python that parses, Python whose tests pass."""

from __future__ import annotations

import ast
import re
import secrets
import sqlite3
import tempfile
import warnings
from pathlib import Path
from typing import cast

import msgspec

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import LONGEST, Checked, block, held, wrong
from smidgen.tools.data import Caps, Refused, Rows, Source
from smidgen.tools.threads import in_daemon_thread

LONGEST_REASON = 200
"""Characters of an error that a model is told."""
MOST_SECONDS = 600
AS_TESTS = 'Write statements such as "assert add(1, 2) == 3".'
_EXPLAIN = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+EXPLAIN\b", re.IGNORECASE | re.DOTALL)


class Sql:
    """One SELECT that runs: on an SQLite file, or on empty tables that `schema` creates. It is run in the sandbox, on
    data that it can't change. The answer is the statement, and the value its rows, at most 100, with at most 500
    characters of each text. rows: it must find some."""

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
        if schema and not _made(":memory:", schema):
            raise InvalidRequest("The schema creates no table.", hint="Write CREATE TABLE statements.")

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        found = block(text)
        if isinstance(found, Checked):
            return found
        statement, caps = found.strip(), Caps()
        if len(statement) > caps.sql:
            return wrong(f"the statement is longer than {caps.sql} characters")
        if not _sayable(statement):
            return wrong("half of a character is missing")
        if _EXPLAIN.match(statement):
            return wrong("it must be a SELECT, not an EXPLAIN")
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
    """Python that compiles, in a code block or not; it isn't run. defines: functions and classes that it must define.
    The answer is the code."""

    defines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(cast(object, self.defines), str):
            raise InvalidRequest("defines must be a list of names.", hint=f"Write defines=({self.defines!r},).")

    @property
    def name(self) -> str:
        return "python"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        code = block(text)
        if isinstance(code, Checked):
            return code
        if not code.strip():
            return wrong("there is no code")
        tree = parsed(code)
        if isinstance(tree, str):
            return wrong(tree)
        if all(isinstance(node, ast.Expr) and isinstance(node.value, (ast.Name, ast.Constant)) for node in tree.body):
            return wrong("it is no program: it does nothing")  # one word of prose is Python as well
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
        if not 0 < self.seconds <= MOST_SECONDS:
            raise InvalidRequest(f"seconds is {self.seconds}; it can be up to {MOST_SECONDS}, and above 0.")
        tree = parsed(f"pass\n\n{self.tests}")  # they stand behind the answer, where not everything may stand
        if isinstance(tree, str):
            raise InvalidRequest(f"The tests are no Python: {tree}.", hint=AS_TESTS)
        if not self.tests.strip():
            raise InvalidRequest("There are no tests.", hint=AS_TESTS)
        if all(isinstance(node, _DEFINING) or _is_text(node) for node in tree.body[1:]):
            raise InvalidRequest("The tests test nothing.", hint="They only define or import: call them, or assert.")

    @property
    def name(self) -> str:
        return "tests"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        code = block(text)
        if isinstance(code, Checked):
            return code
        problem = parsed(code) if code.strip() else "there is no code"
        if isinstance(problem, str):
            return wrong(problem)
        # Only a program that has come to its end knows what its last value must be.
        end = secrets.token_hex(8)
        done = await resources.python(f"{code}\n\n{self.tests}\n\n{end!r}", self.seconds)
        if done.stopped == "time":
            return wrong(f"it takes longer than {self.seconds:g} seconds")
        if done.stopped == "exit":
            return wrong("it ends before the tests do")
        if done.error or done.stopped:
            test, said = _said(done.error)
            what = "a test fails" if test else "it fails when it is run with the tests"
            return wrong(f"{what}: {': '.join(part for part in (test, said or done.stopped) if part)[:LONGEST_REASON]}")
        if done.value != repr(end):
            return wrong("it ends before the tests do")
        return held(code)


_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Pass)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def parsed(code: str) -> ast.Module | str:
    """The program, or why it is none."""
    if len(code) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of escapes that Python takes as they are
            tree = ast.parse(code)
            compile(code, "<answer>", "exec", dont_inherit=True)  # finds more: a `return` outside of a function
            return tree
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        return f"it is no valid Python: {error.msg}{where}"
    except UnicodeEncodeError:
        return "it is no valid Python: half of a character is missing"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"it is no valid Python: {str(error) or 'it is nested too deep'}"


def _said(error: str) -> tuple[str, str]:
    """The test, "" if it was something else that failed, and what was raised."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    tests = (line.partition(": ")[2] for line in lines)
    return next((line for line in tests if line.startswith("assert ")), ""), lines[-1] if lines else ""


def _made(path: str, schema: str) -> int:
    """How many tables it creates. Raises InvalidRequest for a schema that isn't one."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(schema)
        connection.commit()
        return int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except (sqlite3.Error, ValueError) as error:
        raise InvalidRequest(f"The schema can't be created: {error}.", hint="Write CREATE TABLE statements.") from error
    finally:
        connection.close()


def _sayable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
