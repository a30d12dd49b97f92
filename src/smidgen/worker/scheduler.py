"""What to decode next. Knows sequences, slots and cells as numbers; the loop performs what it returns.

Each turn: finished prefixes make room, waiting requests are admitted next to the longest prefix they share, running
sequences get their next tokens first and prefill chunks fill the rest of the batch. A request that shares more with a
prefill under way than with anything already computed waits for it, so a shared preamble is prefilled once however
many requests bring it at the same moment. Prefill waits for sequences of better priority. When cells run short, idle
prefixes go first (least recently used; those of chats and of editors each have a share that the other can't take), then
the lowest-ranked running sequence is put back to wait; it goes on later from its own tokens.
Continuous batching: Orca (Yu et al., OSDI '22); chunked prefill: Sarathi (arXiv:2308.16369).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from smidgen.messages import Cache
from smidgen.worker.prefix import Match, PrefixTree, common_prefix
from smidgen.worker.sequence import Sequence

WORTH_SHARING = 16
"""A shared prefix shorter than this isn't waited for, nor kept on its own."""
FEW_SLOTS = 8
BACKGROUND_STEP = 32
"""Tokens of a turn with background work: what comes meanwhile waits no longer."""
SHORT_PENDING = 16
"""Sequences with at most this many pending tokens count as decoding and go before prefill chunks."""


class Copy(NamedTuple):
    """Let slot `target` share the first `length` cells of `source`."""

    source: int
    target: int
    length: int


class Drop(NamedTuple):
    """Free a slot's cells."""

    slot: int


Operation = Copy | Drop


class Work(NamedTuple):
    """Decode `size` tokens of a sequence from position `start`; `wants_logits` for the last of them."""

    sequence: Sequence
    start: int
    size: int
    wants_logits: bool


class Kept(NamedTuple):
    """What is known of an idle prefix."""

    pinned: bool
    cache: Cache


class Plan(NamedTuple):
    """Operations come before the work, in order."""

    operations: list[Operation]
    work: list[Work]


