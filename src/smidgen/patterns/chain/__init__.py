"""Mini-chains: steps that each do one thing, and chain of density as a ready one. A chain is data.

steps       what a step is: a prompt, a function or another pattern; a grammar, an extraction, a check, a condition
templates   placeholders in prompts, put in once, so that no braces of a user's are ever taken for one
order       which step needs which; all that is wrong with a chain, found before it runs
extraction  what a step's value is, of the text that a model wrote
checks      whether a value is what was asked for, in words that a model can be told
perform     one step: written, extracted, checked, written again with the reason
together    several things at once, and how many requests
chain       `Chain`: steps that need nothing of each other run at once
sentences, terms    pure: a text's sentences and parts of it; its key terms
fidelity    what is wrong with a short version of a text
condense    the same model asked for short versions, and how dense each is
density     `Density`: key terms, a simple answer, then rounds that keep more terms in fewer words
reading     both as TOML files
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.patterns.chain.chain import Chain
    from smidgen.patterns.chain.checks import Check, When
    from smidgen.patterns.chain.density import Density
    from smidgen.patterns.chain.steps import Step

_HOMES = {"Chain": "chain", "Check": "checks", "When": "checks", "Density": "density", "Step": "steps"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["Chain", "Check", "Density", "Step", "When"]
