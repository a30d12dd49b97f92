"""The decisions, each from its measurements: dialect, weights, shortlist. What was written by hand stays unless
something else is better by more than noise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from smidgen.agent import several
from smidgen.agent.several import Leftover
from smidgen.eval.calibrate import fit as fitting
from smidgen.eval.calibrate.collect import CALL_TOKENS, Collector, Told, together
from smidgen.eval.calibrate.fit import Examples
from smidgen.eval.calibrate.race import Entry, Outcome, is_better, race
from smidgen.eval.calibrate.sample import Case, Sample, calls_of
from smidgen.models.tool_use import Gate, More, Order, ToolUse

SHORTLISTS = (1, 2, 3, 5, 8)
ORDERS: tuple[Order, ...] = ("offered", "nearest_first", "nearest_last")
CHOICES = (0.0, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0)
"""Weights that similarity may have. At 0 the model alone chooses, from about 100 the embedder alone does."""
DIALECT_ROUNDS = ((6, 99), (20, 3), (45, 2))
"""Up to which task, and how many candidates take part."""
SHORTLIST_ROUNDS = ((8, 99), (24, 2))
SHORTLIST_LEAST = 2
"""Of the first eight tasks: fewer right calls tell nothing of shortlists."""

Report = Callable[[str], None]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A setting's value before and after, and what the choice rests on, in a line."""

    setting: str
    before: str
    after: str
    why: str


# --- dialect ----------------------------------------------------------------------------------------------------------


async def choose_dialect(
    collector: Collector, cases: Sequence[Case], names: Sequence[str], incumbent: str, report: Report
) -> tuple[str, Decision, list[Entry[str]]]:
    """cases: tasks with at least one call, in the order in which they are used."""

    async def ask(name: str, start: int, end: int) -> Sequence[Outcome]:
        return await collector.filled(name, cases[start:end])

    def told(entry: Entry[str]) -> None:
        report(f"dialect {entry.candidate}: {_scored(entry)}")

    winner, entries = await race(names, incumbent, ask, DIALECT_ROUNDS, told)
    other = next((entry for entry in entries if entry is not winner), winner)
    why = f"{_scored(winner)}; {other.candidate} {_scored(other)}"
    return winner.candidate, Decision(setting="dialect", before=incumbent, after=winner.candidate, why=why), entries


def _scored(entry: Entry[str]) -> str:
    return f"{entry.right} of {len(entry.outcomes)} right, cost {entry.cost:.0f}"


