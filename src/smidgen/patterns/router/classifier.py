"""Intents as a trained head: examples in, and for each text the intent, how probable it is, and whether it is any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from smidgen.errors import ConfigError
from smidgen.patterns.router.intents import Intent, checked

if TYPE_CHECKING:
    from smidgen.patterns.router.head import Head

Vectors = Sequence[Sequence[float]]
Embed = Callable[[Sequence[str]], Vectors]
"""Of texts, a vector of length 1 for each."""

ALTERNATIVES = 3
MOST_EXAMPLES = 5000
"""Training takes time with the cube of their number, and memory with its square: 5000 some 15 s and 1 GB."""


class Classified(msgspec.Struct, frozen=True, kw_only=True):
    """intent: the likeliest, also where it doesn't count. probability: of it, if the text is one of the intents.
    alternatives: the next ones with theirs. typical: the share of what is in scope that looks less so. in_scope: does
    the intent count? reason: why so, in words."""

    intent: str
    probability: float
    alternatives: tuple[tuple[str, float], ...]
    typical: float
    in_scope: bool
    reason: str


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """When a text counts as one of the intents.

    rejects: the share of texts that are one of them which may be taken for none: the smaller, the more that is none is
    taken for one. threshold: the least probability of the intent. Raises ConfigError outside of 0 to 1."""

    rejects: float = 0.03
    threshold: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("rejects", self.rejects), ("threshold", self.threshold)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} = {value} is no share.", hint="0 to 1.")


USUAL = Scope()


class Classifier:
    """Trained when it is made: two seconds for 150 intents of ten examples, milliseconds for a few.

    embed: gives the texts' vectors, as `lambda texts: runtime.embed(texts, model="all-minilm-l6-v2").vectors`; without
    it, texts are compared by their words alone. outside: examples of what is none of the intents, if you have some.
    """

    def __init__(
        self,
        intents: Sequence[Intent],
        embed: Embed | None = None,
        *,
        outside: Sequence[str] = (),
        scope: Scope = USUAL,
    ) -> None:
        self._embed = embed
        texts = examples(intents, outside)
        self._trained = Trained(intents, None if embed is None else embed(texts), outside=outside, scope=scope)

    def classify(self, texts: Sequence[str]) -> tuple[Classified, ...]:
        return self._trained.classify(texts, None if self._embed is None or not texts else self._embed(texts))


class Trained:
    """The same where vectors are made elsewhere. vectors: of `examples(intents, outside)`, None to do without."""

    def __init__(
        self, intents: Sequence[Intent], vectors: Vectors | None, *, outside: Sequence[str] = (), scope: Scope = USUAL
    ) -> None:
        self.intents = checked(intents)
        self.by_words = vectors is None
        self._scope = scope
        labels = [index for index, intent in enumerate(self.intents) for _ in said(intent)]
        texts = examples(intents, outside)
        labels += [len(self.intents)] * (len(texts) - len(labels))
        self._head = _head(texts, vectors, labels, len(self.intents))

    def classify(self, texts: Sequence[str], vectors: Vectors | None) -> tuple[Classified, ...]:
        """vectors: of the texts; None exactly where it was trained without."""
        import numpy as np

        if not texts:
            return ()
        found = self._head.scores(texts, None if vectors is None else np.asarray(vectors, np.float32))
        many = zip(found.probabilities.tolist(), found.typical.tolist(), strict=True)
        return tuple(self._classified(row, typical) for row, typical in many)

    def _classified(self, row: list[float], typical: float) -> Classified:
        of_intents = row[: len(self.intents)]
        outside = sum(row[len(self.intents) :])
        order = sorted(range(len(of_intents)), key=lambda index: -of_intents[index])
        best, *others = order[: 1 + ALTERNATIVES]
        intent, probability = self.intents[best], of_intents[best]
        least = self._scope.threshold if intent.threshold is None else intent.threshold
        in_scope = typical >= self._scope.rejects and probability >= max(least, outside)
        if outside > probability:
            reason = f"it is like the examples of what is out of scope ({outside:.2f}); nearest is {intent.name}"
        elif typical < self._scope.rejects:
            share = f"{1 - self._scope.rejects:.0%}"
            reason = f"it is less like any intent than {share} of what is one; nearest is {intent.name}"
        elif probability < least:
            reason = f"{intent.name} is only {probability:.2f} probable, and must be {least:.2f}"
        else:
            reason = f"{intent.name} is {probability:.2f} probable"
            if others:
                reason += f", the next is {self.intents[others[0]].name} with {of_intents[others[0]]:.2f}"
        return Classified(
            intent=intent.name,
            probability=probability,
            alternatives=tuple((self.intents[index].name, of_intents[index]) for index in others),
            typical=typical,
            in_scope=in_scope,
            reason=reason,
        )


def said(intent: Intent) -> tuple[str, ...]:
    """What an intent is learnt from: its examples, stripped, each once."""
    return tuple(dict.fromkeys(text.strip() for text in intent.examples if text.strip()))


def examples(intents: Sequence[Intent], outside: Sequence[str] = ()) -> tuple[str, ...]:
    """All texts that the head is trained with, in the order of its vectors. Raises ConfigError for too many."""
    none = tuple(dict.fromkeys(text.strip() for text in outside if text.strip()))
    found = (*(text for intent in intents for text in said(intent)), *none)
    if len(found) > MOST_EXAMPLES:
        raise ConfigError(
            f"There are {len(found)} examples, and at most {MOST_EXAMPLES} can be learnt from.",
            hint="Leave out those that say nearly the same; ten for each intent serve well.",
        )
    return found


def _head(texts: Sequence[str], vectors: Vectors | None, labels: Sequence[int], intents: int) -> Head:
    import numpy as np

    from smidgen.patterns.router.head import Head

    return Head(texts, None if vectors is None else np.asarray(vectors, np.float32), labels, intents)
