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
FIRST_EXTRA = 0.4
"""An extra token's time in units of a step with one token, before it was measured: 0.3 to 0.5 for small models on two
cores."""
FEW = 16
"""Only batches up to this size tell what an extra token costs; larger ones are computed in another way."""


class StepCost:
    """What a step with few tokens costs, in units of a step with one; learnt from the steps themselves."""

    def __init__(self) -> None:
        self._single_s = 0.0
        self._extra = FIRST_EXTRA

    def observe(self, tokens: int, seconds: float) -> None:
        if tokens == 1:
            self._single_s = seconds if not self._single_s else 0.9 * self._single_s + 0.1 * seconds
        elif tokens <= FEW and self._single_s > 0.0:
            extra = (seconds / self._single_s - 1.0) / (tokens - 1)
            self._extra += 0.1 * (min(max(extra, 0.05), 1.0) - self._extra)

    def of_extra(self, tokens: int) -> float:
        """An extra token's cost relative to the average token's in a batch of `tokens`: alone it competes with a whole
        step, among many with what each of them costs."""
        return self._extra * tokens / (1.0 + self._extra * (tokens - 1))


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

    def propose(self, extra_cost: float, singles: bool) -> list[int]:
        """What may come next, likeliest continuation first; often nothing. extra_cost: see `StepCost.of_extra`.
        singles: also look up the last token alone, if it stood at one place only."""
        self._judge_guess()
        start = self._found(singles)
        if start < 0:
            return []
        accepted, tried = self._records[self._single]
        count = _best_length(accepted / tried, extra_cost)
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


def _best_length(chance: float, extra_cost: float) -> int:
    """The number of drafted tokens with the most expected tokens per time; 0 if none beats the plain step."""
    best, best_rate = 0, WORTH
    expected, reached = 1.0, 1.0
    for count in range(1, LONGEST + 1):
        reached *= min(chance, 0.98)
        expected += reached
        rate = expected / (1.0 + extra_cost * count)
        if rate > best_rate:
            best, best_rate = count, rate
    return best
