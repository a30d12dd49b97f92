from __future__ import annotations

import pytest

from smidgen.agent.measures import measures_other, units_like


@pytest.mark.parametrize(
    ("default", "text", "found"),
    [
        ("cm", "a plate 4 inches wide", ["inches"]),
        ("Fahrenheit", "how warm is it in Celsius", ["Celsius"]),
        ("km", "from Bonn to Trier in miles", ["miles"]),
        ("km", "from Bonn to Trier in May", []),
        ("cm", "a pole of 5m", ["m"]),
        ("m", "a pole of 5 m", []),
        ("units", "a pole of 5 m", []),
        ("metric", "a pole of 5 m", []),
    ],
)
def test_units_of_the_same_kind_as_the_default(default: str, text: str, found: list[str]) -> None:
    assert units_like(default, text) == found


@pytest.mark.parametrize(
    ("unit", "other", "differ"),
    [("km", "km/h", True), ("cm", "metric", True), ("m", "meters", False), ("°C", "°C", False), ("kg", "kg/m³", True)],
)
def test_what_measures_something_else(unit: str, other: str, differ: bool) -> None:
    assert measures_other(unit, other) is differ
