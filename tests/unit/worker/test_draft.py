"""Drafts: where they come from, how long they are, and that they change nothing but the number of steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.worker.draft import EXTRA, LONGEST, Drafter, extra_cost

END = 99


def proposal(tokens: list[int], cost: float = 0.1, singles: bool = False) -> list[int]:
    return Drafter(tokens, {END}).propose(cost, singles)


def test_the_tokens_that_followed_the_last_two_before_are_proposed() -> None:
    assert proposal([1, 2, 3, 4, 5, 1, 2])[:3] == [3, 4, 5]


def test_the_latest_place_wins() -> None:
    assert proposal([1, 2, 3, 1, 2, 4, 1, 2])[:1] == [4]


def test_nothing_is_proposed_for_what_was_not_seen_before() -> None:
    assert proposal([1, 2, 3, 4, 5, 6]) == []
    assert proposal([1, 2]) == []


def test_a_single_token_counts_only_where_asked_and_if_it_stood_at_one_place() -> None:
    assert proposal([1, 2, 3, 9, 1]) == []
    assert proposal([1, 2, 3, 9, 1], singles=True)[:1] == [2]
    assert proposal([1, 2, 1, 3, 9, 1], singles=True) == []


def test_a_draft_stops_before_the_end_of_a_text() -> None:
    assert proposal([1, 2, 3, END, 5, 1, 2], cost=0.01) == [3]


def test_what_is_appended_later_is_found_too() -> None:
    tokens = [1, 2, 3]
    drafter = Drafter(tokens, {END})
    assert drafter.propose(0.1, False) == []
    tokens += [7, 8, 9, 7, 8]
    assert drafter.propose(0.1, False)[:1] == [9]


def test_refused_drafts_end_the_drafting_and_accepted_ones_make_it_longer() -> None:
    tokens = [*range(20), 0, 1]
    refused, accepted = Drafter(tokens, {END}), Drafter(tokens, {END})
    first = len(refused.propose(0.4, False))
    for _ in range(8):
        refused.observe(4, 0)
        accepted.observe(4, 4)
    assert refused.propose(0.4, False) == []
    assert len(accepted.propose(0.4, False)) > first


def test_a_text_that_begins_to_repeat_is_noticed_after_refusals() -> None:
    tokens = [*range(20), 0, 1]
    drafter = Drafter(tokens, {END})
    for _ in range(4):
        drafter.observe(4, 0)
    assert drafter.propose(0.4, False) == []
    for token in range(2, 12):
        tokens.append(token)
        last = drafter.propose(0.4, False)
    assert last == list(range(12, 12 + len(last))) != []


def test_dear_tokens_are_not_drafted() -> None:
    tokens = [*range(20), 0, 1]
    assert len(proposal(tokens, cost=0.001)) == LONGEST
    assert proposal(tokens, cost=0.95) == []


@given(st.integers(1, 63))
def test_the_more_requests_share_a_step_the_dearer_an_extra_token(tokens: int) -> None:
    assert EXTRA <= extra_cost(tokens) < extra_cost(tokens + 1) < 1.0


@given(st.lists(st.integers(0, 3), min_size=3, max_size=60))
def test_a_proposal_stands_in_the_text_after_the_same_two_tokens(tokens: list[int]) -> None:
    draft = Drafter(tokens, {END}).propose(0.05, False)
    places = [i + 2 for i in range(len(tokens) - 2) if tokens[i : i + 2] == tokens[-2:]]
    assert bool(draft) == bool(places)
    if places:
        assert draft == tokens[places[-1] : places[-1] + len(draft)]
