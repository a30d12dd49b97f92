"""From what a user types to a checked file on this computer: catalogue, sources, validation and store together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from smidgen.errors import (
    ChecksumMismatch,
    DiskFull,
    DownloadError,
    InvalidModelFile,
    InvalidRequest,
    LicenseNotAccepted,
    ModelError,
    ModelNotPulled,
    SmidgenError,
    StoreUnwritable,
    UnknownModel,
)
from smidgen.events import Notice
from smidgen.models.catalog import Catalog, SourceKind, builtin, ordered
from smidgen.models.disk import writing
from smidgen.models.sources import ConvertedSource, Fetched, Job, Limits, Progress, Source
from smidgen.models.sources.partial import hash_file
from smidgen.models.spec import FORMS, Wanted, local_path, read, slug
from smidgen.models.store import Record, Store, now

OnProgress = Callable[[Progress], None]
OnNotice = Callable[[Notice], None]
AcceptLicense = Callable[[str, str], bool]
"""Asked with the model's name and the terms (their name and address) before the first pull."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model file on this computer. `source`: where it came from. `license`: "" if unknown."""

    name: str
    path: str
    sha256: str
    bytes: int
    source: str
    license: str


def _ignore(_: object) -> None:
    """The default listener."""


def validate_gguf(path: Path) -> None:
    """Raises InvalidModelFile."""
    from smidgen.models import gguf

    gguf.read(path)


