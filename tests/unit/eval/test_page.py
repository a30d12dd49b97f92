"""The page: complete, well-formed, and in need of nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

from smidgen.eval import plot
from smidgen.eval.ablation import worth
from smidgen.eval.page import page
from smidgen.eval.record import Record, RunKey
from smidgen.eval.summary import Run, read_runs, rows

Make = Callable[..., Record]
SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_the_shares(record: Make) -> None:
    run = Run(label="r", rows=rows({"a": [record("0", True)], "b": [record("1", True), record("2", False)]}))
    tree = ElementTree.fromstring(plot.bars([run]))
    full, half, _ = [float(bar.attrib["width"]) for bar in tree.iter(f"{SVG}rect")]
    assert full == plot.WIDTH - plot.LEFT - plot.RIGHT
    assert half == full / 2
    assert len([path for path in tree.iter(f"{SVG}path") if path.attrib["class"] == "whisker"]) == 3


def test_figures_without_items_have_no_whisker() -> None:
    runs = read_runs(b'{"runs": [{"label": "them", "rows": [{"category": "a", "accuracy": 0.9}]}]}')
    tree = ElementTree.fromstring(plot.bars(runs))
    assert not [path for path in tree.iter(f"{SVG}path") if path.attrib["class"] == "whisker"]


def test_a_step_that_helps_is_right_of_zero(record: Make) -> None:
    full = {"a": [record(f"{i}", True) for i in range(20)]}
    helps = worth("helps", full, {"a": [record(f"{i}", False) for i in range(20)]})
    harms = worth("harms", {"a": [record(f"{i}", False) for i in range(20)]}, full)
    tree = ElementTree.fromstring(plot.worths([*helps, *harms]))
    right, left = [float(dot.attrib["cx"]) for dot in tree.iter(f"{SVG}circle")]
    zero = (plot.LEFT + plot.WIDTH - plot.RIGHT) / 2
    assert left < zero < right


def test_a_plot_alone_has_its_colours_and_its_legend(record: Make) -> None:
    runs = [Run(label=label, rows=rows({"a": [record("0", True)]})) for label in ("with", "a <b>")]
    drawn = plot.alone(plot.bars(runs), [run.label for run in runs])
    tree = ElementTree.fromstring(drawn)
    assert [text.text for text in tree.iter(f"{SVG}text")][-2:] == ["with", "a <b>"]
    assert float(tree.attrib["height"]) > float(ElementTree.fromstring(plot.bars(runs)).attrib["viewBox"].split()[-1])
    assert ".c1" in drawn and "--back" in drawn
    assert set(re.findall(r"https?://[^\"']+", drawn)) == {"http://www.w3.org/2000/svg"}


def test_the_page_shows_everything_and_loads_nothing(record: Make, run_key: RunKey) -> None:
    records = {"a": [record("0", True, tuning=True)], "b<c": [record("1", False)]}
    runs = [Run(label='m "quoted" & <b>', rows=rows(records), key=run_key), Run(label="other", rows=rows(records))]
    worths = worth("gate", records, records)
    html = page(runs, worths, "2026-01-02")
    for said in ("tiny 1, m", "2026-01-02", "a machine", "other", "gate", "are for tuning", "seed 0", "50.0%"):
        assert said in html
    assert html.count("<svg") == 2
    assert "<b>" not in html
    assert "b<c" not in html
    outside = re.findall(r"(?:src|href)=|@import|url\(|<script|https?://[^\"']+", html)
    assert set(outside) <= {"http://www.w3.org/2000/svg"}
    body = html[html.index("<body>") : html.index("</body>") + len("</body>")]
    ElementTree.fromstring(body)


def test_without_an_ablation_there_is_no_plot_of_one(record: Make, run_key: RunKey) -> None:
    html = page([Run(label="m", rows=rows({"a": [record("0", True)]}), key=run_key)], [], "today")
    assert html.count("<svg") == 1
    assert "What each step is worth" not in html
