"""Pure checks of everything a caller can say, before it crosses to native code. Each refusal names the field, the value
and what is allowed. Types are checked too, since a frozen struct takes anything at construction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from smidgen.errors import ConstraintError, InvalidRequest
from smidgen.messages import Constraint, GenerateRequest, Prompt, Sampling, ScoreRequest, Segment
from smidgen.wire import LoadOptions

MAX_PROMPT_CHARACTERS = 16 * 1024 * 1024
MAX_SEGMENTS = 100_000
MAX_TOKENS = 1_000_000_000
MAX_STOPS = 64
MAX_STOP_CHARACTERS = 1024
MAX_LOGPROBS = 20
MAX_TIMEOUT_S = 30 * 24 * 3600.0
MAX_CANDIDATES = 4096
MAX_TEXTS = 4096
MAX_SOURCE_BYTES = 1024 * 1024
MAX_NESTING = 100
"""Of brackets in a schema, grammar or regex: 60,000 nested parentheses overflow the native parser's stack."""
MAX_SEED = 2**64 - 1
MAX_TEMPERATURE = 100.0
MAX_BATCH = 512
MAX_THREADS = 1024
MAX_CONTEXT = 16 * 1024 * 1024
MAX_VOCABULARY = 2**31
"""Where a request is checked before its model is known: the worker knows which tokens there are."""
KINDS = ("json_schema", "lark", "regex")
CACHES = ("chat", "editor")

# --- requests -------------------------------------------------------------------------------------------------------


def generate_request(request: GenerateRequest) -> None:
    """Raises InvalidRequest, ConstraintError."""
    _instance("request", request, GenerateRequest)
    prompt(request.prompt)
    sampling(request.sampling)
    if request.constraint is not None:
        constraint(request.constraint)
    if request.max_tokens is not None:
        _integer("max_tokens", request.max_tokens, 1, MAX_TOKENS)
    _stops(request.stop)
    timeout(request.timeout_s)
    _integer("logprobs", request.logprobs, 0, MAX_LOGPROBS)
    _boolean("ignore_eos", request.ignore_eos)
    _integer("pin", request.pin, 0, MAX_TOKENS)
    _integer("priority", request.priority, -(2**31), 2**31 - 1)
    if request.cache not in CACHES:
        _refuse("cache", request.cache, f"one of {', '.join(CACHES)}")


def score_request(request: ScoreRequest) -> None:
    """Raises InvalidRequest."""
    _instance("request", request, ScoreRequest)
    prompt(request.prompt)
    candidates = _strings("candidates", request.candidates, 1, MAX_CANDIDATES)
    total = 0
    for index, candidate in enumerate(candidates):
        where = f"candidates[{index}]"
        _text(where, candidate, MAX_PROMPT_CHARACTERS)
        if not candidate:
            _refuse(where, candidate, "a text that isn't empty")
        total += len(candidate)
    if total > MAX_PROMPT_CHARACTERS:
        _refuse("candidates", f"{total} characters", f"at most {MAX_PROMPT_CHARACTERS} together")
    if len(set(candidates)) != len(candidates):
        twice = next(text for index, text in enumerate(candidates) if text in candidates[:index])
        _refuse("candidates", twice, "each text once")
    if request.normalize not in ("none", "choices"):
        _refuse("normalize", request.normalize, "'none' or 'choices'")
    timeout(request.timeout_s)


def texts(given: tuple[str, ...]) -> None:
    """Of an embedding request. Raises InvalidRequest."""
    total = 0
    for index, text in enumerate(_strings("texts", given, 1, MAX_TEXTS)):
        _text(f"texts[{index}]", text, MAX_PROMPT_CHARACTERS)
        if not text:
            _refuse(f"texts[{index}]", text, "a text that isn't empty")
        total += len(text)
    if total > MAX_PROMPT_CHARACTERS:
        _refuse("texts", f"{total} characters", f"at most {MAX_PROMPT_CHARACTERS} together")


def prompt(given: Prompt, *, allow_empty: bool = False) -> None:
    """Raises InvalidRequest."""
    if not _is_sequence(given):
        _refuse("prompt", given, "a tuple of segments")
    if len(given) > MAX_SEGMENTS:
        _refuse("prompt", f"{len(given)} segments", f"at most {MAX_SEGMENTS}")
    total = 0
    for index, segment in enumerate(given):
        _instance(f"prompt[{index}]", segment, Segment)
        _text(f"prompt[{index}].text", segment.text, MAX_PROMPT_CHARACTERS)
        _boolean(f"prompt[{index}].special", segment.special)
        token_ids(segment.tokens, MAX_VOCABULARY, f"prompt[{index}].tokens")
        total += len(segment.text) + len(segment.tokens)
    if total > MAX_PROMPT_CHARACTERS:
        _refuse("prompt", f"{total} characters", f"at most {MAX_PROMPT_CHARACTERS}")
    if total == 0 and not allow_empty:
        _refuse("prompt", "no text", "at least one character")


