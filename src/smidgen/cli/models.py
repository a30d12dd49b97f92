"""`smidgen models`: list, pull, convert, show, verify, rm, default."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.models.library import Library


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "models", help="list, fetch and remove models", description="The models on this computer.", allow_abbrev=False
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, help: str, work: Callable[[argparse.Namespace, Library], int], *aliases: str
    ) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=help, description=help.capitalize() + ".", aliases=aliases)
        added.set_defaults(perform=partial(perform, work))
        options.add_quiet(added)
        added.add_argument("--json", action="store_true", help="print JSON")
        return added

    action("list", "list what is here and what the catalogue has", list_models)
    pulling = action("pull", "fetch a model (the default one if none is named)", pull_model)
    pulling.add_argument("name", nargs="?", help="catalogue name, hf:owner/repo/file, https address or path")
    pulling.add_argument("--accept-license", action="store_true", help="accept the model's licence terms")
    converting = action("convert", "make a GGUF of a sentence embedder's original weights", convert_model)
    converting.add_argument("source", help="folder or zip archive with the model's files, or a catalogue name")
    converting.add_argument("--out", metavar="FILE", help="write the GGUF to this file too")
    showing = action("show", "show what a model is and how it would be run here", show_model)
    showing.add_argument("name", nargs="?", help="name or path (the default one if none is given)")
    verifying = action("verify", "read model files again and compare their checksums", verify_models)
    verifying.add_argument("names", nargs="*", help="all that are here if none is named")
    removing = action("rm", "remove models, or what is left of unfinished pulls", remove_models, "remove")
    removing.add_argument("names", nargs="+")
    default = action("default", "show or set the model that is used when none is named", default_model)
    default.add_argument("name", nargs="?")


def perform(work: Callable[[argparse.Namespace, Library], int], arguments: argparse.Namespace) -> int:
    from smidgen.runtime.loading import library_of

    return work(arguments, library_of(options.configured(arguments)))


def list_models(arguments: argparse.Namespace, library: Library) -> int:
    here = library.list()
    default = library.default()
    names = {model.name for model in here}
    others = [entry for entry in library.catalog.models if entry.name not in names]
    copies = {model.name: library.store.layout_bytes(model.sha256) for model in here}
    if arguments.json:
        listed = [{**msgspec.to_builtins(model), "copy_bytes": copies[model.name]} for model in here]
        terminal.write_json({"default": default, "models": listed, "catalog": others})
        return exits.OK
    rows = [
        (
            "*" if model.name == default else "",
            model.name,
            terminal.size(model.bytes),
            model.license or "unknown",
            f"here, and a copy of {terminal.size(copies[model.name])}" if copies[model.name] else "here",
        )
        for model in here
    ] + [
        ("*" if entry.name == default else "", entry.name, terminal.size(entry.bytes), entry.license, "not pulled")
        for entry in others
    ]
    terminal.write(terminal.table(rows, ("", "name", "size", "licence", "where")) + "\n")
    for problem in library.store.problems():
        terminal.say(f"note: {problem}", quiet=arguments.quiet)
    return exits.OK


def pull_model(arguments: argparse.Namespace, library: Library) -> int:
    from smidgen.cli.fetching import announced, lay_out, pull
    from smidgen.cli.process import run_to_end
    from smidgen.runtime.loading import default_spec

    config = options.configured(arguments)
    spec: str = arguments.name or default_spec(config, library)
    here = {model.sha256 for model in library.list() if library.store.blob(model.sha256).is_file()}
    entry = library.catalog.find(spec)
    if entry is None or entry.sha256 not in here:
        terminal.say(f"Fetching {spec}{announced(library, spec)}", quiet=arguments.quiet)
    model = run_to_end(lambda: pull(library, spec, arguments))
    run_to_end(lambda: lay_out(library, model, arguments, config))
    said = f"{model.name} is here already" if model.sha256 in here else f"{model.name} fetched from {model.source}"
    if arguments.json:
        terminal.write_json(model)
    else:
        terminal.say(f"{said} ({terminal.size(model.bytes)}).", quiet=arguments.quiet)
    return exits.OK


def convert_model(arguments: argparse.Namespace, library: Library) -> int:
    from pathlib import Path

    from smidgen.cli.fetching import convert
    from smidgen.cli.process import run_to_end

    model = run_to_end(lambda: convert(library, arguments.source, arguments))
    if arguments.out:
        library.export(model, Path(arguments.out))
    if arguments.json:
        terminal.write_json(model)
    else:
        where = f" and in {arguments.out}" if arguments.out else ""
        terminal.say(
            f"{model.name} ({terminal.size(model.bytes)}) is in {library.store.root}{where}.", quiet=arguments.quiet
        )
    return exits.OK


def show_model(arguments: argparse.Namespace, library: Library) -> int:
    from smidgen.runtime.loading import default_spec, describe

    config = options.configured(arguments)
    model = library.resolve(arguments.name or default_spec(config, library))
    told = describe(model, config)
    if arguments.json:
        terminal.write_json(told)
        return exits.OK
    width = max(map(len, told))
    for key, value in told.items():
        terminal.write(f"{key.replace('_', ' '):<{width}}  {_readable(key, value)}\n")
    return exits.OK


def _readable(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return terminal.size(value) if key.endswith("bytes") else f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value) or "unknown"


def verify_models(arguments: argparse.Namespace, library: Library) -> int:
    from smidgen.cli.fetching import verify
    from smidgen.cli.process import run_to_end
    from smidgen.errors import ModelError

    status = exits.OK
    results: list[dict[str, object]] = []
    for name in arguments.names or [model.name for model in library.list()]:
        try:
            model = run_to_end(lambda name=name: verify(library, name, arguments))
        except ModelError as error:
            status = exits.exit_status(error)
            results.append({"name": name, "ok": False, "error": error.info()})
            if not arguments.json:
                terminal.report(error.info())
        else:
            results.append({"name": name, "ok": True, "sha256": model.sha256})
            if not arguments.json:
                terminal.write(f"{model.name}: good, sha256 {model.sha256}\n")
    if arguments.json:
        terminal.write_json(results)
    return status


def remove_models(arguments: argparse.Namespace, library: Library) -> int:
    removed: list[dict[str, object]] = []
    for name in arguments.names:
        freed = library.remove(name)
        removed.append({"name": name, "freed_bytes": freed})
        terminal.say(f"{name} removed, {terminal.size(freed)} freed.", quiet=arguments.quiet or arguments.json)
    if arguments.json:
        terminal.write_json(removed)
    return exits.OK


def default_model(arguments: argparse.Namespace, library: Library) -> int:
    from smidgen.runtime.loading import default_spec

    if arguments.name:
        library.set_default(arguments.name)
    config = options.configured(arguments)
    name = default_spec(config, library)
    if arguments.json:
        terminal.write_json({"default": name})
    else:
        terminal.write(f"{name}\n")
    if arguments.name and config.model:
        terminal.say(f"note: the configuration names {config.model}, which goes before the store's default.")
    return exits.OK
