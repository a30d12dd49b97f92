"""What differs between two texts, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import msgspec

from smidgen.tools.visible import visible

CONTEXT = 2
MAX_SHOWN = 12
"""Lines of one difference that are shown; of the others the number is told."""
MAX_SHOWN_LINE = 80


class Difference(msgspec.Struct, frozen=True):
    """One hunk from the first line that differs to the last. `line`: where it starts in the text after, from 1."""

    line: int
    removed: tuple[str, ...]
    added: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    def shown(
        self, *, lines: int = MAX_SHOWN, width: int = MAX_SHOWN_LINE, context: int = CONTEXT, keep: str = ""
    ) -> str:
        """As a unified diff of at most `lines` lines below its head; keep: characters that aren't escaped."""
        before, after = self.before[-context:], self.after[:context]
        windows = all(line.endswith("\r") for line in (*before, *self.removed, *self.added, *after))
        around = len(before) + len(after)
        shares = _shares(self.removed, self.added, max(2, lines - around))
        start = self.line - len(before)
        head = f"@@ -{start},{around + len(self.removed)} +{start},{around + len(self.added)} @@"
        told = [head]
        for sign, group in ((" ", before), *shares, (" ", after)):
            for line in group:
                text = visible(line.removesuffix("\r") if windows else line, keep=keep)
                told.append(sign + (text if len(text) <= width else f"{text[: width - 1]}…"))
        cut = len(self.removed) + len(self.added) - sum(len(group) for _, group in shares)
        return "\n".join([*told, *([f"[{cut} more changed lines]"] if cut else [])])


def difference(before: str, after: str) -> Difference | None:
    """None if the texts are the same. Lines end at "\\n"; a "\\r" before it belongs to the line. An empty text has
    none."""
    if before == after:
        return None
    old, new = before.split("\n"), after.split("\n")
    if not before or not after:  # then there is no end of a last line that they could share
        old, new = (lines if lines[-1] else lines[:-1] for lines in (old, new))
    same = _common(old, new)
    old_end, new_end = len(old), len(new)
    while old_end > same and new_end > same and old[old_end - 1] == new[new_end - 1]:
        old_end, new_end = old_end - 1, new_end - 1
    rest = old[old_end:]
    if rest and not rest[-1]:  # what follows the last "\n" is no line
        rest.pop()
    return Difference(
        line=same + 1,
        removed=tuple(old[same:old_end]),
        added=tuple(new[same:new_end]),
        before=tuple(old[max(0, same - CONTEXT) : same]),
        after=tuple(rest[:CONTEXT]),
    )


def line_count(text: str) -> int:
    return text.count("\n") + (bool(text) and not text.endswith("\n"))


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))


def _shares(removed: tuple[str, ...], added: tuple[str, ...], room: int) -> list[tuple[str, tuple[str, ...]]]:
    """As much of both as there is room for; neither takes what the other needs of its half."""
    half = room // 2
    of_removed = min(len(removed), max(half, room - len(added)))
    return [("-", removed[:of_removed]), ("+", added[: room - of_removed])]
