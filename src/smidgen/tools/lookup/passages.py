"""A text in passages: paragraphs, the small ones joined and the large ones cut, each with its heading. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from smidgen.tools.lookup import Passage

LONGEST = 700
"""Characters of a passage; a single line may have more and is cut into several."""
SHORTEST = 200
"""Paragraphs below this are read together with the next one."""
_HEADING = re.compile(r"^(?:#{1,6}\s+(?P<marked>.+?)\s*#*|\[(?P<section>[^\]]+)\])$")


def passages(path: str, text: str) -> Iterator[Passage]:
    heading = ""
    block: list[str] = []
    begin = 1
    for number, line in enumerate(text.splitlines(), start=1):
        found = _HEADING.match(line.strip())
        size = sum(len(part) + 1 for part in block)
        if found or size + len(line) > LONGEST or (not line.strip() and size >= SHORTEST):
            yield from _passage(path, begin, block, heading)
            block, begin = [], number
        if found:
            heading = found["marked"] or found["section"]
            begin = number + 1
        elif block or line.strip():
            block.append(line)
        else:
            begin = number + 1
    yield from _passage(path, begin, block, heading)


def _passage(path: str, line: int, block: list[str], heading: str) -> Iterator[Passage]:
    text = "\n".join(block).strip("\n")
    for start in range(0, len(text), LONGEST):
        piece = text[start : start + LONGEST]
        if piece.strip():
            yield Passage(path=path, line=line, text=piece, heading=heading)
