"""The hub, stood in for on loopback: one server answers as the hub, another as the storage behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import DownloadError, InvalidModelFile, InvalidRequest
from smidgen.events import Notice
from smidgen.models.library import Library
from smidgen.models.sources import FileSource, HttpsSource, HubSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SPEC = "hf:owner/repo/sub/tiny.gguf"
HEAD = "/owner/repo/resolve/main/sub/tiny.gguf"
GET = f"/owner/repo/resolve/{COMMIT}/sub/tiny.gguf"
STORAGE = "/storage/blob"


@pytest.fixture(autouse=True)
def endpoint(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_TOKEN", "hush-hush")


@pytest.fixture
def hub(site: Any, other_site: Any, weights: bytes, digest: str, fault: Any) -> Any:
    """The repository with its file; GETs redirect to the storage."""
    site.heads[HEAD] = (
        302,
        {
            "Location": f"{other_site.url}{STORAGE}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(weights)),
        },
    )
    site.faults[GET] = [fault(status=302, headers={"Location": f"{other_site.url}{STORAGE}"})] * 20
    other_site.files[STORAGE] = weights
    return site


def test_a_file_of_the_hub_is_pinned_to_its_commit_and_checked_by_its_hash(
    library: Library, hub: Any, weights: bytes, digest: str
) -> None:
    model = library.pull(SPEC)
    assert Path(model.path).read_bytes() == weights
    assert model.source == f"hf:owner/repo/sub/tiny.gguf@{COMMIT}"
    assert library.resolve(SPEC + "@main") == model


def test_the_login_goes_to_the_hub_and_not_to_the_storage(library: Library, hub: Any, other_site: Any) -> None:
    library.pull(SPEC)
    assert {request.headers.get("authorization") for request in hub.requests} == {"Bearer hush-hush"}
    assert all("authorization" not in request.headers for request in other_site.requests)


def test_only_the_file_and_what_it_is_are_asked_for(library: Library, hub: Any) -> None:
    library.pull(SPEC)
    assert [(request.method, request.path) for request in hub.requests] == [("HEAD", HEAD), ("GET", GET)]


def test_a_break_is_resumed_at_the_storage(
    library: Library, hub: Any, other_site: Any, fault: Any, weights: bytes
) -> None:
    other_site.faults[STORAGE] = [fault(cut=700_000)]
    assert Path(library.pull(SPEC).path).read_bytes() == weights
    assert other_site.gets(STORAGE)[1].headers["range"] == "bytes=700000-"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("GatedRepo", 403, "gated"),
        ("RepoNotFound", 404, "no repository"),
        ("RevisionNotFound", 404, "no revision"),
        ("EntryNotFound", 404, "no file"),
        ("", 500, "answered 500"),
    ],
)
def test_refusals_of_the_hub_are_told_apart(library: Library, site: Any, code: str, status: int, said: str) -> None:
    site.heads[HEAD] = (status, {"X-Error-Code": code} if code else {})
    with pytest.raises(DownloadError, match=said) as caught:
        library.pull(SPEC)
    assert caught.value.retryable == (status >= 500)


def test_a_misspelt_file_is_answered_with_near_names(library: Library, site: Any) -> None:
    site.heads[HEAD] = (404, {"X-Error-Code": "EntryNotFound"})
    site.files["/api/models/owner/repo/revision/main"] = (
        b'{"id": "x", "siblings": [{"rfilename": "sub/tiny-q4.gguf"}, {"rfilename": "README.md"}]}'
    )
    with pytest.raises(DownloadError) as caught:
        library.pull(SPEC)
    assert caught.value.details["near"] == ["sub/tiny-q4.gguf"]
    assert "tiny-q4" in caught.value.hint


def test_a_server_that_is_no_hub_is_not_trusted(library: Library, site: Any, is_empty: Any) -> None:
    site.heads[HEAD] = (200, {"Content-Type": "text/html", "ETag": '"x"'})
    with pytest.raises(InvalidModelFile, match="as a hub would"):
        library.pull(SPEC)
    assert is_empty()


def test_a_repository_that_can_not_exist_is_refused_without_asking(library: Library, site: Any) -> None:
    with pytest.raises(InvalidRequest, match="repository"):
        library.pull("hf:owner/re--po/tiny.gguf")
    assert site.requests == []


def test_offline_mode_of_the_client_is_kept(library: Library, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="offline"):
        library.pull(SPEC)
    assert site.requests == []


def test_the_clients_own_cache_is_used_before_the_network(
    library: Library, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes
) -> None:
    snapshot = tmp_path / "hub" / "models--owner--repo" / "snapshots" / COMMIT / "sub"
    snapshot.mkdir(parents=True)
    (snapshot / "tiny.gguf").write_bytes(weights)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    model = library.pull(f"{SPEC}@{COMMIT}")
    assert Path(model.path).read_bytes() == weights and site.requests == []
    assert (snapshot / "tiny.gguf").is_file()


def test_each_failed_source_is_told_before_the_next_is_tried(
    make_library: Any, site: Any, other_site: Any, weights: bytes
) -> None:
    other_site.files["/tiny.gguf"] = weights
    notices: list[Notice] = []
    hub, mirror = HubSource(repo="owner/repo", file="sub/tiny.gguf"), HttpsSource(url=f"{other_site.url}/tiny.gguf")
    model = make_library(hub, mirror).pull("tiny", notice=notices.append)
    assert Path(model.path).read_bytes() == weights
    assert [notice.code for notice in notices] == ["source_failed"]
    assert "hf:owner/repo" in notices[0].message and "Trying" in notices[0].message


def test_when_every_source_fails_each_cause_is_in_the_error(make_library: Any, site: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF but not this one")
    library = make_library(HubSource(repo="owner/repo", file="sub/tiny.gguf"), FileSource(path=str(wrong)))
    with pytest.raises(DownloadError, match="any of its 2 sources") as caught:
        library.pull("tiny")
    assert len(caught.value.details["causes"]) == 2
    assert "another file" in caught.value.details["causes"][1]


def test_an_unreachable_hub_gives_way_to_the_next_source(
    make_library: Any, monkeypatch: pytest.MonkeyPatch, other_site: Any, site: Any, weights: bytes
) -> None:
    site.close()
    site.close = lambda: None
    other_site.files["/tiny.gguf"] = weights
    notices: list[Notice] = []
    hub, mirror = HubSource(repo="owner/repo", file="sub/tiny.gguf"), HttpsSource(url=f"{other_site.url}/tiny.gguf")
    assert make_library(hub, mirror).pull("tiny", notice=notices.append).bytes == len(weights)
    assert "Can't reach the hub" in notices[0].message
