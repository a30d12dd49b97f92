"""Ollama's list, show, copy, delete and pull: a store in a folder, files that are made here, no network."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.api.ollama import pulling
from smidgen.api.ollama.headers import UNREADABLE, Headers, read
from smidgen.api.ollama.pulling import Pull
from smidgen.errors import Cancelled, DownloadError, UnknownModel
from smidgen.models.catalog import Catalog, Entry
from smidgen.models.library import Library, ModelFile
from smidgen.models.sources import FileSource
from smidgen.models.sources.partial import hash_file
from smidgen.models.store import Record, Store
from smidgen.testing import tiny_llama


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    return tiny_llama.write(tmp_path / "files" / "little.gguf")


@pytest.fixture
def library(tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Whose catalogue has one model, under terms; what the server pulls into."""
    entry = Entry(
        name="little-1b",
        file="little.gguf",
        bytes=model_file.stat().st_size,
        sha256=hash_file(model_file),
        license="Little License",
        publisher="nobody",
        family="llama",
        architecture="llama",
        kind="chat",
        context=64,
        quantization="Q5_0",
        sources=(FileSource(path=str(model_file)),),
        terms="https://example.org/terms",
    )
    made = Library(Store(tmp_path / "home" / "models"), Catalog(models=(entry,), default="little-1b"))
    monkeypatch.setattr(pulling, "library_of", lambda _: made)
    return made


def record(name: str) -> Record:
    return Record(name=name, spec=name, file="f.gguf", bytes=3, sha256="1" * 64, source="", license="", pulled_at="")


# --- what is here -----------------------------------------------------------------------------------------------------


async def test_what_is_here(serving: Serving) -> None:
    async with serving([]) as client:
        told = (await client.get("/api/tags")).json()["models"]
        version = (await client.get("/api/version")).json()
        shown = (await client.post("/api/show", json={"name": "tiny:latest"})).json()
    assert [(model["name"], model["size"], len(model["digest"])) for model in told] == [("tiny", 1000, 64)]
    assert int(version["version"].split(".")[1]) >= 6
    assert {"template", "details", "model_info", "capabilities", "parameters", "modified_at"} <= set(shown)


def test_headers(model_file: Path) -> None:
    told = read(str(model_file))
    assert told.details["family"] == "llama"
    assert "completion" in told.capabilities
    assert told.info["general.architecture"] == "llama"
    assert told.info["general.parameter_count"] > 0
    assert told.info["tokenizer.ggml.tokens"] is None
    assert len(read(str(model_file), verbose=True).info["tokenizer.ggml.tokens"]) == len(tiny_llama.TOKENS)


async def test_headers_are_remembered_but_not_their_absence(model_file: Path) -> None:
    headers = Headers()
    file = ModelFile(name="x", path=str(model_file), sha256="2" * 64, bytes=1, source="", license="")
    moved = model_file.rename(model_file.with_name("moved.gguf"))
    assert await headers.of(file) is UNREADABLE
    moved.rename(model_file)
    first = await headers.of(file)
    assert first is not UNREADABLE
    model_file.unlink()
    assert await headers.of(file) is first


# --- copy and delete --------------------------------------------------------------------------------------------------


async def test_another_name_and_no_name_any_more(serving: Serving, tmp_path: Path) -> None:
    store = Store(tmp_path / "home" / "models")
    store.add_record(record("tiny"))
    async with serving([]) as client:
        copied = await client.post("/api/copy", json={"source": "tiny", "destination": "mine:latest"})
        assert copied.status_code == 200, copied.text
        again = await client.post("/api/copy", json={"source": "tiny", "destination": "mine"})
        assert again.status_code == 200
        assert Library(store).store.record("mine") is not None
        deleted = await client.request("DELETE", "/api/delete", json={"model": "tiny"})
        assert deleted.status_code == 200, deleted.text
    assert [one.name for one in store.records()] == ["mine"]
    with pytest.raises(UnknownModel):
        Library(store).resolve("tiny")


@pytest.mark.parametrize("name", ["smollm2-135m", "My Model", "../x", "a/b", "other"])
async def test_names_that_cant_be_had(serving: Serving, tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "home" / "models")
    store.add_record(record("tiny"))
    store.add_record(msgspec.structs.replace(record("other"), sha256="3" * 64))
    async with serving([]) as client:
        response = await client.post("/api/copy", json={"source": "tiny", "destination": name})
    assert response.status_code == 400, response.text
    assert len(store.records()) == 2


