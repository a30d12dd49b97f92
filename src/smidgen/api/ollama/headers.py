"""What models are, from their files' headers, which are read once for each content and never on the server's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from smidgen.errors import SmidgenError
from smidgen.models.library import ModelFile

if TYPE_CHECKING:
    from smidgen.models.detect import ModelFacts
    from smidgen.models.gguf import GGUF

VOCABULARY = "tokenizer."
"""Arrays under these keys have an entry for each token; they are told only if all is asked for."""


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """details, info: as Ollama tells them; of the vocabulary, info has None. parameters: how the model is run if a
    request says nothing else, a line each."""

    kind: Literal["chat", "base", "embedding"] = "chat"
    details: Mapping[str, Any]
    capabilities: tuple[str, ...] = ()
    template: str = ""
    parameters: str = ""
    info: Mapping[str, Any] = {}


UNREADABLE = Described(
    details={
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }
)
"""Of a file that isn't there any more."""


class Headers:
    def __init__(self) -> None:
        self._known: dict[str, Described] = {}
        self._reading = asyncio.Lock()

    async def of(self, file: ModelFile) -> Described:
        """Takes some tenths of a second the first time."""
        async with self._reading:
            told = self._known.get(file.sha256)
            if told is None:
                told = await asyncio.to_thread(read, file.path)
                if told is not UNREADABLE:
                    self._known[file.sha256] = told
            return told


def read(path: str, *, verbose: bool = False) -> Described:
    """Blocks. verbose: with the vocabulary."""
    from smidgen.models import gguf
    from smidgen.models.detect import detect

    try:
        header = gguf.read(path)
    except SmidgenError:
        return UNREADABLE
    facts = detect(header)
    kind = "embedding" if facts.is_embedding else "chat" if facts.is_chat else "base"
    return Described(
        kind=kind,
        details={
            "parent_model": "",
            "format": "gguf",
            "family": facts.architecture,
            "families": [facts.architecture],
            "parameter_size": parameter_size(facts.parameters),
            "quantization_level": facts.quantization,
        },
        capabilities=_capabilities(facts, kind),
        template=facts.template,
        parameters="" if kind == "embedding" else _parameters(facts),
        info=_info(header, facts, verbose),
    )


def parameter_size(count: int) -> str:
    """As Ollama writes it: 494.03M, 1.5B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.2f}".rstrip("0").rstrip(".") + letter
    return str(count)


def _capabilities(facts: ModelFacts, kind: str) -> tuple[str, ...]:
    if kind == "embedding":
        return ("embedding",)
    fills = ("insert",) if facts.fim else ()
    return ("completion", *(("tools",) if kind == "chat" else ()), *fills)


def _parameters(facts: ModelFacts) -> str:
    from smidgen.models.profiles import profile_for

    profile = profile_for(facts)
    drawn = profile.sampling
    lines = [f"stop {msgspec.json.encode(text).decode()}" for text in profile.stop]
    names = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n")
    return "\n".join((*lines, *(f"{name} {getattr(drawn, name)}" for name in names)))


def _info(header: GGUF, facts: ModelFacts, verbose: bool) -> dict[str, Any]:
    from smidgen.models.gguf import Array

    told: dict[str, Any] = {"general.parameter_count": facts.parameters}
    for key, value in header.metadata.items():
        if not isinstance(value, Array):
            told[key] = value
        elif verbose or not key.startswith(VOCABULARY):
            told[key] = value.values()
        else:
            told[key] = None
    return told
