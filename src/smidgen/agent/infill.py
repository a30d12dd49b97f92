"""Filling in the middle of code: what a model reads of the text around a cursor, cut to the room and the time there is.

A prompt begins with what changes least, so that the cache of the last keystroke's serves the next: `<REP>project`, then
`<SEP>name` and text of each piece from elsewhere, `<SEP>name` of this file, `<PRE>before<SUF>after<MID>`. Cuts are made
at lines' starts and in coarse steps for the same reason. The order is that of Qwen2.5-Coder's repository prompts
(arXiv:2409.12186), which llama.cpp's server uses for all models.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from smidgen.errors import UnsupportedByModel
from smidgen.messages import Prompt, Segment
from smidgen.models.detect import FimTokens

Tokenize = Callable[[str], Awaitable[Sequence[int]]]
"""A text's tokens, none of them a control token, and nothing in front."""

Cached = Callable[[Sequence[int]], int]
"""How many of a prompt's first tokens needn't be read again."""

AFTER_TOKENS = 256
"""Of the text after the cursor, which is read anew at every keystroke because the text before it has changed."""

LEAST_BEFORE = 80
"""Tokens before the cursor that are read however long that takes."""

EXTRAS = 32
"""Pieces from elsewhere at most."""

MARKS = 8
"""Tokens of marks in a prompt at most, and between pieces."""

PROJECT, FILE = "project\n", "filename"
LONG_TOKEN = 12
"""Characters; no text has longer ones on average. Of what is far longer than there is room for, not all is counted."""

RECOGNISED = 1000
"""Characters by which a text is found again in an earlier one."""


class Extra(msgspec.Struct, frozen=True):
    """A piece of text from elsewhere: another file, or another part of this one."""

    file: str
    text: str


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The text around a cursor. extras: the oldest first."""

    before: str
    after: str
    extras: tuple[Extra, ...] = ()
    file: str = FILE


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What the model will read. around: after all cuts. head, before, after: its tokens, marks included. cut: in words,
    what was left out."""

    around: Around
    head: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    cut: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[int, ...]:
        return (*self.head, *self.before, *self.after)

    @property
    def stable(self) -> tuple[int, ...]:
        """What the next keystroke's prompt begins with."""
        return (*self.head, *self.before)


def require(marks: FimTokens | None, name: str) -> FimTokens:
    """Raises UnsupportedByModel."""
    if marks is None:
        raise UnsupportedByModel(
            f"Infill is not supported by this model: {name} has no tokens that mark a gap.",
            hint="Use a model that was trained for it, like qwen2.5-coder-0.5b.",
        )
    return marks


# --- the prompt -----------------------------------------------------------------------------------------------------


def prompt(around: Around, marks: FimTokens) -> Prompt:
    """Of all that is around the cursor."""
    before = (Segment(marks.prefix.text), Segment(around.before, special=False))
    after = (Segment(marks.suffix.text), Segment(around.after, special=False), Segment(marks.middle.text))
    return tuple(part for part in (*_head(around, marks), *before, *after) if part.text)


def _head(around: Around, marks: FimTokens) -> Prompt:
    parts: list[Segment] = []
    if marks.repo is not None and marks.file is not None:
        parts += [Segment(marks.repo.text), Segment(PROJECT, special=False)]
    for extra in around.extras:
        parts += [Segment(marks.file.text)] if marks.file is not None else []
        parts.append(Segment(_body(extra), special=False))
    if marks.file is not None:
        parts += [Segment(marks.file.text), Segment(f"{around.file}\n", special=False)]
    return tuple(parts)


def _body(extra: Extra) -> str:
    return f"{extra.file or FILE}\n{extra.text}" + ("" if extra.text.endswith("\n") else "\n")


async def _tokens(parts: Prompt, marks: FimTokens, tokenize: Tokenize) -> tuple[int, ...]:
    named = (marks.prefix, marks.suffix, marks.middle, marks.repo, marks.file)
    ids = {mark.text: mark.id for mark in named if mark is not None}
    found: list[int] = []
    for part in parts:
        found += [ids[part.text]] if part.special else await tokenize(part.text)
    return tuple(found)


async def view(around: Around, marks: FimTokens, tokenize: Tokenize, cut: Sequence[str] = ()) -> View:
    """What is read if nothing more is cut."""
    whole = prompt(around, marks)
    head = _head(around, marks)
    split = next(index for index, part in enumerate(whole) if part.special and part.text == marks.suffix.text)
    return View(
        around=around,
        head=await _tokens(head, marks, tokenize),
        before=await _tokens(whole[len(head) : split], marks, tokenize),
        after=await _tokens(whole[split:], marks, tokenize),
        cut=tuple(dict.fromkeys(cut)),
    )


# --- cut to the room ------------------------------------------------------------------------------------------------


