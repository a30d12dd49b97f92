"""The vocabulary of a BERT tokenizer, in the spelling that llama.cpp's WordPiece reads.

There a piece that begins a word has "▁" in front, and one that goes on has nothing, where BERT's own vocabulary has
nothing and "##" (convert_hf_to_gguf.py, BertModel). Names of special tokens stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from smidgen.models.convert.package import Package, unusable

NORMAL, UNKNOWN, CONTROL, UNUSED = 1, 2, 3, 5
"""Token types of GGUF."""

CONTINUES = "##"
WORD_START = "▁"
SPECIAL = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}
REQUIRED = ("cls", "sep", "unk")
_UNUSED = re.compile(r"\[unused\d+\]")
_ANOTHER = "smidgen converts BERT models whose tokenizer is WordPiece by BERT's own rules."


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """texts and types by token id; ids of the special tokens by their role ("cls", "sep", "unk", "pad", "mask")."""

    texts: tuple[str, ...]
    types: tuple[int, ...]
    special: Mapping[str, int]


def read_vocabulary(package: Package, rows: int) -> Vocabulary:
    """From tokenizer.json, or vocab.txt where there is none. `rows`: of the token embeddings; the vocabulary is filled
    up to them. Raises InvalidModelFile for a tokenizer that follows other rules than BERT's."""
    config = package.json("tokenizer_config.json")
    if package.has("tokenizer.json"):
        pieces = _of_tokenizer(package.json("tokenizer.json"))
    else:
        _check_normalizer({**config, "lowercase": config.get("do_lower_case", True)})
        pieces = {text: number for number, text in enumerate(package.lines("vocab.txt"))}
    texts = _by_id(pieces, rows)
    special: dict[str, int] = {}
    for role, usual in SPECIAL.items():
        named = config.get(f"{role}_token", usual)
        name = cast(dict[str, object], named).get("content") if isinstance(named, dict) else named
        if isinstance(name, str) and name in pieces:
            special[role] = pieces[name]
    missing = [SPECIAL[role] for role in REQUIRED if role not in special]
    if missing:
        unusable(f"its vocabulary has no {missing[0]}", _ANOTHER)
    types = [_type(number, text, special) for number, text in enumerate(texts)]
    spelled = [
        text if kind != NORMAL else text.removeprefix(CONTINUES) if text.startswith(CONTINUES) else WORD_START + text
        for text, kind in zip(texts, types, strict=True)
    ]
    return Vocabulary(texts=tuple(spelled), types=tuple(types), special=special)


def _type(number: int, text: str, special: Mapping[str, int]) -> int:
    if number == special["unk"]:
        return UNKNOWN
    if number in special.values():
        return CONTROL
    return UNUSED if _UNUSED.fullmatch(text) or text == CONTINUES else NORMAL


def _by_id(pieces: Mapping[str, int], rows: int) -> list[str]:
    texts = {number: text for text, number in pieces.items()}
    if sorted(texts) != list(range(len(pieces))):
        unusable("the ids of its vocabulary aren't one for each token, from 0 on")
    if len(texts) > rows:
        unusable(f"its vocabulary has {len(texts):,} tokens, but only {rows:,} have embeddings")
    if any("\0" in text for text in pieces):
        unusable("a token of its vocabulary holds a zero byte")
    return [texts.get(number, f"[unused{number}]") for number in range(rows)]


def _of_tokenizer(tokenizer: dict[str, Any]) -> dict[str, int]:
    model = _object(tokenizer, "model")
    if model.get("type") != "WordPiece" or model.get("continuing_subword_prefix", CONTINUES) != CONTINUES:
        unusable(f"its tokenizer is {model.get('type')!r}, not WordPiece", _ANOTHER)
    normalizer = _object(tokenizer, "normalizer")
    if normalizer.get("type") != "BertNormalizer" or normalizer.get("clean_text", True) is not True:
        unusable("its text normalizer isn't BERT's", _ANOTHER)
    _check_normalizer({**normalizer, "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True)})
    if _object(tokenizer, "pre_tokenizer").get("type") != "BertPreTokenizer":
        unusable("its words aren't split as BERT's", _ANOTHER)
    pieces = _object(model, "vocab")
    if not pieces or not all(isinstance(number, int) and number >= 0 for number in pieces.values()):
        unusable("its vocabulary isn't a list of tokens with ids")
    return pieces


def _check_normalizer(rules: Mapping[str, Any]) -> None:
    """The rules that a GGUF can't say: accents are stripped where letters become small, and nowhere else; Chinese
    characters are words of their own."""
    lowers = rules.get("lowercase", True)
    if rules.get("strip_accents") not in (None, lowers) or rules.get("tokenize_chinese_chars", True) is not True:
        unusable("its text normalizer isn't BERT's usual one", _ANOTHER)


def _object(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
