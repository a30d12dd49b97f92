"""Finding the one passage of a text that is to be replaced, and replacing it. Nothing here touches a file.

The passage is looked for as it was given. If it isn't there, it is looked for once more where spaces at the ends of
lines and kinds of line endings don't count, then among whole lines whose indentation differs in a consistent way.
Whatever stands around it stays as it is, and so do the text's own line endings and indentation.
"""

from __future__ import annotations

import difflib
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice

import msgspec

from smidgen.tools.function import BadArguments
from smidgen.tools.visible import visible

MAX_OCCURRENCES = 100
"""Occurrences that are counted; of more than one the call fails anyway."""
MAX_COMPARED = 500_000
"""Lines that are compared by their indentation before the search is given up."""
NEAREST = 3
NEAREST_SECONDS = 0.3
NEAREST_WIDTH = 90
_LINE_SPACE = " \t\r"


class PassageNotFound(BadArguments):
    """The passage isn't in the text, not even roughly."""


class Edit(msgspec.Struct, frozen=True):
    """start, end: of the passage in the text, in characters. how: what didn't count when it was found, or ""."""

    start: int
    end: int
    new: str
    how: str = ""

    def apply(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]


def find_edit(text: str, old: str, new: str) -> Edit:
    """Raises PassageNotFound; BadArguments if the passage is empty or occurs several times, with its lines."""
    if not old:
        raise BadArguments("`old` is empty.", hint="Give the passage to replace as it stands in the file.")
    found = list(islice(_occurrences(text, old), MAX_OCCURRENCES + 1))
    if found:
        start = _only(text, found)
        edit = Edit(start, start + len(old), new)
    else:
        edit = _apart_from_line_ends(text, old, new) or _apart_from_indentation(text, old, new)
        if edit is None:
            raise PassageNotFound("That passage is not in the file.")
    written = edit.new.replace("\r\n", "\n").replace("\n", _line_ending(text, edit.start))
    edit = msgspec.structs.replace(edit, new=written)
    if text[edit.start : edit.end] == edit.new:
        raise BadArguments("`new` is what stands there already; nothing was changed.")
    return edit


