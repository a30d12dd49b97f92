"""Resolving, pulling, verifying and removing, with files on this computer as the sources."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import ChecksumMismatch, InvalidModelFile, LicenseNotAccepted, ModelNotPulled, UnknownModel
from smidgen.events import Notice
from smidgen.models.catalog import Catalog, Entry
from smidgen.models.library import Library
from smidgen.models.sources import FileSource, Progress
from smidgen.models.store import Store

DATA = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin" / "plain.gguf"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def library(tmp_path: Path, origin: Path) -> Library:
    def entry(name: str, **more: Any) -> Entry:
        return Entry(
            name=name,
            file=f"{name}.gguf",
            bytes=len(DATA),
            sha256=hashlib.sha256(DATA).hexdigest(),
            license=more.pop("license", "MIT"),
            publisher="nobody",
            family="none",
            architecture="none",
            kind="chat",
            context=16,
            quantization="F32",
            sources=(FileSource(path=str(origin)),),
            **more,
        )

    catalog = Catalog(
        models=(
            entry("plain", aliases=("simple",)),
            entry("consent", license="Some Terms", terms="https://terms.example"),
        ),
        default="plain",
    )
    return Library(Store(tmp_path / "store"), catalog, validate=lambda path: None)


def test_a_model_not_pulled_is_told_from_one_that_does_not_exist(library: Library) -> None:
    with pytest.raises(ModelNotPulled) as known:
        library.resolve("simple")
    assert known.value.details["name"] == "plain" and "models pull" in known.value.hint
    with pytest.raises(UnknownModel) as unknown:
        library.resolve("plian")
    assert unknown.value.details["near"] == ["plain"] and "plain" in unknown.value.hint


def test_a_pulled_model_is_found_by_every_name_without_its_source(library: Library, origin: Path) -> None:
    model = library.pull("simple")
    origin.unlink()
    assert library.resolve("plain") == library.resolve("SIMPLE") == library.ensure("plain") == model
    assert library.list() == (model,)
    assert Path(model.path).read_bytes() == DATA and model.license == "MIT"


def test_ensure_pulls_what_is_not_there(library: Library) -> None:
    assert library.ensure("plain") == library.resolve("plain")


def test_terms_are_asked_for_once_and_no_means_no(library: Library) -> None:
    asked: list[tuple[str, str]] = []

    def answer(yes: bool) -> Any:
        def ask(name: str, terms: str) -> bool:
            asked.append((name, terms))
            return yes

        return ask

    with pytest.raises(LicenseNotAccepted) as caught:
        library.pull("consent")
    assert caught.value.details["license"] == "Some Terms"
    with pytest.raises(LicenseNotAccepted):
        library.pull("consent", accept_license=answer(False))
    assert library.list() == ()
    library.pull("consent", accept_license=answer(True))
    library.remove("consent")
    library.pull("consent")
    assert asked == [("consent", "Some Terms, https://terms.example")] * 2


def test_a_path_is_used_in_place(library: Library, origin: Path) -> None:
    model = library.resolve(str(origin))
    assert (model.path, model.bytes) == (str(origin), len(DATA))
    assert model.sha256 == hashlib.sha256(DATA).hexdigest()
    assert library.list() == () and not (library.store.root / "blobs").exists()
    origin.write_bytes(DATA + b"more")
    assert library.resolve(str(origin)).sha256 == hashlib.sha256(DATA + b"more").hexdigest()


def test_a_missing_file_is_answered_with_the_models_beside_it(library: Library, origin: Path) -> None:
    with pytest.raises(UnknownModel) as caught:
        library.resolve(str(origin.with_name("plane.gguf")))
    assert caught.value.details["near"] == [str(origin)]


def test_a_file_can_be_copied_in_and_again_after_it_changed(library: Library, origin: Path) -> None:
    other = origin.with_name("own.gguf")
    other.write_bytes(b"GGUF one")
    first = library.pull(other.as_uri())
    assert first.name == "own" and Path(first.path).read_bytes() == b"GGUF one"
    assert library.pull(str(other)) == first
    other.write_bytes(b"GGUF two!")
    second = library.pull(str(other))
    assert Path(second.path).read_bytes() == b"GGUF two!" and library.list() == (second,)
    other.unlink()
    assert library.resolve("own") == library.resolve(str(other)) == second


def test_two_files_of_one_name_get_two_names_and_none_takes_a_catalogue_name(library: Library, tmp_path: Path) -> None:
    names: list[str] = []
    for number in (1, 2):
        path = tmp_path / str(number) / "twin.gguf"
        path.parent.mkdir()
        path.write_bytes(b"GGUF" + bytes([number]))
        names.append(library.pull(str(path)).name)
    assert names[0] == "twin" and names[1].startswith("twin-")
    impostor = tmp_path / "simple.gguf"
    impostor.write_bytes(b"GGUF impostor")
    assert library.pull(str(impostor)).name.startswith("simple-")
    with pytest.raises(ModelNotPulled):
        library.resolve("simple")


def test_bit_rot_is_found_by_verify(library: Library) -> None:
    model = library.pull("plain")
    seen: list[Progress] = []
    assert library.verify("plain", seen.append) == model
    assert {item.phase for item in seen} == {"hashing"} and seen[-1].done_bytes == model.bytes
    rotten = bytearray(DATA)
    rotten[5000] ^= 1
    Path(model.path).write_bytes(rotten)
    assert library.resolve("plain") == model
    with pytest.raises(ChecksumMismatch):
        library.verify("plain")


def test_a_file_changed_or_removed_by_hand_is_noticed_and_fetched_again(library: Library) -> None:
    model = library.pull("plain")
    Path(model.path).write_bytes(DATA[:-1])
    with pytest.raises(ChecksumMismatch, match="was changed"):
        library.resolve("plain")
    notices: list[Notice] = []
    assert library.ensure("plain", notice=notices.append) == model
    assert [notice.code for notice in notices] == ["model_damaged"]
    assert Path(model.path).read_bytes() == DATA
    Path(model.path).unlink()
    with pytest.raises(ModelNotPulled, match="gone"):
        library.resolve("plain")
    assert library.ensure("plain") == model and Path(model.path).read_bytes() == DATA


def test_a_lost_record_is_written_again_without_fetching(library: Library, origin: Path) -> None:
    model = library.pull("plain")
    (library.store.root / "records" / "plain.json").write_bytes(b"torn")
    origin.unlink()
    assert library.pull("plain").sha256 == model.sha256
    assert library.resolve("plain").path == model.path


def test_removing_frees_the_file_and_refuses_what_is_not_there(library: Library) -> None:
    model = library.pull("plain")
    assert library.remove("simple") == len(DATA)
    assert library.list() == () and not Path(model.path).exists()
    with pytest.raises(UnknownModel):
        library.remove("plain")
    with pytest.raises(UnknownModel):
        library.remove("no-such-model")


def test_removing_never_touches_a_file_used_in_place(library: Library, origin: Path) -> None:
    library.resolve(str(origin))
    with pytest.raises(UnknownModel):
        library.remove(str(origin))
    library.pull(str(origin))
    library.remove(str(origin))
    assert origin.read_bytes() == DATA


def test_the_default_is_the_catalogues_until_another_is_set(library: Library, origin: Path) -> None:
    assert library.default() == "plain"
    library.set_default("consent")
    assert library.default() == "consent"
    library.set_default(str(origin))
    assert library.resolve(library.default()).path == str(origin)
    with pytest.raises(UnknownModel):
        library.set_default("no-such-model")
    assert library.default() == str(origin)


def test_a_file_that_is_no_model_is_not_copied_in(tmp_path: Path, origin: Path) -> None:
    library = Library(Store(tmp_path / "store"))
    with pytest.raises(InvalidModelFile):
        library.pull(str(origin))
    assert library.list() == () and not list((library.store.root).rglob("data"))
