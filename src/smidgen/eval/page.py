"""Everything on one HTML page that needs nothing else: no scripts, no fonts, no network. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from smidgen.eval import plot
from smidgen.eval.ablation import Worth
from smidgen.eval.report import ABLATION_HEAD, HEAD, ablation_cells, cells, tuning_note
from smidgen.eval.summary import ALL, Run

_STYLE = (
    plot.INKS
    + """
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1rem; background: var(--back); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th.left, td.left { text-align: left; }
.wide { overflow-x: auto; } .soft { color: var(--soft); } svg { width: 100%; height: auto; }
.key { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.4em 0 1.2em; }
"""
    + plot.STYLE
)


def page(runs: Sequence[Run], worths: Sequence[Worth], date: str) -> str:
    """runs: this one first. worths: of an ablation, if there was one. date: as it is to be shown."""
    key = runs[0].key
    title = f"{key.suite} {key.suite_version}, {key.model}" if key else runs[0].label
    sections = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(_told(runs[0], date))}</p>']
    sections += ["<h2>Accuracy</h2>", _legend(runs), plot.bars(runs)]
    for run in runs:
        note = tuning_note(run.rows)
        sections += [f"<h2>{escape(run.label)}</h2>", _table(HEAD, [cells(row) for row in run.rows], 1)]
        sections += [f'<p class="soft">{escape(note)}</p>'] if note else []
    if worths:
        sections += ["<h2>What each step is worth</h2>", plot.worths(overall(worths))]
        sections += [_table(ABLATION_HEAD, [ablation_cells(worth) for worth in worths], 2)]
        sections += [
            '<p class="soft">Full minus without: what is above zero is gained, or, for tokens and seconds, paid. '
            "The interval is Agresti and Min's for matched shares, p that of McNemar's exact test.</p>"
        ]
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _told(run: Run, date: str) -> str:
    if run.key is None:
        return date
    options = ", ".join(f"{name} {value}" for name, value in run.key.options.items())
    parts = (
        date,
        f"smidgen {run.key.version} ({run.key.program[:12]})",
        f"model file {run.key.model_sha256[:12]}",
        run.key.machine,
        options,
        "shares with Wilson's 95% intervals",
    )
    return " · ".join(part for part in parts if part)


def _legend(runs: Sequence[Run]) -> str:
    keys = "".join(f'<span class="key c{i % plot.COLORS}"></span>{escape(run.label)}' for i, run in enumerate(runs))
    return f"<p>{keys}</p>"


def overall(worths: Sequence[Worth]) -> list[Worth]:
    """Of a step with several categories only the row over all."""
    over_all = {worth.step for worth in worths if worth.category == ALL}
    return [worth for worth in worths if worth.category == ALL or worth.step not in over_all]


def _table(head: Sequence[str], body: Sequence[Sequence[str]], named: int) -> str:
    def line(entries: Sequence[str], tag: str) -> str:
        inner = "".join(
            f"<{tag}{' class=' + chr(34) + 'left' + chr(34) if i < named else ''}>{escape(entry)}</{tag}>"
            for i, entry in enumerate(entries)
        )
        return f"<tr>{inner}</tr>"

    lines = "\n".join(line(entries, "td") for entries in body)
    return f'<div class="wide"><table>\n<thead>{line(head, "th")}</thead>\n<tbody>\n{lines}\n</tbody>\n</table></div>'
