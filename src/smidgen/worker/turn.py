"""One turn: decode a planned batch with the drafts that fit, draw a token from every row that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import SmidgenError
from smidgen.llama import Backend, NoRoom
from smidgen.worker.draft import extra_cost
from smidgen.worker.generation import Generation
from smidgen.worker.scheduler import Operation, Scheduler, Work
from smidgen.worker.score import Scoring
from smidgen.worker.sequence import Sequence


class Outcome(NamedTuple):
    """started: a generation drew its first token. scored: the prompts of score requests are decoded."""

    decoded: int
    started: bool
    ended: list[Generation]
    scored: list[Sequence]
    failed: list[tuple[Sequence, SmidgenError]]


class Turn:
    """The mappings are the loop's own, by request id; `counters` are counted up here."""

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        generations: Mapping[int, Generation],
        scorings: Mapping[int, tuple[Scoring, Sequence]],
        counters: dict[str, int],
        drafts: bool,
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._generations = generations
        self._scorings = scorings
        self._counters = counters
        self._ends = frozenset(backend.info.end_tokens)
        self._may_draft = drafts and backend.info.can_rewind
        self._drafts: dict[int, list[int]] = {}

    def decode(self, work: list[Work]) -> None:
        """Raises NoRoom, DecodeFailed, InvalidRequest."""
        self._drafts = self._draft(work) if self._may_draft else {}
        try:
            self._decode(work)
        except NoRoom:
            if not self._drafts:
                raise
            self._drafts = {}
            self._decode(work)

    def _draft(self, work: list[Work]) -> dict[int, list[int]]:
        tokens = sum(item.size for item in work)
        rows = self._scheduler.outputs - sum(item.wants_logits for item in work)
        room = min(self._scheduler.free_cells, self._backend.batch) - tokens
        drafts: dict[int, list[int]] = {}
        for sequence, *_, wants_logits in work:
            generation = self._generations.get(sequence.id)
            if generation is None or not wants_logits:
                continue
            draft = generation.draft(extra_cost(tokens), self._ends)[: max(0, min(rows, room))]
            if draft:
                drafts[sequence.id] = draft
                rows, room, tokens = rows - len(draft), room - len(draft), tokens + len(draft)
        return drafts

    def _decode(self, work: list[Work]) -> None:
        tokens: list[int] = []
        positions: list[NDArray[np.int32]] = []
        owners: list[tuple[int]] = []
        wants: list[int] = []
        for sequence, start, size, wants_logits in work:
            draft = self._drafts.get(sequence.id, [])
            tokens += sequence.tokens[start : start + size]
            tokens += draft
            size += len(draft)
            positions.append(np.arange(start, start + size, dtype=np.int32))
            owners += [(sequence.slot,)] * size
            wants += [0] * (size - len(draft) - 1)
            wants += [int(wants_logits)] * (len(draft) + 1)
        self._backend.decode(
            np.array(tokens, dtype=np.int32), np.concatenate(positions), owners, np.array(wants, dtype=np.int8)
        )

    def commit(self, work: list[Work]) -> tuple[list[Operation], Outcome]:
        """After `decode`: sample, keep what was accepted of the drafts. The operations come before anything else."""
        operations = self._scheduler.commit(work)
        outcome = Outcome(0, False, [], [], [])
        last, decoded, started = -1, 0, False
        for sequence, start, size, wants_logits in work:
            draft = self._drafts.get(sequence.id, [])
            last += size
            decoded += size + len(draft)
            self._counters["prefilled_tokens"] += max(0, min(start + size, sequence.prompt_length) - start)
            if wants_logits:
                generation = self._generations.get(sequence.id)
                try:
                    if generation is None:
                        self._scorings[sequence.id][0].start(self._backend.logits(last))
                        outcome.scored.append(sequence)
                    else:
                        started |= not generation.announced
                        self._sample(generation, last, draft)
                except SmidgenError as error:
                    outcome.failed.append((sequence, error))
                else:
                    if generation is not None and generation.ended is not None:
                        outcome.ended.append(generation)
            last += len(draft)
        return operations, outcome._replace(decoded=decoded, started=started)

    def _sample(self, generation: Generation, row: int, draft: list[int]) -> None:
        """Draw from the row of the last known token, then from the rows of drafted ones as long as they come true."""
        sequence = generation.sequence
        known = sequence.computed
        accepted = 0
        while True:
            generation.advance(self._backend.logits(row + accepted), self._backend, self._ends)
            self._counters["sampled_tokens"] += 1
            new = sequence.tokens[known:]
            held = accepted
            while held < len(draft) and held < len(new) and draft[held] == new[held]:
                held += 1
            if generation.ended is not None or held < len(new) or held == accepted:
                accepted = held
                break
            accepted = held
        if draft:
            self._counters["drafted_tokens"] += len(draft)
            self._counters["accepted_tokens"] += accepted
            generation.judge(len(draft), accepted)
            self._scheduler.advance(sequence, accepted)
            if accepted < len(draft):
                self._backend.drop(sequence.slot, sequence.computed)
