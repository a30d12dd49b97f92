"""What is known of one model from what it did for editors: how fast it reads prompts, and which of them are in its
cache."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from smidgen.agent import AgentModel
from smidgen.agent.infill import LEAST_BEFORE, Windows
from smidgen.api.llama_server import pieces
from smidgen.messages import Segment, Timings, Usage

FIRST_GUESS = 200.0
"""Tokens per second, until a prompt was read: what a small model does on two cores."""

TELLING = 32
"""Of a prompt with fewer new tokens, the time says nothing of the speed."""

WEIGHT = 0.3
"""Of the latest prompt, in the speed that is reckoned with."""

KEPT_PROMPTS = 4
KEPT_TEXTS = 64


class Pace:
    """windows: where the texts before cursors begin."""

    def __init__(self) -> None:
        self.windows = Windows()
        self._speed = FIRST_GUESS
        self._measured = False
        self._prompts: deque[tuple[int, ...]] = deque(maxlen=KEPT_PROMPTS)
        self._texts: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    # --- speed --------------------------------------------------------------------------------------------------------

    def learn(self, used: Usage, spent: Timings) -> None:
        """How a prompt's reading went."""
        new = used.prompt_tokens - used.cached_tokens
        if new < TELLING or spent.prefill_s <= 0:
            return
        speed = new / spent.prefill_s
        self._speed = speed if not self._measured else WEIGHT * speed + (1 - WEIGHT) * self._speed
        self._measured = True

    def readable(self, seconds: float) -> int:
        """Tokens that can be read in this time, in coarse steps, so that cuts by it stay where they are."""
        most = int(self._speed * seconds)
        step = 1 << max(most.bit_length() - 2, 0)
        return max(most // step * step, LEAST_BEFORE)

    # --- cache --------------------------------------------------------------------------------------------------------

    def remember(self, tokens: tuple[int, ...], found: int) -> None:
        """A prompt was read. found: tokens of it that were in the cache; if they are fewer than expected, what was
        remembered is gone."""
        if found + TELLING < self.cached(tokens):
            self._prompts.clear()
        for earlier in [prompt for prompt in self._prompts if prompt == tokens[: len(prompt)]]:
            self._prompts.remove(earlier)
        self._prompts.appendleft(tokens)

    def cached(self, tokens: Sequence[int]) -> int:
        """How many of these tokens are at the beginning of a prompt that was read lately."""
        return max((_common(tokens, prompt) for prompt in self._prompts), default=0)

    # --- tokens -------------------------------------------------------------------------------------------------------

    async def tokenize(self, model: AgentModel, text: str) -> tuple[int, ...]:
        """Of texts that come again and again, without asking the model each time."""
        if not text:
            return ()
        if text in self._texts:
            self._texts.move_to_end(text)
            return self._texts[text]
        found = self._texts[text] = await pieces.tokens(model, (Segment(text, special=False),))
        while len(self._texts) > KEPT_TEXTS:
            self._texts.popitem(last=False)
        return found


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    low, high = 0, min(len(a), len(b))
    first, second = tuple(a[:high]), tuple(b[:high])
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
