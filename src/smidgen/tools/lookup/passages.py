"""A text in passages: paragraphs, the small ones joined and the large ones cut, each with its heading. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smidgen.tools.lookup import Passage

LONGEST = 700
"""Characters of a passage; a single line may have more and is cut into several."""
SHORTEST = 200
"""Paragraphs below this are read together with the next one."""
LONGEST_HEADING = 200
"""Characters; what is longer is text."""
_HEADING = re.compile(r"(?:#{1,6}\s+(?P<marked>.+)|\[(?P<section>[^\]]+)\])")


def passages(path: str, text: str) -> Iterator[Passage]:
    """Lines end at a line feed, as where a file's lines are counted. A heading with nothing under it is a passage: a
    comment may look like one."""
    heading, stands, is_bare = "", 0, False
    block: list[str] = []
    begin = 1
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        found = _heading(line.strip())
        size = sum(len(part) + 1 for part in block)
        if found or size + len(line) > LONGEST or (not line.strip() and size >= SHORTEST):
            yield from _passage(path, begin, block, heading)
            block, begin = [], number
        if found:
            if is_bare:
                yield from _passage(path, stands, [heading], "")
            heading, stands, is_bare = found, number, True
            begin = number + 1
        elif block or line.strip():
            block.append(line)
            is_bare = False
        else:
            begin = number + 1
    yield from _passage(path, begin, block, heading)
    if is_bare:
        yield from _passage(path, stands, [heading], "")


def _heading(line: str) -> str:
    """ "" for what is none."""
    found = _HEADING.fullmatch(line) if len(line) <= LONGEST_HEADING else None
    if found is None:
        return ""
    marked: str = found["marked"] or found["section"]
    return marked.rstrip("#").rstrip() or marked


def _passage(path: str, line: int, block: list[str], heading: str) -> Iterator[Passage]:
    text = "\n".join(block).strip("\n")
    for start in range(0, len(text), LONGEST):
        piece = text[start : start + LONGEST]
        if piece.strip():
            yield Passage(path=path, line=line, text=piece, heading=heading)
