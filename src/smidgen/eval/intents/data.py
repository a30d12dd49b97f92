"""The files of both benchmarks: what of them examples are drawn from, and what is asked."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from smidgen.errors import ConfigError
from smidgen.eval.given import DataFile

IN_SCOPE, OUT_OF_SCOPE = "in_scope", "out_of_scope"
OUTSIDE = "oos"
"""The label of what has no intent, as CLINC150 has it."""
HALVES = 77
"""Seed of the halves of BANKING77."""
PARTS = ("train", "val", "oos_val")
CLINC = 'a JSON object with lists of [text, intent] under "train", "val" and "oos_val"'
BANKING = "rows of text and category, below a first line that says so"


class Said(msgspec.Struct, frozen=True, array_like=True):
    text: str
    intent: str


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """train: what examples are drawn from. asked: by category."""

    train: tuple[Said, ...]
    asked: Mapping[str, tuple[Said, ...]]


def clinc150(file: DataFile) -> Split:
    """Examples of `train`; all of `val` and `oos_val` is asked. No example of what is out of scope is used. Raises
    ConfigError."""
    try:
        parts = msgspec.json.decode(file.content, type=dict[str, list[Said]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.path} can't be used: {error}.", hint=f"Wanted: {CLINC}.") from error
    for name in PARTS:
        if not parts.get(name):
            raise ConfigError(f"{file.path} has no part {name!r}.", hint=f"Wanted: {CLINC}.")
    train, asked, outside = (tuple(parts[name]) for name in PARTS)
    strange = tuple(Said(said.text, OUTSIDE) for said in outside)
    return Split(train=train, asked={IN_SCOPE: asked, OUT_OF_SCOPE: strange})


def banking77(file: DataFile) -> Split:
    """Of a fixed half the examples are drawn, and all of the other half is asked. Raises ConfigError."""
    rows = _rows(file)
    if len(rows) < 2:
        raise ConfigError(f"{file.path} holds no items.", hint=f"Wanted: {BANKING}.")
    order: list[int] = np.random.default_rng(HALVES).permutation(len(rows)).tolist()
    half = len(rows) // 2

    def some(places: Sequence[int]) -> tuple[Said, ...]:
        return tuple(rows[place] for place in sorted(places))

    return Split(train=some(order[:half]), asked={IN_SCOPE: some(order[half:])})


def _rows(file: DataFile) -> list[Said]:
    try:
        lines = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.path} can't be used: {error}.", hint=f"Wanted: {BANKING}.") from error
    reader = csv.DictReader(io.StringIO(lines, newline=""), strict=True)
    rows: list[Said] = []
    try:
        for row in reader:
            text, intent = row.get("text"), row.get("category")
            if not text or not intent or len(row) != 2:
                raise file.broken(reader.line_num, "it is no text and category", BANKING)
            rows.append(Said(text, intent))
    except csv.Error as error:
        raise file.broken(reader.reader.line_num, str(error), BANKING) from error
    return rows


def examples(train: Sequence[Said], shots: int, seed: int) -> tuple[Said, ...]:
    """So many of each intent, drawn by the seed, in the file's order; all where there are fewer."""
    drawn = np.random.default_rng(seed)
    intents = sorted({said.intent for said in train})
    labels = np.asarray([intents.index(said.intent) for said in train])
    places: list[int] = []
    for intent in range(len(intents)):
        places += drawn.permutation(np.flatnonzero(labels == intent))[:shots].tolist()
    return tuple(train[place] for place in sorted(places))
