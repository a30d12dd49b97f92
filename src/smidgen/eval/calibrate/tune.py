"""All of a calibration for one model of a runtime, and two models measured in each other's manner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from smidgen import __version__
from smidgen.agent import AgentModel
from smidgen.config import Config
from smidgen.dialects.choose import NAMES
from smidgen.errors import UnsupportedByModel
from smidgen.eval.calibrate import choose
from smidgen.eval.calibrate.choose import Chosen, Decision
from smidgen.eval.calibrate.collect import Collector, Told, together
from smidgen.eval.calibrate.sample import SUITE, Case, Sample, calls_of, crowded, mixed, sample
from smidgen.eval.calibrate.score import Manner, Score, manner_of, score
from smidgen.eval.tasks.suite import Tasks
from smidgen.models import tuned
from smidgen.models.library import ModelFile
from smidgen.models.store import now
from smidgen.models.tool_use import ToolUse
from smidgen.models.tuned import Tuned
from smidgen.runtime.loading import library_of
from smidgen.runtime.runtime import Runtime

Report = Callable[[str], None]


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """decisions: one per setting. held_back_before, held_back_after: of tasks that nothing was chosen by. seconds: for
    all of it."""

    file: ModelFile
    before: Manner
    after: Manner
    decisions: tuple[Decision, ...]
    held_back_before: Score
    held_back_after: Score
    tasks: int
    seconds: float
    embedder: str = ""

    def as_tuned(self) -> Tuned:
        """To be kept for the file."""
        return Tuned(
            version=tuned.VERSION,
            smidgen=__version__,
            date=now(),
            model=self.file.name,
            sha256=self.file.sha256,
            dialect=self.after.dialect,
            tool_use=self.after.tool_use,
            measured=self.measured(),
        )

    def measured(self) -> dict[str, Any]:
        return {
            "tasks": self.tasks,
            "embedder": self.embedder,
            "seconds": round(self.seconds, 1),
            "held_back": {
                "n": self.held_back_after.n,
                "before": self.held_back_before.total,
                "after": self.held_back_after.total,
            },
            "decisions": msgspec.to_builtins(self.decisions),
        }


async def calibrate(runtime: Runtime, most: int | None = None, report: Report = lambda _: None) -> Calibrated:
    """The runtime's model, from its family's profile on: open the runtime with `tuned` off. most: tasks of each kind.

    Raises UnsupportedByModel for a sentence embedder, and what the library and the engines raise. Stores nothing.
    """
    started = time.monotonic()

    def told(line: str) -> None:
        report(f"{time.monotonic() - started:4.0f} s  {line}")

    suite = Tasks.shipped(SUITE)
    tasks = sample(suite, most)
    file = await asyncio.to_thread(library_of(runtime.config).resolve, runtime.model_name)
    async with AsyncExitStack() as stack:
        lease = await stack.enter_async_context(runtime.lease())
        for notice in lease.notices:
            report(f"note: {notice.message}")
        if lease.model.info is not None and lease.model.info.is_encoder_only:
            raise UnsupportedByModel(f"{file.name} makes vectors, not text.", hint="Name a model that writes.")
        embedder = await runtime.lease_embedder(stack)
        before = manner_of(lease.model)
        collector = Collector(lease.model, embedder)
        after, decisions = await _decided(collector, tasks, before, told)
        scored = await score(lease.model, embedder, before, suite, tasks.held_back)
        told(f"held back, before: {scored.total} of {scored.n}")
        rescored = scored
        if after != before:
            rescored = await score(lease.model, embedder, after, suite, tasks.held_back)
            told(f"held back, after: {rescored.total} of {rescored.n}")
    return Calibrated(
        file=file,
        before=before,
        after=after,
        decisions=tuple(decisions),
        held_back_before=scored,
        held_back_after=rescored,
        tasks=tasks.size,
        seconds=time.monotonic() - started,
        embedder=embedder.name if embedder else "",
    )


async def _decided(
    collector: Collector, tasks: Sample, before: Manner, report: Report
) -> tuple[Manner, list[Decision]]:
    everything = (*tasks.single, *tasks.several, *tasks.none, *tasks.missing)
    callable_cases = mixed(tasks.single, tasks.several)
    dialect, decision, _ = await choose.choose_dialect(collector, callable_cases, NAMES, before.dialect, report)
    decisions = [decision]
    use = before.tool_use
    crowds = crowded(callable_cases, everything)
    await collector.embed((*everything, *crowds))
    told = await _told(collector, dialect, tasks, use, report)
    if collector.has_embedder:
        chosen = await _chosen(collector, dialect, crowds[:CROWDS], use, report)
        choice, decision = choose.choose_weight(chosen, use.choice)
        decisions.append(decision)
        plain = choose.gate_examples(collector, tasks)
        begins = {name: entry.begins for name, entry in told.items()}
        gate, decision = choose.choose_gate(plain, choose.gate_examples(collector, tasks, begins), use.gate)
        decisions.append(decision)
        use = msgspec.structs.replace(use, choice=choice, gate=gate)
    more, decision = choose.choose_more(choose.more_examples(collector, callable_cases, told), use.more)
    decisions.append(decision)
    use = msgspec.structs.replace(use, more=more)
    if collector.has_embedder:
        use, found = await choose.choose_shortlist(collector, dialect, crowds, use, report)
        decisions += found
    return msgspec.convert({"dialect": dialect, "tool_use": use}, Manner), decisions


CROWDS = 30
"""Tasks on which one of eight tools is chosen."""
SINGLES, NONES = 10, 20
"""Tasks with one call, and with none, that are asked about beginning one, beside all with several."""


async def _told(collector: Collector, dialect: str, tasks: Sample, use: ToolUse, report: Report) -> dict[str, Told]:
    """By task: whether the model would begin a call, and another one after each that is asked for."""
    cases = (*tasks.several, *tasks.single[:SINGLES], *tasks.none[:NONES])

    def one(case: Case) -> Callable[[], Awaitable[Told | None]]:
        shown = collector.short(case, use.shortlist, use.order)
        return lambda: collector.told(dialect, case, shown, begins=True, calls=calls_of(case.task.expect))

    found = await together([one(case) for case in cases])
    report(f"likelihoods of calls: {len(cases)} tasks")
    return {case.task.id: told for case, told in zip(cases, found, strict=True) if told is not None}


async def _chosen(
    collector: Collector, dialect: str, crowds: Sequence[Case], use: ToolUse, report: Report
) -> list[Chosen]:
    def one(case: Case) -> Callable[[], Awaitable[Told | None]]:
        shown = collector.short(case, use.shortlist, use.order)
        return lambda: collector.told(dialect, case, shown)

    found = await together([one(case) for case in crowds])
    report(f"choices among tools: {len(crowds)} tasks")
    return [
        Chosen(
            said=dict(zip(told.names, told.said, strict=True)),
            similar={name: value for name, value in collector.similar(case).items() if name in told.names},
            right=case.names,
        )
        for case, told in zip(crowds, found, strict=True)
        if told is not None
    ]


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """Models by the manner in which they were run: `scores[i][j]` of model i in the manner of model j."""

    models: tuple[str, ...]
    manners: tuple[Manner, ...]
    scores: tuple[tuple[Score, ...], ...]


async def cross(config: Config, specs: Sequence[str], most: int | None, report: Report = lambda _: None) -> Crossed:
    """Each model in its own manner, tuned where it was, and in the others', on the held-back tasks."""
    suite = Tasks.shipped(SUITE)
    items = sample(suite, most).held_back
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(config))
        embedder = await runtime.lease_embedder(stack)
        models: list[AgentModel] = []
        for spec in specs:
            models.append((await stack.enter_async_context(runtime.lease(spec))).model)
        manners = [manner_of(model) for model in models]
        rows: list[tuple[Score, ...]] = []
        for model in models:
            found: dict[bytes, Score] = {}
            for other, manner in zip(models, manners, strict=True):
                key = msgspec.json.encode(manner)
                if key not in found:
                    found[key] = await score(model, embedder, manner, suite, items)
                report(f"{model.name} in the manner of {other.name}: {found[key].total} of {found[key].n}")
            rows.append(tuple(found[msgspec.json.encode(manner)] for manner in manners))
    return Crossed(models=tuple(model.name for model in models), manners=tuple(manners), scores=tuple(rows))
