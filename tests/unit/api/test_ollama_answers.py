"""/api/chat, /api/generate and /api/embed over scripted models: lines, options that reach the engine, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.api.ollama import generate
from smidgen.api.ollama.lines import Asked, LineWriter
from smidgen.api.ollama.requests import ChatRequest
from smidgen.errors import ContextOverflow, EngineUnavailable
from smidgen.events import Generated, TextDelta, TokenLogprob
from smidgen.messages import Embeddings, Timings, Usage
from smidgen.testing import ScriptedEngine
from smidgen.testing.scripted import prompt_text

HELLO: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "What's the weather in Paris?"}],
    "tools": [WEATHER],
    "tool_choice": "get_weather",
}
CALL = 'get_weather(city="Paris")'
FIGURES = {
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "prompt_eval_count",
    "eval_count",
}


class Telling(ScriptedEngine):
    """One token with its logprob."""

    async def _events(self, request: Any) -> Any:
        top = (("A", -0.5), ("B", -1.5))
        yield TextDelta(text="A", logprobs=(TokenLogprob(text="A", logprob=-0.5, top=top),))
        yield Generated(text="A", finish_reason="stop", usage=Usage(completion_tokens=1), timings=Timings())


async def post(client: Client, path: str, body: dict[str, Any], **more: Any) -> Any:
    response = await client.post(path, json={**body, "stream": False, **more})
    assert response.status_code == 200, response.text
    return response.json()


async def lines(client: Client, path: str, body: dict[str, Any], **more: Any) -> list[Any]:
    response = await client.post(path, json={**body, **more})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_one_answer(serving: Serving) -> None:
    async with serving(["Hi there."]) as client:
        answer = await post(client, "/api/chat", HELLO)
    assert answer["model"] == "tiny"
    assert answer["message"] == {"role": "assistant", "content": "Hi there."}
    assert (answer["done"], answer["done_reason"], answer["eval_count"]) == (True, "stop", 9)
    assert set(answer) >= FIGURES
    assert all(isinstance(answer[name], int) for name in FIGURES)
    assert answer["smidgen"]["strategy"] == "plain"


async def test_lines_are_the_default(serving: Serving) -> None:
    async with serving(["Hello, how are you?"]) as client:
        told = await lines(client, "/api/chat", HELLO)
    assert "".join(line["message"]["content"] for line in told) == "Hello, how are you?"
    assert [line["done"] for line in told] == [False] * (len(told) - 1) + [True]
    assert set(told[-1]) >= FIGURES
    assert not FIGURES & set(told[0])


async def test_calls_have_objects_as_arguments(serving: Serving) -> None:
    async with serving([CALL, CALL]) as client:
        answer = await post(client, "/api/chat", ASKED)
        told = await lines(client, "/api/chat", ASKED)
    for message in (answer["message"], told[0]["message"]):
        (call,) = message["tool_calls"]
        assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert answer["done_reason"] == told[-1]["done_reason"] == "stop"


async def test_options_reach_the_engine_and_others_are_told(serving: Serving) -> None:
    engine = ScriptedEngine(["one two STOP", "x" * 50], name="tiny")
    async with serving(engine=engine) as client:
        given = {"temperature": 0.5, "seed": 3, "num_predict": 20, "stop": "STOP", "num_ctx": 9999, "mirostat": 2}
        answer = await post(client, "/api/chat", HELLO, options=given, think=True, truncate=False)
        cut = await post(client, "/api/chat", HELLO, options={"num_predict": 5})
    request = engine.generated[0]
    assert (request.sampling.temperature, request.sampling.seed, request.max_tokens) == (0.5, 3, 20)
    assert answer["message"]["content"] == "one two "
    told = " ".join(answer["smidgen"]["warnings"])
    assert all(word in told for word in ("num_ctx is 9999", "options.mirostat", "think", "truncate"))
    assert cut["done_reason"] == "length"


@pytest.mark.parametrize(
    ("asked", "schema"), [("json", {"type": "object"}), ({"type": "integer"}, {"type": "integer"})]
)
async def test_formats(serving: Serving, asked: Any, schema: Any) -> None:
    engine = ScriptedEngine(["{}"], name="tiny")
    async with serving(engine=engine) as client:
        await post(client, "/api/chat", HELLO, format=asked)
    constraint = engine.generated[0].constraint
    assert constraint is not None and json.loads(constraint.source) == schema


async def test_logprobs(serving: Serving) -> None:
    async with serving(engine=Telling(["AB"], name="tiny")) as client:
        answer = await post(client, "/api/chat", HELLO, logprobs=True, top_logprobs=1)
        told = await lines(client, "/api/generate", {"model": "tiny", "prompt": "x"}, logprobs=True)
    (token,) = answer["logprobs"]
    assert (token["token"], token["logprob"], token["top_logprobs"][0]["token"]) == ("A", -0.5, "A")
    assert told[0]["logprobs"][0]["top_logprobs"] == []


def test_a_sign_of_life_has_no_text() -> None:
    body = ChatRequest.model_validate(HELLO)
    told = json.loads(LineWriter(Asked("chat", body, "tiny", lambda _: 0)).quiet())
    assert (told["message"]["content"], told["done"]) == ("", False)


async def test_what_was_left_out_of_a_long_conversation_is_told(serving: Serving) -> None:
    turns = [{"role": role, "content": "x" * 400} for _ in range(8) for role in ("user", "assistant")]
    engine = ScriptedEngine(["ok"], name="tiny", context=1000)
    async with serving(engine=engine) as client:
        answer = await post(client, "/api/chat", HELLO, messages=[*turns, *HELLO["messages"]])
    assert any("left out" in text for text in answer["smidgen"]["warnings"])


async def test_a_prompt_is_answered_as_in_a_chat(serving: Serving) -> None:
    engine = ScriptedEngine(["Hi"], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(
            client,
            "/api/generate",
            {"model": "tiny", "prompt": "Hello", "system": "Be brief.", "template": "x", "context": [1]},
        )
    assert answer["response"] == "Hi"
    assert prompt_text(engine.generated[0]) == "system: Be brief.\nuser: Hello\nassistant: "
    assert [text.split()[0] for text in answer["smidgen"]["warnings"]] == ["template", "context"]


async def test_a_raw_prompt_stands_as_it_is(serving: Serving) -> None:
    engine = ScriptedEngine([" Paris"], name="tiny")
    async with serving(engine=engine) as client:
        told = await lines(client, "/api/generate", {"model": "tiny", "prompt": "<|x|> The capital", "raw": True})
    assert "".join(line["response"] for line in told) == " Paris"
    assert prompt_text(engine.generated[0]) == "<|x|> The capital"
    assert engine.generated[0].prompt[0].special


async def test_a_gap_is_filled(serving: Serving) -> None:
    engine = ScriptedEngine(["a + b"], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(
            client, "/api/generate", {"model": "tiny", "prompt": "return ", "suffix": "\n", "system": "s"}
        )
    assert prompt_text(engine.generated[0]) == "<PRE>return <SUF>\n<MID>"
    assert not engine.generated[0].prompt[1].special
    assert "system" in answer["smidgen"]["warnings"][0]
    async with serving(["x"], fim=()) as client:
        response = await client.post("/api/generate", json={"model": "tiny", "prompt": "a", "suffix": "b"})
    assert response.status_code == 400


async def test_base_models_continue(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_base(*_: Any) -> bool:
        return True

    monkeypatch.setattr(generate, "_is_base", is_base)
    engine = ScriptedEngine(["on"], name="tiny")
    async with serving(engine=engine) as client:
        await post(client, "/api/generate", {"model": "tiny", "prompt": "Go"})
    assert prompt_text(engine.generated[0]) == "Go"
    assert not engine.generated[0].prompt[0].special


async def test_errors_before_and_in_a_stream(serving: Serving) -> None:
    class Dying(ScriptedEngine):
        async def _events(self, request: Any) -> Any:
            async for event in super()._events(request):
                if event.__class__.__name__ == "Generated":
                    raise EngineUnavailable("It died.")
                yield event

    async with serving(engine=Dying(["Hello"], name="tiny")) as client:
        told = await lines(client, "/api/chat", HELLO)
    assert told[-1] == {"error": "It died."}
    async with serving([EngineUnavailable("It is down.")]) as client:
        response = await client.post("/api/chat", json=HELLO)
    assert response.status_code == 503
    assert response.json() == {"error": "It is down."}


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/api/chat", {**HELLO, "options": {"top_p": 2}}, "top_p"),
        ("/api/chat", {**HELLO, "format": "xml"}, "format"),
        ("/api/chat", {**HELLO, "keep_alive": "soon"}, "keep_alive"),
        ("/api/chat", {**HELLO, "top_logprobs": 3}, "logprobs"),
        ("/api/chat", {**HELLO, "messages": [{"role": "user", "content": "?", "images": ["aGk="]}]}, "Images"),
        ("/api/chat", {**HELLO, "messages": [{"role": "oracle", "content": "?"}]}, "role"),
        ("/api/chat", {**HELLO, "tools": [{"type": "magic", "function": {"name": "f"}}]}, "magic"),
        ("/api/generate", {"model": "tiny", "prompt": "a", "images": ["aGk="]}, "Images"),
        ("/api/generate", {"model": "tiny", "prompt": "a", "raw": True, "system": "s"}, "system"),
        ("/api/embed", {"model": "tiny"}, "input"),
        ("/api/show", {}, "model"),
    ],
)
async def test_what_cant_be_had_is_refused(serving: Serving, path: str, body: dict[str, Any], word: str) -> None:
    async with serving(["Hi"]) as client:
        response = await client.post(path, json=body)
    assert response.status_code == 400, response.text
    assert word in response.json()["error"]


async def test_an_unknown_model(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/show"):
            response = await client.post(path, json={"model": "other:7b", "input": "x", "prompt": "x", "messages": []})
            assert response.status_code == 404
            assert response.json()["error"].startswith("model 'other:7b' not found")


# --- loading ----------------------------------------------------------------------------------------------------------


async def test_a_model_stays_as_long_as_asked(serving: Serving) -> None:
    async with serving(lambda _: "ok", keep_alive_s=50) as client:
        kept = client.models.kept_s
        for given, seconds in (("2m", 120.0), (-1, None), (0, 0.0), (None, 50.0)):
            await post(client, "/api/chat", HELLO, keep_alive=given)
            assert kept["tiny"] == seconds


async def test_without_a_prompt_a_model_is_loaded_or_let_go(serving: Serving) -> None:
    async with serving([]) as client:
        loaded = await post(client, "/api/generate", {"model": "tiny"}, keep_alive="10m")
        held = (await client.get("/api/ps")).json()["models"]
        (gone,) = await lines(client, "/api/chat", {"model": "tiny"}, keep_alive=0)
        after = (await client.get("/api/ps")).json()["models"]
    assert (loaded["done_reason"], loaded["response"]) == ("load", "")
    assert [(model["model"], model["context_length"]) for model in held] == [("tiny", 4096)]
    assert (gone["done_reason"], gone["message"]["content"]) == ("unload", "")
    assert after == []


# --- vectors ----------------------------------------------------------------------------------------------------------


class Short(ScriptedEngine):
    """Refuses texts that are longer than its context."""

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        if any(len(text.encode()) > self.context for text in texts):
            raise ContextOverflow("A text is too long.")
        return await super().embed(texts, timeout_s=timeout_s)


async def test_vectors(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        several = await post(client, "/api/embed", {"model": "tiny", "input": ["a b", "", "c"]}, dimensions=2)
        one = await post(client, "/api/embeddings", {"model": "tiny", "prompt": "a b"})
        none = await post(client, "/api/embeddings", {"model": "tiny"})
    assert [len(vector) for vector in several["embeddings"]] == [2, 0, 2]
    assert several["prompt_eval_count"] == 4
    assert len(one["embedding"]) == 8
    assert none["embedding"] == []


async def test_a_long_text_is_cut_and_told_or_refused(serving: Serving) -> None:
    engine = Short([], name="tiny", context=40)
    asked: dict[str, Any] = {"model": "tiny", "input": ["short", "words " * 30]}
    async with serving(engine=engine) as client:
        cut = await post(client, "/api/embed", asked)
        refused = await client.post("/api/embed", json={**asked, "truncate": False})
    assert "cut" in cut["smidgen"]["warnings"][0]
    texts = next(request for request in engine.requests if isinstance(request, tuple))
    assert texts[0] == "short"
    assert 20 < len(str(texts[1])) <= 36
    assert refused.status_code == 400


async def test_more_dimensions_than_there_are(serving: Serving) -> None:
    async with serving([]) as client:
        response = await client.post("/api/embed", json={"model": "tiny", "input": "a", "dimensions": 9})
    assert response.status_code == 400
    assert "8 dimensions" in response.json()["error"]
