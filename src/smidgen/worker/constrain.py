"""Grammars through llguidance: which tokens may come next, and which must.

A constraint that can't be enforced fails its request with the reason; it is never opened instead. Compiled grammars
are kept by content. The tokenizer table they need takes up to a second for a large vocabulary, so it is made in a
thread while the first constrained prompt is prefilled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ConstraintError, EngineError
from smidgen.messages import Constraint

KEPT_GRAMMARS = 64
# Limits well above what tool schemas need (their grammars have a few thousand symbols) and low enough that a hostile
# one is refused within a second; the defaults allow several seconds.
MAX_GRAMMAR_SIZE = 100_000
INITIAL_LEXER_FUEL = 2_000_000
STEP_LEXER_FUEL = 400_000
MAX_LEXER_STATES = 100_000
JSON_LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to lay out JSON (a schema's own `x-guidance` may choose another): small models can lose themselves in free
white space, and a fixed layout leaves more tokens forced."""
JSON_STRICT: Any = {"lenient": False}
"""A keyword that can't be enforced is an error, whatever the schema says."""


class Matcher:
    """The state of one constrained generation."""

    def __init__(self, native: Any, words: int, vocab_size: int) -> None:
        self._native = native
        self._mask = np.zeros(words, dtype=np.uint32)
        self._vocab_size = vocab_size

    def allowed(self) -> NDArray[np.int64]:
        """Ids that may come next, ascending. Raises ConstraintError when the grammar is in an error state."""
        self._native.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._vocab_size]
        ids = np.flatnonzero(bits)
        if not len(ids):
            raise ConstraintError("The constraint allows no token at this point.")
        return ids

    def accept(self, tokens: Sequence[int]) -> None:
        if tokens and not self._native.consume_tokens(list(tokens)):
            self._check()
            raise ConstraintError("The constraint rejected a token of its own output.")

    def allowed_prefix(self, tokens: Sequence[int]) -> int:
        """How many of these tokens, from the first on, could be accepted one after another."""
        return int(self._native.validate_tokens(list(tokens)))

    def forced(self) -> list[int]:
        """Tokens that must follow, already accepted."""
        tokens: list[int] = self._native.compute_ff_tokens()
        if tokens:
            self.accept(tokens)
        return tokens

    @property
    def finished(self) -> bool:
        """Nothing may follow."""
        return bool(self._native.is_stopped())

    @property
    def complete(self) -> bool:
        """What was written so far satisfies the grammar."""
        return bool(self._native.is_accepting())

    def _check(self) -> None:
        if self._native.is_error():
            raise ConstraintError(
                f"The constraint can't be followed further: {_short(self._native.get_error())}",
                hint="Simplify the schema or grammar.",
            )


class Grammars:
    """make_tokenizer: builds the llguidance tokenizer; called once, in a thread."""

    def __init__(self, make_tokenizer: Callable[[], Any], vocab_size: int) -> None:
        self._make = make_tokenizer
        self._vocab_size = vocab_size
        self._thread: threading.Thread | None = None
        self._tokenizer: Any = None
        self._failure: BaseException | None = None
        self._compiled: OrderedDict[Constraint, Any] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def prepare(self) -> None:
        """Start making the tokenizer table, if nobody did."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._build, name="grammar-tokenizer", daemon=True)
            self._thread.start()

    def _build(self) -> None:
        try:
            self._tokenizer = self._make()
        except Exception as error:  # told to every request that needs it, in matcher()
            self._failure = error

    @property
    def ready(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def matcher(self, constraint: Constraint) -> Matcher:
        """A fresh matcher. Raises ConstraintError with the reason when the grammar can't be enforced."""
        if self._failure is not None or self._tokenizer is None:
            raise EngineError(f"Constrained output isn't available for this model: {self._failure}")
        prototype = self._compiled.get(constraint)
        if prototype is None:
            self.misses += 1
            prototype = self._compile(constraint)
            self._compiled[constraint] = prototype
            if len(self._compiled) > KEPT_GRAMMARS:
                self._compiled.popitem(last=False)
        else:
            self.hits += 1
            self._compiled.move_to_end(constraint)
        words = (max(self._tokenizer.vocab_size, self._vocab_size) + 31) // 32
        return Matcher(prototype.deep_copy(), words, self._vocab_size)

    def _compile(self, constraint: Constraint) -> Any:
        from llguidance._lib import LLMatcher, LLParserLimits

        limits = LLParserLimits(
            max_grammar_size=MAX_GRAMMAR_SIZE,
            initial_lexer_fuel=INITIAL_LEXER_FUEL,
            step_lexer_fuel=STEP_LEXER_FUEL,
            max_lexer_states=MAX_LEXER_STATES,
            verbose_errors=False,
        )
        try:
            if constraint.kind == "json_schema":
                grammar = LLMatcher.grammar_from_json_schema(constraint.source, JSON_LAYOUT, JSON_STRICT)
            elif constraint.kind == "lark":
                grammar = LLMatcher.grammar_from_lark(constraint.source)
            else:
                grammar = LLMatcher.grammar_from_regex(constraint.source)
            native = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        except Exception as error:
            raise _refused(constraint, str(error)) from error
        if native.is_error():
            raise _refused(constraint, native.get_error())
        return native


def _refused(constraint: Constraint, reason: str) -> ConstraintError:
    what = {"json_schema": "JSON Schema", "lark": "grammar", "regex": "regular expression"}[constraint.kind]
    return ConstraintError(
        f"This {what} can't be enforced: {_short(reason)}",
        hint="Nothing was generated. Change or simplify it.",
    )


def _short(reason: str, limit: int = 300) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= limit else line[:limit] + "…"
