"""How many tokens each part of a prompt may have."""

from __future__ import annotations

import msgspec


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Each part in tokens, or, up to 1, as a share of the window.

    system: instructions; longer ones are refused. 0: as long as they are.
    tools: kept free for what the inner pattern adds of its own: tools' descriptions, examples.
    memory: recalled facts and what is told of older exchanges, at most.
    history: the last exchanges as they were said, at most. 0: what the other parts leave.
    request: kept free for it; a longer one takes from history and memory, and is refused only when those are gone.
    answer: kept free for it.
    """

    system: float = 0.0
    tools: float = 0.0
    memory: float = 0.2
    history: float = 0.0
    request: float = 0.12
    answer: float = 0.25

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more")
        kept = sum(share for share in (self.tools, self.memory, self.answer) if share <= 1)
        if kept >= 1:
            raise ValueError(f"tools, memory and answer take {kept:g} of the window, which leaves nothing")

    def of(self, window: int) -> Parts:
        """The same in tokens of this window."""
        return Parts(**{name: _tokens(getattr(self, name), window) for name in self.__struct_fields__})


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """A budget in tokens."""

    system: int
    tools: int
    memory: int
    history: int
    request: int
    answer: int


def _tokens(share: float, window: int) -> int:
    return int(share * window) if share <= 1 else int(share)
