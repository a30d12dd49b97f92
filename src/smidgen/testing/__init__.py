"""Fakes for tests, ours and yours: they behave like the real thing, without a model.

scripted   ScriptedEngine: an Engine that answers from a script and records what it was asked
chaos      ChaosEngine: wraps an Engine and makes some requests fail
models     ScriptedModels: such engines as the models of a runtime
backend    FakeBackend: a byte-level "model" with deterministic logits, for the worker
worker     `python -m smidgen.testing.worker`: the real worker over FakeBackend, with faults on request
tiny_bert  the files of a BERT sentence embedder without training
tiny_llama a GGUF of the llama architecture without training
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.testing.backend import FakeBackend
    from smidgen.testing.chaos import ChaosEngine
    from smidgen.testing.models import ScriptedModels
    from smidgen.testing.scripted import ScriptedEngine

_HOMES = {"ChaosEngine": "chaos", "FakeBackend": "backend", "ScriptedEngine": "scripted", "ScriptedModels": "models"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["ChaosEngine", "FakeBackend", "ScriptedEngine", "ScriptedModels"]
