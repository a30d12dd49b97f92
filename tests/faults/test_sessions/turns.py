"""Appends turns to a session and prints the number of each once it is acknowledged, until it is killed.

python turns.py FILE SESSION FIRST
"""

import asyncio
import sys
from pathlib import Path

from smidgen.messages import Message
from smidgen.sessions import SessionStore


async def main(path: str, session: str, first: int) -> None:
    async with SessionStore(Path(path)) as store:
        number = first
        while True:
            run = await store.start_run(agent="a", model="m", session=session)
            await store.append_events(run.id, [b"{}"])
            turn = (Message(role="user", content=f"turn {number}"), Message(role="assistant", content="yes"))
            await store.end_run(run.id, "finished", events=[b"{}"], messages=turn)
            print(number, flush=True)  # noqa: T201
            number += 1


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
