"""Chat with a small model that still knows tomorrow what you told it today.

    python examples/memory/chat.py                          talk; /facts lists what it knows, /forget WORDS deletes
    python examples/memory/chat.py --store notes.sqlite --user ann

Needs a model; `smidgen models pull` fetches the default one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import smidgen
from smidgen.events import Failed, Notice, TextDelta
from smidgen.patterns.memory import Memory
from smidgen.patterns.plain import Direct


def main() -> int:
    parser = argparse.ArgumentParser(description="A conversation in a short window, with facts that are kept.")
    parser.add_argument("--store", type=Path, default=Path("facts.sqlite"), help="file of facts")
    parser.add_argument("--user", default="me", help="whose facts they are")
    parser.add_argument("--window", type=int, default=2048, help="tokens of prompt and answer")
    asked = parser.parse_args()
    system = "You are a friendly assistant. Answer in one or two sentences."
    memory = Memory(pattern=Direct(system=system), window=asked.window, store=asked.store, user=asked.user)
    with smidgen.Runtime() as runtime:
        chat = smidgen.Agent(runtime=runtime, pattern=memory).chat()
        while text := _line():
            if text == "/facts":
                print("\n".join(f"- {fact.text}" for fact in memory.facts()) or "Nothing yet.")
            elif text.startswith("/forget"):
                print(f"{len(memory.forget(text.removeprefix('/forget').strip()))} facts deleted.")
            else:
                _answer(chat, text)
    memory.close()
    return 0


def _line() -> str:
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _answer(chat: smidgen.Chat, text: str) -> None:
    for event in chat.stream(text):
        if isinstance(event, TextDelta):
            print(event.text, end="", flush=True)
        elif isinstance(event, Notice) and event.code == "facts_recalled":
            print(f"({event.message})")
        elif isinstance(event, Failed):
            print(f"{event.error.message} {event.error.hint}")
    print()


if __name__ == "__main__":
    raise SystemExit(main())
