"""Grammars over llguidance's byte tokenizer: no model needed."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from smidgen.errors import ConstraintError, EngineError
from smidgen.messages import Constraint
from smidgen.worker.constrain import KEPT_GRAMMARS, Grammars


def byte_tokenizer() -> Any:
    from llguidance._lib import LLTokenizer

    return LLTokenizer("byte")


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    made = Grammars(byte_tokenizer, 262)
    made.prepare()
    made.wait(30)
    assert made.ready
    return made


def write(grammars: Grammars, constraint: Constraint, choose: bytes = b"") -> bytes:
    """Follow the grammar: forced bytes, then from `choose` where it is free, else the lowest byte."""
    matcher = grammars.matcher(constraint)
    wishes = list(choose)
    out = bytes(matcher.forced())
    while not matcher.finished and len(out) < 400:
        allowed = [token for token in matcher.allowed().tolist() if token < 256]
        if not allowed:
            break
        token = wishes.pop(0) if wishes and wishes[0] in allowed else allowed[0]
        matcher.accept([token])
        out += bytes([token])
        out += bytes(matcher.forced())
    return out


def schema(**properties: Any) -> Constraint:
    source = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return Constraint(kind="json_schema", source=json.dumps(source))


def test_output_under_a_schema_is_valid_json_of_that_schema(grammars: Grammars) -> None:
    made = write(grammars, schema(city={"enum": ["Oslo", "Rome"]}, ok={"type": "boolean"}), b"Rf")
    assert json.loads(made) == {"city": "Rome", "ok": False}


def test_what_the_grammar_forces_is_not_sampled(grammars: Grammars) -> None:
    matcher = grammars.matcher(schema(temperature={"const": 1}))
    assert bytes(matcher.forced()) == b'{"temperature": 1}'
    assert matcher.finished


def test_only_what_fits_is_allowed(grammars: Grammars) -> None:
    matcher = grammars.matcher(Constraint(kind="regex", source="[ab]c"))
    assert matcher.allowed().tolist() == [ord("a"), ord("b")]
    with pytest.raises(ConstraintError):
        matcher.accept([ord("z")])


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("json_schema", '{"type": "strin"}'),
        ("json_schema", "{nonsense"),
        ("json_schema", '{"type": "string", "pattern": "(unclosed"}'),
        ("json_schema", '{"not": {"type": "object"}}'),
        ("json_schema", '{"not": {"type": "string"}, "x-guidance": {"lenient": true}}'),
        ("json_schema", '{"$ref": "#/definitions/missing"}'),
        ("json_schema", '{"$ref": "https://example.com/schema.json"}'),
        ("lark", "start: missing_rule"),
        ("lark", "this is not lark"),
        ("regex", "(unclosed"),
        ("regex", "[z-a]"),
    ],
)
def test_what_can_not_be_enforced_is_refused_with_a_reason(grammars: Grammars, kind: Any, source: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        grammars.matcher(Constraint(kind=kind, source=source))
    assert len(caught.value.message) > 30
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("regex", "(a{1,1000}){1,1000}b{1,1000}"),
        ("regex", "(" * 90 + "a" + ")*" * 90),
        ("lark", "start: " + " | ".join(f'"{i:05}x"' for i in range(20_000))),
        ("json_schema", json.dumps({"anyOf": [{"type": "string", "pattern": "(a|b)*a(a|b){40}"}] * 30})),
    ],
)
def test_a_hostile_grammar_ends_in_an_error_or_works_but_does_not_hang(
    grammars: Grammars, kind: Any, source: str
) -> None:
    outcome: list[object] = []

    def attempt() -> None:
        try:
            outcome.append(grammars.matcher(Constraint(kind=kind, source=source)).allowed())
        except ConstraintError as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(30)
    assert outcome, "the grammar is still being worked on"


def test_compiled_grammars_are_kept_by_content_and_bounded() -> None:
    made = Grammars(byte_tokenizer, 262)
    made.prepare()
    made.wait(30)
    for _ in range(3):
        made.matcher(Constraint(kind="regex", source="abc"))
    assert (made.hits, made.misses) == (2, 1)
    for number in range(KEPT_GRAMMARS + 5):
        made.matcher(Constraint(kind="regex", source=f"x{number}"))
    made.matcher(Constraint(kind="regex", source="abc"))
    assert made.misses == 1 + KEPT_GRAMMARS + 5 + 1


def test_matchers_of_one_grammar_are_independent(grammars: Grammars) -> None:
    constraint = Constraint(kind="regex", source="ab")
    first, second = grammars.matcher(constraint), grammars.matcher(constraint)
    first.accept([ord("a"), ord("b")])
    assert first.finished and not second.finished


def test_a_tokenizer_that_can_not_be_made_is_told() -> None:
    def broken() -> Any:
        raise OSError("no table")

    made = Grammars(broken, 10)
    made.prepare()
    made.wait(5)
    with pytest.raises(EngineError, match="no table"):
        made.matcher(Constraint(kind="regex", source="a"))
