"""Scoring candidates as continuations of a prompt whose cells are in the cache: one pass over their token trie.

A trie node is decoded once for all candidates that run through it, as a token that belongs to several sequences
(tree attention: SpecInfer, Miao et al., arXiv:2305.09781).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.llama import Backend
from smidgen.messages import ScoreRequest, ScoreResult, Usage
from smidgen.worker.sample import log_softmax_at
from smidgen.worker.trie import Layout, TrieNode, build, layouts, nodes_to_evaluate


class Scoring:
    """One score request. `start` takes the logits after the prompt; `run` decodes the rest, if anything is left.

    leaves: sequences that a single pass over the trie uses. longest: cells besides the prompt's that any pass needs.
    """

    def __init__(self, request: ScoreRequest, candidates: Sequence[Sequence[int]], end_tokens: Sequence[int]) -> None:
        self.request = request
        self._candidates = candidates
        self._ends = list(end_tokens)
        self._contested_only = request.normalize == "choices"
        self._root = build(candidates)
        self._evaluated = nodes_to_evaluate(self._root, self._contested_only)
        self._steps: dict[int, dict[int, float]] = {}
        self.decoded = 0
        single_pass = layouts(self._evaluated, len(self._candidates) + 1, sum(map(len, candidates)) + 1)
        self.leaves = single_pass[0].leaves if single_pass else 0
        self.longest = max((node.depth for node in self._evaluated), default=0)

    def start(self, logits: NDArray[np.float32]) -> None:
        if any(node is self._root for node in self._evaluated):
            self._record(self._root, logits)

    def run(
        self,
        backend: Backend,
        prompt_slot: int,
        prompt_length: int,
        slots: Sequence[int],
        cells: int,
        progress: Callable[[int], None],
    ) -> None:
        """Decode the trie below the prompt in passes of as many candidates as slots and free cells allow, telling
        `progress` each batch's tokens. Raises NoRoom, DecodeFailed."""
        for layout in layouts(self._evaluated, len(slots), cells):
            used = slots[: layout.leaves]
            try:
                for slot in used:
                    backend.copy(prompt_slot, slot, prompt_length)
                self._run_layout(backend, layout, prompt_length, used, progress)
            finally:
                for slot in used:
                    backend.drop(slot)

    def _run_layout(
        self,
        backend: Backend,
        layout: Layout,
        prompt_length: int,
        slots: Sequence[int],
        progress: Callable[[int], None],
    ) -> None:
        wanted = {id(node) for node in self._evaluated}
        start = 0
        while start < len(layout.nodes):
            stop, outputs = start, 0
            while stop < len(layout.nodes) and stop - start < backend.batch:
                outputs += id(layout.nodes[stop]) in wanted
                if outputs > backend.outputs:
                    break
                stop += 1
            nodes = layout.nodes[start:stop]
            backend.decode(
                np.array([node.token for node in nodes], dtype=np.int32),
                np.array([prompt_length + node.depth - 1 for node in nodes], dtype=np.int32),
                [tuple(slots[leaf] for leaf in owners) for owners in layout.owners[start:stop]],
                np.array([id(node) in wanted for node in nodes], dtype=np.int8),
            )
            self.decoded += len(nodes)
            for index, node in enumerate(nodes):
                if id(node) in wanted:
                    self._record(node, backend.logits(index))
            progress(len(nodes))
            start = stop

    def _record(self, node: TrieNode, logits: NDArray[np.float32]) -> None:
        tokens = list(node.children)
        values = log_softmax_at(logits, [*tokens, *self._ends]).tolist()
        ways = dict(zip(tokens, values, strict=False))
        if self._contested_only:
            if node.ends and self._ends:
                ways[-1] = _log_sum(values[len(tokens) :])
            total = _log_sum(list(ways.values()))
            ways = {token: value - total for token, value in ways.items()}
        self._steps[id(node)] = ways

    def result(self, prompt_tokens: int, cached_tokens: int) -> ScoreResult:
        sums: list[float] = []
        for tokens in self._candidates:
            node, total = self._root, 0.0
            for token in tokens:
                total += self._steps.get(id(node), {}).get(token, 0.0)
                node = node.children[token]
            sums.append(total + self._steps.get(id(node), {}).get(-1, 0.0))
        return ScoreResult(
            logprobs=tuple(sums),
            token_counts=tuple(len(tokens) for tokens in self._candidates),
            usage=Usage(prompt_tokens=prompt_tokens, cached_tokens=cached_tokens, completion_tokens=self.decoded),
        )


def _log_sum(values: Sequence[float]) -> float:
    peak = max(values, default=-math.inf)
    return peak if math.isinf(peak) else peak + math.log(sum(math.exp(value - peak) for value in values))