def nearest_lines(text: str, old: str) -> str:
    """The lines of the text most like the longest line of `old`, with their numbers; "" if none is alike."""
    wanted = max((line.strip() for line in old.split("\n")), key=len)[:200]
    if not wanted:
        return ""
    end = time.monotonic() + NEAREST_SECONDS
    matcher = difflib.SequenceMatcher(b=wanted, autojunk=False)
    rated: list[tuple[float, int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if time.monotonic() > end:
            break
        matcher.set_seq1(line.strip()[:200])
        if matcher.real_quick_ratio() > 0.6 and matcher.quick_ratio() > 0.6 and (ratio := matcher.ratio()) > 0.6:
            rated.append((-ratio, number, line))
    best = sorted(sorted(rated)[:NEAREST], key=lambda rating: rating[1])
    return "\n".join(f"line {number}: {_short(line.rstrip(_LINE_SPACE))}" for _, number, line in best)


def _short(line: str) -> str:
    text = visible(line, keep="\t")
    return text if len(text) <= NEAREST_WIDTH else f"{text[: NEAREST_WIDTH - 1]}…"


def _occurrences(text: str, wanted: str) -> Iterator[int]:
    """Where it starts, overlapping ones too."""
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _only(text: str, starts: Sequence[int]) -> int:
    if len(starts) == 1:
        return starts[0]
    times = f"more than {MAX_OCCURRENCES}" if len(starts) > MAX_OCCURRENCES else str(len(starts))
    lines = sorted({text.count("\n", 0, start) + 1 for start in starts[:10]})
    named = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
    raise BadArguments(
        f"That passage occurs {times} times, at {named}{' and more' if len(starts) > 10 else ''}.",
        hint="Give more of the lines around the one that is meant.",
    )


def _line_ending(text: str, start: int) -> str:
    """How the line ends in which the passage starts, else the one before it."""
    at = text.find("\n", start)
    at = at if at >= 0 else text.rfind("\n", 0, start)
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def _apart_from_line_ends(text: str, old: str, new: str) -> Edit | None:
    """The passage where spaces at the ends of lines and "\\r" don't count. If the last line of `old` has such spaces, a
    line has to end there; else the passage may end within one."""
    lines = text.split("\n")
    bare = [line.rstrip(_LINE_SPACE) for line in lines]
    wanted = [line.rstrip(_LINE_SPACE) for line in old.split("\n")]
    if not any(wanted):
        return None
    to_line_end = len(wanted[-1]) < len(old.rpartition("\n")[2])
    joined, needle = "\n".join(bare), "\n".join(wanted)
    bare_starts = [0, *accumulate(len(line) + 1 for line in bare)]
    starts = [0, *accumulate(len(line) + 1 for line in lines)]

    def original(at: int) -> int:
        line = bisect_right(bare_starts, at) - 1
        return starts[line] + at - bare_starts[line]

    found: list[int] = []
    for at in islice(_occurrences(joined, needle), MAX_OCCURRENCES + 1):
        if not to_line_end or joined[at + len(needle) : at + len(needle) + 1] in ("", "\n"):
            found.append(at)
    if not found:
        return None
    start = original(_only(joined, found))
    end = original(found[0] + len(needle))
    if to_line_end:
        line = bisect_right(starts, end) - 1
        end = starts[line] + len(lines[line].removesuffix("\r"))
    same = text[start:end].replace("\r\n", "\n") == old.replace("\r\n", "\n")
    return Edit(start, end, new, "apart from line endings" if same else "apart from spaces at the ends of lines")


def _apart_from_indentation(text: str, old: str, new: str) -> Edit | None:
    """Whole lines that are the same but for their indentation, if what each indentation became can be told."""
    lines = text.split("\n")
    wanted = old.split("\n")
    to_next_line = len(wanted) > 1 and not wanted[-1]
    if to_next_line:
        wanted.pop()
    bare = [line.strip(_LINE_SPACE) for line in wanted]
    if not any(bare):
        return None
    stripped = [line.strip(_LINE_SPACE) for line in lines]
    joined, needle = "\n".join(["", *stripped, ""]), "\n".join(["", *bare, ""])
    line_at = [0, *accumulate(len(line) + 1 for line in stripped)]
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    found: list[tuple[int, dict[str, str]]] = []
    for at in islice(_occurrences(joined, needle), max(1, MAX_COMPARED // len(wanted))):
        first = bisect_right(line_at, at) - 1
        indents = _indentations(wanted, lines[first : first + len(wanted)])
        if indents is not None:
            found.append((first, indents))
        if len(found) > MAX_OCCURRENCES:
            break
    if not found:
        return None
    _only(text, [starts[first] for first, _ in found])
    first, indents = found[0]
    written = _indented(new, indents)
    if written is None:
        return None
    last = first + len(wanted) - 1
    end = starts[last] + len(lines[last].removesuffix("\r"))
    if to_next_line and last + 1 < len(lines):
        end = starts[last + 1]
    elif to_next_line:
        written = written.removesuffix("\n")
    indented = any(given != kept for given, kept in indents.items())
    how = "apart from indentation, of which the file's was kept" if indented else "apart from line endings"
    return Edit(starts[first], end, written, how)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _indentations(wanted: Sequence[str], lines: Sequence[str]) -> dict[str, str] | None:
    """Each indentation of the lines wanted with the one in the text; None if one stands for two, or two for one."""
    indents: dict[str, str] = {}
    for given, line in zip(wanted, lines, strict=True):
        if given.strip(_LINE_SPACE) and indents.setdefault(_indent(given), _indent(line)) != _indent(line):
            return None
    return indents if len(set(indents.values())) == len(indents) else None


def _indented(new: str, indents: Mapping[str, str]) -> str | None:
    """`new` with the text's indentation; None if one of its lines has an indentation that nothing tells of."""
    written: list[str] = []
    for line in new.split("\n"):
        indent = _indent(line)
        became = _became(indent, indents) if line.strip(_LINE_SPACE) else indent
        if became is None:
            return None
        written.append(became + line[len(indent) :])
    return "\n".join(written)


def _became(indent: str, indents: Mapping[str, str]) -> str | None:
    """What an indentation of the new lines is in the text: all are deeper by the same, or less deep, or by steps."""
    if indent in indents:
        return indents[indent]
    given, kept = next(iter(indents.items()))
    if kept.endswith(given):
        more = kept.removesuffix(given)
        if all(there == more + here for here, there in indents.items()):
            return more + indent
    elif given.endswith(kept):
        less = given.removesuffix(kept)
        if all(here == less + there for here, there in indents.items()):
            return indent.removeprefix(less) if indent.startswith(less) else None
    return _by_steps(indent, indents)


def _by_steps(indent: str, indents: Mapping[str, str]) -> str | None:
    """Where one level is another step in the text: two spaces for four, a tab for spaces."""
    known = {"": "", **indents}
    inner = min((given for given in known if given), key=len, default="")
    outer = max((given for given in known if inner.startswith(given) and given != inner), key=len, default="")
    step, kept = inner.removeprefix(outer), known[inner].removeprefix(known[outer])
    below = max((given for given in known if indent.startswith(given)), key=len)
    rest = indent.removeprefix(below)
    count = len(rest) // len(step) if step else 0
    if not kept or not known[inner].startswith(known[outer]) or rest != step * count:
        return None
    return known[below] + kept * count
