"""CLINC150 and BANKING77 as suites: their items, and what counts as right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smidgen.errors import ConfigError
from smidgen.eval import Bench, Item, Measured, Outcome, Prepared, Verdict
from smidgen.eval.given import DataFile, OfFile, places, read
from smidgen.eval.intents.data import OUTSIDE, Said, Split, banking77, clinc150, examples
from smidgen.eval.intents.means import ByMeans
from smidgen.eval.patterned import ByPattern
from smidgen.patterns.router import Intent, Router
from smidgen.patterns.router.classifier import USUAL
from smidgen.runtime.patterned import OfRuntime

SHOTS = 10
READERS: Mapping[str, Callable[[DataFile], Split]] = MappingProxyType({"clinc150": clinc150, "banking77": banking77})
REJECTS: Mapping[str, float] = MappingProxyType({"clinc150": USUAL.rejects, "banking77": 0.0})
"""The share of what is in scope that may be taken for nothing: as usual, and none where nothing is out of scope."""


class Intents(OfFile):
    measures: Measured = "embedder"

    def __init__(self, name: str, file: DataFile, shots: int = SHOTS) -> None:
        """Raises ConfigError for a file that isn't such data, and for no examples."""
        if shots < 1:
            raise ConfigError("Without examples there is nothing to go by.", hint="Let --shots be 1 or more.")
        self.name = name
        super().__init__(file)
        self._shots = shots
        self._split = READERS[name](file)

    @classmethod
    def given(cls, name: str, path: Path, shots: int = SHOTS) -> Intents:
        """Raises ConfigError."""
        return cls(name, read(path), shots)

    @property
    def options(self) -> Mapping[str, Any]:
        return {"shots": self._shots}

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(self._split.asked)

    @property
    def default_categories(self) -> tuple[str, ...]:
        return self.categories

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        asked = self._split.asked[category]
        return [
            Item(id=f"{category}_{place}", category=category, request=asked[place].text, expected=asked[place].intent)
            for place in places(len(asked), skip, limit)
        ]

    async def prepare(self, bench: Bench) -> Prepared:
        """Nothing is embedded before the first item is asked."""
        drawn, rejects = examples(self._split.train, self._shots, bench.seed), REJECTS[self.name]
        if bench.baseline:
            return Prepared(solver=ByMeans(bench.runtime, bench.model.name, drawn, rejects), check=check)
        router = Router(_intents(drawn), otherwise=OUTSIDE, rejects=rejects)
        resources = OfRuntime(bench.runtime, bench.stack, None, None, False)
        solver = ByPattern(bench.runtime, router, seed=bench.seed, warm=lambda: router.prepare(resources))
        return Prepared(solver=solver, check=check)


def _intents(drawn: tuple[Said, ...]) -> list[Intent]:
    """Each is answered by its own name."""
    by_name: dict[str, list[str]] = {name: [] for name in sorted({said.intent for said in drawn})}
    for said in drawn:
        by_name[said.intent].append(said.text)
    return [Intent(name=name, examples=tuple(texts), template=name) for name, texts in by_name.items()]


async def check(item: Item, outcome: Outcome) -> Verdict:
    """What is out of scope must be told so; what isn't must have its own intent."""
    correct = outcome.text == item.expected
    return Verdict(correct=correct, reason="" if correct else f"{outcome.text or 'nothing'} is not {item.expected}")
