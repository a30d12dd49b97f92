"""What models write that checks once took, choked on or called by a wrong name."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from smidgen.config import Config
from smidgen.errors import InvalidRequest
from smidgen.patterns import Resources, task_of
from smidgen.patterns.verified import Checked, Json, Own, PythonCode, Quote, Regex, Sql, Tests, Verifier
from smidgen.patterns.verified.checked import block, verifier
from smidgen.patterns.verified.shapes import AT_ONCE, steps
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedModels
from smidgen.tools.programs import Executed


class Sandboxed:
    """Only the sandbox of `Resources`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def python(self, code: str, seconds: float) -> Executed:
        return await self._runtime.toolbox.programs.run(code, seconds)


async def checked(check: Verifier, text: str, resources: object = None) -> Checked:
    return await check.check(text, task_of("?"), cast(Resources, resources))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": 1e999}', "too large"),
        ('["\\ud800"]', "half of a character"),
        ('{"\\ud800": 1}', "half of a character"),
        ('"\ud800"', "half of a character"),
        ("9" * 5000, "more than 1000 digits"),
        ("[" * 101 + "]" * 101, "nested too deep"),
        ('{"a":' * 101 + "1" + "}" * 101, "nested too deep"),
        ("```json\n{}\n```\nor\n```json\n[]\n```", "2 blocks of code"),
    ],
)
async def test_json_that_not_every_reader_reads_alike(text: str, told: str):
    found = await checked(Json(), text)
    assert not found.ok and told in found.reason, found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```json\n[1]", "[1]"),
        ("~~~\n[1]\n~~~", "[1]"),
        ('````json\n["\n```\n````', '["\n```'),
        ("```json\r\n[1]\r\n```\r\nDone", "[1]"),
        ("no ``` here", "no ``` here"),
        ("[" * 100 + "]" * 100, "[" * 100 + "]" * 100),
    ],
)
def test_the_block_of_an_answer(text: str, shown: str):
    assert block(text) == shown


@pytest.mark.timeout(30)
def test_many_opened_blocks_are_looked_through_once():
    assert isinstance(block("```a\n" * 19_000), str)
    assert isinstance(block("```\n" * 24_000), Checked)


@pytest.mark.parametrize(
    ("schema", "text", "ok"),
    [
        ({"enum": [1, 2]}, "true", False),
        ({"enum": [1, 2]}, "1.0", True),
        ({"const": 0}, "false", False),
        ({"const": {"a": [1]}}, '{"a": [true]}', False),
        ({"const": {"a": [1]}}, '{"a": [1]}', True),
        ({"items": True}, "[1]", True),
    ],
)
async def test_true_is_not_one(schema: dict[str, Any], text: str, ok: bool):
    assert (await checked(Json(schema=schema), text)).ok is ok


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "int"},
        {"type": []},
        {"items": [{"type": "string"}]},
        {"items": False},
        {"properties": {"a": False}},
        {"properties": []},
        {"required": "name"},
        {"anyOf": {"type": "string"}},
        {"anyOf": []},
        {"enum": "abc"},
        {"minimum": "3"},
        {"maximum": True},
        {"minItems": -1},
        {"minLength": True},
        {"additionalProperties": {}},
        {"anyOf": [{"items": {"format": "date"}}]},
        [{"type": "string"}],
        True,
    ],
)
def test_schemas_that_can_not_be_checked_in_full_are_refused(schema: Any):
    with pytest.raises(InvalidRequest):
        Json(schema=schema)


async def test_all_that_is_missing_is_told_at_once():
    found = await checked(Json(schema={"required": ["a", "b"]}), "{}")
    assert found.reason == "a is missing; b is missing"


class Timed:
    """A sandbox that is given up at once."""

    async def python(self, code: str, seconds: float) -> Executed:
        self.seconds = seconds
        return Executed(stopped="time", tier="bubblewrap")


async def test_tests_have_the_time_that_they_are_given():
    sandbox = Timed()
    found = await checked(Tests(tests="assert x", seconds=0.5), "x = 1", sandbox)
    assert (sandbox.seconds, found.reason) == (0.5, "it takes longer than 0.5 seconds")


async def test_expressions_that_may_take_very_long_are_tried_in_the_sandbox():
    assert steps("[A-Z]{2}-[0-9]+", 100) < AT_ONCE < steps("[A-Z]{2}-[0-9]+", 100_000)
    for pattern in ("(a+)+b", "(a|a)*b", "(?:a?){30}", "a?" * 40, ".*.*.*.*b"):
        assert steps(pattern, 40 if pattern[0] != "." else 1000) > AT_ONCE, pattern
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({})) as runtime:
        resources = Sandboxed(runtime)
        slow = await checked(Regex(pattern="(a+)+b"), "a" * 40, resources)
        assert not slow.ok and "takes too long" in slow.reason
        groups = await checked(Regex(pattern="(?P<many>a+)(?P<none>c)?(,b)+"), "aa,b,b", resources)
        assert (groups.ok, groups.value) == (True, {"many": "aa", "none": None})
        plain = await checked(Regex(pattern="(ab|'|\")+c?"), "ab'\"c", resources)
        assert (plain.ok, plain.value) == (True, "ab'\"c")
        assert "must match" in (await checked(Regex(pattern="(ab)+c?"), "abx", resources)).reason


