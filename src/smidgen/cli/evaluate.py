"""`smidgen eval`: how often a model does what a benchmark expects, with and without smidgen's help."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.eval import Suite
    from smidgen.eval.evaluation import Evaluated, Step, Wanted
    from smidgen.eval.summary import Run
    from smidgen.events import Notice

SUITES = """\
tool calls, with data of their own:
  bfcl             the Berkeley Function Calling Leaderboard, if its package is installed
  everyday         requests to smidgen's own tools; everyday_unseen: more of them
  calibration      what `smidgen tune` tunes with

patterns, on the publisher's file (--data FILE):
  gsm8k            word problems, by programs and steps that are voted on
  humaneval        functions, by the micro-agent that writes them
  clinc150         intents, and what has none, by the router
  banking77        intents, by the router
"""


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="measure a model on a benchmark",
        description="Measure accuracy, time and tokens on a benchmark, with its own data and checker.",
        epilog=SUITES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("suite", metavar="SUITE", help="one of those below")
    options.add_model(parser)
    parser.add_argument("--data", metavar="FILE", help="the items, for suites that need one")
    parser.add_argument("--shots", type=options.whole, metavar="N", help="examples of each intent (default: 10)")
    parser.add_argument("--limit", type=options.whole, metavar="N", help="items of each category (default: all)")
    parser.add_argument("--skip", type=options.whole, default=0, metavar="N", help="leave out the first N of each")
    parser.add_argument("--categories", type=options.names, default=(), metavar="A,B", help="these, or groups of them")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--baseline", action="store_true", help="the model alone, without smidgen's help")
    way.add_argument(
        "--ablate", type=options.names, default=(), metavar="A,B", help="also without each of these steps; `all`"
    )
    parser.add_argument("--seed", type=options.whole, default=0, metavar="N", help="for whatever is drawn (default: 0)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on from earlier results (the default)")
    start.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--failures", action="store_true", help="print what was wrong, item by item")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="write the results as JSON")
    parser.add_argument("--html", dest="html_file", metavar="FILE", help="write a page with plots")
    parser.add_argument(
        "--svg", dest="svg_file", metavar="FILE", help="write the plot alone; of an ablation, its steps"
    )
    parser.add_argument(
        "--compare", type=options.names, default=(), metavar="FILE,FILE", help="show these JSON results beside"
    )
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end
    from smidgen.eval.evaluation import Wanted
    from smidgen.eval.suites import Given, chosen_categories, suite

    config = options.configured(arguments)
    for name in (arguments.json_file, arguments.html_file, arguments.svg_file):
        check_writable(name)
    others = [run for name in arguments.compare for run in earlier(name)]
    chosen = suite(arguments.suite, Given(data=arguments.data and Path(arguments.data), shots=arguments.shots))
    for notice in chosen.notices:
        terminal.say(f"note: {notice}", quiet=arguments.quiet)
    wanted = Wanted(
        categories=chosen_categories(chosen, arguments.categories),
        skip=arguments.skip,
        limit=arguments.limit,
        baseline=arguments.baseline,
        ablate=arguments.ablate,
        seed=arguments.seed,
        fresh=arguments.fresh,
    )
    evaluated = run_to_end(lambda: measured(arguments, config, chosen, wanted))
    show(evaluated, others, arguments)
    return exits.OK


async def measured(arguments: argparse.Namespace, config: Config, suite: Suite, wanted: Wanted) -> Evaluated:
    from smidgen.cli.preparing import make_ready
    from smidgen.eval.evaluation import evaluate
    from smidgen.runtime.runtime import Runtime

    of_embedder = suite.measures == "embedder" and bool(config.embedder)
    if of_embedder and arguments.model:
        told = f"note: {suite.name} measures the sentence embedder, {config.embedder}; {arguments.model} is not asked."
        terminal.say(told, quiet=arguments.quiet)
    async with Runtime(config) as runtime:
        if of_embedder or suite.measures == "model":
            await make_ready(runtime, arguments, config.embedder if of_embedder else None)
        with Progress(arguments.quiet) as progress:
            return await evaluate(runtime, suite, wanted, progress)


class Progress:
    """How many were right so far, on stderr: a bar at a terminal, else a line now and then. Notices go between."""

    EVERY, SECONDS = 25, 60.0
    """Items from line to line; fewer where they take longer than so long together."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._part = ""
        self._right = self._seen = 0
        self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, step: Step | Notice) -> None:
        from smidgen.events import Notice

        if self._quiet:
            return
        if isinstance(step, Notice):
            terminal.say(f"note: {step.message}")
            return
        part = f"{step.label}: {step.record.category}"
        if part != self._part:
            self._part, self._right, self._seen = part, 0, 0
        self._right, self._seen = self._right + step.record.correct, self._seen + 1
        self._show(step, f"{part}, {self._right} of {self._seen} right")

    def _show(self, step: Step, told: str) -> None:
        if not sys.stderr.isatty():
            late = time.monotonic() - self._told_at > self.SECONDS
            if step.done % self.EVERY == 0 or step.done == step.total or late:
                terminal.say(f"{step.done} of {step.total}: {told}")
                self._told_at = time.monotonic()
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=step.total, unit="item", file=sys.stderr, leave=False)
        if step.known:
            self._bar.initial += 1  # what was there already says nothing of the speed
        self._bar.set_description(told, refresh=False)
        self._bar.update()


