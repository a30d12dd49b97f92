"""Prompts of /v1/completions: as they stand, or around a gap that is to be filled. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.errors import UnsupportedByModel
from smidgen.messages import Prompt, Segment
from smidgen.models.detect import FimTokens

Given = str | tuple[int, ...]
"""A text, or its tokens."""


def given(asked: str | Sequence[int | str | Sequence[int]]) -> tuple[Given, ...]:
    """One or several, of what clients send: a text, tokens, or a list of either."""
    if isinstance(asked, str):
        return (asked,)
    numbers = [one for one in asked if isinstance(one, int)]
    if numbers:
        return (tuple(numbers),)
    return tuple(one if isinstance(one, str) else tuple(one) for one in asked if not isinstance(one, int))


def continued(text: str) -> Prompt:
    """Control tokens that the text spells count as such: whoever completes a text writes all of it."""
    return (Segment(text, special=True),)


def filled_in(prefix: str, suffix: str, marks: FimTokens | None) -> Prompt:
    """What goes between the two is to be written. Raises UnsupportedByModel."""
    if marks is None:
        raise UnsupportedByModel(
            "The model can't fill in a gap: it has no tokens for that.",
            hint="Leave suffix out, or use a model that was trained for it.",
            param="suffix",
        )
    return (
        Segment(marks.prefix.text),
        Segment(prefix, special=False),
        Segment(marks.suffix.text),
        Segment(suffix, special=False),
        Segment(marks.middle.text),
    )
