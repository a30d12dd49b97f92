"""What a calibration found: tables for the terminal, and data for JSON. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from smidgen.eval.calibrate.race import is_better
from smidgen.eval.calibrate.score import Score
from smidgen.eval.calibrate.tune import Calibrated, Crossed
from smidgen.eval.intervals import wilson

HEAD = ("setting", "before", "after")


def rows(found: Calibrated) -> list[tuple[str, ...]]:
    """One per setting, a weight of the gate or of further calls a row of its own, and the score last."""
    before, after = found.before.tool_use, found.after.tool_use
    shown: list[tuple[str, ...]] = [
        ("dialect", found.before.dialect, found.after.dialect),
        ("shortlist", str(before.shortlist), str(after.shortlist)),
        ("order", before.order, after.order),
        ("choice", f"{before.choice:g}", f"{after.choice:g}"),
    ]
    for group in ("gate", "more"):
        old, new = getattr(before, group), getattr(after, group)
        for name in old.__struct_fields__:
            shown.append((f"{group}.{name}", f"{getattr(old, name):g}", f"{getattr(new, name):g}"))
    shown.append(("right of held-back tasks", score(found.held_back_before), score(found.held_back_after)))
    return shown


def score(found: Score) -> str:
    low, high = wilson(found.total, found.n)
    return f"{found.total} of {found.n} ({100 * low:.0f} to {100 * high:.0f} %)"


def reasons(found: Calibrated) -> list[str]:
    return [f"{decision.setting}: {decision.why}" for decision in found.decisions]


def is_worse(found: Calibrated) -> bool:
    """Did the held-back tasks lose by more than noise? Then what was chosen is not to be kept."""
    gained, lost = found.held_back_after.against(found.held_back_before)
    return is_better(lost, gained)


def document(found: Calibrated, *, stored: bool) -> dict[str, Any]:
    return {
        "model": found.file.name,
        "sha256": found.file.sha256,
        "stored": stored,
        "before": msgspec.to_builtins(found.before),
        "after": msgspec.to_builtins(found.after),
        **found.measured(),
    }


def crossed_rows(found: Crossed) -> list[tuple[str, ...]]:
    """A row per model, a column per manner."""
    return [
        (model, *(score(entry) for entry in scores)) for model, scores in zip(found.models, found.scores, strict=True)
    ]


def crossed_head(found: Crossed) -> tuple[str, ...]:
    return ("right, in the manner of", *found.models)


def crossed_verdicts(found: Crossed) -> list[str]:
    """Per model and other manner: what only one of the two got right."""
    told: list[str] = []
    for i, model in enumerate(found.models):
        for j, other in enumerate(found.models):
            if i != j:
                gained, lost = found.scores[i][i].against(found.scores[i][j])
                verdict = "as good as, within the noise,"
                if is_better(gained, lost) or is_better(lost, gained):
                    verdict = "better than" if gained > lost else "worse than"
                told.append(
                    f"{model}: its own manner is {verdict} that of {other}: {gained} tasks were right only in its own, "
                    f"{lost} only in the other"
                )
    return told


def crossed_document(found: Crossed) -> dict[str, Any]:
    return {
        "models": list(found.models),
        "manners": msgspec.to_builtins(found.manners),
        "right": [[entry.total for entry in row] for row in found.scores],
        "of": found.scores[0][0].n,
    }
