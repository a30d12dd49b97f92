"""One evaluation: a model of a runtime, a suite, and each way of answering that was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from smidgen import __version__
from smidgen.agent import AgentModel
from smidgen.errors import ConfigError, InvalidRequest
from smidgen.eval import Bench, Checker, Item, Solver, Suite, switched_off
from smidgen.eval.ablation import Worth, worth
from smidgen.eval.record import Record, ResultFile, RunKey, library_versions, program_hash
from smidgen.eval.runner import measure
from smidgen.eval.summary import Run, rows
from smidgen.events import Notice
from smidgen.models.hardware import probe
from smidgen.runtime.runtime import Runtime

FOLDER = "evaluations"
"""In the data folder: the results, kept to go on from."""
EVERY_STEP = "all"

ByCategory = dict[str, list[Record]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure. skip, limit: items of each category to leave out and to take; None takes all. ablate: steps to
    switch off one at a time, "all" for each there is. fresh: forget earlier results."""

    categories: tuple[str, ...]
    skip: int = 0
    limit: int | None = None
    baseline: bool = False
    ablate: tuple[str, ...] = ()
    seed: int = 0
    fresh: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Progress: a record of the run `label`, the `done`th of `total` of this evaluation. `known`: it was there."""

    label: str
    record: Record
    known: bool
    done: int
    total: int


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """runs and records belong together; the first is the full one. worths: of the steps that were switched off."""

    runs: tuple[Run, ...]
    records: tuple[ByCategory, ...]
    worths: tuple[Worth, ...] = ()


async def evaluate(
    runtime: Runtime, suite: Suite, wanted: Wanted, told: Callable[[Step | Notice], None] = lambda _: None
) -> Evaluated:
    """Raises InvalidRequest for a step that isn't there and for a choice without items, ConfigError for a suite that
    can't be read and one that measures an embedder which isn't here, and what model and engine raise. What was measured
    until then is kept."""
    async with AsyncExitStack() as stack:
        lease = await stack.enter_async_context(runtime.lease(_subject(runtime, suite)))
        for notice in lease.notices:
            told(notice)
        bench = Bench(runtime=runtime, model=lease.model, stack=stack, baseline=wanted.baseline, seed=wanted.seed)
        prepared = await suite.prepare(bench)
        solver = prepared.solver
        steps = _steps(solver, wanted.ablate)
        items = {category: suite.items(category, wanted.skip, wanted.limit) for category in wanted.categories}
        total = sum(map(len, items.values())) * (1 + len(steps))
        if not total:
            raise InvalidRequest("There is nothing to measure.", hint="Skip fewer items, or take more.")
        key = await _key(runtime, suite, lease.model, solver, wanted)
        solvers: list[tuple[Solver, RunKey]] = [(solver, key)]
        for step in steps:
            solvers.append((solver.with_steps(off={step}), msgspec.structs.replace(key, off=(step,))))
        done = 0
        runs: list[Run] = []
        found: list[ByCategory] = []
        for one, its_key in solvers:
            label = _label(its_key)

            def count(record: Record, known: bool, label: str = label) -> None:
                nonlocal done
                done += 1
                told(Step(label=label, record=record, known=known, done=done, total=total))

            records = await _measured(runtime, items, one, prepared.check, its_key, wanted, count)
            found.append(records)
            runs.append(Run(label=label, rows=rows(records), key=its_key))
        worths = [entry for i, step in enumerate(steps, 1) for entry in worth(step, found[0], found[i])]
        return Evaluated(runs=tuple(runs), records=tuple(found), worths=tuple(worths))


def _subject(runtime: Runtime, suite: Suite) -> str:
    """The model that is measured. Raises ConfigError."""
    if suite.measures == "model":
        return runtime.model_name
    name = runtime.embedder_name()
    if not name:
        wanted = runtime.config.embedder
        hint = f"Fetch it: smidgen models pull {wanted}." if wanted else "Name one in the configuration: `embedder`."
        raise ConfigError(f"{suite.name} measures a sentence embedder, and none is here.", hint=hint)
    return name


def _steps(solver: Solver, wanted: Sequence[str]) -> tuple[str, ...]:
    """Raises InvalidRequest for a step that isn't there, and where there is none at all."""
    if EVERY_STEP in wanted:
        if not solver.steps:
            raise InvalidRequest("There are no steps here that can be switched off.", hint="Leave --ablate out.")
        return solver.steps
    switched_off(solver.steps, wanted)
    return tuple(wanted)


def _label(key: RunKey) -> str:
    without: Collection[str] = key.off
    return f"{key.model}, {key.solver}" + (f" without {', '.join(without)}" if without else "")


async def _measured(
    runtime: Runtime,
    items: dict[str, list[Item]],
    solver: Solver,
    check: Checker,
    key: RunKey,
    wanted: Wanted,
    told: Callable[[Record, bool], None],
) -> ByCategory:
    folder = runtime.config.home_path() / FOLDER
    found: ByCategory = {}
    for category, chosen in items.items():
        with ResultFile(folder, key, category, fresh=wanted.fresh) as file:
            found[category] = await measure(chosen, solver, check, file, told)
    return found


async def _key(runtime: Runtime, suite: Suite, model: AgentModel, solver: Solver, wanted: Wanted) -> RunKey:
    """Blocking work, such as hashing a model file that is named by its path, is done in a thread."""
    file = await asyncio.to_thread(runtime.resolve, _subject(runtime, suite))
    hardware = await asyncio.to_thread(probe)
    return RunKey(
        suite=suite.name,
        suite_version=suite.version,
        data={category: suite.fingerprint(category) for category in wanted.categories},
        model=file.name,
        model_sha256=file.sha256,
        profile=_as_data(model.profile),
        solver=solver.name,
        off=(),
        options={
            **suite.options,
            "seed": wanted.seed,
            "context": model.engine.context,
            "threads": runtime.config.threads or hardware.threads,
        },
        version=__version__,
        program=program_hash(),
        libraries=library_versions(),
        machine=f"{hardware.cpu_name}, {hardware.physical_cores} cores",
    )


def _as_data(value: object) -> Any:
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return repr(value)


def flat(records: ByCategory) -> Sequence[Record]:
    return [record for found in records.values() for record in found]
