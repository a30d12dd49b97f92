"""How far llama.cpp's own log-probabilities move with the shape of the work, nothing of smidgen:
`python bare_noise.py MODEL < texts.json`.

The prompts are continued greedily. Then the same tokens are decoded in other shapes, which would bring the same
log-probabilities if nothing were rounded. Prints a list of JSON objects, one per pair of shapes, with differences in
nats: `median` of the likeliest tokens, `most` of those that are the likeliest on either side, `drawn` of all that a
draw can reach; tokens that end a text are left out, as in the tests. `few_rows`: no batch of either shape has 64 rows.
Run as a separate process by the tests.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as native
import numpy as np
from bare import Model, Row, load

TOKENS = 24
ALTERNATIVES = 20
REACH = math.log(20)
"""Nats below the likeliest token that a draw reaches: min_p is 0.05 by default."""
SHARED = 8
"""The sequence that holds what others begin with."""


class Text(NamedTuple):
    """Rows are compared from the one before the tail's first token to the one after its last."""

    head: list[int]
    tail: list[int]


class Context:
    """A cache with sequences 0 to 8, to the ends of which tokens are added."""

    def __init__(self, model: Model, batch: int = 512) -> None:
        self._model, self._size = model, batch
        self._native: Any = model.context(
            n_batch=batch, n_ubatch=batch, n_outputs_max=64, n_seq_max=SHARED + 1, kv_unified=True, swa_full=True
        )
        self._memory: Any = native.llama_get_memory(self._native)
        self._batch = native.llama_batch_init(batch, 0, 1)
        self._lengths = [0] * (SHARED + 1)
        self._ends = model.ends()

    def clear(self) -> None:
        """Where cells lie in the cache changes sums, too."""
        for sequence in range(SHARED + 1):
            self.begin(sequence)

    def begin(self, sequence: int, after: int | None = None) -> None:
        """Empty it, or give it what another holds."""
        native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        if after is not None:
            native.llama_memory_seq_cp(self._memory, after, sequence, -1, -1)
        self._lengths[sequence] = 0 if after is None else self._lengths[after]

    def keep(self, sequence: int, length: int) -> None:
        """Only so many of its tokens."""
        native.llama_memory_seq_rm(self._memory, sequence, length, -1)
        self._lengths[sequence] = length

    def add(self, *parts: tuple[int, Sequence[int], int]) -> list[Row]:
        """Parts: a sequence, tokens, and of how many of the last of these rows are returned. All in one batch, or as
        few as they fit in."""
        items = [
            (sequence, token, self._lengths[sequence] + at, len(tokens) - at <= rows)
            for sequence, tokens, rows in parts
            for at, token in enumerate(tokens)
        ]
        for sequence, tokens, _ in parts:
            self._lengths[sequence] += len(tokens)
        made: list[Row] = []
        batch = self._batch
        for start in range(0, len(items), self._size):
            chunk = items[start : start + self._size]
            batch.n_tokens = len(chunk)
            for at, (sequence, token, position, wanted) in enumerate(chunk):
                batch.token[at], batch.pos[at], batch.logits[at] = token, position, wanted
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            if native.llama_decode(self._native, batch):
                raise RuntimeError("llama_decode failed")
            made += [self._row(at) for at, item in enumerate(chunk) if item[3]]
        return made

    def _row(self, at: int) -> Row:
        row = self._model.log_probabilities(self._native, at)
        row[self._ends] = -math.inf
        return row


# --- shapes: each brings the rows of all texts ----------------------------------------------------------------------


def at_once(context: Context, texts: Iterable[Text], after: int | None = None) -> Iterator[Row]:
    """Each text alone, in one batch."""
    for text in texts:
        context.begin(0, after)
        yield from context.add((0, text.head + text.tail, len(text.tail) + 1))


def together(context: Context, texts: Sequence[Text], after: int | None = None) -> Iterator[Row]:
    """All heads in one batch, then one token of each text in one batch, again and again."""
    for sequence in range(len(texts)):
        context.begin(sequence, after)
    made = [context.add(*((at, text.head, 1) for at, text in enumerate(texts)))]
    for tokens in zip(*(text.tail for text in texts), strict=True):
        made.append(context.add(*((at, [token], 1) for at, token in enumerate(tokens))))
    for rows in zip(*made, strict=True):
        yield from rows


def resumed(context: Context, texts: Iterable[Text]) -> Iterator[Row]:
    """Each text alone, token by token from its head's last one on, which is read again: a prompt that is cached."""
    for text in texts:
        context.begin(0)
        context.add((0, text.head, 0))
        context.keep(0, len(text.head) - 1)
        for token in [text.head[-1], *text.tail]:
            yield from context.add((0, [token], 1))


# --- comparing ------------------------------------------------------------------------------------------------------


