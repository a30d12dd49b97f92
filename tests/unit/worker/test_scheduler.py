"""The scheduler driven without a model: a simulated memory checks every operation, batches and fairness."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.messages import BACKGROUND
from smidgen.worker.scheduler import Copy, Drop, Operation, Scheduler, Work
from smidgen.worker.sequence import Sequence


class Memory:
    """What the library's unified KV cache would do, checked at every step: cells with owners."""

    def __init__(self, cells: int, can_rewind: bool) -> None:
        self.capacity = cells
        self.can_rewind = can_rewind
        self.slots: dict[int, list[tuple[int, int]]] = {}
        self.numbers = itertools.count()
        self.most_used = 0

    def perform(self, operations: list[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, Copy):
                assert operation.target not in self.slots, "copy into a slot that holds something"
                source = self.slots[operation.source]
                assert 0 < operation.length <= len(source)
                if not self.can_rewind:
                    assert operation.length == len(source), "memory that can't rewind copies whole sequences only"
                self.slots[operation.target] = source[: operation.length]
            else:
                assert isinstance(operation, Drop)
                self.slots.pop(operation.slot, None)

    def decode(self, work: list[Work]) -> None:
        for sequence, start, count, _ in work:
            held = self.slots.setdefault(sequence.slot, [])
            assert len(held) == start, "positions must follow one another"
            held += [(next(self.numbers), token) for token in sequence.tokens[start : start + count]]
            assert [token for _, token in held] == sequence.tokens[: start + count]
        used = len({cell for cells in self.slots.values() for cell in cells})
        self.most_used = max(self.most_used, used)
        assert used <= self.capacity, "more cells than there are"


class Simulation:
    def __init__(self, *, slots: int = 8, cells: int = 200, batch: int = 16, can_rewind: bool = True) -> None:
        self.scheduler = Scheduler(slots=slots, cells=cells, batch=batch, outputs=slots, can_rewind=can_rewind)
        self.memory = Memory(cells, can_rewind)
        self.left: dict[int, int] = {}
        self.finished: list[int] = []
        self.prefilled = 0
        self.arrivals = itertools.count()

    def add(self, prompt: list[int], new: int, **fields: int | float | str) -> Sequence:
        number = next(self.arrivals)
        sequence = Sequence(number, list(prompt), len(prompt), number, reserve=min(new, 4), **fields)  # pyright: ignore
        self.left[number] = new
        self.scheduler.add(sequence)
        return sequence

    def step(self) -> list[Work]:
        plan = self.scheduler.plan()
        self.memory.perform(plan.operations)
        work = plan.work
        assert sum(item.size for item in work) <= self.scheduler.batch
        assert len({item.sequence.id for item in work}) == len(work)
        self.memory.decode(work)
        self.memory.perform(self.scheduler.commit(work))
        for sequence, start, count, wants in work:
            self.prefilled += max(0, min(start + count, sequence.prompt_length) - start)
            assert wants == (start + count == len(sequence.tokens))
            if wants:
                self.left[sequence.id] -= 1
                if self.left[sequence.id] <= 0:
                    self.memory.perform(self.scheduler.finish(sequence))
                    self.finished.append(sequence.id)
                else:
                    sequence.tokens.append(1000 + sequence.id)
        return work

    def run(self, most: int = 5000) -> None:
        for _ in range(most):
            if not self.scheduler.waiting and not self.scheduler.running:
                return
            self.step()
        pytest.fail("the scheduler doesn't come to an end")


prompts = st.lists(
    st.tuples(
        st.sampled_from([0, 20, 40]),
        st.integers(1, 30),
        st.integers(1, 20),
        st.booleans(),
        st.sampled_from(["chat", "editor"]),
        st.sampled_from([-10, 0, BACKGROUND]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(requests=prompts, can_rewind=st.booleans(), slots=st.integers(1, 9), cells=st.integers(100, 300))
def test_every_request_ends_and_memory_is_never_overdrawn(
    requests: list[tuple[int, int, int, bool, str, int]], can_rewind: bool, slots: int, cells: int
) -> None:
    simulation = Simulation(slots=slots, cells=cells, can_rewind=can_rewind)
    for shared, own, new, now, cache, priority in requests:
        tail = [500 + len(simulation.left)] * own
        simulation.add(
            list(range(shared)) + tail, new, pin=shared if shared == 40 else 0, cache=cache, priority=priority
        )
        if now:
            simulation.step()
    simulation.run()
    assert sorted(simulation.finished) == list(range(len(requests)))


def test_a_shared_preamble_is_prefilled_once_by_requests_that_come_together() -> None:
    simulation = Simulation(slots=64, cells=4000, batch=512)
    preamble = list(range(875))
    for number in range(32):
        simulation.add([*preamble, *[2000 + number] * 15], 8)
    simulation.run()
    assert simulation.prefilled == 875 + 32 * 15


def test_memory_without_rewind_shares_a_preamble_too() -> None:
    simulation = Simulation(slots=64, cells=4000, batch=512, can_rewind=False)
    preamble = list(range(875))
    for number in range(32):
        simulation.add([*preamble, *[2000 + number] * 15], 8)
    simulation.run()
    assert simulation.prefilled <= (875 + 32 * 15) * 1.05


def test_the_next_turn_prefills_only_what_is_new() -> None:
    for can_rewind in (True, False):
        simulation = Simulation(slots=8, cells=400, batch=64, can_rewind=can_rewind)
        first = simulation.add(list(range(50)), 10)
        simulation.run()
        simulation.prefilled = 0
        second = simulation.add([*first.tokens, *range(700, 712)], 5)
        simulation.run()
        # the last token of an answer is sampled but never decoded
        assert simulation.prefilled <= 12 + 1
        assert second.cached >= len(first.tokens) - 1


def test_the_same_prompt_again_decodes_only_its_last_token() -> None:
    for can_rewind in (True, False):
        simulation = Simulation(slots=8, cells=400, batch=64, can_rewind=can_rewind)
        simulation.add(list(range(50)), 3)
        simulation.run()
        simulation.prefilled = 0
        simulation.add(list(range(50)), 3)
        simulation.run()
        assert simulation.prefilled == 1


def test_running_sequences_get_their_token_in_every_batch_beside_a_long_prefill() -> None:
    simulation = Simulation(slots=8, cells=1000, batch=16)
    talker = simulation.add([1, 2, 3], 30)
    simulation.step()
    simulation.add(list(range(100, 400)), 2)
    for _ in range(10):
        work = simulation.step()
        assert any(item.sequence is talker for item in work)
        assert sum(item.size for item in work) == 16


def test_the_oldest_deadline_is_prefilled_first_and_priority_beats_it() -> None:
    simulation = Simulation(slots=8, cells=1000, batch=16)
    simulation.add([1] * 64, 1, deadline=50.0)
    urgent = simulation.add([2] * 64, 1, deadline=10.0)
    boss = simulation.add([3] * 64, 1, deadline=math.inf, priority=-1)
    order: list[int] = []
    while simulation.scheduler.waiting or simulation.scheduler.running:
        order += [item.sequence.id for item in simulation.step()]
    firsts = list(dict.fromkeys(order))
    assert firsts == [boss.id, urgent.id, 0]


def test_idle_prefixes_are_evicted_least_recently_used_first() -> None:
    simulation = Simulation(slots=8, cells=130, batch=64)
    for start in (0, 100, 200):
        simulation.add(list(range(start, start + 30)), 1)
        simulation.run()
    simulation.add(list(range(30)), 1)  # uses the first again
    simulation.run()
    simulation.add(list(range(300, 350)), 1)
    simulation.run()
    assert simulation.scheduler.evictions == 1
    assert simulation.scheduler.tree.match(list(range(30))).length >= 29
    assert simulation.scheduler.tree.match(list(range(100, 130))).length == 0


def test_a_pinned_prefix_outlives_unpinned_ones() -> None:
    simulation = Simulation(slots=8, cells=150, batch=64)
    simulation.add(list(range(40)), 1, pin=20)
    simulation.run()
    for start in range(100, 1000, 100):
        simulation.add(list(range(start, start + 60)), 1)
        simulation.run()
    assert simulation.scheduler.tree.match(list(range(40))).length == 20


def test_when_cells_run_short_the_youngest_waits_and_then_goes_on_from_its_own_tokens() -> None:
    simulation = Simulation(slots=4, cells=100, batch=32)
    simulation.add([1] * 30, 60)
    simulation.add([2] * 30, 60)
    simulation.run()
    assert simulation.scheduler.preemptions >= 1
    assert simulation.finished == [0, 1]


def test_a_held_token_is_not_decoded() -> None:
    simulation = Simulation()
    sequence = simulation.add([1, 2, 3, 4], 2, held=True)
    simulation.step()
    assert sequence.computed == 3
    assert simulation.step() == []
    sequence.held = False
    simulation.run()
    assert simulation.finished == [0]


def test_slots_lent_to_the_loop_come_back() -> None:
    simulation = Simulation(slots=4, cells=100)
    simulation.add(list(range(20)), 1)
    simulation.run()
    slots, operations = simulation.scheduler.take_slots(10)
    simulation.memory.perform(operations)
    assert len(slots) == 4
    simulation.scheduler.return_slots(slots)
    simulation.add(list(range(20)), 1)
    simulation.run()
    assert len(simulation.finished) == 2


def test_finishing_a_request_that_still_waits_removes_it() -> None:
    simulation = Simulation()
    sequence = simulation.add([1, 2, 3], 2)
    assert simulation.scheduler.finish(sequence) == []
    assert not simulation.scheduler.has_work


def test_one_slot_serves_one_request_after_the_other() -> None:
    simulation = Simulation(slots=1, cells=200)
    for start in (0, 0, 10):
        simulation.add(list(range(start, start + 40)), 3)
        simulation.run()
    assert simulation.finished == [0, 1, 2]


def test_after_the_library_had_no_room_nobody_is_admitted_until_a_decode_succeeds() -> None:
    simulation = Simulation()
    simulation.add([1] * 20, 5)
    simulation.step()
    simulation.scheduler.admitting = False
    late = simulation.add([2] * 20, 5)
    plan = simulation.scheduler.plan()
    assert late.slot < 0 and plan.work
    simulation.memory.perform(plan.operations)
    simulation.memory.decode(plan.work)
    simulation.scheduler.commit(plan.work)
    simulation.step()
    assert late.slot >= 0


def test_lent_cells_are_not_given_out() -> None:
    simulation = Simulation(cells=100)
    simulation.scheduler.lent = 60
    simulation.add([1] * 30, 2)
    simulation.add([2] * 30, 2)
    simulation.run()
    assert simulation.memory.most_used <= 40


def held(simulation: Simulation, start: int, length: int) -> int:
    return simulation.scheduler.tree.match(list(range(start, start + length))).length


def test_chats_never_take_the_latest_prefix_of_an_editor_nor_editors_that_of_a_chat() -> None:
    for mine, others in (("editor", "chat"), ("chat", "editor")):
        simulation = Simulation(slots=16, cells=200, batch=64)
        simulation.add(list(range(60)), 1, cache=mine)
        simulation.run()
        for start in range(1000, 2000, 100):
            simulation.add(list(range(start, start + 60)), 1, cache=others)
            simulation.run()
        assert simulation.scheduler.evictions
        assert held(simulation, 0, 60) == 60
        assert held(simulation, 1900, 60) == 60, "the latest of the others is there too"


def test_of_an_editors_prefixes_only_the_latest_ones_are_guarded_from_chats() -> None:
    simulation = Simulation(slots=16, cells=200, batch=64)
    for start in (0, 100, 200):
        simulation.add(list(range(start, start + 60)), 1, cache="editor")
        simulation.run()
    for start in range(1000, 2000, 100):
        simulation.add(list(range(start, start + 60)), 1)
        simulation.run()
    assert [held(simulation, start, 60) for start in (0, 100, 200)] == [0, 0, 60]


def test_guarded_prefixes_are_given_up_when_a_request_could_not_run_else() -> None:
    simulation = Simulation(slots=4, cells=200, batch=64)
    simulation.add(list(range(90)), 1, cache="editor")
    simulation.run()
    simulation.add(list(range(1000, 1150)), 20)
    simulation.run()
    assert simulation.finished == [0, 1]
    assert held(simulation, 0, 90) == 0


def test_a_long_prompt_waits_for_a_request_of_better_priority_and_decoding_does_not() -> None:
    simulation = Simulation(slots=8, cells=1000, batch=64)
    talker = simulation.add([1, 2, 3], 40)
    simulation.step()
    reader = simulation.add(list(range(100, 400)), 1)
    simulation.step()
    typist = simulation.add(list(range(500, 540)), 4, cache="editor", priority=-10)
    for _ in range(4):
        at_work = {item.sequence.id for item in simulation.step()}
        assert at_work == {talker.id, typist.id}
    assert reader.id in {item.sequence.id for item in simulation.step()}


def test_background_work_is_done_in_small_steps_and_only_while_there_is_no_other() -> None:
    simulation = Simulation(slots=8, cells=1000, batch=512)
    warming = simulation.add(list(range(300)), 1, cache="editor", priority=BACKGROUND)
    assert [item.size for item in simulation.step()] == [32]
    typist = simulation.add([*range(150), *range(900, 950)], 3, cache="editor", priority=-10)
    for _ in range(3):
        assert {item.sequence.id for item in simulation.step()} == {typist.id}
    assert typist.cached == 32, "what was read in the background so far is shared, and not waited for"
    assert [item.sequence.id for item in simulation.step()] == [warming.id]
