"""One request's tokens and how far they are decoded. Numbers only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from smidgen.messages import BACKGROUND, Cache


@dataclass(eq=False, slots=True)
class Sequence:
    """`tokens` holds everything known: the prompt, what was generated, and tokens the grammar forces. The first
    `computed` of them are in the KV cache under `slot`; the others are pending.

    held: the last known token must not be decoded yet (its grammar is still being prepared).
    snapshots: lengths at which the cells are to be kept as a prefix of their own (ascending).
    reserve: new tokens that admission should leave room for.
    cache: whose prefix its cells become.
    """

    id: int
    tokens: list[int]
    prompt_length: int
    arrival: int
    priority: int = 0
    deadline: float = math.inf
    reserve: int = 32
    held: bool = False
    pin: int = 0
    cache: Cache = "chat"
    slot: int = -1
    computed: int = 0
    cached: int = -1
    snapshots: list[int] = field(default_factory=list[int])

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed - (1 if self.held else 0)

    @property
    def is_background(self) -> bool:
        return self.priority >= BACKGROUND

    @property
    def rank(self) -> tuple[int, float, int]:
        """Lower goes first: priority, oldest deadline, arrival."""
        return (self.priority, self.deadline, self.arrival)
