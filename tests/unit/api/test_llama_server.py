"""What llama-server's clients send and get: completions, tokens, states."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.errors import EngineBusy, EngineUnavailable
from smidgen.messages import Constraint, GenerateRequest
from smidgen.runtime.held import HeldModel
from smidgen.testing import ScriptedEngine


def events_of(text: str) -> list[dict[str, Any]]:
    parts = [part for part in text.split("\n\n") if part.startswith("data: ")]
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def asked(client: Client) -> list[GenerateRequest]:
    engine = client.models.engines["tiny"]
    assert isinstance(engine, ScriptedEngine)
    return engine.generated


# --- /completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/completion", "/completions"])
async def test_a_completion_tells_all_that_llama_server_tells(serving: Serving, path: str) -> None:
    async with serving(["one\ntwo"]) as client:
        answer = (await client.post(path, json={"prompt": "0 ", "n_predict": 50, "seed": 7})).json()
    assert answer["content"] == "one\ntwo"
    assert answer["stop"] is True and answer["stop_type"] == "eos" and answer["stopping_word"] == ""
    assert answer["model"] == "tiny" and answer["prompt"] == "0 " and answer["has_new_line"] is True
    assert (answer["tokens_predicted"], answer["tokens_evaluated"], answer["tokens_cached"]) == (7, 2, 0)
    assert answer["truncated"] is False and answer["tokens"] == []
    assert answer["generation_settings"]["seed"] == 7 and answer["generation_settings"]["n_predict"] == 50
    assert {"cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_per_second"} <= set(answer["timings"])
    assert answer["smidgen"]["strategy"] == "completion" and answer["smidgen"]["warnings"] == []


async def test_control_tokens_in_a_prompt_count_as_such(serving: Serving) -> None:
    async with serving(["x"]) as client:
        await client.post("/completion", json={"prompt": "<|im_end|>"})
        assert asked(client)[0].prompt[0].special


async def test_how_tokens_are_drawn_is_as_the_body_says_and_else_as_the_profile(serving: Serving) -> None:
    body = {"prompt": "a", "temperature": 0.3, "top_k": -1, "top_p": 0, "repeat_last_n": -1, "n_predict": -1}
    async with serving(["x"] * 4) as client:
        for more in ({}, {"samplers": ["top_k"]}, {"samplers": "pt", "min_p": 0.2}, {"temperature": -1}):
            assert (await client.post("/completion", json={**body, **more})).status_code == 200
        first, only_top_k, letters, greedy = (request.sampling for request in asked(client))
        assert asked(client)[0].max_tokens is None
    assert (first.temperature, first.top_k, first.min_p) == (0.3, 0, 0.05)
    assert first.top_p < 0.001 and first.repeat_last_n > 1_000_000
    assert (only_top_k.top_p, only_top_k.min_p, only_top_k.temperature) == (1.0, 0.0, 1.0)
    assert (letters.temperature, letters.min_p, letters.top_k) == (0.3, 0.0, 0)
    assert greedy.temperature == 0.0


async def test_what_has_no_effect_is_told(serving: Serving) -> None:
    body = {
        "prompt": "a",
        "mirostat": 2,
        "typical_p": 0.5,
        "logit_bias": [[15043, 1.0]],
        "samplers": ["dry", "temperature", "top_k"],
        "cache_prompt": False,
        "lora": [{"id": 0, "scale": 1.0}],
        "xtc_probability": 0.0,
    }
    async with serving(["x"]) as client:
        warnings = " ".join((await client.post("/completion", json=body)).json()["smidgen"]["warnings"])
    for word in ("mirostat", "typical_p", "logit_bias", "dry", "cache_prompt", "lora", "order"):
        assert word in warnings
    assert "xtc" not in warnings


async def test_stops_and_limits_are_named(serving: Serving) -> None:
    async with serving(["one two", "one two", "one two"]) as client:
        word = (await client.post("/completion", json={"prompt": "a", "stop": [" two", ""]})).json()
        limit = (await client.post("/completion", json={"prompt": "a", "n_predict": 3})).json()
        nothing = (await client.post("/completion", json={"prompt": "a", "n_predict": 0})).json()
    assert (word["content"], word["stop_type"], word["stopping_word"]) == ("one", "word", " two")
    assert (limit["content"], limit["stop_type"]) == ("one", "limit")
    assert (nothing["content"], nothing["stop_type"], nothing["tokens_predicted"]) == ("", "limit", 0)
    assert nothing["tokens_evaluated"] == 1 and nothing["generation_settings"]["n_predict"] == 0


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("ab", ["ab"]),
        ([97, 98], ["\x00ab"]),
        (["a", 98, 99, "d"], ["a|\x00bc|d"]),
        (["a", "b"], ["a", "b"]),
        ([[97], "b", ["c", 100]], ["\x00a", "b", "c|\x00d"]),
    ],
)
async def test_prompts_are_texts_tokens_or_both_one_or_several(serving: Serving, prompt: Any, texts: list[str]) -> None:
    async with serving(["x"] * 3) as client:
        response = await client.post("/completion", json={"prompt": prompt, "n_predict": 4})
        answers = response.json() if len(texts) > 1 else [response.json()]
        sent = [
            "|".join(part.text or f"\0{bytes(part.tokens).decode()}" for part in one.prompt) for one in asked(client)
        ]
    assert sorted(sent) == sorted(texts)
    assert [answer["index"] for answer in answers] == list(range(len(texts)))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": []},
        {"prompt": ""},
        {"prompt": [["a"], []]},
        {"prompt": [-1]},
        {"prompt": [2**40]},
        {"prompt": {"prompt_string": "a"}},
        {"prompt": "a", "temperature": "warm"},
        {"prompt": "a", "n_predict": -3},
        {"prompt": "a", "n_probs": 21},
        {"prompt": "a", "grammar": 'root ::= "a"'},
        {"prompt": "a", "json_schema": {"type": "object"}, "grammar": "x"},
        {"prompt": ["a"] * 100, "n_cmpl": 2},
    ],
)
async def test_what_cannot_be_used_is_refused_in_llama_servers_shape(serving: Serving, body: dict[str, Any]) -> None:
    async with serving(["x"] * 200) as client:
        response = await client.post("/completion", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == 400 and error["type"] == "invalid_request_error" and error["message"]


async def test_a_grammar_is_refused_with_what_works_instead(serving: Serving) -> None:
    async with serving(["{}"]) as client:
        refused = (await client.post("/completion", json={"prompt": "a", "grammar": "root ::= 1"})).json()
        await client.post("/completion", json={"prompt": "a", "grammar": " ", "json_schema": {"type": "object"}})
        assert asked(client)[0].constraint == Constraint(kind="json_schema", source='{"type": "object"}')
    assert "json_schema" in refused["error"]["message"]


async def test_only_the_fields_that_were_asked_for_come_back_flat_and_without_a_space(serving: Serving) -> None:
    fields = ["content", "timings/prompt_n", "generation_settings/n_predict", "nothing/like/this", ""]
    async with serving(['a "b"']) as client:
        response = await client.post("/completion", json={"prompt": "abc", "n_predict": 9, "response_fields": fields})
    assert response.text == '{"content":"a \\"b\\"","timings/prompt_n":3,"generation_settings/n_predict":9}'


async def test_several_answers_have_seeds_of_their_own(serving: Serving) -> None:
    async with serving(["x", "y", "z"]) as client:
        answers = (await client.post("/completion", json={"prompt": "a", "n_cmpl": 3, "seed": 5})).json()
        assert sorted(request.sampling.seed for request in asked(client)) == [5, 6, 7]
    assert sorted(answer["content"] for answer in answers) == ["x", "y", "z"]


async def test_a_stream_has_pieces_and_then_the_whole_story(serving: Serving) -> None:
    body = {"prompt": "abc", "stream": True, "timings_per_token": True, "id_slot": 3}
    async with serving(["0123456789"]) as client:
        response = await client.post("/completion", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *pieces, last = events_of(response.text)
    assert [piece["content"] for piece in pieces] == ["01234567", "89"]
    assert all(not piece["stop"] and piece["tokens_evaluated"] == 3 and "timings" in piece for piece in pieces)
    assert last["stop"] is True and last["content"] == "" and last["tokens_predicted"] == 10
    assert last["timings"]["predicted_n"] == 10


async def test_what_goes_wrong_in_the_midst_of_a_stream_is_told_in_it(serving: Serving) -> None:
    async with serving([EngineUnavailable("It is gone."), EngineUnavailable("It is gone.")]) as client:
        whole = await client.post("/completion", json={"prompt": "a"})
        early = await client.post("/completion", json={"prompt": "a", "stream": True})
    assert whole.status_code == early.status_code == 503 and whole.headers["retry-after"]
    assert whole.json()["error"]["type"] == "unavailable_error"


async def test_tokens_come_back_when_asked_for_and_where_they_are_from_is_told(serving: Serving) -> None:
    async with serving(["xy"]) as client:
        answer = (await client.post("/completion", json={"prompt": "a", "return_tokens": True})).json()
    assert answer["tokens"] == [120, 121]
    assert any("tokens are those of the text" in told for told in answer["smidgen"]["warnings"])


async def test_another_models_name_means_the_default_and_is_told(serving: Serving) -> None:
    async with serving(["x"] * 4, others={"second": ScriptedEngine(["y"])}) as client:
        told = (await client.post("/completion", json={"prompt": "a", "model": "gpt-5"})).json()
        plain = (await client.post("/completion", json={"prompt": "a", "model": ""})).json()
        other = (await client.post("/completion", json={"prompt": "a", "model": "second"})).json()
    assert told["content"] == "x" and "gpt-5" in told["smidgen"]["warnings"][0]
    assert plain["content"] == "x" and not plain["smidgen"]["warnings"]
    assert other["content"] == "y"


# --- tokens and templates -------------------------------------------------------------------------------------------


async def test_tokens_and_texts(serving: Serving) -> None:
    async with serving() as client:
        tokens = (await client.post("/tokenize", json={"content": "aé"})).json()
        pieces = (await client.post("/tokenize", json={"content": ["a", 98, "é"], "with_pieces": True})).json()
        text = (await client.post("/detokenize", json={"tokens": tokens["tokens"], "model": "nobody"})).json()
        nothing = (await client.post("/tokenize", json={"content": ""})).json()
        empty = (await client.post("/detokenize", json={"tokens": []})).json()
        wrong = await client.post("/detokenize", json={"tokens": [5000]})
    assert tokens == {"tokens": [97, 195, 169]}
    assert [one["piece"] for one in pieces["tokens"]] == ["a", "b", [195], [169]]
    assert text["content"] == "aé" and "nobody" in text["smidgen"]["warnings"][0]
    assert nothing == {"tokens": []} and empty == {"content": ""}
    assert wrong.status_code == 400


async def test_a_conversation_as_its_prompt(serving: Serving) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    async with serving() as client:
        assert (await client.post("/apply-template", json=body)).json() == {"prompt": "user: hi\nassistant: "}
        assert (await client.post("/apply-template", json={"messages": []})).status_code == 400


# --- vectors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/embedding", "/embeddings"])
async def test_vectors_in_the_old_form(serving: Serving, path: str) -> None:
    async with serving(others={"words": ScriptedEngine()}, embedder="words") as client:
        one = (await client.post(path, json={"content": "a b"})).json()
        two = (await client.post(path, json={"content": ["a", "b"], "model": "nobody"})).json()
        none = await client.post(path, json={})
    assert len(one) == 1 and len(one[0]["embedding"]) == 1 and len(one[0]["embedding"][0]) == 8
    assert [entry["index"] for entry in two] == [0, 1]
    assert none.status_code == 400


# --- states ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
async def test_health_is_bad_only_while_the_model_is_loaded_for_the_first_time(
    serving: Serving, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as client:
        held: list[HeldModel] = []
        monkeypatch.setattr(client.models, "held", lambda: tuple(held))
        assert (await client.get(path)).json() == {"status": "ok"}, "nothing is loaded before it is needed"
        held[:] = [HeldModel(name="tiny", loading=True, fraction=0.5)]
        loading = await client.get(path)
        held[:] = [HeldModel(name="tiny")]
        assert (await client.get(path)).status_code == 200
        held[:] = [HeldModel(name="tiny", loading=True, fraction=0.5)]
        assert (await client.get(path)).status_code == 200, "loaded again, after it was closed"
    assert loading.status_code == 503 and loading.headers["retry-after"]
    assert loading.json() == {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


async def test_props_tell_no_path(serving: Serving) -> None:
    async with serving() as client:
        props = (await client.get("/props")).json()
    assert props["default_generation_settings"]["n_ctx"] == 4096
    assert props["model_path"] == "tiny.gguf" and "/models" not in json.dumps(props)
    assert props["build_info"].startswith("smidgen ") and "llama.cpp" in props["build_info"]
    assert props["modalities"] == {"vision": False, "audio": False}
    assert {"chat_template", "bos_token", "eos_token", "total_slots"} <= set(props)


async def test_slots_show_what_works_and_no_prompts(serving: Serving) -> None:
    async with serving(streams=3) as client:
        client.service.admission.running = 1
        slots = (await client.get("/slots")).json()
        client.service.admission.running = 0
    assert [slot["is_processing"] for slot in slots] == [True, False, False]
    assert all(set(slot) == {"id", "n_ctx", "is_processing"} for slot in slots)


async def test_metrics_have_the_servers_figures_and_those_under_llama_servers_names(serving: Serving) -> None:
    async with serving(["abc"]) as client:
        await client.post("/completion", json={"prompt": "a"})
        page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    assert 'smidgen_requests_total{end="stop",kind="completion"} 1.0' in page.text
    assert "smidgen_requests_running 0.0" in page.text and "smidgen_models_held 1.0" in page.text
    assert "llamacpp:prompt_tokens_total 1\n" in page.text and "llamacpp:tokens_predicted_total 3\n" in page.text


async def test_what_no_model_here_does_is_refused_as_such(serving: Serving) -> None:
    async with serving() as client:
        ranked = [await client.post(path, json={}) for path in ("/rerank", "/reranking", "/v1/rerank")]
        assert (await client.get("/lora-adapters")).json() == []
        assert (await client.post("/lora-adapters", json=[{"id": 0, "scale": 0.0}])).status_code == 200
        adapted = await client.post("/lora-adapters", json=[{"id": 0, "scale": 0.5}])
    assert [response.status_code for response in (*ranked, adapted)] == [501] * 4
    assert adapted.json()["error"]["type"] == "not_supported_error"


async def test_a_full_queue_is_told_with_when_to_come_back(serving: Serving) -> None:
    async with serving([EngineBusy("Too many.", retry_after_s=7)]) as client:
        response = await client.post("/completion", json={"prompt": "a"})
    assert response.status_code == 503 and response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completion", '{"prompt": "\\ud800"}'),
        ("/completion", '{"prompt": "a", "samplers": ["\\ud800"]}'),
        ("/completion", '{"prompt": "a", "model": "\\ud800"}'),
        ("/completion", '{"prompt": "a", "response_fields": ["\\ud800", "content"]}'),
        ("/completion", '{"prompt": "a", "stop": ["\\ud800"]}'),
        ("/completion", '{"prompt": "a", "json_schema": {"\\ud800": 1}}'),
        ("/completion", '{"prompt": "a", "temperature": NaN}'),
        ("/infill", '{"input_prefix": "\\ud800"}'),
        ("/infill", '{"input_suffix": "\\ud800", "n_predict": 0}'),
        ("/infill", '{"input_extra": [{"text": "a", "filename": "\\ud800"}], "n_predict": 0}'),
        ("/infill", '{"prompt": "a", "filename": "\\ud800", "t_max_prompt_ms": NaN}'),
        ("/tokenize", '{"content": "\\ud800", "with_pieces": true}'),
        ("/tokenize", '{"content": ["\\ud800", 1]}'),
        ("/detokenize", '{"tokens": [0, 255, 254], "model": "\\ud800"}'),
        ("/apply-template", '{"messages": [{"role": "user", "content": "\\ud800"}]}'),
        ("/embedding", '{"content": "\\ud800"}'),
        ("/lora-adapters", '[{"id": 0, "scale": NaN}]'),
    ],
)
async def test_text_that_is_no_text_and_numbers_that_are_none_never_break_the_server(
    serving: Serving, path: str, body: str
) -> None:
    async with serving(["x"] * 4) as client:
        response = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 501), response.text
