"""/v1/embeddings over scripted models."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.api.delivery import unless_gone
from smidgen.api.openai.embeddings import packed_floats, shortened
from smidgen.errors import ContextOverflow, UnsupportedByModel
from smidgen.messages import Embeddings
from smidgen.testing import ScriptedEngine

PATH = "/v1/embeddings"


class Mute(ScriptedEngine):
    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        raise UnsupportedByModel("This model makes no vectors.")


class Short(ScriptedEngine):
    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        raise ContextOverflow("The text to embed is too long.")


async def post(client: Client, **body: Any) -> Any:
    response = await client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_shortened_vector_is_a_unit_vector_again() -> None:
    assert shortened((3.0, 4.0, 5.0), 2) == pytest.approx((0.6, 0.8))
    assert shortened((0.0, 1.0), 1) == (0.0,)


def test_packed_floats_are_little_endian_and_of_four_bytes() -> None:
    assert struct.unpack("<2f", base64.b64decode(packed_floats((0.5, -2.0)))) == (0.5, -2.0)


async def test_both_encodings_say_the_same(serving: Serving) -> None:
    async with serving() as client:
        floats = await post(client, input=["red fish", "blue fish"], model="tiny")
        packed = await post(client, input=["red fish", "blue fish"], model="tiny", encoding_format="base64")
    assert [entry["index"] for entry in floats["data"]] == [0, 1]
    for one, other in zip(floats["data"], packed["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(other["embedding"])) == pytest.approx(one["embedding"])
    assert floats["usage"] == {"prompt_tokens": 17, "total_tokens": 17}
    assert floats["model"] == "tiny"


async def test_the_configured_embedder_answers_where_no_model_is_named(serving: Serving) -> None:
    near = ScriptedEngine(name="near")
    async with serving(engine=Mute(name="tiny"), others={"near": near}, embedder="near") as client:
        unnamed = await post(client, input="a")
        default = await post(client, input="a", model="default")
        refused = await client.post(PATH, json={"input": "a", "model": "tiny"})
    assert unnamed["model"] == default["model"] == "near"
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "unsupported_by_model"


async def test_without_an_embedder_the_server_s_model_answers(serving: Serving) -> None:
    async with serving() as client:
        assert (await post(client, input="a"))["model"] == "tiny"


async def test_tokens_are_read_as_text(serving: Serving) -> None:
    engine = ScriptedEngine(name="tiny")
    async with serving(engine=engine) as client:
        await post(client, input=list(b"abc"))
        await post(client, input=[list(b"a"), list(b"bc")])
    assert engine.requests == [("abc",), ("a", "bc")]


async def test_fewer_dimensions_are_told_and_more_refused(serving: Serving) -> None:
    async with serving() as client:
        answer = await post(client, input="red fish", dimensions=3)
        refused = await client.post(PATH, json={"input": "a", "dimensions": 9})
    vector = answer["data"][0]["embedding"]
    assert len(vector) == 3
    assert math.hypot(*vector) in (pytest.approx(1.0), 0.0)
    assert "8 to 3" in answer["smidgen"]["warnings"][0]
    assert refused.status_code == 400


async def test_a_text_that_is_too_long_is_refused_not_cut(serving: Serving) -> None:
    async with serving(engine=Short(name="tiny")) as client:
        response = await client.post(PATH, json={"input": "long"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_overflow"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": ""},
        {"input": []},
        {"input": [[""]]},
        {"input": ["a"] * 2049},
        {"input": "a", "encoding_format": "hex"},
        {"input": "a", "dimensions": 0},
        {"input": [1.5]},
    ],
)
async def test_what_cannot_be_done_is_refused(serving: Serving, body: dict[str, Any]) -> None:
    async with serving() as client:
        response = await client.post(PATH, json=body)
    assert response.status_code == 400, response.text


async def test_embedding_is_admitted_and_counted(serving: Serving) -> None:
    async with serving() as client:
        await post(client, input="a")
        await client.post(PATH, json={"input": [999]})
        page = client.service.metrics.page().decode()
        running = client.service.admission.running
    assert 'smidgen_requests_total{end="stop",kind="embedding"} 1.0' in page
    assert 'smidgen_requests_total{end="invalid_request",kind="embedding"} 1.0' in page
    assert running == 0


async def test_a_client_that_goes_away_ends_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return 1

    async def leaves() -> Any:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def stays() -> Any:
        await asyncio.sleep(3600)

    async def done() -> int:
        return 2

    assert await unless_gone(leaves, work()) is None
    assert ended.is_set()
    assert await unless_gone(stays, done()) == 2
