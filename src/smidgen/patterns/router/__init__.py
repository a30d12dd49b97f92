"""ROUTER: an intent from examples, then the cheapest way to its answer. No model generates anything for a template.

intents     what an intent is: examples, and a rule, a template, a prompt, another pattern or tools
slots       values that code finds in a request: numbers, dates, texts
begun       pure: what a question was asked about, where the last words answer it
lexical, projection, ridge    how texts are compared by their words; how embeddings are moved; the regression over them
head        all three as one: which intent, how probable, and whether it is any
classifier  `Classifier`: intents as a trained head, usable alone
ways        one intent's ways, each tried when the one before can't answer
router      `Router`: the pattern
reading     the same from TOML files

Training and sorting are numpy alone; what a text means comes from the runtime's sentence embedder, and where there is
none, its words must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.patterns.router.classifier import Classified, Classifier
    from smidgen.patterns.router.intents import Intent
    from smidgen.patterns.router.router import Router
    from smidgen.patterns.router.slots import Slot

_HOMES = {
    "Classified": "classifier",
    "Classifier": "classifier",
    "Intent": "intents",
    "Router": "router",
    "Slot": "slots",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["Classified", "Classifier", "Intent", "Router", "Slot"]