def sampling(given: Sampling) -> None:
    """Raises InvalidRequest."""
    _instance("sampling", given, Sampling)
    _number("sampling.temperature", given.temperature, 0.0, MAX_TEMPERATURE)
    _integer("sampling.top_k", given.top_k, 0, 2**31 - 1)
    _number("sampling.top_p", given.top_p, 0.0, 1.0, above=True)
    _number("sampling.min_p", given.min_p, 0.0, 1.0)
    _number("sampling.repeat_penalty", given.repeat_penalty, 0.0, 100.0, above=True)
    _integer("sampling.repeat_last_n", given.repeat_last_n, 0, 2**31 - 1)
    _number("sampling.frequency_penalty", given.frequency_penalty, -100.0, 100.0)
    _number("sampling.presence_penalty", given.presence_penalty, -100.0, 100.0)
    _integer("sampling.seed", given.seed, -(2**63), MAX_SEED)


def token_ids(tokens: tuple[int, ...], vocab_size: int, field: str = "tokens") -> None:
    """Raises InvalidRequest. An id out of range aborts the native library."""
    if not _is_sequence(tokens):
        _refuse(field, tokens, "a tuple of token ids")
    for index, token in enumerate(tokens):
        _integer(f"{field}[{index}]", token, 0, vocab_size - 1)


def pairs(messages: tuple[tuple[str, str], ...]) -> None:
    """(role, content) pairs for the native template. Raises InvalidRequest. Its C interface can't carry NUL."""
    if not messages:
        _refuse("messages", "none", "at least one")
    for index, pair in enumerate(messages):
        if not _is_sequence(pair) or len(pair) != 2:
            _refuse(f"messages[{index}]", pair, "a pair of role and content")
        for part, text in zip(("role", "content"), pair, strict=True):
            _text(f"messages[{index}].{part}", text, MAX_PROMPT_CHARACTERS)
            if "\0" in text:
                _refuse(f"messages[{index}].{part}", text, "text without NUL")


# --- constraints ----------------------------------------------------------------------------------------------------


def constraint(given: Constraint) -> None:
    """Raises ConstraintError. What it lets through may still be refused by the grammar compiler, within its limits."""
    if not isinstance(given, Constraint):  # pyright: ignore[reportUnnecessaryIsInstance]
        _refuse_constraint("constraint", given, "a Constraint")
    if given.kind not in KINDS:
        _refuse_constraint("constraint.kind", given.kind, f"one of {', '.join(KINDS)}")
    if not isinstance(given.source, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        _refuse_constraint("constraint.source", given.source, "text")
    if not given.source.strip():
        _refuse_constraint("constraint.source", given.source, "text that isn't empty")
    try:
        size = len(given.source.encode())
    except UnicodeEncodeError:
        _refuse_constraint("constraint.source", given.source, "text that can be written as UTF-8 (no lone surrogates)")
    if size > MAX_SOURCE_BYTES:
        _refuse_constraint("constraint.source", f"{size} bytes", f"at most {MAX_SOURCE_BYTES}")
    if "\0" in given.source:
        _refuse_constraint("constraint.source", given.source, "text without NUL")
    depth = nesting(given.source)
    if depth > MAX_NESTING:
        _refuse_constraint("constraint.source", f"nested {depth} deep", f"at most {MAX_NESTING} brackets deep")
    if given.kind == "json_schema":
        _schema(given.source)


def nesting(source: str) -> int:
    """Deepest nesting of (), [] and {} in a text, wherever they stand. Counting those in strings too errs on the safe
    side: no reader of it can nest deeper."""
    depth = deepest = 0
    for character in source:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}" and depth:
            depth -= 1
    return deepest


