"""A disk that is full, at the start or in the middle, and a store that can't be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import DiskFull, DownloadError, StoreUnwritable
from smidgen.models.library import Library
from smidgen.models.sources import HttpsSource, Limits
from smidgen.models.store import Store
from smidgen.runtime.layout import MADE, NOT_MADE
from smidgen.runtime.loading import lay_out
from smidgen.testing import tiny_llama

PATH = "/m/tiny.gguf"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"can't mount: {mounted.stderr.decode(errors='replace')}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_little_space_is_told_with_figures_before_the_first_byte(
    make_library: Any, limits: Limits, site: Any, weights: bytes, store: Store
) -> None:
    site.files[PATH] = weights
    library = make_library(
        HttpsSource(url=f"{site.url}{PATH}"), limits=msgspec.structs.replace(limits, reserve_bytes=1 << 60)
    )
    with pytest.raises(DiskFull) as caught:
        library.pull("tiny")
    assert caught.value.details["needed_bytes"] == len(weights)
    assert 0 < caught.value.details["free_bytes"] < 1 << 60
    assert not list((store.root / "partial").rglob("data"))


def test_a_disk_that_fills_in_the_middle_keeps_what_is_there_and_goes_on_later(
    make_library: Any, limits: Limits, site: Any, weights: bytes, digest: str, small_disk: Path
) -> None:
    site.files[PATH] = weights
    site.files["/m/other.gguf"] = other = b"GGUF" + bytes(100_000)
    store = Store(small_disk / "store")
    made = make_library()
    library = Library(store, made.catalog, limits=limits, validate=lambda path: None)
    kept = library.pull(f"{site.url}/m/other.gguf")
    filler = small_disk / "filler"

    def fill(progress: Any) -> None:
        if progress.done_bytes > 500_000 and not filler.exists():
            with filler.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(4096))
                    except OSError:
                        break

    spec = f"{site.url}{PATH}#sha256={digest}"
    with pytest.raises(DiskFull) as caught:
        library.pull(spec, fill)
    assert caught.value.details["free_bytes"] < 65536
    assert Path(kept.path).read_bytes() == other
    assert [record.name for record in store.records()] == [kept.name]
    filler.unlink()
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert int(site.gets(PATH)[1].headers["range"].removeprefix("bytes=").rstrip("-")) > 500_000


def test_a_full_disk_ends_the_pull_without_trying_other_sources(
    make_library: Any, limits: Limits, site: Any, weights: bytes
) -> None:
    site.files[PATH] = site.files["/second.gguf"] = weights
    full = msgspec.structs.replace(limits, reserve_bytes=1 << 60)
    library = make_library(
        HttpsSource(url=f"{site.url}{PATH}"), HttpsSource(url=f"{site.url}/second.gguf"), limits=full
    )
    with pytest.raises(DiskFull):
        library.pull("tiny")
    assert site.gets("/second.gguf") == []


def test_a_read_only_store_is_a_typed_error_and_still_serves_what_it_has(
    make_library: Any, limits: Limits, site: Any, weights: bytes, small_disk: Path
) -> None:
    site.files[PATH] = weights
    library = Library(
        Store(small_disk / "store"),
        make_library(HttpsSource(url=f"{site.url}{PATH}")).catalog,
        limits=limits,
        validate=lambda path: None,
    )
    library.pull("tiny")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert Path(library.resolve("tiny").path).read_bytes() == weights
    assert library.default() == "tiny" and library.pull("tiny") == library.resolve("tiny")
    with pytest.raises(StoreUnwritable):
        library.pull(f"{site.url}{PATH}")
    with pytest.raises(StoreUnwritable):
        library.remove("tiny")
    with pytest.raises(StoreUnwritable):
        library.set_default("tiny")


def test_a_store_where_a_file_is_in_the_way_is_a_typed_error(
    make_library: Any, limits: Limits, site: Any, weights: bytes, tmp_path: Path
) -> None:
    site.files[PATH] = weights
    (tmp_path / "file").write_text("in the way")
    library = Library(Store(tmp_path / "file" / "store"), make_library().catalog, limits=limits)
    with pytest.raises(StoreUnwritable):
        library.pull(f"{site.url}{PATH}")
    with pytest.raises(DownloadError):
        make_library(HttpsSource(url=f"{site.url}/none")).pull("tiny")


def small_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for whose processor weights are laid out, whatever this one is."""
    from smidgen.models.hardware import probe

    small = msgspec.structs.replace(
        probe(), simd=("avx2",), physical_cores=2, cpu_quota=0.0, gpus=(), available_bytes=4 << 30
    )
    monkeypatch.setattr("smidgen.models.hardware.probe", lambda: small)


def test_a_disk_that_fills_while_weights_are_laid_out_leaves_no_copy_and_the_model_in_use(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_computer(monkeypatch)
    library, config = Library(Store(small_disk / "store"), limits=Limits(reserve_bytes=0)), Config()
    model = library.pull(str(tiny_llama.write(tmp_path / "tiny.gguf")))
    monkeypatch.setattr("smidgen.models.copies.RESERVE_BYTES", 0)
    filler = small_disk / "filler"

    def fill(progress: Any) -> None:
        if not filler.exists():
            with filler.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(4096))
                    except OSError:
                        break

    (notice,) = lay_out(model, config, library, fill)
    assert notice.code == NOT_MADE and "The disk is full" in notice.message
    assert list((library.store.root / "layouts").iterdir()) == [] and library.resolve("tiny") == model
    assert library.verify("tiny") == model
    filler.unlink()
    assert [notice.code for notice in lay_out(model, config, library, lambda progress: None)] == [MADE]


def test_a_read_only_store_serves_the_copy_it_has_and_goes_without_one_it_has_not(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_computer(monkeypatch)
    library, config = Library(Store(small_disk / "store"), limits=Limits(reserve_bytes=0)), Config()
    monkeypatch.setattr("smidgen.models.copies.RESERVE_BYTES", 0)
    one, two = (
        library.pull(str(tiny_llama.write(tmp_path / f"{name}.gguf", seed=seed)))
        for seed, name in enumerate(("one", "two"))
    )
    lay_out(one, config, library, lambda progress: None)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert library.verify("one") == one and library.store.layout_bytes(one.sha256)
    assert lay_out(one, config, library, lambda progress: None) == ()
    (notice,) = lay_out(two, config, library, lambda progress: None)
    assert notice.code == NOT_MADE and "Read-only" in notice.message
