"""The checks: what passes, what it is then, and what is told of what doesn't."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest

from smidgen.config import Config
from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.patterns import Resources, task_of
from smidgen.patterns.verified import (
    Checked,
    Date,
    Json,
    Number,
    Own,
    PythonCode,
    Quantity,
    Quote,
    Regex,
    Sql,
    Tests,
    Verifier,
)
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedModels
from smidgen.tools.programs import Executed


class Sandboxed:
    """Only the sandbox of `Resources`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def python(self, code: str, seconds: float) -> Executed:
        return await self._runtime.toolbox.programs.run(code, seconds)


async def checked(check: Verifier, text: str, request: str = "?", resources: object = None) -> Checked:
    return await check.check(text, task_of(request), cast(Resources, resources))


@pytest.mark.parametrize(
    ("check", "text", "value", "shown"),
    [
        (Number(), "That would be 1,250.50 euros in all.", 1250.5, "1250.5"),
        (Number(integer=True), "12.0", 12, "12"),
        (Number(integer=True), "It has seven sides.", 7, "7"),
        (Number(min=-5, max=5), "−3", -3, "-3"),
        (Number(), "6 + 6: 6", 6, "6"),
        (Number(), "6.02e23", 6.02e23, "6.02E+23"),
        (Number(decimals=2), "3.10", 3.1, "3.1"),
        (Quantity(unit="s"), "1.5 minutes", 90, "1.5 minutes"),
        (Quantity(unit="km/h", max=130), "25 m/s.", 90, "25 m/s"),
        (Date(), "It was on July 4, 1976.", "1976-07-04", "1976-07-04"),
        (Date(earliest="2020-01-01", latest="2020-12-31"), "25/12/2020", "2020-12-25", "2020-12-25"),
        (Date(iso=True), "Due 2026-02-28", "2026-02-28", "2026-02-28"),
        (Regex(pattern="[A-Z]{2}-[0-9]+"), " AB-12\n", "AB-12", "AB-12"),
        (Regex(pattern="(?P<low>[0-9]+)-(?P<high>[0-9]+)"), "3-5", {"low": "3", "high": "5"}, "3-5"),
        (Json(schema={"type": "array", "items": {"type": "integer"}}), "```json\n[1, 2]\n```", [1, 2], "[1, 2]"),
        (Quote(source="He said:  “We\n go now.”"), '"we go"', None, ""),
        (Quote(source="He said:  “We\n go now.”"), '"We go now."', None, "“We\n go now.”"),
        (PythonCode(defines=("f",)), "Sure:\n```python\ndef f():\n    pass\n```\nDone", None, "def f():\n    pass"),
    ],
)
async def test_what_passes_is_told_without_what_stands_around_it(check: Verifier, text: str, value: Any, shown: str):
    found = await checked(check, text)
    if not shown:
        assert not found.ok
        return
    assert (found.ok, found.text) == (True, shown), found.reason
    assert value is None or found.value == value


@pytest.mark.parametrize(
    ("check", "text", "told"),
    [
        (Number(), "none at all, sorry", "one number"),
        (Number(), "15%", "without a percent sign"),
        (Number(), "3 or 4", "not 2"),
        (Number(integer=True), "2.5", "no whole number"),
        (Number(min=0), "-1", "less than 0"),
        (Number(max=10), "11", "more than 10"),
        (Number(decimals=1), "0.25", "more than 1 decimals"),
        (Number(), "1e999", "too large"),
        (Number(), "1.2.3", "one number"),
        (Quantity(unit="km"), "5", "no unit"),
        (Quantity(unit="km"), "5 kg", "nothing that km measures"),
        (Quantity(unit="km"), "9^9^9^9 km", 'as in "12 km"'),
        (Quantity(unit="km", max=2), "3000 m", "more than 2 km"),
        (Date(), "sometime in spring", "must say a date"),
        (Date(), "from 2020-01-01 to 2020-01-03", "one date only"),
        (Date(), "03/04/2020", "two ways"),
        (Date(), "2021-02-30", "is not a date"),
        (Date(earliest="2020-01-01"), "2019-12-31", "before 2020-01-01"),
        (Date(iso=True), "July 4, 1976", "2026-12-25"),
        (Regex(pattern="[a-z]+"), "abc 1", "must match"),
        (Json(), "{'a': 1}", "no valid JSON"),
        (Json(), "NaN", "no number of JSON"),
        (Json(), "[" * 50_000, "nested too deep"),
        (Json(schema={"type": "object", "required": ["a"]}), "{}", "a is missing"),
        (Json(schema={"properties": {"a": {}}, "additionalProperties": False}), '{"b": 1}', "no property b"),
        (Quote(source="the cat sat"), "the cat", ""),
        (Quote(source="the cat sat"), "he cat", "word for word"),
        (Quote(source="the cat sat"), "the dog", "word for word"),
        (Quote(source="the cat sat", words=3), "the cat", "at least 3 words"),
        (PythonCode(), "def f(:", "no valid Python"),
        (PythonCode(), "```python\n```", "no code"),
        (PythonCode(defines=("f", "g")), "def f(): pass", "must define g"),
    ],
)
async def test_what_is_wrong_is_told_in_words(check: Verifier, text: str, told: str):
    found = await checked(check, text)
    assert found.ok == (not told)
    assert told in found.reason