async def test_deleting_what_isnt_there(serving: Serving) -> None:
    async with serving([]) as client:
        response = await client.request("DELETE", "/api/delete", json={"model": "nobody"})
        unpulled = await client.request("DELETE", "/api/delete", json={"model": "tiny"})
    assert response.status_code == unpulled.status_code == 404


# --- pull -------------------------------------------------------------------------------------------------------------


async def pull(client: Client, **body: Any) -> list[Any]:
    response = await client.post("/api/pull", json=body)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


async def test_a_pull_is_told_line_by_line(serving: Serving, library: Library) -> None:
    async with serving([]) as client:
        told = await pull(client, model="little:1b", accept_license=True, insecure=True)
    assert told[0]["status"] == "pulling manifest"
    assert told[-1]["status"] == "success"
    assert "insecure" in told[-1]["smidgen"]["warnings"][0]
    moving = [line for line in told if "total" in line]
    assert moving and all(line["completed"] <= line["total"] for line in moving)
    assert moving[0]["digest"] == f"sha256:{library.resolve('little-1b').sha256}"


async def test_terms_must_be_accepted(serving: Serving, library: Library) -> None:
    async with serving([]) as client:
        refused = await client.post("/api/pull", json={"model": "little-1b"})
        done = await client.post("/api/pull", json={"model": "little-1b", "stream": False, "accept_license": True})
    assert refused.status_code == 403
    assert '"accept_license": true' in refused.json()["error"]
    assert done.status_code == 200 and done.json()["status"] == "success"
    assert [file.name for file in library.list()] == ["little-1b"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "file:///etc/passwd", "https://example.org/x.gguf", "convert:/x", "pypi:a==1/b", "./x.gguf"]
)
async def test_files_and_addresses_cant_be_pulled(serving: Serving, library: Library, name: str) -> None:
    async with serving([]) as client:
        response = await client.post("/api/pull", json={"model": name})
    assert response.status_code == 400
    assert "over HTTP" in response.json()["error"]


async def test_an_unknown_model_cant_be_pulled(serving: Serving, library: Library) -> None:
    async with serving([]) as client:
        unknown = await client.post("/api/pull", json={"model": "nobody"})
        unnamed = await client.post("/api/pull", json={})
    assert (unknown.status_code, unnamed.status_code) == (404, 400)


async def test_whoever_goes_away_ends_a_pull() -> None:
    ended = threading.Event()

    def work(tell: Any) -> None:
        try:
            while True:
                tell({"status": "pulling"})
        except Cancelled:
            ended.set()
            raise

    pulling = Pull(work)
    await pulling.begin(None)
    pulling.abandon()
    assert await pulling.take() == []
    await pulling.aclose()
    assert ended.is_set()


async def test_what_goes_wrong_in_a_pull_is_told_after_its_lines() -> None:
    go = threading.Event()

    def work(tell: Any) -> None:
        tell({"status": "one"})
        tell({"status": "two"})
        go.wait(10)
        raise DownloadError("The network is down.")

    pulling = Pull(work)
    await pulling.begin(None)
    assert await pulling.take(0.0) == [{"status": "one"}, {"status": "two"}]
    assert await pulling.take(0.0) is None
    go.set()
    with pytest.raises(DownloadError):
        await pulling.take()
    await pulling.aclose()


async def test_a_pull_that_fails_at_once_fails_before_it_begins() -> None:
    def work(tell: Any) -> None:
        tell({"status": "one"})
        raise UnknownModel("Nobody.")

    pulling = Pull(work)
    with pytest.raises(UnknownModel):
        await asyncio.wait_for(pulling.begin(None), 10)
    await pulling.aclose()


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_the_front(serving: Serving) -> None:
    async with serving([]) as client:
        plain = await client.get("/")
        head = await client.head("/")
        page = await client.get("/", headers={"accept": "text/html,application/xhtml+xml"})
        client.base_url = "http://localhost:11434"
        theirs = await client.get("/", headers={"accept": "text/html"})
    assert plain.text == theirs.text == "Ollama is running"
    assert head.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert plain.headers["vary"] == "accept"


@pytest.mark.parametrize("path", ["/api/create", "/api/push", "/api/blobs/sha256:00"])
async def test_what_isnt_supported_is_refused_in_words(serving: Serving, path: str) -> None:
    async with serving([]) as client:
        response = await client.post(path, json={"model": "tiny"})
    assert response.status_code == 501
    assert "can't be" in response.json()["error"]
