"""CSV files whose lines have different lengths, written again so that all have the same. And what tells such files."""

from __future__ import annotations

import codecs
import csv
import re
import tempfile
from collections.abc import Iterator

from smidgen.tools.data.inside.cells import MIB, Refused

MOST_BYTES = 16 * MIB
"""Of a file that is written again, and of what comes of it."""


def encoding_of(path: str) -> str:
    """By looking: UTF-16 by its mark, UTF-8 if it is, else what every file is. Raises Refused for what is no text."""
    with open(path, "rb") as file:  # noqa: PTH123
        piece = file.read(4096)
        if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in piece:
            raise Refused("file", f"{path} is not a text file.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for _ in range(64):
                decoder.decode(piece)
                piece = file.read(MIB)
                if not piece:
                    decoder.decode(b"", final=True)
                    break
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def delimiter_of(path: str, encoding: str, lines: int = 1) -> str:
    """By the first lines alone; "" if each is a single value."""
    with open(path, encoding=encoding, errors="replace") as file:  # noqa: PTH123
        head = "".join(file.readline(65536) for _ in range(lines))
    outside = re.sub(r'"[^"]*"', "", head)
    return max((sign for sign in ",;\t|" if sign in outside), key=outside.count, default="")


def evened(path: str, encoding: str, delimiter: str) -> str:
    """The path of a file with the same cells, in the scratch folder. Lines that are too short end in empty cells, and
    the first line names what is beyond it. Raises Refused for one that would become too large."""
    width = max((len(row) for row in _rows(path, encoding, delimiter)), default=0)
    written = 0
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv", delete=False) as file:
        writer = csv.writer(file)
        for number, row in enumerate(_rows(path, encoding, delimiter)):
            missing = range(len(row) + 1, width + 1)
            written += writer.writerow([*row, *(f"column_{place}" if number == 0 else "" for place in missing)])
            if written > MOST_BYTES:
                raise Refused("file", f"{path} can't be read: its lines have too different lengths.")
        return file.name


def _rows(path: str, encoding: str, delimiter: str) -> Iterator[list[str]]:
    """Those that aren't empty."""
    csv.field_size_limit(MIB)
    marked = "utf-8-sig" if encoding == "utf-8" else encoding
    with open(path, encoding=marked, errors="replace", newline="") as file:  # noqa: PTH123
        try:
            yield from (row for row in csv.reader(file, delimiter=delimiter) if any(row))
        except csv.Error as error:
            raise Refused("file", f"{path} can't be read: {error}.") from None