class Library:
    """The models of one user. Methods block; `pull` and `ensure` may take minutes, so call them from a thread in async
    code. An exception raised by a callback ends the pull and keeps what was fetched.

    source_order: kinds of sources to try first, such as ("pypi",) on a machine that can't reach the hub.
    """

    def __init__(
        self,
        store: Store | None = None,
        catalog: Catalog | None = None,
        *,
        source_order: Sequence[SourceKind] = (),
        limits: Limits | None = None,
        validate: Callable[[Path], None] = validate_gguf,
    ) -> None:
        self.store = Store() if store is None else store
        self.catalog = builtin() if catalog is None else catalog
        self._source_order = tuple(source_order)
        self._limits = Limits() if limits is None else limits
        self._validate = validate

    # --- what is here -----------------------------------------------------------------------------------------------

    def resolve(self, spec: str) -> ModelFile:
        """The local file for a spec, without any network. A path is used in place; its hash is remembered while its
        size and time stay the same.

        Raises UnknownModel (`near` in its details), ModelNotPulled, ChecksumMismatch (the stored file has another size
        than when it was pulled), InvalidRequest (malformed spec).
        """
        wanted = read(spec, self.catalog)
        record = self._record(spec, wanted)
        path = None if wanted is None else local_path(wanted)
        if path is not None and (record is None or path.exists()):
            return self._in_place(path, spec)
        if record is not None and self.store.is_whole(record):
            return self._model_file(record)
        if record is not None:
            raise self._damaged(record)
        if wanted is None:
            raise self._unknown(spec)
        raise ModelNotPulled(
            f"{wanted.name} is not on this computer yet.",
            hint=f"Fetch it with: smidgen models pull {spec}",
            name=wanted.name,
            bytes=wanted.bytes,
        )

    def list(self) -> tuple[ModelFile, ...]:
        """All pulled models, by name."""
        return tuple(self._model_file(record) for record in self.store.records())

    def verify(self, name: str, progress: OnProgress = _ignore, notice: OnNotice = _ignore) -> ModelFile:
        """Reads the whole file again. A copy of it in another layout that isn't what it should be is removed, and that
        is told. Raises ChecksumMismatch if a bit has changed since the pull, and what `resolve` raises."""
        from smidgen.models import copies

        model = self.resolve(name)
        is_own = Path(model.path).is_relative_to(self.store.root)
        got = self._hash(Path(model.path), progress, model.name) if is_own else model.sha256
        if got != model.sha256:
            raise ChecksumMismatch(
                f"The file of {model.name} has changed on the disk since it was pulled.",
                hint=f"Run `smidgen models remove {model.name}` and pull it again. The disk may be failing.",
                got=got,
                wanted=model.sha256,
            )
        if not copies.check(self.store, Path(model.path), model.sha256, progress):
            text = f"The copy of {model.name} in another layout was damaged. It was removed, and will be made again."
            notice(Notice(code="copy_damaged", message=text))
        return model

    # --- fetching ---------------------------------------------------------------------------------------------------

    def ensure(
        self,
        spec: str,
        progress: OnProgress = _ignore,
        accept_license: AcceptLicense | None = None,
        notice: OnNotice = _ignore,
    ) -> ModelFile:
        """`resolve`, or `pull` if it isn't here whole."""
        try:
            return self.resolve(spec)
        except (ModelNotPulled, ChecksumMismatch):
            return self.pull(spec, progress, accept_license, notice)

    def pull(
        self,
        spec: str,
        progress: OnProgress = _ignore,
        accept_license: AcceptLicense | None = None,
        notice: OnNotice = _ignore,
    ) -> ModelFile:
        """Fetches, checks and stores a model; returns at once if it is here. A file on this computer is copied in.

        Sources are tried in order, and each failure is told to `notice` before the next. Raises UnknownModel,
        LicenseNotAccepted, DiskFull, StoreUnwritable, InvalidModelFile, and when no source is left the failure of the
        only one or DownloadError with all of them (`causes` in its details).
        """
        wanted = read(spec, self.catalog)
        record = self._record(spec, wanted)
        if wanted is None and record is not None:
            wanted = read(record.spec, self.catalog)
        if wanted is None:
            raise self._unknown(spec)
        if record is not None and self._is_current(record, wanted):
            return self._model_file(record)
        self._accept(wanted, accept_license)

        def waiting() -> None:
            progress(Progress(phase="waiting", done_bytes=0, total_bytes=wanted.bytes, source=""))

        with self.store.locked(wanted.key, waiting):
            record = self._record(spec, wanted)
            if record is not None:
                if self._is_current(record, wanted):
                    return self._model_file(record)
                if not self.store.is_whole(record):
                    text = f"{self._damaged(record).message} It is fetched again."
                    notice(Notice(code="model_damaged", message=text))
            return self._pull(wanted, progress, notice)

    def convert(self, source: str, progress: OnProgress = _ignore, notice: OnNotice = _ignore) -> ModelFile:
        """Makes a GGUF of the model in a folder or zip archive, or of a catalogue entry that comes so, and stores it.
        What was made of the same place before is replaced.

        Raises InvalidRequest for a catalogue entry that is a GGUF already, UnknownModel if nothing is there,
        InvalidModelFile for what can't be converted, and what `pull` raises."""
        entry = self.catalog.find(source)
        wanted = read(f"convert:{source}" if entry is None else entry.name, self.catalog)
        if wanted is None or not any(isinstance(item, ConvertedSource) for item in wanted.sources):
            raise InvalidRequest(
                f"{source} is a GGUF file already.", hint=f"Fetch it with: smidgen models pull {source}"
            )
        if entry is not None:
            return self.pull(entry.name, progress, notice=notice)

        def waiting() -> None:
            progress(Progress(phase="waiting", done_bytes=0, total_bytes=wanted.bytes, source=""))

        with self.store.locked(wanted.key, waiting):
            try:
                return self._pull(wanted, progress, notice)
            except (InvalidModelFile, UnknownModel):
                self.store.drop_partials(wanted.key)
                raise

    def _pull(self, wanted: Wanted, progress: OnProgress, notice: OnNotice) -> ModelFile:
        if wanted.sha256 and self._blob_is_good(wanted, progress):
            return self._keep(wanted, None, wanted.sha256, f"{wanted.name} (found in the store)")
        causes: list[tuple[Source, SmidgenError]] = []
        for source in ordered(wanted.sources, self._source_order):
            if causes:
                last, cause = causes[-1]
                notice(Notice(code="source_failed", message=f"{last}: {cause.message} Trying {source} instead."))
            folder = self.store.partial(wanted.key, msgspec.json.encode(source).decode())
            job = Job(folder=folder, progress=progress, bytes=wanted.bytes, sha256=wanted.sha256, limits=self._limits)
            try:
                fetched = fetch(source, job)
            except (DownloadError, ChecksumMismatch, InvalidModelFile) as error:
                causes.append((source, error))
                continue
            progress(
                Progress(phase="validating", done_bytes=fetched.bytes, total_bytes=fetched.bytes, source=fetched.origin)
            )
            try:
                self._validate(fetched.path)
            except InvalidModelFile:
                self.store.drop_partials(wanted.key)
                raise
            model = self._keep(wanted, fetched.path, fetched.sha256, fetched.origin)
            self.store.drop_partials(wanted.key)
            return model
        raise self._failure(wanted, causes)

    def _keep(self, wanted: Wanted, path: Path | None, sha256: str, source: str) -> ModelFile:
        record = Record(
            name=self._free_name(wanted, sha256),
            spec=wanted.spec,
            file=wanted.file,
            bytes=(path or self.store.blob(sha256)).stat().st_size,
            sha256=sha256,
            source=source,
            license=wanted.license,
            pulled_at=now(),
        )
        if path is None:
            self.store.add_record(record)
        else:
            self.store.add(path, record)
        return self._model_file(record)

    def _free_name(self, wanted: Wanted, sha256: str) -> str:
        """Two files of one name get different ones; no file takes a catalogue name from its model."""
        entry, record = self.catalog.find(wanted.name), self.store.record(wanted.name)
        taken_by_catalog = entry is not None and entry.name != wanted.spec
        taken_by_other = record is not None and record.spec != wanted.spec
        return f"{wanted.name}-{sha256[:8]}" if taken_by_catalog or taken_by_other else wanted.name

    def _blob_is_good(self, wanted: Wanted, progress: OnProgress) -> bool:
        """The same content may be here under another name, or without a readable record."""
        blob = self.store.blob(wanted.sha256)
        if not blob.is_file():
            return False
        if self._hash(blob, progress, wanted.name) == wanted.sha256:
            return True
        self.store.drop_blob(wanted.sha256)
        return False

    def _accept(self, wanted: Wanted, accept_license: AcceptLicense | None) -> None:
        if not wanted.terms or self.store.has_accepted(wanted.license, wanted.terms):
            return
        if accept_license is None or not accept_license(wanted.name, f"{wanted.license}, {wanted.terms}"):
            raise LicenseNotAccepted(
                f"{wanted.name} comes under the {wanted.license}, which must be accepted first.",
                hint=f"Read them at {wanted.terms}, then pull with --accept-license.",
                license=wanted.license,
                terms=wanted.terms,
            )
        self.store.accept(wanted.license, wanted.terms)

    def _failure(self, wanted: Wanted, causes: Sequence[tuple[Source, SmidgenError]]) -> SmidgenError:
        if len(causes) == 1:
            return causes[0][1]
        told = [f"{source}: {error}" for source, error in causes]
        return DownloadError(
            f"{wanted.name} could not be fetched from any of its {len(causes)} sources. " + " ".join(told),
            hint="Or fetch the file in another way and give its path.",
            retryable=any(error.retryable for _, error in causes),
            causes=told,
        )

    def export(self, model: ModelFile, target: Path) -> None:
        """Copies a model's file to `target`, which has all of it or stays as it was. Raises DiskFull,
        StoreUnwritable."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with writing(target, model.bytes):
                shutil.copyfile(model.path, temporary)
                temporary.replace(target)
        finally:
            with suppress(OSError):
                temporary.unlink()

    # --- removing and the default -----------------------------------------------------------------------------------

    def remove(self, name: str) -> int:
        """Removes a pulled model, what an unfinished pull of it left, or what was made of a file that is used in place,
        which itself stays. Returns the bytes freed. Raises UnknownModel."""
        wanted = read(name, self.catalog)
        record = self._record(name, wanted)
        if record is not None:
            return self.store.remove(record.name)
        if wanted is not None:
            if (self.store.root / "records" / f"{wanted.name}.json").exists():
                return self.store.remove(wanted.name)
            folder = self.store.partials(wanted.key)
            if folder.is_dir():
                with self.store.locked(wanted.key):
                    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                    self.store.drop_partials(wanted.key)
                    return size
            path = local_path(wanted)
            if path is not None and path.is_file() and (freed := self._drop_made_of(path)):
                return freed
            raise UnknownModel(f"{wanted.name} is not on this computer.", near=[])
        raise self._unknown(name)

    def _drop_made_of(self, path: Path) -> int:
        """Of a file that is used in place: its copies, and what was measured of it. The bytes freed."""
        sha256 = self.store.known_hash(path)
        return self.store.drop_layouts(sha256) + self.store.drop_profile(sha256)

    def default(self) -> str:
        """The spec used when the user names no model."""
        return self.store.settings().default or self.catalog.default

    def set_default(self, spec: str) -> None:
        """Raises UnknownModel for what is neither in the catalogue, nor pulled, nor a file."""
        wanted = read(spec, self.catalog)
        record = self._record(spec, wanted)
        if record is not None:
            self.store.set_default(record.name)
        elif wanted is None:
            raise self._unknown(spec)
        elif (path := local_path(wanted)) is not None:
            self.store.set_default(self._in_place(path, spec).path)
        else:
            self.store.set_default(wanted.spec)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _record(self, spec: str, wanted: Wanted | None) -> Record | None:
        if wanted is None:
            return self.store.record(spec.strip().lower())
        named = self.store.record(wanted.name)
        if named is not None and named.spec == wanted.spec:
            return named
        return next((record for record in self.store.records() if record.spec == wanted.spec), None)

    def _is_current(self, record: Record, wanted: Wanted) -> bool:
        """Whole, and for a file copied in: the file still is what was copied."""
        path = local_path(wanted)
        whole = self.store.is_whole(record)
        return whole and (path is None or not path.is_file() or self._in_place(path, "").sha256 == record.sha256)

    def _model_file(self, record: Record) -> ModelFile:
        return ModelFile(
            name=record.name,
            path=str(self.store.blob(record.sha256)),
            sha256=record.sha256,
            bytes=record.bytes,
            source=record.source,
            license=record.license,
        )

    def _in_place(self, path: Path, spec: str) -> ModelFile:
        if not path.is_file():
            near = sorted(str(other) for other in path.parent.glob("*.gguf"))[:3]
            hint = f"There is {', '.join(near)}." if near else f"A model is {FORMS}."
            raise UnknownModel(f"There is no file {spec}.", hint=hint, near=near)
        try:
            sha256 = self.store.known_hash(path) or self._remembered(path)
            size = path.stat().st_size
        except OSError as error:
            raise InvalidModelFile(
                f"Can't read {path}: {error.strerror or error}.", hint="Check its permissions.", reason="unreadable"
            ) from error
        return ModelFile(
            name=slug(path.name.removesuffix(".gguf")),
            path=str(path),
            sha256=sha256,
            bytes=size,
            source=path.as_uri(),
            license="",
        )

    def _remembered(self, path: Path) -> str:
        """Reads the whole file. A store that can't be written costs reading it again the next time, nothing else."""
        sha256 = hash_file(path)
        with suppress(DiskFull, StoreUnwritable):
            self.store.remember_hash(path, sha256)
        return sha256

    def _hash(self, path: Path, progress: OnProgress, source: str) -> str:
        with writing(path):
            return hash_file(path, Job(folder=path.parent, progress=progress), source)

    def _damaged(self, record: Record) -> ModelError:
        blob = self.store.blob(record.sha256)
        hint = f"Fetch it again with: smidgen models pull {record.spec}"
        if not blob.is_file():
            return ModelNotPulled(
                f"The file of {record.name} is gone from the store.", hint=hint, name=record.name, bytes=record.bytes
            )
        size = blob.stat().st_size
        return ChecksumMismatch(
            f"The file of {record.name} was changed: {size:,} bytes, {record.bytes:,} when it was pulled.", hint=hint
        )

    def _unknown(self, spec: str) -> UnknownModel:
        near = self.catalog.near(spec, [record.name for record in self.store.records()])
        hint = f"Did you mean {' or '.join(near)}?" if near else f"A model is {FORMS}."
        return UnknownModel(f"There is no model called {spec!r}.", hint=hint, near=near)


def fetch(source: Source, job: Job) -> Fetched:
    """Through the module of the source's kind, imported only now. Raises what that module's `fetch` raises."""
    from smidgen.models.sources import FileSource, HttpsSource, HubSource

    if isinstance(source, ConvertedSource):
        from smidgen.models.sources import converted

        return converted.fetch(source, job, fetch)
    if isinstance(source, HubSource):
        from smidgen.models.sources import hf

        return hf.fetch(source, job)
    if isinstance(source, HttpsSource):
        from smidgen.models.sources import https

        return https.fetch(source, job)
    if isinstance(source, FileSource):
        from smidgen.models.sources import file

        return file.fetch(source, job)
    from smidgen.models.sources import pypi

    return pypi.fetch(source, job)
