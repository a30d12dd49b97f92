"""/v1/models over scripted models, and what headers of real files tell."""

from __future__ import annotations

from pathlib import Path

from tests.unit.api.conftest import Serving

from smidgen.api.openai.headers import Headers, read
from smidgen.models.library import ModelFile
from smidgen.testing import ScriptedEngine, tiny_llama


async def test_all_models_are_listed(serving: Serving) -> None:
    async with serving(["Hi"], others={"other": ScriptedEngine(name="other")}) as client:
        before = (await client.get("/v1/models")).json()
        await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})
        after = (await client.get("/v1/models")).json()
    assert before["object"] == "list"
    assert {entry["id"]: entry["smidgen"]["warm"] for entry in before["data"]} == {"tiny": False, "other": False}
    assert {entry["id"]: entry["smidgen"]["warm"] for entry in after["data"]} == {"tiny": True, "other": False}
    assert all(entry["object"] == "model" and entry["owned_by"] == "llamacpp" for entry in after["data"])
    assert [entry["id"] for entry in after["data"] if entry["smidgen"]["default"]] == ["tiny"]


async def test_a_file_that_cannot_be_read_has_no_meta(serving: Serving) -> None:
    async with serving() as client:
        entry = (await client.get("/v1/models/tiny")).json()
    assert entry["meta"] is None
    assert entry["smidgen"]["kind"] is None


async def test_one_model_by_its_name(serving: Serving) -> None:
    async with serving() as client:
        named = await client.get("/v1/models/tiny")
        default = await client.get("/v1/models/default")
        missing = await client.get("/v1/models/some/where")
    assert named.json() == default.json()
    assert named.json()["id"] == "tiny"
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "unknown_model"


def _file(path: Path, sha256: str) -> ModelFile:
    return ModelFile(name="m", path=str(path), sha256=sha256, bytes=1, source="", license="")


def test_a_header_says_what_the_model_is(tmp_path: Path) -> None:
    header = read(str(tiny_llama.write(tmp_path / "m.gguf")))
    assert header is not None
    assert header.kind in ("chat", "base")
    assert header.vocab_type == 1
    assert 0 < header.vocab_size < 1000
    assert 0 < header.parameters < header.tensor_bytes * 2


async def test_a_header_is_read_once_for_each_file(tmp_path: Path) -> None:
    headers = Headers()
    path = tiny_llama.write(tmp_path / "m.gguf")
    first = await headers.of(_file(path, "a"))
    path.unlink()
    assert first is not None
    assert await headers.of(_file(path, "a")) is first
    assert await headers.of(_file(path, "b")) is None
