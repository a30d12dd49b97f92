"""`smidgen tune`: finds out how one model is best helped to call tools, and keeps that for its file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.eval.calibrate.tune import Calibrated, Crossed
    from smidgen.models.library import Library


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "tune",
        help="find out how a model is best helped to call tools",
        description="Try ways of calling tools with a model, on tasks that come with smidgen, and keep what is best.",
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="catalogue name or path (default: the one in use)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--dry-run", action="store_true", help="print what is best, keep nothing")
    way.add_argument("--reset", action="store_true", help="forget what was kept")
    way.add_argument("--compare", metavar="OTHER", help="measure both models in their own and in each other's manner")
    parser.add_argument("--tasks", type=options.whole, metavar="N", help="of each kind at most: quicker, less sure")
    options.add_loading(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end
    from smidgen.errors import InvalidRequest
    from smidgen.runtime.loading import default_spec, library_of

    config = options.configured(arguments)
    library = library_of(config)
    if arguments.tasks is not None and arguments.tasks < LEAST_TASKS:
        raise InvalidRequest(
            f"{arguments.tasks} tasks of each kind are too few: every fourth is held back.",
            hint=f"Take {LEAST_TASKS} or more.",
        )
    spec = arguments.model or default_spec(config, library)
    if arguments.reset:
        return reset(library, spec, arguments)
    if arguments.compare:
        show_crossed(run_to_end(lambda: crossed(config, (spec, arguments.compare), arguments)), arguments)
        return exits.OK
    found = run_to_end(lambda: calibrated(config, spec, arguments))
    show(found, library, arguments)
    return exits.OK


LEAST_TASKS = 4


def reset(library: Library, spec: str, arguments: argparse.Namespace) -> int:
    model = library.resolve(spec)
    freed = library.store.drop_profile(model.sha256)
    if arguments.json:
        terminal.write_json({"model": model.name, "sha256": model.sha256, "reset": freed > 0})
    else:
        told = "is run as written by hand for its family again" if freed else "was not tuned"
        terminal.say(f"{model.name} {told}.", quiet=arguments.quiet)
    return exits.OK


async def calibrated(config: Config, spec: str, arguments: argparse.Namespace) -> Calibrated:
    import msgspec

    from smidgen.cli.preparing import make_ready
    from smidgen.eval.calibrate.tune import calibrate
    from smidgen.runtime.runtime import Runtime

    by_hand = msgspec.structs.replace(config, model=spec, tuned="off")
    async with Runtime(by_hand) as runtime:
        await make_ready(runtime, arguments)
        tell_of_embedder(runtime, arguments)
        return await calibrate(runtime, arguments.tasks, lambda line: terminal.say(line, quiet=arguments.quiet))


async def crossed(config: Config, specs: tuple[str, str], arguments: argparse.Namespace) -> Crossed:
    from smidgen.eval.calibrate.tune import cross

    return await cross(config, specs, arguments.tasks, lambda line: terminal.say(line, quiet=arguments.quiet))


def tell_of_embedder(runtime: object, arguments: argparse.Namespace) -> None:
    from smidgen.runtime.runtime import Runtime

    if isinstance(runtime, Runtime) and not runtime.embedder_name():
        told = "note: without a sentence embedder only the dialect and the weights for further calls can be measured."
        terminal.say(f"{told} Fetch one first: smidgen models pull all-minilm-l6-v2", quiet=arguments.quiet)


def show(found: Calibrated, library: Library, arguments: argparse.Namespace) -> None:
    """Prints what was found, and keeps it unless it must not be."""
    from smidgen.eval.calibrate import report
    from smidgen.models import tuned

    worse = report.is_worse(found)
    keeps = not (arguments.dry_run or worse)
    if keeps:
        tuned.keep(library.store, found.as_tuned())
    if arguments.json:
        terminal.write_json(report.document(found, stored=keeps))
    else:
        for line in report.reasons(found):
            terminal.say(line, quiet=arguments.quiet)
        terminal.write(f"{terminal.table(report.rows(found), report.HEAD)}\n")
    took = f"{found.seconds / 60:.1f} minutes"
    if worse:
        told = f"nothing was kept ({took}): the held-back tasks got worse by more than noise"
    elif arguments.dry_run:
        told = f"nothing was kept ({took}): this was a dry run"
    else:
        told = f"{found.file.name} is run so from now on ({took}); `smidgen tune {found.file.name} --reset` undoes it"
    terminal.say(f"{told}.", quiet=arguments.quiet)


def show_crossed(found: Crossed, arguments: argparse.Namespace) -> None:
    from smidgen.eval.calibrate import report

    if arguments.json:
        terminal.write_json(report.crossed_document(found))
        return
    terminal.write(f"{terminal.table(report.crossed_rows(found), report.crossed_head(found))}\n")
    for line in report.crossed_verdicts(found):
        terminal.say(line, quiet=arguments.quiet)
