"""Names with known checksums: what `smidgen models pull NAME` can fetch without being told where it is."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from smidgen.models.sources import ConvertedSource, Source

SourceKind = Literal["hf", "pypi", "https", "file"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `bytes` and `sha256` are of the whole file. `context`: tokens it was trained for. `terms`: address of
    terms that must be accepted before the first pull, else "". `sources` in the order in which they are tried."""

    name: str
    file: str
    bytes: int
    sha256: str
    license: str
    publisher: str
    family: str
    architecture: str
    kind: Literal["chat", "base", "embedding"]
    context: int
    quantization: str
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    terms: str = ""


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`default` is the model used when the user names none."""

    models: tuple[Entry, ...]
    default: str

    def find(self, name: str) -> Entry | None:
        """By name or alias, whatever the case."""
        wanted = name.strip().lower()
        return next((entry for entry in self.models if wanted == entry.name or wanted in entry.aliases), None)

    def near(self, name: str, others: Sequence[str] = ()) -> list[str]:
        """At most three names, of this catalogue or `others`, that the user may have meant; the closest first."""
        known = {alias: entry.name for entry in self.models for alias in (entry.name, *entry.aliases)}
        known |= {other.lower(): other for other in others}
        wanted = name.strip().lower()
        close = difflib.get_close_matches(wanted, list(known), n=6, cutoff=0.6)
        close += [key for key in known if wanted and len(wanted) > 2 and (wanted in key)]
        return list(dict.fromkeys(known[key] for key in close))[:3]


def ordered(sources: Sequence[Source], preference: Sequence[SourceKind]) -> tuple[Source, ...]:
    """The sources, those of preferred kinds first in that order; the rest keep theirs. None is left out."""
    rank = {kind: place for place, kind in enumerate(preference)}

    def place(source: Source) -> int:
        brought = source.source if isinstance(source, ConvertedSource) else source
        return rank.get(str(type(brought).__struct_config__.tag), len(rank))  # pyright: ignore[reportArgumentType]

    return tuple(sorted(sources, key=place))


@cache
def builtin() -> Catalog:
    """The catalogue that comes with smidgen."""
    data = resources.files("smidgen.models").joinpath("catalog.json").read_bytes()
    return msgspec.json.decode(data, type=Catalog)