class Scheduler:
    """slots: sequence ids of the library. cells: size of the shared KV cache. batch: tokens per decode at most.
    outputs: tokens of one batch that may ask for logits. can_rewind: slots may share any prefix of another, not only
    all of it."""

    def __init__(self, *, slots: int, cells: int, batch: int, outputs: int, can_rewind: bool = True) -> None:
        self.batch = batch
        self.cells = cells
        self.can_rewind = can_rewind
        self.max_running = max(1, min(outputs, slots - slots // 4))
        self.outputs = outputs
        self.tree = PrefixTree()
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._free = list(range(slots - 1, -1, -1))
        self._idle: OrderedDict[int, Kept] = OrderedDict()  # by slot, least recently used first
        self._share = cells // 2
        self._pins_allowed = slots // 4
        self.admitting = True  # off after the library had no room, until a decode has succeeded again
        self.lent = 0  # cells that the loop uses itself
        self.evictions = 0
        self.preemptions = 0

    # --- requests in and out ----------------------------------------------------------------------------------------

    def add(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def finish(self, sequence: Sequence, keep: bool = True) -> list[Operation]:
        """The request is over. Its cells stay as an idle prefix if they are worth it."""
        if sequence.slot < 0:
            self.waiting.remove(sequence)
            return []
        self.running.remove(sequence)
        slot, sequence.slot = sequence.slot, -1
        if not keep or self.tree.length(slot) < WORTH_SHARING:
            return [self._release(slot)]
        operations: list[Operation] = []
        if self.can_rewind:
            same = Kept(False, sequence.cache)
            covered = [other for other in self.tree.ancestors(slot) if self._idle.get(other) == same]
            operations = [self._drop_idle(other) for other in covered]
        self._idle[slot] = Kept(False, sequence.cache)
        return operations

    @property
    def has_work(self) -> bool:
        return bool(self.waiting) or any(sequence.pending > 0 for sequence in self.running)

    @property
    def idle_prefixes(self) -> int:
        return len(self._idle)

    def clear(self) -> list[Operation]:
        """Drop every idle prefix, pinned ones too."""
        return [self._drop_idle(slot) for slot in list(self._idle)]

    # --- planning ---------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        operations = self._admit()
        work = self._choose_work()
        while self.free_cells < sum(item.size for item in work):
            freed = self.make_room()
            if not freed:
                break
            operations += freed
            work = self._choose_work()
        return Plan(operations, work)

    def commit(self, work: list[Work]) -> list[Operation]:
        """The work was decoded. Returns copies that keep the prefixes asked for."""
        operations: list[Operation] = []
        self.admitting = True
        for sequence, start, size, _ in work:
            self.tree.extend(sequence.slot, sequence.tokens[start : start + size])
            sequence.computed = start + size
            while sequence.snapshots and sequence.snapshots[0] <= sequence.computed:
                length = sequence.snapshots.pop(0)
                if self.can_rewind or length == sequence.computed:
                    operations += self._snapshot(sequence, length)
        return operations

    def advance(self, sequence: Sequence, count: int) -> None:
        """The next `count` known tokens were decoded as a draft."""
        self.tree.extend(sequence.slot, sequence.tokens[sequence.computed : sequence.computed + count])
        sequence.computed += count

    @property
    def free_cells(self) -> int:
        return self.cells - self.lent - self.tree.cells

    def make_room(self, keep: Sequence | None = None) -> list[Operation]:
        """Free some cells: the least recently used idle prefix, else the lowest-ranked running sequence (not `keep`,
        nor the only one), else a prefix that is pinned or in the share of those that aren't running. Empty when nothing
        is left to free."""
        victim = self._oldest_idle({sequence.cache for sequence in self.running} or {"chat"})
        if victim is not None:
            self.evictions += 1
            return [self._drop_idle(victim)]
        others = [sequence for sequence in self.running if sequence is not keep]
        if len(self.running) > 1:
            return [self._preempt(max(others, key=lambda sequence: sequence.rank))]
        if self._idle:
            self.evictions += 1
            return [self._drop_idle(next(iter(self._idle)))]
        return []

    def take_slots(self, count: int) -> tuple[list[int], list[Operation]]:
        """Up to `count` empty slots for a computation of the loop's own; give them back with `return_slots`. Idle
        prefixes are given up for the first few only: the work can be done in several passes."""
        operations: list[Operation] = []
        while len(self._free) < min(count, FEW_SLOTS) and (victim := self._oldest_idle({"chat"})) is not None:
            operations.append(self._drop_idle(victim))
            self.evictions += 1
        taken = [self._free.pop() for _ in range(min(count, len(self._free)))]
        return taken, operations

    def return_slots(self, slots: list[int]) -> None:
        self._free.extend(slots)

    # --- steps of a plan --------------------------------------------------------------------------------------------

    def _admit(self) -> list[Operation]:
        operations: list[Operation] = []
        for sequence in sorted(self.waiting, key=lambda s: s.rank):
            if len(self.running) >= self.max_running or (self.running and not self.admitting):
                break
            known = sequence.tokens[: len(sequence.tokens) - 1]
            match = self.tree.match(known, whole=not self.can_rewind)
            if self._worth_waiting(sequence, known, match.length):
                continue
            if match.slot in self._idle:
                self._idle.move_to_end(match.slot)
            need = len(sequence.tokens) - match.length + sequence.reserve
            if not self._fits(need, match.slot, sequence.cache, operations):
                break
            slot = self._take_slot(match.slot, sequence.cache, operations)
            if slot is None and not self.running and match.slot in self._idle:
                operations.append(self._drop_idle(match.slot))  # the only slot there is: start anew in it
                match, slot = Match(-1, 0, 0), self._take_slot(-1, sequence.cache, operations)
            if slot is None:
                break
            self.tree.attach(slot, match.slot, match.length)
            if match.length:
                operations.append(Copy(match.slot, slot, match.length))
            self.waiting.remove(sequence)
            self.running.append(sequence)
            sequence.slot, sequence.computed = slot, match.length
            if sequence.cached < 0:
                sequence.cached = match.length
            sequence.snapshots = self._snapshots_for(sequence, match.partial)
        return operations

    def _worth_waiting(self, sequence: Sequence, known: list[int], matched: int) -> bool:
        """Whether a prefill under way will soon hold clearly more of this request's tokens than there is now."""
        for other in self.running:
            if other.priority > sequence.priority:
                continue
            prompt = other.tokens[: other.prompt_length]
            shared = common_prefix(prompt, known)
            if shared >= matched + WORTH_SHARING and shared > other.computed:
                if not self.can_rewind and shared not in other.snapshots:
                    other.snapshots = sorted({*other.snapshots, shared})
                return True
        return False

    def _fits(self, need: int, source: int, cache: Cache, operations: list[Operation]) -> bool:
        """Make `need` cells free beyond what running sequences still have to decode; False: wait for them."""
        promised = sum(max(sequence.pending, 0) for sequence in self.running)
        while promised + need > self.free_cells:
            victim = self._oldest_idle({cache}, keep=source)
            if victim is None:
                return not self.running  # alone, it may use all there is: plan() sees to the rest
            operations.append(self._drop_idle(victim))
            self.evictions += 1
        return True

    def _take_slot(self, source: int, cache: Cache, operations: list[Operation]) -> int | None:
        if not self._free:
            victim = self._oldest_idle({cache}, keep=source)
            if victim is None and not self.running:
                victim = self._oldest_idle({"chat", "editor"}, keep=source)
            if victim is None:
                return None
            operations.append(self._drop_idle(victim))
            self.evictions += 1
        return self._free.pop()

    def _snapshots_for(self, sequence: Sequence, partial: int) -> list[int]:
        wanted = {sequence.pin} if sequence.pin else set[int]()
        if not self.can_rewind and partial >= sequence.computed + WORTH_SHARING:
            wanted.add(partial)  # a branching point seen now: the next request can start from there
        if not self.can_rewind and sequence.prompt_length - 1 > sequence.computed:
            wanted.add(sequence.prompt_length - 1)  # the same prompt again needs its last token decoded anew
        return sorted(length for length in wanted if sequence.computed < length < len(sequence.tokens))

    def _choose_work(self) -> list[Work]:
        budget, outputs = self.batch, self.outputs
        work: list[Work] = []
        ready = [sequence for sequence in self.running if sequence.pending > 0]
        for sequence in sorted(ready, key=lambda s: (s.pending > SHORT_PENDING, s.rank)):
            may_wait = sequence.is_background or sequence.pending > SHORT_PENDING
            if may_wait and any(sequence.priority > item.sequence.priority for item in work):
                continue
            count = min(sequence.pending, budget, BACKGROUND_STEP if sequence.is_background else budget)
            if sequence.snapshots and not self.can_rewind:
                count = min(count, sequence.snapshots[0] - sequence.computed)
            wants = sequence.computed + count == len(sequence.tokens)
            if count <= 0 or (wants and outputs == 0):
                continue
            work.append(Work(sequence, sequence.computed, count, wants))
            budget -= count
            outputs -= wants
            if budget == 0:
                break
        return work

    # --- slots ------------------------------------------------------------------------------------------------------

    def _oldest_idle(self, caches: Collection[Cache], keep: int = -1) -> int | None:
        """What to give up for requests of these kinds: the least recently used prefix that isn't pinned, nor guarded
        from them."""
        guarded = self._guarded(caches)
        return next(
            (slot for slot, kept in self._idle.items() if not kept.pinned and slot not in guarded and slot != keep),
            None,
        )

    def _guarded(self, caches: Collection[Cache]) -> set[int]:
        """The latest prefixes of the other kind, as many as go into its share."""
        guarded: set[int] = set()
        left = self._share
        for slot, kept in reversed(self._idle.items()):
            if kept.cache not in caches:
                left -= self.tree.length(slot)
                if left < 0:
                    break
                guarded.add(slot)
        return guarded

    def _snapshot(self, sequence: Sequence, length: int) -> list[Operation]:
        """Keep the sequence's first `length` cells as an idle prefix, pinned if the request asked for that."""
        pinned = length == sequence.pin and self._pins_allowed > 0
        if pinned and sum(kept.pinned for kept in self._idle.values()) >= self._pins_allowed:
            oldest, kept = next(item for item in self._idle.items() if item[1].pinned)
            self._idle[oldest] = kept._replace(pinned=False)
        for slot in self.tree.ancestors(sequence.slot):
            if slot in self._idle and self.tree.length(slot) == length:
                kept = self._idle[slot]
                self._idle[slot] = kept._replace(pinned=kept.pinned or pinned)
                return []
        operations: list[Operation] = []
        taken = self._take_slot(-1, sequence.cache, operations)
        if taken is None:
            return operations
        self.tree.attach(taken, sequence.slot, length)
        self._idle[taken] = Kept(pinned, sequence.cache)
        return [*operations, Copy(sequence.slot, taken, length)]

    def _preempt(self, sequence: Sequence) -> Operation:
        self.running.remove(sequence)
        self.waiting.append(sequence)
        slot, sequence.slot, sequence.computed = sequence.slot, -1, 0
        self.preemptions += 1
        return self._release(slot)

    def _drop_idle(self, slot: int) -> Operation:
        del self._idle[slot]
        return self._release(slot)

    def _release(self, slot: int) -> Operation:
        self.tree.release(slot)
        self._free.append(slot)
        return Drop(slot)
