"""What a text says of a parameter's values: whole words, capitals and hyphens aside. Pure."""

from __future__ import annotations

import re
from typing import cast

from smidgen.messages import JsonSchema


def holds(text: str, phrase: str) -> bool:
    """Does the phrase stand in the text as whole words, capitals, underscores and hyphens aside?"""
    plain = _flat(phrase)
    return bool(plain) and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", _flat(text)) is not None


def _flat(text: str) -> str:
    return " ".join(re.sub(r"[_\-]", " ", text.lower()).split())


def choices_of(schema: JsonSchema) -> list[str]:
    """The texts that a parameter, or its list's items, may have."""
    items = cast(JsonSchema, schema.get("items") if isinstance(schema.get("items"), dict) else {})
    options = cast(list[object], schema.get("enum") or items.get("enum") or [])
    return [option for option in options if isinstance(option, str)]
