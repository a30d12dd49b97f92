"""Questions over a small database, a CSV file and a folder of text files, answered by a small model with tools.

    python examples/questions/ask.py                      the default model
    python examples/questions/ask.py --model smollm2-135m
    python examples/questions/ask.py --alone              the same model without tools, to compare

Prints each answer, and how many hold what they must. Needs a model; `smidgen models pull` fetches the default one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import tempfile
import time
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import smidgen
from smidgen.config import load_config

HERE = Path(__file__).parent
PARTS = {"database": "world.sql", "table": "elements.csv", "folder": "folder"}
"""What each part of the questions is asked over."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Answer questions over data and files, and count the right answers.")
    parser.add_argument("--model", default=None)
    parser.add_argument("--alone", action="store_true", help="without tools")
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--unseen", action="store_true", help="the questions that nothing was built with")
    arguments = parser.parse_args()
    file = HERE / ("unseen.toml" if arguments.unseen else "questions.toml")
    questions = tomllib.loads(file.read_text(encoding="utf-8"))
    scores: list[str] = []
    for part in PARTS if arguments.only is None else (arguments.only,):
        with tempfile.TemporaryDirectory() as folder:
            prepare(part, Path(folder))
            right, seconds = ask(questions[part], Path(folder), arguments.model, alone=arguments.alone)
        scores.append(f"{part}: {right} of {len(questions[part])} right, {seconds:.1f} s a question")
    print("\n" + "\n".join(scores))
    return 0


def prepare(part: str, workspace: Path) -> None:
    source = HERE / PARTS[part]
    if part == "database":
        with closing(sqlite3.connect(workspace / "world.db")) as database:
            database.executescript(source.read_text(encoding="utf-8"))
    elif source.is_dir():
        shutil.copytree(source, workspace, dirs_exist_ok=True)
    else:
        shutil.copy(source, workspace)


def ask(questions: list[dict[str, Any]], workspace: Path, model: str | None, *, alone: bool) -> tuple[int, float]:
    """How many answers are right, and seconds for each on average."""
    right, begun = 0, time.monotonic()
    with smidgen.Runtime(load_config(workspace=str(workspace)), model=model) as runtime:
        agent = smidgen.Agent(runtime=runtime, tools=() if alone else ("files", "data"), max_tokens=200)
        for question in questions:
            answer = agent.run(question["ask"])
            is_right = holds(answer.text.split("\n\n(")[0], question)  # without the line that it quotes
            right += is_right
            called = ", ".join(str(next(iter(call.arguments.values()), "")) for call in answer.tool_calls)
            said = " ".join(answer.text.split())[:150]
            print(f"{'right' if is_right else 'WRONG'}  {question['ask']}\n       {said}")
            if called and not is_right:
                print(f"       asked: {called}")
    return right, (time.monotonic() - begun) / len(questions)


def holds(answer: str, question: dict[str, Any]) -> bool:
    """Where a number is asked for, no other may be told beside it."""
    wanted = question["holds"]
    others = set(re.findall(r"\d+(?:\.\d+)?", answer.replace(",", ""))) - set(re.findall(r"\d+", question["ask"]))
    if any(re.fullmatch(r"[\d.]+", text) for text in wanted) and others - set(wanted):
        return False
    return all(_stands(text, answer) for text in question["holds"]) and not any(
        _stands(text, answer) for text in question.get("lacks", [])
    )


def _stands(text: str, answer: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(text)}(?![\w]|\.\d)", answer, re.IGNORECASE) is not None


if __name__ == "__main__":
    raise SystemExit(main())
