"""Plots as SVG text. Pure; colours come from the page's style sheet, by class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from smidgen.eval.ablation import Worth
from smidgen.eval.summary import ALL, Run

WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 760, 170, 60, 28, 16, 14
"""Pixels."""
COLORS = 6
"""Classes c0 to c5 of the style sheet; more runs begin again."""
KEY = 18
"""Pixels of a line of the legend."""
INKS = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667085; --line: #d9dee6; --back: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a2b3; --line: #344054; --back: #14181f; } }
"""
STYLE = """
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .name { text-anchor: end; } svg .tick { text-anchor: middle; fill: var(--soft); } svg .value { fill: var(--soft); }
svg .grid { stroke: var(--line); fill: none; } svg .whisker { stroke: var(--ink); fill: none; stroke-opacity: 0.7; }
.c0 { fill: #2f6fde; background: #2f6fde; } .c1 { fill: #e08a1e; background: #e08a1e; }
.c2 { fill: #3a9d6c; background: #3a9d6c; } .c3 { fill: #9b5fc0; background: #9b5fc0; }
.c4 { fill: #c8465a; background: #c8465a; } .c5 { fill: #7a8699; background: #7a8699; }
"""


def bars(runs: Sequence[Run]) -> str:
    """A group of bars per category, one bar per run, with the interval as a whisker. Accuracy from 0 to 100%."""
    categories = list(dict.fromkeys(row.category for run in runs for row in run.rows))
    parts: list[str] = []
    y = TOP
    for category in categories:
        shown = [(i, row) for i, run in enumerate(runs) for row in run.rows if row.category == category]
        middle = y + len(shown) * BAR / 2
        parts.append(f'<text class="name" x="{LEFT - 10}" y="{middle + 4:.1f}">{escape(category)}</text>')
        for i, row in shown:
            end, center = _x(row.accuracy), y + BAR / 2
            told = f"{runs[i].label}, {category}: {100 * row.accuracy:.1f}%"
            parts.append(
                f'<rect class="c{i % COLORS}" x="{LEFT}" y="{y + 1}" width="{end - LEFT:.1f}" height="{BAR - 3}">'
                f"<title>{escape(told)}</title></rect>"
            )
            if row.high > row.low:
                parts.append(_whisker(_x(row.low), _x(row.high), center))
            label_at = max(end, _x(row.high) if row.high > row.low else end) + 6
            parts.append(f'<text class="value" x="{label_at:.1f}" y="{center + 4:.1f}">{100 * row.accuracy:.0f}</text>')
            y += BAR
        y += GAP
    grid = [_line(_x(tick / 100), y - GAP / 2, f"{tick}%") for tick in range(0, 101, 20)]
    return _svg([*grid, *parts], y, "Accuracy by category")


def worths(found: Sequence[Worth]) -> str:
    """What each step is worth in percentage points, with its interval; right of zero it helps."""
    edge = max([0.05, *(abs(end) for worth in found for end in (worth.accuracy.low, worth.accuracy.high))])

    def at(share: float) -> float:
        return LEFT + (share / edge + 1) / 2 * (WIDTH - LEFT - RIGHT)

    parts: list[str] = []
    y = TOP
    for worth in found:
        center, pair = y + BAR / 2, worth.accuracy
        name = worth.step if worth.category == ALL else f"{worth.step}, {worth.category}"
        told = f"{name}: {100 * pair.difference:+.1f} points"
        parts.append(f'<text class="name" x="{LEFT - 10}" y="{center + 4:.1f}">{escape(name)}</text>')
        parts.append(_whisker(at(pair.low), at(pair.high), center))
        parts.append(
            f'<circle class="c0" cx="{at(pair.difference):.1f}" cy="{center:.1f}" r="4.5">'
            f"<title>{escape(told)}</title></circle>"
        )
        y += BAR + 6
    grid = [_line(at(edge * part), y, f"{100 * edge * part:+.0f}") for part in (-1, -0.5, 0, 0.5, 1)]
    return _svg([*grid, *parts], y + GAP, "What each step is worth, in percentage points")


def alone(drawn: str, labels: Sequence[str] = ()) -> str:
    """A plot as a file of its own, with its colours, a background and a legend below."""
    opened, body = drawn.split(">", 1)
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', opened)
    if size is None:
        raise ValueError("this is no plot of this module")
    width, height = int(size[1]), int(size[2])
    below = height + (KEY * len(labels) + GAP if labels else 0)
    keys = "".join(
        f'<rect class="c{i % COLORS}" x="{LEFT}" y="{height + i * KEY}" width="11" height="11"/>'
        f'<text x="{LEFT + 18}" y="{height + i * KEY + 10}">{escape(label)}</text>'
        for i, label in enumerate(labels)
    )
    opened = opened.replace(size[0], f'viewBox="0 0 {width} {below}" width="{width}" height="{below}"')
    back = f'<rect width="{width}" height="{below}" fill="var(--back)"/>'
    style = f"<style>{INKS.replace(':root', 'svg')}{STYLE}</style>"
    return f"{opened}>\n{style}\n{back}{body.removesuffix('</svg>')}{keys}\n</svg>\n"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _whisker(low: float, high: float, y: float) -> str:
    ends = f"M{low:.1f} {y - 3:.1f}v6M{high:.1f} {y - 3:.1f}v6"
    return f'<path class="whisker" d="M{low:.1f} {y:.1f}H{high:.1f}{ends}"/>'


def _line(x: float, bottom: float, label: str) -> str:
    return (
        f'<path class="grid" d="M{x:.1f} {TOP - 6}V{bottom:.1f}"/>'
        f'<text class="tick" x="{x:.1f}" y="{TOP - 12}">{escape(label)}</text>'
    )


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">\n<title>{escape(title)}</title>\n{body}\n</svg>'
    )
