"""The suites by name."""

from __future__ import annotations

from smidgen.errors import ConfigError
from smidgen.eval import Suite

OWN = ("everyday", "everyday_unseen", "calibration")
NAMES = ("bfcl", *OWN)


def suite(name: str) -> Suite:
    """Raises ConfigError for a name that isn't there, and for a suite whose data or checker isn't installed."""
    if name == "bfcl":
        from smidgen.eval.bfcl.suite import Bfcl

        return Bfcl.installed()
    if name in OWN:
        from smidgen.eval.tasks.suite import Tasks

        return Tasks.shipped(name)
    raise ConfigError(f"There is no suite {name!r}.", hint=f"There are: {', '.join(NAMES)}.")


def chosen_categories(suite: Suite, names: tuple[str, ...]) -> tuple[str, ...]:
    """Categories in the suite's order, groups resolved; the suite's usual ones for (). Raises ConfigError."""
    wanted: set[str] = set()
    for name in names:
        if name not in suite.categories and name not in suite.groups:
            there = ", ".join([*suite.categories, *suite.groups])
            raise ConfigError(f"{suite.name} has no category {name!r}.", hint=f"There are: {there}.")
        wanted |= set(suite.groups.get(name, (name,)))
    wanted = wanted or set(suite.default_categories)
    return tuple(name for name in suite.categories if name in wanted)
