"""/v1/models over scripted models, and what headers of real files tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.api.conftest import Serving

from smidgen.api.openai.headers import Headers, read
from smidgen.models.library import ModelFile
from smidgen.testing import ScriptedEngine, tiny_llama


def warm(models: dict[str, Any]) -> dict[str, bool]:
    return {entry["id"]: entry["smidgen"]["warm"] for entry in models["data"] if entry["smidgen"]["kind"] != "agent"}


async def test_an_agent_is_asked_like_a_model_and_uses_its_own_tools(serving: Serving) -> None:
    async with serving() as client:  # the script has no answer: rules give it
        body = {"model": "assistant", "messages": [{"role": "user", "content": "What is 17.5% of 2,340?"}]}
        answer = (await client.post("/v1/chat/completions", json=body)).json()
        assert "409.5" in answer["choices"][0]["message"]["content"] and answer["smidgen"]["strategy"] == "rules"
        assert (await client.get("/v1/models/%20assistant")).json()["id"] == "assistant"
        told = (await client.get("/v1/models/assistant")).json()
        assert told["smidgen"]["kind"] == "agent" and "calculator" in told["smidgen"]["tools"]


async def test_all_models_are_listed(serving: Serving) -> None:
    async with serving(["Hi"], others={"other": ScriptedEngine(name="other")}) as client:
        before = (await client.get("/v1/models")).json()
        await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})
        after = (await client.get("/v1/models")).json()
    assert before["object"] == "list"
    assert warm(before) == {"tiny": False, "other": False}
    assert warm(after) == {"tiny": True, "other": False}
    owners = {entry["id"]: entry["owned_by"] for entry in after["data"] if entry["object"] == "model"}
    assert owners == {"tiny": "llamacpp", "other": "llamacpp", "assistant": "smidgen"}
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