class Likeliest(NamedTuple):
    """Of one row, likeliest first."""

    tokens: list[int]
    values: list[float]


def likeliest(row: Row) -> Likeliest:
    tokens = np.argpartition(row, -ALTERNATIVES)[-ALTERNATIVES:]
    tokens = tokens[np.argsort(-row[tokens])]
    return Likeliest(tokens.tolist(), row[tokens].tolist())


def compared(shape: str, expected: Sequence[Likeliest], rows: Iterable[Row], *, few_rows: bool) -> dict[str, Any]:
    median: list[float] = []
    most: list[float] = []
    drawn: list[float] = []
    for (tokens, values), row in zip(expected, rows, strict=True):
        differences = [abs(value - float(row[token])) for token, value in zip(tokens, values, strict=True)]
        other = int(row.argmax())
        median.append(differences[0])
        most += [differences[0], *(differences[at] for at, token in enumerate(tokens) if token == other)]
        drawn += [differences[at] for at, value in enumerate(values) if value >= values[0] - REACH]
    figures = {"median": statistics.median(median), "most": max(most), "drawn": max(drawn)}
    return {"shape": shape, "few_rows": few_rows, **{name: round(value, 6) for name, value in figures.items()}}


def continued(
    context: Context, heads: Sequence[list[int]], after: int | None = None
) -> tuple[list[Text], list[Likeliest]]:
    """Greedily, in the shape of `together`: the texts, and the likeliest of their rows."""
    for sequence in range(len(heads)):
        context.begin(sequence, after)
    made = [context.add(*((at, head, 1) for at, head in enumerate(heads)))]
    steps = [[*map(likeliest, made[0])]]
    for _ in range(TOKENS):
        rows = context.add(*((at, row.tokens[:1], 1) for at, row in enumerate(steps[-1])))
        steps.append([*map(likeliest, rows)])
    of_texts = [*zip(*steps, strict=True)]
    texts = [Text(head, [row.tokens[0] for row in rows[:-1]]) for head, rows in zip(heads, of_texts, strict=True)]
    return texts, [row for rows in of_texts for row in rows]


def continued_alone(context: Context, heads: Iterable[list[int]]) -> tuple[list[Text], list[Likeliest]]:
    """Greedily, each by itself: its head in one batch, then token by token."""
    made = [continued(context, [head]) for head in heads]
    return [text for texts, _ in made for text in texts], [row for _, rows in made for row in rows]


def common(heads: Sequence[list[int]]) -> list[int]:
    """What all begin with."""
    length = next(at for at, tokens in enumerate(zip(*heads, strict=False)) if len(set(tokens)) > 1)
    return heads[0][:length]


def measured(model: Model, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    prompts: list[str] = given["prompts"]
    large, small = Context(model), Context(model, batch=32)
    texts, alone = continued_alone(large, map(model.tokenize, prompts))
    yield compared("prompt and answer at once", alone, at_once(large, texts), few_rows=True)
    yield compared("eight together", alone, together(large, texts), few_rows=True)

    def after(preamble: dict[str, Any], count: int) -> tuple[list[Text], list[Text], list[Likeliest]]:
        """Whole texts, what is left of them after the preamble, and the rows of this where the preamble is shared."""
        large.clear()
        heads = [model.tokenize(preamble["sentence"] * preamble["times"] + prompt) for prompt in prompts[:count]]
        prefix = common(heads)
        large.add((SHARED, prefix, 0))
        rests, rows = continued(large, [head[len(prefix) :] for head in heads], SHARED)
        return [Text(prefix + rest.head, rest.tail) for rest in rests], rests, rows

    whole, rests, rows = after(given["preamble"], len(prompts))
    yield compared("after a preamble", rows, at_once(large, whole), few_rows=False)
    large.clear()
    texts, alone = continued_alone(large, [text.head for text in whole])
    yield compared("after a preamble, its prompt again", alone, resumed(large, texts), few_rows=False)
    small.begin(SHARED)
    small.add((SHARED, common([text.head for text in whole]), 0))
    rows = [*map(likeliest, at_once(small, rests[:2], SHARED))]
    yield compared("after a preamble, batches of 32", rows, at_once(small, whole[:2]), few_rows=True)

    if native.llama_model_n_swa(model.handle):
        whole, rests, rows = after(given["preamble_beyond_the_window"], 2)
        yield compared("after a long preamble", rows, at_once(large, whole), few_rows=False)
        singly = (row for text in rests for row in together(large, [text], SHARED))
        yield compared("after a long preamble, two together", rows, singly, few_rows=False)


def main() -> None:
    shapes = [json.dumps(shape) for shape in measured(load(sys.argv[1]), json.load(sys.stdin))]
    sys.stdout.write("[" + ",\n ".join(shapes) + "]\n")


if __name__ == "__main__":
    main()
