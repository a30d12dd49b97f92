"""What a statement is about, as a key: statements with the same key can't both hold, so the later one does.

"My dog's name", "the name of my dog" and "my dog is called" are one subject. A thing with a property of a kind of its
own, such as a birthday or a code, has one value of it; of other things several may be said: "my brother is a baker"
and "my brother is 31" stand beside each other.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")

_EMPTY = frozenset(
    re.findall(
        r"\w+",
        "a an the my our your his her their its this that these those of for to in on at by with and or is are was "
        "were be s new newest current actual real correct right updated latest now old own exact proper usual really "
        "also still just currently please",
    )
)

ATTRIBUTES = frozenset(
    re.findall(
        r"\w+",
        "name nickname surname birthday birthdate anniversary age height weight size number phone mobile email "
        "address postcode zip street city town country code pin password passphrase id username account plate licence "
        "license colour color flavour flavor job profession occupation employer title date time day deadline "
        "appointment budget salary price cost rent blood type nationality language religion diet allergy hobby sport "
        "team band song film movie book food dish drink season instrument model brand version capital destination "
        "limit dose score residence birth",
    )
)
"""Nouns of which a thing has one. What is favourite or preferred is one too."""

_CHOSEN = frozenset({"favourite", "favorite", "preferred", "best"})
_FORMER = re.compile(r"\b(?:old|former|previous|earlier)\b", re.IGNORECASE)
PAST = "past"
"""In the key of what was, which doesn't replace what is: "my old address"."""

_NUMBER = re.compile(r"\d")
_PLACED = re.compile(r"(?:in|at|on|from|near|under|behind|inside|next)\b", re.IGNORECASE)
_SEVERAL = {"colours": "colour", "colors": "colour", "color": "colour", "favorite": "favourite"}


def words_of(text: str) -> list[str]:
    """Without those that say nothing by themselves, in a plain form."""
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in _EMPTY]


def stem(word: str) -> str:
    """Endings of the plural, of verbs and of British and American spelling aside, roughly."""
    word = _SEVERAL.get(word, word)
    if word.isdigit() or len(word) < 4:
        return word
    for ending, kept in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(ending):
            return word[: -len(ending)] + kept
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl" else word
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


_ATTRIBUTE_STEMS = frozenset(stem(word) for word in (*ATTRIBUTES, *_CHOSEN))


def subject(phrase: str, value: str = "", relation: str = "") -> str:
    """The key of a noun phrase. value: what is said of it. relation: the verb, where it isn't "to be"."""
    words = words_of(phrase)
    names = {stem(name.lower()) for name in re.findall(r"(?<=\s)[A-Z][\w-]*", phrase)}
    bare = [word for word in words if word not in names]
    if len(bare) > 0 and len(bare) < len(words) and not phrase[:1].isupper():
        words = bare  # "my sister Clara" is "my sister"
    key = " ".join(sorted(set(words)))
    if not key:
        return ""
    if _FORMER.search(phrase):
        key = f"{key} {PAST}"
    if relation:
        return f"{key} | {stem(relation.lower())}"
    if _ATTRIBUTE_STEMS & set(words):
        return key
    return f"{key} | {kind_of(value)}"


def kind_of(value: str) -> str:
    """Of what is said of a thing: only values of one kind replace each other."""
    plain = value.strip()
    if re.match(r"(?:not|no)\b", plain, re.IGNORECASE):
        plain = plain.split(None, 1)[-1]
    if placed := _PLACED.match(plain):
        return placed[0].lower()
    if re.match(r"(?:called|named)\b", plain, re.IGNORECASE):
        return "name"
    if re.match(r"(?:a|an|the)\b", plain, re.IGNORECASE):
        return "a"
    if _NUMBER.search(plain.split(" ")[0]):
        return "number"
    if plain[:1].isupper():
        return "name"
    return stem(plain.split(" ")[0].lower()) if " " in plain else "word"