def show(evaluated: Evaluated, others: list[Run], arguments: argparse.Namespace) -> None:
    from smidgen.eval import plot, report
    from smidgen.eval.evaluation import flat
    from smidgen.eval.page import overall, page
    from smidgen.eval.summary import failures

    date = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if arguments.failures:
        for record in failures(evaluated.records[0]):
            terminal.write(report.failure(record) + "\n")
    shown = [evaluated.runs[0], *others]
    for run in shown:
        body = [report.cells(row) for row in run.rows]
        terminal.write(f"\n{run.label}\n{report.table(report.HEAD, body)}\n")
    note = report.tuning_note(evaluated.runs[0].rows)
    if note:
        terminal.say(f"note: {note}", quiet=arguments.quiet)
    if evaluated.worths:
        body = [report.ablation_cells(worth) for worth in evaluated.worths]
        terminal.write(f"\nWhat each step is worth\n{report.table(report.ABLATION_HEAD, body)}\n")
    if arguments.json_file:
        import json

        items = [flat(records) for records in evaluated.records]
        told = report.document([*evaluated.runs, *others], evaluated.worths, items, date)
        text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
        Path(arguments.json_file).expanduser().write_text(text, encoding="utf-8")
    if arguments.svg_file:
        drawn = plot.worths(overall(evaluated.worths)) if evaluated.worths else plot.bars(shown)
        text = plot.alone(drawn, () if evaluated.worths else [run.label for run in shown])
        Path(arguments.svg_file).expanduser().write_text(text, encoding="utf-8")
    if arguments.html_file:
        text = page(shown, evaluated.worths, date)
        Path(arguments.html_file).expanduser().write_text(text, encoding="utf-8")


def check_writable(name: str | None) -> None:
    """Before an hour of work, not after it. Raises ConfigError."""
    from smidgen.errors import ConfigError

    if name and not Path(name).expanduser().absolute().parent.is_dir():
        raise ConfigError(f"{name} can't be written: its folder doesn't exist.", hint="Make the folder first.")


def earlier(name: str) -> tuple[Run, ...]:
    """Raises ConfigError for a file that holds no results."""
    import msgspec

    from smidgen.errors import ConfigError
    from smidgen.eval.summary import read_runs

    try:
        return read_runs(Path(name).expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(f"{name} can't be read: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"{name} holds no results: {error}.", hint="Give a file that `smidgen eval --json` wrote."
        ) from error