async def fitted(around: Around, marks: FimTokens, tokenize: Tokenize, room: int) -> View:
    """Of at most `room` tokens: of the text after the cursor its beginning, an eighth at most; of the pieces from
    elsewhere the latest, three eighths at most, whatever else there is, so that they stay the same; of the text before
    the cursor its end."""
    cut: list[str] = []
    room = max(room - MARKS, LEAST_BEFORE)
    after, *_ = await asyncio.gather(
        beginning(around.after, min(AFTER_TOKENS, max(room // 8, 16)), tokenize),
        *(tokenize(_body(extra)) for extra in around.extras[-EXTRAS:]),
    )
    if len(after) < len(around.after):
        cut.append("The text after the cursor was cut at its end.")
    left, kept = room * 3 // 8, 0
    for extra in reversed(around.extras[-EXTRAS:]):
        size = len(await tokenize(_body(extra))) + MARKS
        if size > left:
            break
        left, kept = left - size, kept + 1
    first = len(around.extras) - kept
    if first:
        cut.append(f"{first} of {len(around.extras)} pieces from elsewhere were left out.")
    before = await ending(around.before, room - room // 8 - (room * 3 // 8 - left), tokenize)
    if len(before) < len(around.before):
        cut.append("The text before the cursor was cut at its beginning.")
    shown = msgspec.structs.replace(around, before=before, after=after, extras=around.extras[first:])
    return await view(shown, marks, tokenize, cut)


async def ending(text: str, budget: int, tokenize: Tokenize) -> str:
    """The end of a text, of at most `budget` tokens, from a line's start that is near a multiple of about a quarter of
    that: what is typed leaves it as it was. One long line is cut within."""
    step = 1 << max(budget.bit_length() - 1, 5)  # in characters, about 4 of which are a token
    if (far := len(text) - budget * LONG_TOKEN) > 0:
        at = -(-far // step) * step
        text = text[at if len(text) - line_start(text, at) < budget else line_start(text, at) :]
    size = len(await tokenize(text))
    if size <= budget:
        return text
    steps = max(1, int((len(text) - len(text) * budget / size) / step))
    while (at := line_start(text, steps * step)) < len(text):
        if len(await tokenize(text[at:])) <= budget:
            return text[at:]
        steps += 1
    return await _last(text, budget, tokenize)


async def _last(text: str, budget: int, tokenize: Tokenize) -> str:
    """The last `budget` tokens or somewhat fewer, from wherever that is."""
    kept = min(len(text), budget * 4)
    while kept > 1 and len(await tokenize(text[-kept:])) > budget:
        kept = kept * 3 // 4
    at = line_start(text, len(text) - kept)
    return text[-kept:] if len(text) - at < kept // 2 else text[at:]


async def beginning(text: str, budget: int, tokenize: Tokenize) -> str:
    """Whole lines of at most `budget` tokens together; less than a line if the first one is longer."""
    budget = max(budget, 0)
    kept = text[: budget * LONG_TOKEN]
    while kept and (size := len(await tokenize(kept))) > budget:
        shorter = kept[: len(kept) * budget // size]
        end = shorter.rfind("\n") + 1
        kept = shorter[:end] if end else shorter
    return kept


def line_start(text: str, at: int) -> int:
    """The first line's start at or behind this character; the text's end if there is none."""
    if at <= 0:
        return 0
    return text.find("\n", at - 1) + 1 or len(text)


# --- cut to the time ------------------------------------------------------------------------------------------------


async def hurried(whole: View, marks: FimTokens, tokenize: Tokenize, cached: Cached, most: int) -> View:
    """So that at most `most` tokens have to be read that aren't cached, but LEAST_BEFORE tokens before the cursor
    always: of the text after the cursor less, if that is enough; else only the text close to the cursor, and pieces
    from elsewhere only if they are cached."""
    if len(whole.tokens) - cached(whole.tokens) <= most:
        return whole
    around = whole.around
    cut = [*whole.cut, "There was no time to read all of the text around the cursor."]
    fresh = len(whole.stable) - cached(whole.stable)
    if fresh <= most - min(len(whole.after), most // 4):
        after = await beginning(around.after, max(most - fresh, most // 4) - 2, tokenize)
        return await view(msgspec.structs.replace(around, after=after), marks, tokenize, cut)
    unread = len(whole.head) - cached(whole.head)
    extras = around.extras if unread <= most // 4 else ()
    before = await ending(around.before, max(LEAST_BEFORE, most * 3 // 4 - (unread if extras else 0)), tokenize)
    near = await view(msgspec.structs.replace(around, before=before, after="", extras=extras), marks, tokenize)
    left = most - (len(near.stable) - cached(near.stable))
    after = await beginning(around.after, max(left, most // 4) - len(near.after), tokenize)
    return await view(msgspec.structs.replace(near.around, after=after), marks, tokenize, cut)


class Windows:
    """Where the text before a cursor begins, while an editor that sends so many lines only moves on with the cursor.

    If it began where the editor's does, each new line would shift it, and nothing of it would be cached. So it goes on
    beginning where it did until that line is gone, and then a quarter further down."""

    def __init__(self, kept: int = 4) -> None:
        self._latest: deque[tuple[str, int]] = deque(maxlen=kept)

    def start(self, text: str) -> int:
        """The character to begin at. `text`: as the editor sent it."""
        found = self._start(text)
        self._latest.appendleft((text, found))
        return found

    def _start(self, text: str) -> int:
        if len(text) < 2 * RECOGNISED:
            return 0
        for earlier, start in self._latest:
            moved = earlier.find(text[:RECOGNISED])
            if moved >= 0:
                return start - moved if start >= moved else line_start(text, len(text) // 4)
        return 0
