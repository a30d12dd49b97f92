"""Micro-agents: each does one small task with code, and its output is run before it is believed.

writing     `CodeWriter`: a function from its signature and docstring
testing     `TestWriter`: tests that pass on a function and fail on its mutants
documenting `DocWriter`: docstrings that fit the signature
explaining  `ErrorExplainer`: what went wrong, from a log
completing  `Completer`: what is missing at a place in a file
own         `MicroAgent`: a user's own; reading: all of them as TOML

drafting    asking a model for code
stubs, examples, inputs    pure: a function that is to be written, what its docstring shows, calls to try it with
trials      many calls of a program, tried in the sandbox in one run
choosing    pure: which of several drafts to believe
mutants, suites    pure: a function with a small mistake put in; tests as a text, chosen by what they notice
docstrings  pure: what a docstring must tell, and whether it does
problems, meanings    pure: what a log says went wrong; what the commonest errors mean
answers     pure: what of a model's answer is code
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.patterns.micro.completing import Completer
    from smidgen.patterns.micro.documenting import DocWriter
    from smidgen.patterns.micro.explaining import ErrorExplainer
    from smidgen.patterns.micro.own import MicroAgent
    from smidgen.patterns.micro.testing import TestWriter
    from smidgen.patterns.micro.writing import CodeWriter

_HOMES = {
    "CodeWriter": "writing",
    "Completer": "completing",
    "DocWriter": "documenting",
    "ErrorExplainer": "explaining",
    "MicroAgent": "own",
    "TestWriter": "testing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["CodeWriter", "Completer", "DocWriter", "ErrorExplainer", "MicroAgent", "TestWriter"]