# --- choice -----------------------------------------------------------------------------------------------------------


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A task where one of several tools must be chosen: what the model said of each, how near each is, and which do."""

    said: Mapping[str, float]
    similar: Mapping[str, float]
    right: frozenset[str]

    def is_right(self, weight: float) -> bool:
        return max(self.said, key=lambda name: self.said[name] + weight * self.similar[name]) in self.right


def choose_weight(items: Sequence[Chosen], incumbent: float) -> tuple[float, Decision]:
    """The weight of similarity with the most right choices, if those of the best of four fifths are better on the last
    fifth too, each in turn. Of equals, the nearest to the incumbent."""
    grid = tuple(dict.fromkeys((incumbent, *CHOICES)))
    right = {weight: [item.is_right(weight) for item in items] for weight in grid}

    def best(numbers: Sequence[int]) -> float:
        return max(grid, key=lambda weight: (sum(right[weight][i] for i in numbers), -abs(weight - incumbent)))

    gained = lost = 0
    for fold in range(fitting.FOLDS):
        chosen = best([i for i in range(len(items)) if i % fitting.FOLDS != fold])
        for i in range(fold, len(items), fitting.FOLDS):
            gained += right[chosen][i] and not right[incumbent][i]
            lost += right[incumbent][i] and not right[chosen][i]
    found = best(range(len(items))) if is_better(gained, lost) else incumbent
    each = ", ".join(f"{weight:g}: {sum(right[weight])}" for weight in sorted(grid))
    why = f"right of {len(items)} by weight: {each}; cross-validated {gained} gained, {lost} lost"
    return found, Decision(setting="choice", before=f"{incumbent:g}", after=f"{found:g}", why=why)


# --- gate -------------------------------------------------------------------------------------------------------------


def gate_examples(collector: Collector, sample: Sample, begins: Mapping[str, float] | None = None) -> Examples:
    """Features: 1, the nearest tool's similarity, less the numbers missing, and the model's log-probability of a call
    where `begins` gives it by the task's name. A task where something else than a number is missing tells nothing: the
    user is asked for that after the gate."""
    rows: list[tuple[float, ...]] = []
    labels: list[bool] = []
    groups: list[str] = []
    offsets: list[float] = []
    for wanted, cases in ((True, (*sample.single, *sample.several)), (False, (*sample.none, *sample.missing))):
        for case in cases:
            zero = Gate(intercept=0.0, similarity=0.0, missing=0.0)
            near = collector.near(case, zero)
            against = collector.near(case, msgspec.structs.replace(zero, missing=1.0)).log_odds - near.log_odds
            if case.task.kind == "missing" and not against:
                continue
            if begins is not None and case.task.id not in begins:
                continue
            opinion = () if begins is None else (begins[case.task.id],)
            rows.append((1.0, max(near.similarities), against, *opinion))
            labels.append(wanted)
            groups.append(case.task.id)
            offsets.append(near.log_odds)
    return Examples(rows=tuple(rows), labels=tuple(labels), groups=tuple(groups), offsets=tuple(offsets))


def choose_gate(examples: Examples, with_opinion: Examples | None, incumbent: Gate) -> tuple[Gate, Decision]:
    """with_opinion: the same with the model's opinion, or some of them."""
    towards = (incumbent.intercept, incumbent.similarity, incumbent.missing)
    weights, why = _fitted(examples, towards)
    found = incumbent
    if weights != towards:
        found = msgspec.structs.replace(incumbent, intercept=weights[0], similarity=weights[1], missing=weights[2])
    if with_opinion is not None:
        opinion, told = _with_opinion(with_opinion, (found.intercept, found.similarity, found.missing))
        why += told
        if opinion:
            fields = zip(("intercept", "similarity", "missing", "likelihood"), opinion, strict=True)
            found = msgspec.structs.replace(incumbent, **dict(fields))
    return found, Decision(setting="gate", before=_weights(incumbent), after=_weights(found), why=why)


# --- a further call ---------------------------------------------------------------------------------------------------


def more_examples(collector: Collector, cases: Sequence[Case], told: Mapping[str, Told]) -> Examples:
    """An example after each of a task's calls: does another one follow? Features are the weights' own, whatever there
    are: what the log-odds become if one of them is 1 and the others are 0."""
    names = More.__struct_fields__
    rows: list[tuple[float, ...]] = []
    labels: list[bool] = []
    groups: list[str] = []
    for case in cases:
        if case.task.id not in told:
            continue
        said, calls = told[case.task.id], calls_of(case.task.expect)
        about = collector.near(case, Gate()).about if collector.has_embedder else ()
        about = tuple(name for name in about if name in said.names)
        for count, likelihood in enumerate(said.further, 1):
            left = several.leftover(case.request, calls[:count], about, case.tools)
            rows.append(tuple(_feature(name, left, likelihood) for name in names))
            labels.append(count < len(calls))
            groups.append(case.task.id)
    zeros = (0.0,) * len(rows)
    return Examples(rows=tuple(rows), labels=tuple(labels), groups=tuple(groups), offsets=zeros)


def _feature(name: str, left: Leftover, likelihood: float) -> float:
    alone = More(**{other: float(other == name) for other in More.__struct_fields__})
    return several.log_odds(left, likelihood, alone)


def choose_more(examples: Examples, incumbent: More) -> tuple[More, Decision]:
    """Where the model's likelihood doesn't count, which saves asking for it, it only enters if it helps."""
    names = [name for name in More.__struct_fields__ if name != "likelihood"]
    places = [More.__struct_fields__.index(name) for name in (*names, "likelihood")]
    examples = msgspec.structs.replace(examples, rows=tuple(tuple(row[i] for i in places) for row in examples.rows))
    if incumbent.likelihood:
        names.append("likelihood")
    towards = tuple(getattr(incumbent, name) for name in names)
    known = msgspec.structs.replace(examples, rows=tuple(row[: len(names)] for row in examples.rows))
    weights, why = _fitted(known, towards)
    if not incumbent.likelihood:
        opinion, told = _with_opinion(examples, weights)
        why += told
        weights, names = (opinion, [*names, "likelihood"]) if opinion else (weights, names)
    found = msgspec.structs.replace(incumbent, **dict(zip(names, weights, strict=True)))
    return found, Decision(setting="more", before=_weights(incumbent), after=_weights(found), why=why)