async def test_quotes_are_of_the_conversation_where_no_source_is_given():
    assert (await checked(Quote(), "a stitch in time", "Quote from: A stitch, a stitch in   time.")).text == (
        "a stitch in   time"
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Number(min=2, max=1), "at least 2"),
        (lambda: Number(max=float("inf")), "finite"),
        (lambda: Quantity(unit="blorps"), "no unit"),
        (lambda: Date(earliest="soon"), "no date"),
        (lambda: Regex(pattern="("), "regular expression"),
        (lambda: Json(schema={"properties": {"a": {"pattern": "x"}}}), "pattern"),
        (lambda: Json(schema={"additionalProperties": {"type": "string"}}), "additionalProperties"),
        (lambda: Sql(), "database or a schema"),
        (lambda: Sql(schema="CREATE TABEL x"), "can't be created"),
        (lambda: Tests(tests="assert ("), "no Python"),
        (lambda: Tests(tests="  "), "no tests"),
    ],
)
def test_checks_that_can_not_be_are_refused_when_they_are_made(make: Any, told: str):
    with pytest.raises(InvalidRequest, match=told):
        make()


async def test_functions_of_ones_own_say_yes_no_why_and_what():
    def asked(text: str) -> object:
        if text == "raise":
            raise ValueError("that can't be read")
        return {"yes": True, "no": False, "none": None, "why": "too short", "": "", "7": 7}[text]

    own = Own(asked)
    assert own.name == "asked"
    for text, expected in (
        ("yes", Checked(ok=True, value="yes", text="yes")),
        ("", Checked(ok=True, value="", text="")),
        ("7", Checked(ok=True, value=7, text="7")),
        ("no", Checked(ok=False, reason="it doesn't pass asked")),
        ("none", Checked(ok=False, reason="it doesn't pass asked")),
        ("why", Checked(ok=False, reason="too short")),
        ("raise", Checked(ok=False, reason="that can't be read")),
    ):
        assert await checked(own, text) == expected

    async def with_task(text: str, task: Any) -> bool:
        return text in task.request

    assert (await checked(Own(with_task), "cat", "the cat")).ok
    assert (await checked(Own(str.isupper), "CAT")).ok


def test_a_grammar_goes_with_the_checks_that_have_one():
    number = Number(min=0, integer=True).constraint
    assert number is not None and number.source == "(0|[1-9][0-9]{0,14})"
    narrow = Number(min=-5, max=120, decimals=1).constraint
    assert narrow is not None and narrow.source == r"-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,1})?"
    schema = Json(schema={"type": "object"}).constraint
    assert schema is not None and json.loads(schema.source) == {"type": "object"}
    assert Quote().constraint is None


async def test_code_passes_its_tests_in_the_sandbox_or_is_told_the_one_that_fails():
    tests = Tests(tests="assert add(1, 2) == 3\nassert add(-1, 1) == 0", seconds=2)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({})) as runtime:
        resources = Sandboxed(runtime)
        good = await checked(tests, "```python\ndef add(a, b):\n    return a + b\n```", resources=resources)
        assert (good.ok, good.text) == (True, "def add(a, b):\n    return a + b")
        bad = await checked(tests, "def add(a, b):\n    return a * b", resources=resources)
        assert "assert add(1, 2) == 3" in bad.reason and "AssertionError" in bad.reason
        for code, told in (
            ("import sys\nsys.exit(0)", "ends before the tests do"),
            ("import os\nos._exit(0)", "ends before the tests do"),
            ("x = input()", "fails when it is run with the tests: EOFError"),
            ("def add(a, b):\n    while True: pass", "longer than 2 seconds"),
            ("def add(a, b)", "no valid Python"),
        ):
            found = await checked(tests, code, resources=resources)
            assert not found.ok and told in found.reason, code


async def test_sql_runs_on_a_file_and_changes_nothing(tmp_path: Path):
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE item(name TEXT, price REAL); INSERT INTO item VALUES ('pen', 2), ('ink', 5);"
    )
    connection.close()
    before = path.read_bytes()
    check = Sql(database=path, rows=True)
    found = await checked(check, "```sql\nSELECT name FROM item WHERE price > 3\n```")
    assert (found.ok, found.text, found.value) == (True, "SELECT name FROM item WHERE price > 3", [["ink"]])
    for statement, told in (
        ("SELECT nam FROM item", "name"),
        ("DELETE FROM item", "only SELECT"),
        ("SELECT name FROM item WHERE price > 9", "no rows"),
        ("SELEC 1", "wrong near 'SELEC'"),
    ):
        found = await checked(check, statement)
        assert not found.ok and told in found.reason, (statement, found)
    assert path.read_bytes() == before
    with pytest.raises(ToolFailed, match="can't be checked"):
        await checked(Sql(database=tmp_path / "none.sqlite"), "SELECT 1")


async def test_sql_runs_on_a_schema():
    check = Sql(schema="CREATE TABLE item(name TEXT, price REAL);")
    assert (await checked(check, "SELECT max(price) FROM item")).value == [[None]]
    assert "prise" in (await checked(check, "SELECT prise FROM item")).reason
