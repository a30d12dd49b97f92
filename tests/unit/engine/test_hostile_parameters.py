"""Every absurd parameter is a typed error in this process; none reaches native code."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from smidgen.engine import validate
from smidgen.engine.local import LocalEngine
from smidgen.errors import ConstraintError, InvalidRequest
from smidgen.messages import Constraint, GenerateRequest, Sampling, ScoreRequest, Segment
from smidgen.wire import LoadOptions

PROMPT = (Segment("Hello"),)
NAN, INF = math.nan, math.inf
SURROGATE = "a\ud800b"
DEEP_SCHEMA = '{"items":' * 101 + "{}" + "}" * 101

SAMPLING: list[dict[str, Any]] = [
    {"temperature": NAN},
    {"temperature": INF},
    {"temperature": -INF},
    {"temperature": -0.1},
    {"temperature": 1e9},
    {"temperature": "0.7"},
    {"temperature": None},
    {"temperature": True},
    {"top_k": -1},
    {"top_k": 2**31},
    {"top_k": 1.5},
    {"top_k": True},
    {"top_p": 0.0},
    {"top_p": 1.0001},
    {"top_p": -1.0},
    {"top_p": NAN},
    {"min_p": -0.1},
    {"min_p": 1.1},
    {"min_p": NAN},
    {"repeat_penalty": 0.0},
    {"repeat_penalty": -1.0},
    {"repeat_penalty": NAN},
    {"repeat_penalty": INF},
    {"repeat_penalty": 10**400},
    {"repeat_last_n": -1},
    {"repeat_last_n": 2**31},
    {"frequency_penalty": NAN},
    {"frequency_penalty": INF},
    {"presence_penalty": -INF},
    {"presence_penalty": "1"},
    {"seed": 2**64},
    {"seed": -(2**63) - 1},
    {"seed": 10**4000},
    {"seed": 1.0},
]

REQUEST: list[dict[str, Any]] = [
    {"max_tokens": 0},
    {"max_tokens": -1},
    {"max_tokens": 10**12},
    {"max_tokens": 1.5},
    {"max_tokens": "10"},
    {"prompt": ()},
    {"prompt": (Segment(""),)},
    {"prompt": "Hello"},
    {"prompt": None},
    {"prompt": ("Hello",)},
    {"prompt": (Segment(SURROGATE),)},
    {"prompt": (Segment(b"bytes"),)},  # type: ignore[arg-type]
    {"prompt": (Segment("x", 1),)},  # type: ignore[arg-type]
    {"prompt": (Segment("x" * (validate.MAX_PROMPT_CHARACTERS + 1)),)},
    {"prompt": (Segment("x" * validate.MAX_PROMPT_CHARACTERS), Segment("y"))},
    {"prompt": (Segment("x"),) * (validate.MAX_SEGMENTS + 1)},
    {"stop": ("",)},
    {"stop": ("x" * (validate.MAX_STOP_CHARACTERS + 1),)},
    {"stop": tuple(f"s{number}" for number in range(validate.MAX_STOPS + 1))},
    {"stop": "END"},
    {"stop": (1,)},
    {"stop": (SURROGATE,)},
    {"logprobs": 21},
    {"logprobs": -1},
    {"logprobs": True},
    {"timeout_s": 0.0},
    {"timeout_s": -1.0},
    {"timeout_s": NAN},
    {"timeout_s": INF},
    {"timeout_s": "1"},
    {"pin": -1},
    {"priority": 2**40},
    {"cache": "other"},
    {"cache": None},
    {"prompt": (Segment("a", tokens=(-1,)),)},
    {"prompt": (Segment("a", tokens=(2**31,)),)},
    {"prompt": (Segment("a", tokens=(1.0,)),)},  # type: ignore[arg-type]
    {"prompt": (Segment("a", tokens="1"),)},  # type: ignore[arg-type]
    {"ignore_eos": "yes"},
    {"sampling": None},
    {"sampling": {"temperature": 0}},
]

CONSTRAINTS: list[Any] = [
    Constraint(kind="gbnf", source="root ::= 'a'"),  # type: ignore[arg-type]
    Constraint(kind="json_schema", source=""),
    Constraint(kind="json_schema", source="{"),
    Constraint(kind="json_schema", source="[]"),
    Constraint(kind="json_schema", source="false"),
    Constraint(kind="json_schema", source='{"minimum": NaN}'),
    Constraint(kind="json_schema", source="{'type': 'object'}"),
    Constraint(kind="json_schema", source={"type": "object"}),  # type: ignore[arg-type]
    Constraint(kind="json_schema", source=DEEP_SCHEMA),
    Constraint(kind="json_schema", source="[" * 60_000 + "]" * 60_000),
    Constraint(kind="json_schema", source=json.dumps({"description": "x" * validate.MAX_SOURCE_BYTES})),
    Constraint(kind="lark", source="start: " + "(" * 60_000 + '"a"' + ")" * 60_000),
    Constraint(kind="lark", source="   "),
    Constraint(kind="lark", source="start: \0"),
    Constraint(kind="regex", source="(" * 60_000),
    Constraint(kind="regex", source="[" * 101),
    Constraint(kind="regex", source=SURROGATE),
    Constraint(kind="regex", source="ä" * (validate.MAX_SOURCE_BYTES // 2 + 1)),
    "not a constraint",
]

SCORES: list[dict[str, Any]] = [
    {"candidates": ()},
    {"candidates": ("yes", "yes")},
    {"candidates": ("yes", "")},
    {"candidates": tuple(str(number) for number in range(validate.MAX_CANDIDATES + 1))},
    {"candidates": "yes"},
    {"candidates": (1, 2)},
    {"candidates": (SURROGATE,)},
    {"normalize": "softmax"},
    {"timeout_s": NAN},
    {"prompt": ()},
]

OPTIONS: list[dict[str, Any]] = [
    {"path": ""},
    {"path": "a\0b"},
    {"path": 7},
    {"path": SURROGATE},
    {"sha256": "xyz"},
    {"context": 0},
    {"context": -4096},
    {"context": 10**9},
    {"context": 4096.0},
    {"batch": 0},
    {"batch": 513},
    {"batch": -1},
    {"threads": -1},
    {"threads": 10**6},
    {"gpu_layers": -2},
    {"gpu_layers": 10**6},
    {"kv_bits": 4},
    {"pace_s": float("nan")},
    {"pace_s": -1.0},
    {"drafts": "yes"},
    {"sequences": 0},
    {"sequences": 257},
    {"max_queue": 0},
    {"memory_limit": -1},
    {"memory_limit": 2**63},
    {"use_mmap": 1},
    {"embeddings": None},
    {"swa_full": "yes"},
    {"vocab_cache": None},
]

TEXTS: list[Any] = [(), ("",), "text", (1,), (SURROGATE,), ("x",) * (validate.MAX_TEXTS + 1)]


def shown(value: Any) -> str:
    return repr(value)[:60]


@pytest.mark.parametrize("changes", SAMPLING, ids=shown)
def test_absurd_sampling_is_refused_by_name(changes):
    (field,) = changes
    with pytest.raises(InvalidRequest) as caught:
        validate.generate_request(GenerateRequest(prompt=PROMPT, sampling=Sampling(**changes)))
    assert f"sampling.{field} is " in caught.value.message
    assert "allowed: " in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("changes", REQUEST, ids=shown)
def test_absurd_request_is_refused_by_name(changes):
    (field,) = changes
    with pytest.raises(InvalidRequest) as caught:
        validate.generate_request(GenerateRequest(**{"prompt": PROMPT, **changes}))
    assert caught.value.message.startswith(field)
    assert caught.value.details["allowed"]
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=shown)
def test_hostile_constraint_is_refused_never_opened(constraint):
    with pytest.raises(ConstraintError) as caught:
        validate.generate_request(GenerateRequest(prompt=PROMPT, constraint=constraint))
    assert caught.value.message.startswith("constraint")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("changes", SCORES, ids=shown)
def test_absurd_score_request_is_refused(changes):
    with pytest.raises(InvalidRequest):
        validate.score_request(ScoreRequest(**{"prompt": PROMPT, "candidates": ("yes", "no"), **changes}))


@pytest.mark.parametrize("changes", OPTIONS, ids=shown)
def test_absurd_options_are_refused_before_a_process_is_started(changes):
    (field,) = changes
    with pytest.raises(InvalidRequest, match=field):
        LocalEngine("m", LoadOptions(**{"path": "model.gguf", **changes}))


@pytest.mark.parametrize("given", TEXTS, ids=shown)
def test_absurd_texts_to_embed_are_refused(given):
    with pytest.raises(InvalidRequest):
        validate.texts(given)


@pytest.mark.parametrize("tokens", [(-1,), (260,), (2**40,), (1.0,), ("1",), (True,), "ab", None], ids=shown)
def test_token_ids_out_of_range_are_refused(tokens):
    with pytest.raises(InvalidRequest):
        validate.token_ids(tokens, 260)


@pytest.mark.parametrize("pairs", [(), (("user",),), (("user", "a\0b"),), ("user", "x"), ((1, "x"),)], ids=shown)
def test_absurd_messages_for_the_native_template_are_refused(pairs):
    with pytest.raises(InvalidRequest):
        validate.pairs(pairs)


@pytest.mark.parametrize("given", [None, "request", 7, {}, ScoreRequest(prompt=PROMPT, candidates=("a",))], ids=shown)
def test_what_is_no_request_at_all_is_refused(given):
    with pytest.raises(InvalidRequest):
        validate.generate_request(given)


EXTREMES: list[dict[str, Any]] = [
    {"sampling": Sampling(temperature=0, top_k=0, top_p=1, min_p=0, repeat_last_n=0)},
    {"sampling": Sampling(temperature=100.0, top_p=1e-9, min_p=1.0, repeat_penalty=1e-3, seed=2**64 - 1)},
    {"sampling": Sampling(seed=-(2**63), frequency_penalty=-2.0, presence_penalty=2.0)},
    {"max_tokens": 1, "logprobs": 20, "timeout_s": 0.001, "priority": -5, "pin": 10},
    {"prompt": (Segment(""), Segment("\0"))},
    {"prompt": [Segment("lists are fine"), Segment("too", False)]},
    {"prompt": (Segment("𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \ufeff\u202e"),), "stop": ("\n\n", "</s>")},
    {"constraint": Constraint(kind="json_schema", source="true")},
    {"constraint": Constraint(kind="json_schema", source='{"items":' * 99 + "{}" + "}" * 99)},
    {"constraint": Constraint(kind="regex", source="(" * 100 + "a" + ")" * 100)},
    {"constraint": Constraint(kind="lark", source='start: "a" | "b"')},
]


@pytest.mark.parametrize("changes", EXTREMES, ids=shown)
def test_valid_extremes_pass(changes):
    validate.generate_request(GenerateRequest(**{"prompt": PROMPT, **changes}))


def test_valid_options_and_scores_pass():
    validate.load_options(LoadOptions(path="m.gguf", context=1, batch=1, gpu_layers=-1, sequences=1, sha256="a" * 64))
    validate.score_request(ScoreRequest(prompt=PROMPT, candidates=tuple(map(str, range(validate.MAX_CANDIDATES)))))
    validate.prompt((), allow_empty=True)


def test_the_table_is_as_long_as_promised():
    assert len(SAMPLING) + len(REQUEST) + len(CONSTRAINTS) + len(SCORES) + len(OPTIONS) + len(TEXTS) >= 75
