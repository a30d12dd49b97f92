"""Results too long for a model's context: the first part is read at once, the others when they are asked for."""

from __future__ import annotations

from collections import OrderedDict

from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.function import BadArguments, tool

MOST_RESULTS = 16
MOST_CHARACTERS = 4_000_000
"""Of all that are kept; the oldest are forgotten first."""
LEAST_PART = 200


class Results:
    """Of one conversation; if it isn't `lasting`, of one run that nothing follows. texts: what was shown, in its order.
    Parts are counted from 1 and end at a line's end where one is near."""

    def __init__(self, *, lasting: bool = True) -> None:
        self.texts: list[str] = []
        self._lasting = lasting
        self._kept: OrderedDict[str, list[str]] = OrderedDict()
        self._next: dict[str, int] = {}
        self._count = 0
        self._last = ""

    def shown(self, text: str, characters: int) -> str:
        """The text if it has at most so many characters or is a part already, else its first part, and how to read
        on. Fewer characters than LEAST_PART count as so many."""
        self.texts.append(self._shown(text, max(characters, LEAST_PART)))
        return self.texts[-1]

    def _shown(self, text: str, characters: int) -> str:
        if len(text) <= characters or text == self._last:
            return text
        self._count += 1
        name = f"r{self._count}"
        self._kept[name] = _parts(text, characters)
        self._next[name] = 2
        while len(self._kept) > MOST_RESULTS or (len(self._kept) > 1 and self._characters() > MOST_CHARACTERS):
            self._next.pop(self._kept.popitem(last=False)[0])
        return self._told(name, 1)

    def tools(self) -> tuple[Tool, ...]:
        """`read_more`, once there is something to read on in."""
        return (self._tool(),) if self._kept else ()

    def _characters(self) -> int:
        return sum(len(part) for parts in self._kept.values() for part in parts)

    def _tool(self) -> Tool:
        @tool
        def read_more(result: str = "", part: int = 0) -> ToolOutcome:
            """Read on in a long result that was cut.

            Args:
                result: its name, for example "r1"; the last one if left out
                part: which part; the next one if left out
            """
            if result and result not in self._kept:
                raise BadArguments(f"There is no result {result!r}; there are {', '.join(self._kept)}.")
            name = result or next(reversed(self._kept))
            number, most = part or self._next[name], len(self._kept[name])
            if number > most and not part:
                text = f"(that was all of {name})"
                return ToolOutcome(ok=True, value=text, text=text, answer=text)
            if not 1 <= number <= most:
                raise BadArguments(f"{name} has the parts 1 to {most}.")
            self._next[name] = number + 1
            text = self._told(name, number)
            return ToolOutcome(ok=True, value=text, text=text, answer=text)

        return read_more

    def _told(self, name: str, number: int) -> str:
        parts = self._kept[name]
        how = f'read on with read_more("{name}")' if self._lasting else 'in a chat, "more" reads on'
        on = f"; {how}" if number < len(parts) else ""
        self._last = f"{parts[number - 1]}\n[part {number} of {len(parts)}{on}]"
        return self._last


def _parts(text: str, characters: int) -> list[str]:
    parts: list[str] = []
    while len(text) > characters:
        end = text.rfind("\n", characters // 2, characters)
        end = characters if end < 0 else end + 1
        parts.append(text[:end].rstrip("\n"))
        text = text[end:]
    return [*parts, text] if text.strip() else parts
