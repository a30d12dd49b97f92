"""Kill a program that keeps a conversation, again and again, and count the turns that it had acknowledged and lost.

    python benchmarks/session_kills.py [KILLS]

A child appends turns through `smidgen.sessions` and says so of each once the store has returned; it is killed with
SIGKILL at a random moment, while it opens the file included, and another goes on. Then every acknowledged turn must be
there, whole and in its place. A child that ends by itself is a failure of the measurement, and is said.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from smidgen.messages import Message
from smidgen.sessions import SessionStore

KILLS_PER_FILE = 50
LONGEST_S = 0.09
"""Seconds from a child's start to its end at most."""


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
    """Turns that a child had acknowledged when it was killed, so many seconds after its start."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            asyncio.run(write(path, session, first, told))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # the folder is its parent's
    os.close(told)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "the child ended by itself"
    acknowledged = 0
    while data := os.read(heard, 65536):
        acknowledged += len(data)
    os.close(heard)
    return acknowledged


def main(kills: int) -> int:
    chance, said, lost, unsaid = random.Random(1), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for begun in range(0, kills, KILLS_PER_FILE):
            path, turns = Path(folder) / f"{begun}.sqlite", 0
            session = asyncio.run(made(path))
            for _ in range(min(KILLS_PER_FILE, kills - begun)):
                acknowledged = turns + killed(path, session, turns, chance.random() * LONGEST_S)
                found = asyncio.run(kept(path, session))
                said += acknowledged - turns
                lost += sum(f"turn {place}" not in found[place : place + 1] for place in range(acknowledged))
                unsaid += max(0, len(found) - acknowledged)
                turns = len(found)
    print(f"{kills} kills: {lost} of {said} acknowledged turns lost; {unsaid} more kept, not acknowledged yet")
    return 1 if lost or not said else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
