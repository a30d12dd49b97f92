"""BERT's rules for words and pieces, on texts whose reading is written down here by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.llama.wordpiece import WordPiece, words

UNKNOWN = 0
STARTS = {"un": 1, "want": 2, "runn": 3, "a": 4, "é": 5, ",": 6, "w": 7, "ᄒ": 8}
CONTINUATIONS = {"##": 99, "want": 11, "ed": 12, "ing": 13, "a": 14, "ᅡ": 15, "ᆫ": 16}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unwanted, running", [1, 11, 12, 6, 3, 13]),
        ("UNwantéd\t,  Running\n", [1, 11, 12, 6, 3, 13]),
        ("unwante", [UNKNOWN]),
        ("a" * 100, [4, *[14] * 99]),
        ("a" * 101, [UNKNOWN]),
        ("a" * 101 + ",a", [UNKNOWN, 6, 4]),
        ("xyz", [UNKNOWN]),
        ("", []),
        (" \t\n\r ", []),
        ("\x00\x07\u200d\ufffd", []),
        ("u\x00n\u200dwanted", [1, 11, 12]),
        ("한", [8, 15, 16]),
    ],
)
def test_a_text_becomes_the_longest_pieces_from_the_start_of_each_word(text: str, expected: list[int]) -> None:
    assert WordPiece(STARTS, CONTINUATIONS, UNKNOWN).tokens(text) == expected


def test_words_without_pieces_are_left_out_where_the_vocabulary_has_no_token_for_them() -> None:
    assert WordPiece({"a": 1}, {}, -1).tokens("a b a") == [1, 1]


def test_a_vocabulary_with_capitals_keeps_them_and_its_accents() -> None:
    cased = WordPiece({"A": 1, "a": 2, "é": 3}, {}, 0)
    assert not cased.uncased
    assert cased.tokens("A a é e") == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("don't $5.00 a+b", ["don", "'", "t", "$", "5", ".", "00", "a", "+", "b"]),
        ("Café Zürich ÅNGSTRÖM", ["cafe", "zurich", "angstrom"]),
        ("Cafe\u0301", ["cafe"]),
        ("ﬁ ½ €5", ["ﬁ", "½", "€5"]),
        ("深度学习ab", ["深", "度", "学", "习", "ab"]),
        ("ひらがな", ["ひらかな"]),
        ("«Да», сказал й", ["«", "да", "»", ",", "сказал", "и"]),
        ("Straße İstanbul ΣΑΣ", ["straße", "istanbul", "σασ"]),
        ("soft\u00adhyphen a\u00a0b\u3000c\u2028d", ["softhyphen", "a", "b", "c", "d"]),
        ("[CLS] ##x", ["[", "cls", "]", "#", "#", "x"]),
        ("naïve—yes…ok", ["naive", "—", "yes", "…", "ok"]),
        ("a\ue000b \u0378", ["ab", "\u0378"]),
    ],
)
def test_words_are_normalised_and_split(text: str, expected: list[str]) -> None:
    assert list(words(text, uncased=True)) == expected


@given(st.text(st.characters(max_codepoint=127)), st.booleans())
def test_the_short_way_for_ascii_is_the_long_way(text: str, uncased: bool) -> None:
    """A character beyond ASCII at the end sends the rest through the long way."""
    assert [*words(text, uncased=uncased), "ж"] == list(words(text + " ж", uncased=uncased))


@given(st.text())
def test_words_are_never_empty_nor_blank_and_splitting_again_changes_nothing(text: str) -> None:
    found = list(words(text, uncased=True))
    assert all(word and not word.isspace() for word in found)
    assert list(words(" ".join(found), uncased=True)) == found
