"""Servers and networks that fail in the middle, answer something else, or change the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.errors import ChecksumMismatch, DownloadError, InvalidModelFile, InvalidRequest
from smidgen.models.library import Library
from smidgen.models.sources import HttpsSource, Limits, Progress
from smidgen.models.store import Store

PATH = "/m/tiny.gguf"


@pytest.fixture
def url(site: Any, weights: bytes) -> str:
    site.files[PATH] = weights
    return f"{site.url}{PATH}"


@pytest.fixture
def spec(url: str, digest: str) -> str:
    return f"{url}#sha256={digest}"


def test_a_whole_file_is_stored_with_its_hash_and_leaves_nothing_behind(
    library: Library, spec: str, weights: bytes, digest: str, store: Store
) -> None:
    seen: list[Progress] = []
    model = library.pull(spec, seen.append)
    assert Path(model.path).read_bytes() == weights
    assert (model.sha256, model.bytes, model.name) == (digest, len(weights), "tiny-" + digest[:8])
    assert not list((store.root / "partial").glob("*"))
    assert [item.phase for item in seen][-1] == "validating"
    done = [item.done_bytes for item in seen if item.phase == "downloading"]
    assert done == sorted(done) and done[-1] == len(weights)
    assert library.resolve(spec) == model and library.resolve(model.name) == model


def test_a_second_pull_of_a_stored_model_sends_nothing(library: Library, spec: str, site: Any) -> None:
    first = library.pull(spec)
    assert library.pull(spec) == first
    assert len(site.requests) == 1


def test_a_broken_connection_is_resumed_from_where_it_broke(
    library: Library, spec: str, site: Any, fault: Any, weights: bytes
) -> None:
    site.faults[PATH] = [fault(cut=500_000), fault(cut=700_000)]
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert [request.headers.get("range") for request in site.gets(PATH)] == [None, "bytes=500000-", "bytes=1200000-"]


def test_bytes_of_a_failed_pull_are_kept_for_the_next(
    make_library: Any, limits: Limits, spec: str, site: Any, fault: Any, weights: bytes, is_empty: Any
) -> None:
    library = make_library(limits=msgspec.structs.replace(limits, attempts=1))
    site.faults[PATH] = [fault(cut=800_000)]
    with pytest.raises(DownloadError) as caught:
        library.pull(spec)
    assert caught.value.retryable and caught.value.details["fetched_bytes"] == 800_000
    assert is_empty()
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert site.gets(PATH)[1].headers["range"] == "bytes=800000-"


def test_a_server_that_ignores_ranges_starts_the_file_again(
    library: Library, spec: str, site: Any, fault: Any, weights: bytes
) -> None:
    site.faults[PATH] = [fault(cut=900_000), fault(ignore_range=True)]
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert len(site.gets(PATH)) == 2


def test_a_server_that_always_breaks_and_ignores_ranges_is_given_up(
    library: Library, spec: str, site: Any, fault: Any, is_empty: Any
) -> None:
    site.faults[PATH] = [fault(cut=900_000, ignore_range=True)] * 50
    with pytest.raises(DownloadError):
        library.pull(spec)
    assert len(site.gets(PATH)) <= 6 and is_empty()


def test_a_stalled_server_is_left_and_asked_again(
    library: Library, spec: str, site: Any, fault: Any, weights: bytes
) -> None:
    site.faults[PATH] = [fault(cut=300_000, stall_s=20)]
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert site.gets(PATH)[1].headers["range"] == "bytes=300000-"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again(
    library: Library, spec: str, site: Any, fault: Any, weights: bytes, status: int
) -> None:
    site.faults[PATH] = [fault(status=status, headers={"Retry-After": "0"}), fault(status=status)]
    assert Path(library.pull(spec).path).read_bytes() == weights


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_repeated(library: Library, spec: str, site: Any, fault: Any, status: int) -> None:
    site.faults[PATH] = [fault(status=status, body=b"no")]
    with pytest.raises(DownloadError) as caught:
        library.pull(spec)
    assert not caught.value.retryable and caught.value.details["status"] == status
    assert len(site.gets(PATH)) == 1


def test_wrong_bytes_are_fetched_once_more_then_refused(
    library: Library, spec: str, site: Any, weights: bytes, digest: str, is_empty: Any, store: Store
) -> None:
    site.files[PATH] = weights[:-1] + bytes([weights[-1] ^ 1])
    with pytest.raises(ChecksumMismatch) as caught:
        library.pull(spec)
    assert caught.value.details["wanted"] == digest
    assert [request.headers.get("range") for request in site.gets(PATH)] == [None, None]
    assert is_empty() and not list((store.root / "partial").rglob("data"))


def test_a_damaged_unfinished_file_is_replaced_by_a_clean_one(
    library: Library, make_library: Any, limits: Limits, spec: str, site: Any, fault: Any, weights: bytes, store: Store
) -> None:
    site.faults[PATH] = [fault(cut=800_000)]
    with pytest.raises(DownloadError):
        make_library(limits=msgspec.structs.replace(limits, attempts=1)).pull(spec)
    (partial,) = (store.root / "partial").rglob("data")
    with partial.open("r+b") as file:
        file.seek(1000)
        file.write(b"rotten")
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert [request.headers.get("range") for request in site.gets(PATH)] == [None, "bytes=800000-", None]


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>" * 100


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_a_model_is_refused_and_nothing_stored(
    library: Library, spec: str, site: Any, fault: Any, kind: str, is_empty: Any, store: Store
) -> None:
    site.faults[PATH] = [fault(body=PAGE, headers={"Content-Type": kind})]
    with pytest.raises(InvalidModelFile, match="web page"):
        library.pull(spec)
    assert is_empty() and not list((store.root / "partial").rglob("data"))


def test_a_web_page_in_the_middle_costs_nothing_that_was_fetched(
    make_library: Any, limits: Limits, spec: str, site: Any, fault: Any, weights: bytes
) -> None:
    library = make_library(limits=msgspec.structs.replace(limits, attempts=1))
    page = fault(body=PAGE, ignore_range=True, headers={"Content-Type": "text/html"})
    site.faults[PATH] = [fault(cut=800_000), page]
    with pytest.raises(DownloadError):
        library.pull(spec)
    with pytest.raises(InvalidModelFile):
        library.pull(spec)
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert site.gets(PATH)[2].headers["range"] == "bytes=800000-"


def test_another_kind_of_file_is_refused(library: Library, site: Any, is_empty: Any) -> None:
    site.files["/m/x.gguf"] = b"PK\x03\x04" + bytes(5000)
    with pytest.raises(InvalidModelFile, match="not a GGUF"):
        library.pull(f"{site.url}/m/x.gguf")
    assert is_empty()


def test_a_file_that_fails_validation_is_not_stored(site: Any, store: Store, weights: bytes, is_empty: Any) -> None:
    site.files[PATH] = weights
    with pytest.raises(InvalidModelFile):
        Library(store).pull(f"{site.url}{PATH}")
    assert is_empty() and not list((store.root / "partial").rglob("data"))


def test_a_file_of_another_length_than_the_catalogues_is_refused_at_once(
    make_library: Any, url: str, site: Any, weights: bytes, is_empty: Any
) -> None:
    with pytest.raises(DownloadError, match="another file"):
        make_library(HttpsSource(url=url), bytes=len(weights) + 1).pull("tiny")
    assert len(site.gets(PATH)) == 1 and is_empty()


def test_more_bytes_than_the_catalogue_knows_are_not_written(
    make_library: Any, url: str, site: Any, fault: Any, weights: bytes, is_empty: Any, store: Store
) -> None:
    site.faults[PATH] = [fault(body=weights + bytes(1_000_000), chunked=True)]
    with pytest.raises(DownloadError, match="more than"):
        make_library(HttpsSource(url=url)).pull("tiny")
    assert is_empty() and not list((store.root / "partial").rglob("data"))


def test_a_file_without_a_length_is_fetched(library: Library, url: str, site: Any, fault: Any, weights: bytes) -> None:
    site.faults[PATH] = [fault(chunked=True)]
    assert Path(library.pull(url).path).read_bytes() == weights


def test_a_file_that_changed_between_two_tries_is_not_stitched_together(
    library: Library, url: str, site: Any, fault: Any, weights: bytes
) -> None:
    newer = weights[::-1].replace(weights[::-1][:4], b"GGUF", 1)
    site.etags[PATH] = '"one"'
    site.faults[PATH] = [fault(cut=900_000)]

    def change(progress: Progress) -> None:
        if progress.done_bytes > 500_000 and site.etags[PATH] == '"one"':
            site.etags[PATH], site.files[PATH] = '"two"', newer

    assert Path(library.pull(url, change).path).read_bytes() == newer
    assert site.gets(PATH)[1].headers["if-range"] == '"one"'


def test_without_a_hash_or_validator_a_file_starts_again(
    library: Library, url: str, site: Any, fault: Any, weights: bytes
) -> None:
    site.faults[PATH] = [fault(cut=900_000)]
    assert Path(library.pull(url).path).read_bytes() == weights
    assert "range" not in site.gets(PATH)[1].headers


def test_a_file_that_became_shorter_starts_again(
    make_library: Any, limits: Limits, url: str, site: Any, fault: Any, weights: bytes
) -> None:
    site.etags[PATH] = '"same"'
    library = make_library(limits=msgspec.structs.replace(limits, attempts=1))
    site.faults[PATH] = [fault(cut=900_000)]
    with pytest.raises(DownloadError):
        library.pull(url)
    site.files[PATH] = weights[:600_000]
    assert Path(make_library().pull(url).path).read_bytes() == weights[:600_000]


def test_a_compressed_answer_is_refused(library: Library, url: str, site: Any, fault: Any, is_empty: Any) -> None:
    site.faults[PATH] = [fault(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(DownloadError, match="compressed"):
        library.pull(url)
    assert is_empty()


def test_plain_http_to_another_computer_is_refused(library: Library) -> None:
    with pytest.raises(InvalidRequest, match="https"):
        library.pull("http://192.0.2.1/x.gguf")


def test_a_redirect_to_plain_http_is_refused(library: Library, url: str, site: Any, fault: Any) -> None:
    site.faults[PATH] = [fault(status=302, headers={"Location": "http://192.0.2.1/x.gguf"})]
    with pytest.raises(DownloadError, match="refused") as caught:
        library.pull(url)
    assert not caught.value.retryable


def test_redirects_are_followed_and_endless_ones_given_up(
    library: Library, url: str, site: Any, other_site: Any, fault: Any, weights: bytes
) -> None:
    other_site.files["/elsewhere"] = weights
    site.faults[PATH] = [fault(status=302, headers={"Location": f"{other_site.url}/elsewhere"})]
    assert Path(library.pull(url).path).read_bytes() == weights
    loop = f"{site.url}/loop.gguf"
    site.faults["/loop.gguf"] = [fault(status=307, headers={"Location": loop})] * 50
    with pytest.raises(DownloadError, match="redirects"):
        library.pull(loop)


def test_a_server_that_is_not_there_fails_at_the_first_try(make_library: Any, limits: Limits, site: Any) -> None:
    library = make_library(limits=msgspec.structs.replace(limits, attempts=99, backoff=60.0, max_backoff=60.0))
    site.close()
    with pytest.raises(DownloadError, match="can't connect"):
        library.pull(f"{site.url}{PATH}")
    site.close = lambda: None


def test_secrets_in_an_address_do_not_reach_messages_or_the_listing(
    library: Library, site: Any, weights: bytes
) -> None:
    with pytest.raises(DownloadError) as caught:
        library.pull(f"{site.url}/none.gguf?signature=hush")
    assert "hush" not in str(caught.value)
    site.files[PATH] = weights
    assert "hush" not in library.pull(f"{site.url}{PATH}?signature=hush").source


def test_an_exception_out_of_the_progress_callback_stops_and_keeps(
    library: Library, spec: str, site: Any, weights: bytes, is_empty: Any
) -> None:
    class Enough(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.done_bytes > 700_000:
            raise Enough

    with pytest.raises(Enough):
        library.pull(spec, stop)
    assert is_empty()
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert int(site.gets(PATH)[1].headers["range"].removeprefix("bytes=").rstrip("-")) > 700_000
