"""Small tasks whose answers code can check: dates, numbers, units, JSON, SQL, Python, quotes.

    python examples/verified/ask.py                       asked again with the reason, where an answer doesn't pass
    python examples/verified/ask.py --alone               the model's first answer, to compare
    python examples/verified/ask.py --constrain           under a grammar, where the check has one

Prints each answer, how many pass their check, and how many of these are right. Needs a model; `smidgen models pull`
fetches the default one.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import smidgen
from smidgen.config import load_config
from smidgen.errors import NoAnswer
from smidgen.patterns.files import read_pattern

HERE = Path(__file__).parent
CONSTRAINED = ("number", "date", "regex", "json")
"""Kinds of checks that have a grammar."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask for answers that code checks, and count those that pass.")
    parser.add_argument("--model", default=None)
    parser.add_argument("--alone", action="store_true", help="every task is asked once")
    parser.add_argument("--constrain", action="store_true", help="under a grammar, where the check has one")
    parser.add_argument("--retries", type=int, default=2, choices=range(21), metavar="0..20")
    parser.add_argument("--at-once", type=int, default=1, choices=range(1, 65), metavar="1..64", help="tasks at a time")
    arguments = parser.parse_args()
    tasks = tomllib.loads((HERE / "tasks.toml").read_text("utf-8"))["task"]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, smidgen.Runtime(load_config(), model=arguments.model) as runtime:
        with closing(sqlite3.connect(Path(folder) / "books.sqlite")) as database:
            database.executescript((HERE / "books.sql").read_text("utf-8"))

        def ask(task: dict[str, Any]) -> str:
            options = {
                "retries": 0 if arguments.alone else arguments.retries,
                "constrain": arguments.constrain and task["check"]["kind"] in CONSTRAINED,
            }
            return asked(runtime, task, options, Path(folder))

        with ThreadPoolExecutor(arguments.at_once) as threads:
            came = list(threads.map(ask, tasks))
    seconds = (time.monotonic() - begun) / len(tasks)
    passed, right = len(tasks) - came.count("none"), came.count("right")
    print(f"\n{passed} of {len(tasks)} pass, {right} of them are right, {seconds:.1f} s a task")
    return 0


def asked(runtime: smidgen.Runtime, task: dict[str, Any], options: dict[str, Any], folder: Path) -> str:
    """What came of it: "right", "wrong" or "none"."""
    check = dict(task["check"])
    if check["kind"] == "sql":
        check["database"] = "books.sqlite"
    pattern = read_pattern(
        {"kind": "verified", "check": check, "ways": [{"kind": "direct"}], **options}, folder / "task"
    )
    try:
        answer = smidgen.Agent(runtime=runtime, pattern=pattern).run(task["request"])
    except NoAnswer as error:
        print(f"none   {task['request']}\n       {error.details['tried'][0]}")
        return "none"
    came = "right" if "value" not in task or task["value"] == answer.tool_calls[-1].result else "wrong"
    shown = " ".join(answer.text.split())[:110]
    print(f"{came}  {task['request']}\n       {shown} ({answer.strategy})")
    return came


if __name__ == "__main__":
    raise SystemExit(main())
