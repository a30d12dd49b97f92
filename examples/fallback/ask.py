"""A request through a chain of ways, with every hop told.

    python examples/fallback/ask.py "What is 17.5% of 2340?"
    python examples/fallback/ask.py --pattern examples/fallback/cascade.toml "How many metres are 12 kilometres?"
    python examples/fallback/ask.py --break "What is the capital of Peru?"       # the first model is made to fail

The models are fetched when they are first needed.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

import smidgen
from smidgen.errors import EngineUnavailable
from smidgen.events import AgentEvent, Failed, FellBack, Finished, StepStarted, Verified
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.fallback import Fallback
from smidgen.patterns.files import load_pattern

HERE = Path(__file__).parent


class Broken:
    """Any pattern may be a way; this one always fails."""

    name = "broken"

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        yield Failed(error=EngineUnavailable("The worker is gone.", hint="This was asked for with --break.").info())


def broken(pattern: Pattern) -> Pattern:
    """The same chain, in which the first way that asks a model fails."""
    if not isinstance(pattern, Fallback):
        raise SystemExit("--break is for a chain")
    number = next(number for number, way in enumerate(pattern.ways) if not way.quick)
    way = msgspec.structs.replace(pattern.ways[number], pattern=Broken())
    return msgspec.structs.replace(pattern, ways=(*pattern.ways[:number], way, *pattern.ways[number + 1 :]))


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask through a chain of ways, and see what each of them did.")
    parser.add_argument("request")
    parser.add_argument("--pattern", default=HERE / "chain.toml", type=Path)
    parser.add_argument("--break", dest="fault", action="store_true", help="let the first model fail")
    arguments = parser.parse_args()
    pattern = load_pattern(arguments.pattern)
    if arguments.fault:
        pattern = broken(pattern)
    with smidgen.Runtime() as runtime:
        for event in smidgen.Agent(runtime=runtime, pattern=pattern).stream(arguments.request):
            match event:
                case StepStarted(action="try" | "retry" | "escalate" | "refine"):
                    print(f"{event.action}: {event.detail}")
                case Verified():
                    print(f"  {event.check}: {'passed' if event.ok else 'not passed'} {event.reason}".rstrip())
                case FellBack():
                    print(f"  -> {event.to_strategy}: {event.reason}")
                case Finished():
                    print(f"\n{event.text}\n\n({event.strategy}; {event.usage.completion_tokens} tokens written)")
                    for warning in event.warnings:
                        print(f"warning: {warning}")
                case Failed():
                    print(f"\n{event.error.message} {event.error.hint}")
                    return 1
                case _:
                    pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
