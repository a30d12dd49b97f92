"""Kill a program that keeps a conversation, again and again, and count the turns that it had acknowledged and lost.

    python benchmarks/session_kills.py [KILLS]

A child appends turns through `smidgen.sessions` and says so of each once the store has returned; it is killed with
SIGKILL at a random moment, and another goes on. Then every acknowledged turn must be there, whole and in its place.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

from smidgen.messages import Message
from smidgen.sessions import SessionStore

LONGEST_S = 0.06


async def write(path: Path, session: str, first: int, told: int) -> None:
    """Until it is killed."""
    async with SessionStore(path) as store:
        number = first
        while True:
            run = await store.start_run(agent="a", model="m", session=session)
            await store.append_events(run.id, [b"{}"])
            turn = (Message(role="user", content=f"turn {number}"), Message(role="assistant", content="yes"))
            await store.end_run(run.id, "finished", events=[b"{}"], messages=turn)
            os.write(told, b".")
            number += 1


async def made(path: Path) -> str:
    async with SessionStore(path) as store:
        return (await store.create_session("a")).id


async def kept(path: Path, session: str) -> list[str]:
    """Users' turns. Raises AssertionError where one isn't whole."""
    async with SessionStore(path) as store:
        messages = (await store.session(session)).messages
        assert not store.notices, store.notices
    assert [message.role for message in messages] == ["user", "assistant"] * (len(messages) // 2)
    return [message.content for message in messages[::2]]


def killed(path: Path, session: str, first: int, after_s: float) -> int:
    """Turns that a child had acknowledged when it was killed, so many seconds after its first."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        asyncio.run(write(path, session, first, told))
        os._exit(1)
    os.close(told)
    select.select([heard], [], [])
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    acknowledged = 0
    while data := os.read(heard, 65536):
        acknowledged += len(data)
    os.close(heard)
    return acknowledged


def main(kills: int) -> int:
    chance, lost, unsaid, turns = random.Random(1), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            if number % 50 == 0:
                path = Path(folder) / f"{number}.sqlite"
                session, turns = asyncio.run(made(path)), 0
            acknowledged = turns + killed(path, session, turns, chance.random() * LONGEST_S)
            found = asyncio.run(kept(path, session))
            lost += sum(f"turn {place}" not in found[place : place + 1] for place in range(acknowledged))
            unsaid += len(found) - acknowledged
            turns = len(found)
    print(f"{kills} kills: {lost} acknowledged turns lost; {unsaid} turns were kept whose acknowledgement was cut off")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