def test_expressions_that_look_around_have_no_grammar():
    for pattern in ("(?=a)a", "(?<!b)a", r"(a)\1", r"\bab\b", r"\Aab\Z", "(?P<a>x)(?P=a)"):
        assert Regex(pattern=pattern).constraint is None, pattern
    for pattern in ("^ab$", "(?P<a>x)", "(?:a|b)", "(?i)a", r"\d+", r"\\1", r"a\\bc"):
        assert Regex(pattern=pattern).constraint is not None, pattern


SOURCE = 'He said, "We shall go\u2014now." (Kafka) Cafe\u0301 au lait. It\u2019s late'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"', ""),
        ("\u2014", ""),
        ("., \u2014", ""),
        (', "We shall', ', "We shall'),
        ("(Kafka)", "(Kafka)"),
        ("Caf\u00e9 au lait", "Cafe\u0301 au lait"),
        ("It's late", "It\u2019s late"),
        ("He said,\n\n\u201cWe   shall go-now.\u201d", 'He said, "We shall go\u2014now."'),
        ("fka) Caf\u00e9", ""),
    ],
)
async def test_quotes_have_words_and_any_marks_around_them(text: str, shown: str):
    found = await checked(Quote(source=SOURCE), text)
    assert (found.ok, found.text) == (bool(shown), shown), found.reason


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("Sure", "does nothing"),
        ("return 5", "'return' outside function"),
        ("break", "'break' outside loop"),
        ("def f(a, a): pass", "duplicate argument"),
        ("\ud800", "half of a character"),
        ("-" * 50_000 + "1", "nested too deep"),
        ("a" + ".b" * 45_000, "recursion"),
        ("```python\nx = 1\n```\nand\n```python\ny = 2\n```", "2 blocks of code"),
    ],
)
async def test_what_is_no_program(code: str, told: str):
    found = await checked(PythonCode(), code)
    assert not found.ok and told in found.reason, found


def _strictly(text: str, *, strict: bool) -> bool:
    return strict and bool(text)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: PythonCode(defines=cast(Any, "fib")), "list of names"),
        (lambda: Tests(tests="def test_add():\n    assert add(1, 2) == 3"), "test nothing"),
        (lambda: Tests(tests='"assert add(1, 2) == 3"'), "test nothing"),
        (lambda: Tests(tests="from __future__ import annotations\nassert add"), "beginning of the file"),
        (lambda: Tests(tests="assert 1", seconds=float("nan")), "seconds"),
        (lambda: Sql(schema="-- none yet"), "no table"),
        (lambda: Regex(pattern=cast(Any, 5)), "must be a text"),
        (lambda: verifier(PythonCode), "is a class"),
        (lambda: Own(_strictly), "can't be called"),
    ],
)
def test_checks_that_would_pass_or_refuse_everything_are_not_made(make: Any, told: str):
    with pytest.raises(InvalidRequest, match=told):
        make()


async def test_sql_that_is_no_single_select(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "shop.sqlite")
    connection.executescript("CREATE TABLE item(name TEXT); INSERT INTO item VALUES ('pen');")
    connection.close()
    check = Sql(database=tmp_path / "shop.sqlite")
    for statement, told in (
        ("SELECT 1; SELECT 2", "one statement"),
        ("/* a */ -- b\nEXPLAIN SELECT 1", "EXPLAIN"),
        ("SELECT '\ud800'", "half of a character"),
        ("SELECT 1\x00", "null character"),
        (f"SELECT '{'x' * 2000}'", "longer than 2000"),
        ("ATTACH 'other.sqlite' AS other", "ATTACH"),
        ("WITH a AS (SELECT 1) DELETE FROM item", "DELETE"),
        ("-- nothing", "no SELECT"),
        ("WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t", "too long"),
    ):
        found = await checked(check, statement)
        assert not found.ok and told in found.reason, (statement, found)
    assert (await checked(check, "SELECT name FROM item; -- all")).value == [["pen"]]


async def test_functions_say_no_in_more_than_one_way():
    said: dict[str, Any] = {"no": np.False_, "yes": np.True_, "array": np.array([1, 2]), "list": [], "0": 0}
    for text in said:
        assert (await checked(Own(said.__getitem__), text)).ok is (text != "no"), text

    def short(text: str) -> None:
        assert len(text) < 3, "it is too long"

    assert (await checked(Own(short), "long")).reason.startswith("it is too long")


async def test_functions_get_what_they_ask_for():
    def limited(text: str, limit: int = 3) -> bool:
        return len(text) < limit

    def all_there_is(*given: object) -> object:
        return {"given": len(given)}

    def verdict(text: str) -> Checked:
        return Checked(ok=True, value=5)

    assert (await checked(Own(limited), "ab")).ok
    assert (await checked(Own(all_there_is), "x")).value == {"given": 3}
    assert await checked(Own(verdict), "five") == Checked(ok=True, value=5, text="five")


async def test_answers_of_any_length_are_not_read():
    long = "x" * 100_001
    for check in (Json(), Quote(source=long), Regex(pattern="x*"), PythonCode(), Tests(tests="assert x")):
        assert "longer than 100000 characters" in (await checked(check, long)).reason, check.name


async def test_a_plain_function_does_not_hold_up_the_loop():
    def where(text: str) -> object:
        return {"thread": threading.current_thread() is threading.main_thread()}

    async def here(text: str) -> object:
        return {"thread": threading.current_thread() is threading.main_thread()}

    assert (await checked(Own(where), "x")).value == {"thread": False}
    assert (await checked(Own(here), "x")).value == {"thread": True}
