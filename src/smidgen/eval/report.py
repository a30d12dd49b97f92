"""Tables as text, failures for reading, and the JSON document. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.eval.ablation import Worth
from smidgen.eval.record import Record
from smidgen.eval.summary import ALL, Row, Run

HEAD = ("category", "n", "correct", "accuracy", "95% interval", "median s", "prompt tokens", "new tokens", "errors")
ABLATION_HEAD = ("step off", "category", "n", "full", "without", "worth", "95% interval", "p", "tokens", "seconds")


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A difference of two shares, in percentage points."""
    return f"{100 * share:+.1f}"


def cells(row: Row) -> tuple[str, ...]:
    """Of `HEAD`. Figures that come from elsewhere without a number of items have no interval."""
    return (
        row.category,
        f"{row.n}" if row.n else "",
        f"{row.correct}" if row.n else "",
        percent(row.accuracy),
        f"{percent(row.low)} to {percent(row.high)}" if row.n else "",
        f"{row.seconds:.2f}" if row.seconds else "",
        f"{row.prompt_tokens:.0f}" if row.prompt_tokens else "",
        f"{row.completion_tokens:.0f}" if row.completion_tokens else "",
        f"{row.errors}" if row.errors else "",
    )


def ablation_cells(worth: Worth) -> tuple[str, ...]:
    """Of `ABLATION_HEAD`. Tokens are those of prompt and answer together."""
    pair = worth.accuracy
    return (
        worth.step,
        worth.category,
        f"{pair.n}",
        percent(worth.full),
        percent(worth.without),
        points(pair.difference),
        f"{points(pair.low)} to {points(pair.high)}",
        f"{pair.p:.3f}",
        f"{worth.prompt_tokens + worth.completion_tokens:+.0f}",
        f"{worth.seconds:+.2f}",
    )


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Names to the left, figures to the right, two blanks apart."""
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    named = 2 if head[1] == "category" else 1
    lines = [
        "  ".join(
            cell.ljust(width) if i < named else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *body)
    ]
    return "\n".join(lines)


def tuning_note(rows: Sequence[Row]) -> str:
    """What a reader of the table must know of items that may have been tuned on; "" if there are none."""
    tuning = sum(row.tuning for row in rows if row.tuning and row.category != ALL)
    total = sum(row.n for row in rows if row.category != ALL)
    return f"{tuning} of these {total} items are for tuning; a score on them proves nothing." if tuning else ""


def failure(record: Record) -> str:
    """Request, expected, got and the checker's reason of one item that isn't correct."""
    lines = [
        f"--- {record.id}",
        f"request   {_indented(record.request)}",
        f"expected  {_written(record.expected)}",
        f"got       {_indented(_got(record))}",
        f"reason    {record.reason}",
    ]
    told = record.notes.get("text") or record.notes.get("trace")
    if told:
        lines.append(f"notes     {_indented(told if isinstance(told, str) else _written(told))}")
    return "\n".join(lines)


def _got(record: Record) -> str:
    calls = "; ".join(f"{call.name}({_written(call.arguments)})" for call in record.calls)
    return calls or record.text or "nothing"


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n          ")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def document(runs: Sequence[Run], worths: Sequence[Worth], items: Sequence[Sequence[Record]], date: str) -> Any:
    """For `--json`. Of each item only what came of it: neither the publisher's requests nor the answers."""
    kept = ("id", "category", "correct", "error", "prompt_tokens", "completion_tokens", "seconds", "tuning")
    told: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        entry = msgspec.to_builtins(run)
        if number < len(items):
            entry["items"] = [{name: getattr(record, name) for name in kept} for record in items[number]]
        told.append(entry)
    return {"date": date, "runs": told, "ablation": msgspec.to_builtins(list(worths))}
