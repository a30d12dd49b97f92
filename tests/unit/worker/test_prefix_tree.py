"""The prefix tree against a plain model of cells: every slot is a list of cell numbers, cells are shared by copying."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from smidgen.worker.prefix import PrefixTree, common_prefix

TOKENS = st.lists(st.integers(0, 2), max_size=6)


class Cells(RuleBasedStateMachine):
    slots = Bundle("slots")

    def __init__(self) -> None:
        super().__init__()
        self.tree = PrefixTree()
        self.cells: dict[int, list[tuple[int, int]]] = {}
        self.numbers = itertools.count()
        self.names = itertools.count()

    @rule(target=slots)
    def empty_slot(self) -> int:
        slot = next(self.names)
        self.tree.attach(slot)
        self.cells[slot] = []
        return slot

    @rule(target=slots, source=slots, share=st.floats(0, 1))
    def copy(self, source: int, share: float) -> int:
        length = round(share * len(self.cells[source]))
        slot = next(self.names)
        self.tree.attach(slot, source, length)
        self.cells[slot] = self.cells[source][:length]
        return slot

    @rule(slot=slots, tokens=TOKENS)
    def extend(self, slot: int, tokens: list[int]) -> None:
        self.tree.extend(slot, tokens)
        self.cells[slot] = self.cells[slot] + [(next(self.numbers), token) for token in tokens]

    @rule(slot=consumes(slots))
    def release(self, slot: int) -> None:
        held = self.cells.pop(slot)
        others = {cell for cells in self.cells.values() for cell in cells}
        expected = len(set(held) - others)
        assert self.tree.exclusive_cells(slot) == expected
        assert self.tree.release(slot) == expected

    @rule(tokens=TOKENS, whole=st.booleans())
    def match(self, tokens: list[int], whole: bool) -> None:
        def usable(cells: list[tuple[int, int]]) -> int:
            held = [token for _, token in cells]
            shared = common_prefix(held, tokens)
            return shared if not whole or shared == len(held) else 0

        best = max((usable(cells) for cells in self.cells.values()), default=0)
        match = self.tree.match(tokens, whole)
        assert match.length == best
        if best:
            assert usable(self.cells[match.slot]) == best
        assert match.partial >= match.length

    @invariant()
    def counts_cells_exactly(self) -> None:
        assert self.tree.cells == len({cell for cells in self.cells.values() for cell in cells})
        for slot, cells in self.cells.items():
            assert self.tree.tokens(slot) == [token for _, token in cells]
            assert self.tree.length(slot) == len(cells)

    @invariant()
    def stays_small(self) -> None:
        nodes = list(self.tree.nodes())
        assert len(nodes) <= 2 * max(len(self.cells), 1)
        assert all(slots or children > 1 for _, slots, children in nodes)


TestCells = Cells.TestCase
TestCells.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_common_prefix_is_found_at_every_length() -> None:
    tokens = list(range(100))
    for length in range(100):
        other = [*tokens[:length], -1, *tokens[length + 1 :]]
        assert common_prefix(tokens, other) == length
        assert common_prefix(tokens, other, start=length // 2) == length


def test_identical_tokens_computed_twice_take_cells_twice() -> None:
    tree = PrefixTree()
    for slot in (0, 1):
        tree.attach(slot)
        tree.extend(slot, [1, 2, 3])
    assert tree.cells == 6
    tree.attach(2, 0, 2)
    assert tree.cells == 6


def test_a_slot_in_use_can_not_be_attached_again() -> None:
    tree = PrefixTree()
    tree.attach(0)
    with pytest.raises(ValueError, match="in use"):
        tree.attach(0)


def test_sharing_more_than_the_source_holds_is_refused() -> None:
    tree = PrefixTree()
    tree.attach(0)
    tree.extend(0, [1])
    with pytest.raises(ValueError, match="holds 1 tokens, not 2"):
        tree.attach(1, 0, 2)
