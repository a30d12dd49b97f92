"""Logistic regression towards given weights, and candidates against each other."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from smidgen.eval.calibrate.fit import Examples, cross_validated, fit, is_less, losses
from smidgen.eval.calibrate.race import Outcome, is_better, race, replaces


def examples(rows: Sequence[Sequence[float]], labels: Sequence[bool]) -> Examples:
    return Examples(
        rows=tuple(map(tuple, rows)),
        labels=tuple(labels),
        groups=tuple(range(len(rows))),
        offsets=(0.0,) * len(rows),
    )


def drawn(weights: Sequence[float], n: int) -> Examples:
    """Examples whose labels follow the weights; the first feature is 1."""
    random_ = random.Random(1)
    rows = [[1.0, *(random_.gauss(0, 1) for _ in weights[1:])] for _ in range(n)]
    odds = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in rows]
    return examples(rows, [random_.random() < 1 / (1 + math.exp(-o)) for o in odds])


def test_known_weights_are_found_again() -> None:
    found = fit(drawn((-0.5, 2.0, 0.0), 4000), (0.0, 0.0, 0.0))
    assert found == pytest.approx((-0.5, 2.0, 0.0), abs=0.15)


def test_at_the_least_loss_no_weight_can_be_moved_for_the_better() -> None:
    known = drawn((-0.5, 2.0), 60)
    found = fit(known, (0.0, 1.0), strength=1.0)
    spread = sum((row[1] - sum(r[1] for r in known.rows) / 60) ** 2 for row in known.rows) / 60

    def objective(weights: Sequence[float]) -> float:
        pull = weights[0] ** 2 + spread * (weights[1] - 1.0) ** 2
        return sum(losses(known, weights)) + pull / 2

    for change in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert objective(found) < objective([w + c for w, c in zip(found, change, strict=True)])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_examples_that_a_plane_parts_have_finite_weights(scale: float) -> None:
    rows = [[1.0, scale * (i - 50)] for i in range(100)]
    found = fit(examples(rows, [i >= 50 for i in range(100)]), (0.0, 0.0))
    assert all(map(math.isfinite, found))
    assert 0 < found[1] * scale * 50 < 50


def test_absurd_weights_to_start_from_do_no_harm() -> None:
    assert all(map(math.isfinite, fit(drawn((0.0, 1.0), 200), (-1e6, 1e6))))


def test_the_pull_grows_with_its_strength() -> None:
    known = drawn((0.0, 3.0), 100)
    near, far = fit(known, (0.0, 0.0), strength=1000.0), fit(known, (0.0, 0.0), strength=0.1)
    assert 0 < near[1] < 0.3 < 2 < far[1]


def test_with_few_examples_of_a_kind_nothing_changes() -> None:
    few = examples([[1.0]] * 50, [i < 7 for i in range(50)])
    assert fit(few, (0.25,)) == (0.25,)
    assert cross_validated(few, (0.25,)) == losses(few, (0.25,))
    assert fit(examples([], []), (0.25,)) == (0.25,)


def test_offsets_count_as_they_are() -> None:
    plain = examples([[1.0]] * 40, [i < 20 for i in range(40)])
    shifted = Examples(rows=plain.rows, labels=plain.labels, groups=plain.groups, offsets=(3.0,) * 40)
    assert fit(shifted, (-3.0,))[0] == pytest.approx(-3.0)


def test_noise_does_not_pass_cross_validation_and_a_real_effect_does() -> None:
    noise, effect = drawn((0.0, 0.0, 0.0, 0.0), 120), drawn((0.0, 3.0), 120)
    assert not is_less(cross_validated(noise, (0.0,) * 4), losses(noise, (0.0,) * 4))
    assert is_less(cross_validated(effect, (0.0, 0.0)), losses(effect, (0.0, 0.0)))


def test_a_group_is_never_on_both_sides() -> None:
    """Each group's label is its own coin: who has seen the group knows, who hasn't doesn't."""
    random_ = random.Random(2)
    rows = [[1.0, *(float(g == i) for i in range(20))] for g in range(20) for _ in range(6)]
    coins = [random_.random() < 0.5 for _ in range(20)]
    labels = [coin for coin in coins for _ in range(6)]
    groups = tuple(g for g in range(20) for _ in range(6))
    known = Examples(rows=tuple(map(tuple, rows)), labels=tuple(labels), groups=groups, offsets=(0.0,) * 120)
    towards = (0.0,) * 21
    assert not is_less(cross_validated(known, towards, strength=0.1), losses(known, towards))


def outcomes(right: str, cost: float = 10.0) -> list[Outcome]:
    return [Outcome(right=sign == "1", cost=cost) for sign in right]


@pytest.mark.parametrize(
    ("gained", "lost", "better"),
    [(0, 0, False), (1, 0, False), (3, 0, False), (4, 0, True), (6, 3, False), (9, 3, True), (3, 9, False)],
)
def test_better_is_more_than_noise(gained: int, lost: int, better: bool) -> None:
    assert is_better(gained, lost) is better


@pytest.mark.parametrize(
    ("new", "old", "cost", "wins"),
    [
        ("1111", "0000", 90.0, True),
        ("1100", "1100", 5.0, True),
        ("1100", "1100", 9.5, False),
        ("1000", "1100", 5.0, True),
        ("0000", "1111", 1.0, False),
        ("", "", 1.0, False),
    ],
)
def test_one_replaces_another_if_it_is_better_or_as_good_and_quicker(
    new: str, old: str, cost: float, wins: bool
) -> None:
    assert replaces(outcomes(new, cost), outcomes(old)) is wins
    assert replaces(outcomes(new, cost), outcomes(old), quicker=False) is (wins and new == "1111")


async def test_fewer_and_fewer_take_part_and_the_incumbent_always_does() -> None:
    asked: list[tuple[str, int, int]] = []
    shares = {"old": 0.0, "a": 0.2, "b": 0.6, "c": 1.0}

    async def ask(name: str, start: int, end: int) -> Sequence[Outcome]:
        asked.append((name, start, end))
        return [Outcome(right=i % 10 < 10 * shares[name], cost=10.0) for i in range(start, min(end, 25))]

    winner, entries = await race(["a", "b", "c", "old"], "old", ask, ((10, 99), (20, 3), (30, 2)))
    assert winner.candidate == "c"
    assert [entry.candidate for entry in entries] == ["c", "old", "b", "a"]
    assert asked == [
        *((name, 0, 10) for name in ("old", "a", "b", "c")),
        *((name, 10, 20) for name in ("old", "c", "b")),
        *((name, 20, 30) for name in ("old", "c")),
    ]
    assert len(winner.outcomes) == 25


async def test_the_incumbent_stays_among_equals() -> None:
    async def ask(name: str, start: int, end: int) -> Sequence[Outcome]:
        return outcomes("10" * ((end - start) // 2))

    winner, _ = await race(["a", "b"], "old", ask, ((10, 99), (20, 2)))
    assert winner.candidate == "old"


async def test_where_even_the_best_is_hardly_ever_right_the_incumbent_stays() -> None:
    asked: list[str] = []

    async def ask(name: str, start: int, end: int) -> Sequence[Outcome]:
        asked.append(name)
        return outcomes("1" * (name == "a") + "0" * (end - start - (name == "a")), 1.0 if name == "a" else 10.0)

    winner, _ = await race(["a"], "old", ask, ((8, 99), (24, 2)), least=2)
    assert (winner.candidate, asked) == ("old", ["old", "a"])
