"""Runs a chain that a TOML file describes, and shows what each step made.

    python examples/chain/run.py examples/chain/ticket.toml "The kettle I bought on 3 May leaks, order 48213."

The second argument may be a file's name. Needs a model; `smidgen models pull` fetches the default one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import smidgen
from smidgen.events import FellBack, Finished, StepStarted, Verified


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a chain and show its steps.")
    parser.add_argument("chain")
    parser.add_argument("request")
    parser.add_argument("--model", default=None)
    arguments = parser.parse_args()
    file = Path(arguments.request)
    is_file = len(arguments.request) < 250 and file.is_file()
    request = file.read_text(encoding="utf-8") if is_file else arguments.request
    with smidgen.Runtime(model=arguments.model) as runtime:
        for event in smidgen.Agent(runtime=runtime, pattern=arguments.chain).stream(request):
            match event:
                case StepStarted():
                    print(f"  {event.number}. {event.action} {event.detail}")
                case Verified():
                    print(f"     {event.check}: {event.reason if event.ok else f'refused, {event.reason}'}")
                case FellBack():
                    print(f"     {event.from_strategy} -> {event.to_strategy}: {event.reason}")
                case Finished():
                    print(f"\n{event.text}")
                case _:
                    pass


if __name__ == "__main__":
    main()