def _with_opinion(examples: Examples, start: tuple[float, ...]) -> tuple[tuple[float, ...], str]:
    """The weights with one more for the last feature, the model's opinion; () if it doesn't help. And why."""
    without = msgspec.structs.replace(examples, rows=tuple(row[:-1] for row in examples.rows))
    before, after = fitting.cross_validated(without, start), fitting.cross_validated(examples, (*start, 0.0))
    why = f"; with the model's opinion {_mean(after):.3f} instead of {_mean(before):.3f}"
    helps = examples.enough and fitting.is_less(after, before)
    return _rounded(fitting.fit(examples, (*start, 0.0))) if helps else (), why


def _fitted(examples: Examples, towards: tuple[float, ...]) -> tuple[tuple[float, ...], str]:
    """The fitted weights, to three digits, if they tell better in cross-validation; else those from before. And why."""
    if not examples.enough:
        return towards, f"too few examples ({len(examples.labels)})"
    before, after = fitting.losses(examples, towards), fitting.cross_validated(examples, towards)
    why = f"log loss of {len(before)} examples {_mean(before):.3f}, fitted and cross-validated {_mean(after):.3f}"
    if not fitting.is_less(after, before):
        return towards, why
    return _rounded(fitting.fit(examples, towards)), why


def _rounded(weights: Sequence[float]) -> tuple[float, ...]:
    """To three digits: more say nothing."""
    return tuple(float(f"{weight:.3g}") for weight in weights)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _weights(weights: Gate | More) -> str:
    return ", ".join(f"{name} {getattr(weights, name):.3g}" for name in weights.__struct_fields__)


# --- shortlist --------------------------------------------------------------------------------------------------------


async def choose_shortlist(
    collector: Collector, dialect: str, cases: Sequence[Case], use: ToolUse, report: Report
) -> tuple[ToolUse, list[Decision]]:
    """How many tools the model is told of, then in which order: by the right calls it makes of eight on offer."""
    known: dict[tuple[tuple[int, Order], int], Sequence[Outcome]] = {}

    async def ask(candidate: tuple[int, Order], start: int, end: int) -> Sequence[Outcome]:
        if (candidate, start) not in known:
            work = [_chosen_and_filled(collector, dialect, case, use, *candidate) for case in cases[start:end]]
            known[candidate, start] = await together(work)
        return known[candidate, start]

    def told(entry: Entry[tuple[int, Order]]) -> None:
        most, order = entry.candidate
        report(f"shortlist of {most}, {order}: {entry.right} of {len(entry.outcomes)} right, cost {entry.cost:.0f}")

    lengths: list[tuple[int, Order]] = [(most, use.order) for most in SHORTLISTS]
    start: tuple[int, Order] = (use.shortlist, use.order)
    first, entries = await race(lengths, start, ask, SHORTLIST_ROUNDS, told, quicker=False, least=SHORTLIST_LEAST)
    most = first.candidate[0]
    each = ", ".join(f"{e.candidate[0]}: {e.right} of {len(e.outcomes)}" for e in entries)
    decisions = [Decision(setting="shortlist", before=str(use.shortlist), after=str(most), why=f"right {each}")]
    order, why = use.order, "one tool has no order"
    if most > 1:
        ways: list[tuple[int, Order]] = [(most, way) for way in ORDERS]
        second, entries = await race(
            ways, first.candidate, ask, SHORTLIST_ROUNDS, told, quicker=False, least=SHORTLIST_LEAST
        )
        order = second.candidate[1]
        why = "right " + ", ".join(f"{e.candidate[1]}: {e.right} of {len(e.outcomes)}" for e in entries)
    decisions.append(Decision(setting="order", before=use.order, after=order, why=why))
    return msgspec.structs.replace(use, shortlist=most, order=order), decisions


def _chosen_and_filled(
    collector: Collector, dialect: str, case: Case, use: ToolUse, most: int, order: Order
) -> Callable[[], Awaitable[Outcome]]:
    async def work() -> Outcome:
        shown = collector.short(case, most, order)
        said = await collector.told(dialect, case, shown)
        if said is None:
            return Outcome(right=False, cost=CALL_TOKENS)
        similar = collector.similar(case)
        scores = {name: value + use.choice * similar[name] for name, value in zip(said.names, said.said, strict=True)}
        best = max(scores, key=lambda name: scores[name])
        return await collector.fill(dialect, case, shown, case.tool(best))

    return work
