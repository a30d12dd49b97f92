"""The suites by name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from smidgen.errors import ConfigError
from smidgen.eval import Suite

OWN = ("everyday", "everyday_unseen", "calibration")
INTENTS = ("clinc150", "banking77")
OF_A_FILE = ("gsm8k", "humaneval", *INTENTS)
"""Their items are the publisher's, in a file that the user gives."""
NAMES = ("bfcl", *OWN, *OF_A_FILE)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What only some suites take. data: the file of items. shots: examples of each intent, None for the usual."""

    data: Path | None = None
    shots: int | None = None


NOTHING = Given()


def suite(name: str, given: Given = NOTHING) -> Suite:
    """Raises ConfigError for a name that isn't there, for a suite whose data or checker isn't installed or given, and
    for what it doesn't take."""
    if name not in NAMES:
        raise ConfigError(f"There is no suite {name!r}.", hint=f"There are: {', '.join(NAMES)}.")
    if given.shots is not None and name not in INTENTS:
        raise ConfigError(f"{name} takes no --shots.", hint=f"These do: {', '.join(INTENTS)}.")
    if name in OF_A_FILE:
        if given.data is None:
            raise ConfigError(
                f"The items of {name} don't come with smidgen.", hint="Let --data name its publisher's file."
            )
        return _of_file(name, given.data, given.shots)
    if given.data is not None:
        raise ConfigError(f"{name} has its own items, and takes no --data.", hint="Leave --data out.")
    if name == "bfcl":
        from smidgen.eval.bfcl.suite import Bfcl

        return Bfcl.installed()
    from smidgen.eval.tasks.suite import Tasks

    return Tasks.shipped(name)


def _of_file(name: str, data: Path, shots: int | None) -> Suite:
    if name == "gsm8k":
        from smidgen.eval.gsm8k.suite import Gsm8k

        return Gsm8k.given(data)
    if name == "humaneval":
        from smidgen.eval.humaneval.suite import HumanEval

        return HumanEval.given(data)
    from smidgen.eval.intents.suite import SHOTS, Intents

    return Intents.given(name, data, SHOTS if shots is None else shots)


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