def _schema(source: str) -> None:
    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} isn't JSON")

    try:
        schema: Any = json.loads(source, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise ConstraintError(
            f"constraint.source isn't valid JSON: {error}.", hint="Give the schema as JSON text.", field="constraint"
        ) from None
    if not isinstance(schema, dict | bool):
        _refuse_constraint("constraint.source", schema, "a JSON Schema: an object, true or false")
    if schema is False:
        _refuse_constraint("constraint.source", schema, "a schema that some value satisfies")


# --- options --------------------------------------------------------------------------------------------------------


def load_options(options: LoadOptions) -> None:
    """Raises InvalidRequest."""
    _instance("options", options, LoadOptions)
    _text("path", options.path, 32_768)
    if not options.path or "\0" in options.path:
        _refuse("path", options.path, "a file's path, without NUL")
    _text("sha256", options.sha256, 64)
    if options.sha256 and (len(options.sha256) != 64 or not set(options.sha256) <= set("0123456789abcdefABCDEF")):
        _refuse("sha256", options.sha256, "64 hexadecimal digits, or nothing")
    _integer("context", options.context, 1, MAX_CONTEXT)
    _integer("batch", options.batch, 1, MAX_BATCH)
    _integer("threads", options.threads, 0, MAX_THREADS)
    _integer("gpu_layers", options.gpu_layers, -1, 100_000)
    if options.kv_bits not in (8, 16):
        _refuse("kv_bits", options.kv_bits, "8 or 16")
    _integer("sequences", options.sequences, 1, 256)
    _integer("max_queue", options.max_queue, 1, 1_000_000)
    _integer("memory_limit", options.memory_limit, 0, 2**63 - 1)
    _number("pace_s", options.pace_s, 0.0, 3600.0)
    _text("vocab_cache", options.vocab_cache, 32_768)
    for name in ("swa_full", "use_mmap", "embeddings", "forced_tokens", "drafts"):
        _boolean(name, getattr(options, name))


# --- shared ---------------------------------------------------------------------------------------------------------


def _refuse(field: str, value: object, allowed: str) -> NoReturn:
    raise InvalidRequest(f"{field} is {_shown(value)}; allowed: {allowed}.", field=field, allowed=allowed)


def _refuse_constraint(field: str, value: object, allowed: str) -> NoReturn:
    raise ConstraintError(f"{field} is {_shown(value)}; allowed: {allowed}.", field=field, allowed=allowed)


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str | int | float | bool | None):
        shown = ascii(value)
        return shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"of type {type(value).__name__}"


def _instance(field: str, value: object, cls: type) -> None:
    if not isinstance(value, cls):
        _refuse(field, value, f"a {cls.__name__}")


def _is_sequence(value: object) -> bool:
    return isinstance(value, tuple | list)


def _strings(field: str, value: Sequence[str], least: int, most: int) -> tuple[str, ...]:
    if not _is_sequence(value):
        _refuse(field, value, "a tuple of texts")
    if not least <= len(value) <= most:
        _refuse(field, f"{len(value)} texts", f"{least} to {most}")
    for index, text in enumerate(value):
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            _refuse(f"{field}[{index}]", text, "text")
    return tuple(value)


def _text(field: str, value: object, most: int) -> None:
    if not isinstance(value, str):
        _refuse(field, value, "text")
    if len(value) > most:
        _refuse(field, f"{len(value)} characters", f"at most {most}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        _refuse(field, value[error.start : error.start + 1], "text that can be written as UTF-8 (no lone surrogates)")


def _stops(value: tuple[str, ...]) -> None:
    for index, stop in enumerate(_strings("stop", value, 0, MAX_STOPS)):
        _text(f"stop[{index}]", stop, MAX_STOP_CHARACTERS)
        if not stop:
            _refuse(f"stop[{index}]", stop, "a text that isn't empty")


def timeout(value: float | None) -> None:
    """Seconds, None for no limit. Raises InvalidRequest."""
    if value is not None:
        _number("timeout_s", value, 0.0, MAX_TIMEOUT_S, above=True)


def _boolean(field: str, value: object) -> None:
    if not isinstance(value, bool):
        _refuse(field, value, "true or false")


def _integer(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(field, value, f"an integer from {least} to {most}")


def _number(field: str, value: object, least: float, most: float, *, above: bool = False) -> None:
    """`above`: least itself isn't allowed."""
    allowed = f"a number {'above' if above else 'from'} {least:g} {'up to' if above else 'to'} {most:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(field, value, allowed)
    if not least <= value <= most or (above and value == least):  # NaN compares false
        _refuse(field, value, allowed)


__all__ = [
    "constraint",
    "generate_request",
    "load_options",
    "nesting",
    "pairs",
    "prompt",
    "sampling",
    "score_request",
    "texts",
    "timeout",
    "token_ids",
]
