"""Drafts: tokens that a generation will probably write next, copied from where its last tokens stood before.

A draft is decoded together with the pending token and costs a fraction of a step; every token is still drawn from its
own logits, so a draft changes how many tokens share a decode and nothing else. Prompt lookup: LLMA (Yang et al.,
arXiv:2304.04487); verifying drafts in one batch: Leviathan et al., arXiv:2211.17192.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

LONGEST = 8
"""Tokens of one draft at most."""
WORTH = 1.03
"""Tokens per unit of time that a draft must promise, against none."""
PAIR_PRIOR = (1.2, 2.0)
SINGLE_PRIOR = (0.7, 2.0)
"""Accepted and tried tokens that a generation starts with: two tokens seen before promise more than one."""
EXTRA = 0.5
"""An extra token's time in units of a step with one token: 0.1 to 0.55 for small models on two cores. A fixed
figure, not one that is measured while running: the same requests are then decoded in the same batches."""


def extra_cost(tokens: int) -> float:
    """An extra token's cost relative to the average token's in a batch of `tokens`: alone it competes with a whole
    step, among many with what each of them costs."""
    return EXTRA * tokens / (1.0 + EXTRA * (tokens - 1))


class Drafter:
    """The lookup and its record for one generation. `tokens` is the generation's own list, prompt included."""

    def __init__(self, tokens: Sequence[int], ends: Collection[int]) -> None:
        self._tokens = tokens
        self._ends = ends
        self._after_pair: dict[tuple[int, int], int] = {}
        self._after: dict[int, int] = {}
        self._indexed = 0
        self._single = False
        self._guess: tuple[int, int, bool] | None = None
        self._records = {False: list(PAIR_PRIOR), True: list(SINGLE_PRIOR)}

    def propose(self, cost: float, singles: bool) -> list[int]:
        """What may come next, likeliest continuation first; often nothing. cost: of an extra token, see `extra_cost`.
        singles: also look up the last token alone, if it stood at one place only."""
        self._judge_guess()
        start = self._found(singles)
        if start < 0:
            return []
        accepted, tried = self._records[self._single]
        count = _best_length(accepted / tried, cost)
        if not count:
            self._guess = len(self._tokens), self._tokens[start], self._single
        draft = list(self._tokens[start : start + count])
        for index, token in enumerate(draft):
            if token in self._ends:
                return draft[:index]
        return draft

    def observe(self, drafted: int, accepted: int) -> None:
        """How the last proposal went."""
        self._record(self._single, min(drafted, accepted + 1), accepted)

    def _judge_guess(self) -> None:
        """What would have been drafted, had it seemed worth it: a text that begins to repeat is noticed."""
        if self._guess is not None and len(self._tokens) > self._guess[0]:
            at, token, single = self._guess
            self._record(single, 1, int(self._tokens[at] == token))
            self._guess = None

    def _record(self, single: bool, tried: int, accepted: int) -> None:
        """Old experience fades."""
        record = self._records[single]
        if record[1] > 12.0:
            record[0], record[1] = record[0] * 0.8, record[1] * 0.8
        record[0] += accepted
        record[1] += tried

    def _found(self, singles: bool) -> int:
        """Where the continuation starts, or -1."""
        tokens = self._tokens
        size = len(tokens)
        if size < 3:
            return -1
        for at in range(self._indexed, size - 1):
            if at:
                self._after_pair[tokens[at - 1], tokens[at]] = at + 1
            self._after[tokens[at]] = -1 if tokens[at] in self._after else at + 1
        self._indexed = size - 1
        start = self._after_pair.get((tokens[-2], tokens[-1]), -1)
        self._single = start < 0
        if self._single and singles:
            start = self._after.get(tokens[-1], -1)
        return start


def _best_length(chance: float, cost: float) -> int:
    """The number of drafted tokens with the most expected tokens per time; 0 if none beats the plain step."""
    best, best_rate = 0, WORTH
    expected, reached = 1.0, 1.0
    for count in range(1, LONGEST + 1):
        reached *= min(chance, 0.98)
        expected += reached
        rate = expected / (1.0 + cost * count)
        if rate > best_rate:
            best, best_rate = count, rate
    return best
