"""/v1/completions over scripted models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving
from tests.unit.api.test_openai_chat import always, chunks

from smidgen.api.openai.prompts import filled_in, given
from smidgen.errors import UnsupportedByModel
from smidgen.events import EngineEvent, Generated, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Segment, Timings, Usage
from smidgen.testing import ScriptedEngine
from smidgen.testing.models import FIM
from smidgen.testing.scripted import prompt_text

PATH = "/v1/completions"


def echoing() -> ScriptedEngine:
    """Answers with the prompt in brackets."""
    return ScriptedEngine(lambda request: f"[{prompt_text(request)}]", name="tiny")


async def post(client: Client, **body: Any) -> Any:
    response = await client.post(PATH, json={"model": "tiny", **body})
    assert response.status_code == 200, response.text
    return response.json()


class Telling(ScriptedEngine):
    """Says " x" and "y", with logprobs."""

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self.requests.append(request)
        for text, logprob in ((" x", -0.1), ("y", -2.0)):
            top = (("y", -0.1), ("z", -3.0))
            yield TextDelta(text=text, logprobs=(TokenLogprob(text=text, logprob=logprob, top=top),))
        usage = Usage(prompt_tokens=3, completion_tokens=2)
        yield Generated(text=" xy", finish_reason="length", usage=usage, timings=Timings())


@pytest.mark.parametrize(
    "asked, prompts",
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
        (["a", [1]], ("a", (1,))),
        ([], ()),
    ],
)
def test_forms_of_a_prompt(asked: Any, prompts: Any) -> None:
    assert given(asked) == prompts


def test_a_gap_has_its_marks_as_control_tokens_and_its_text_as_text() -> None:
    prompt = filled_in("a<PRE>", "b", FIM)
    assert [segment.text for segment in prompt] == ["<PRE>", "a<PRE>", "<SUF>", "b", "<MID>"]
    assert [segment.special for segment in prompt] == [True, False, True, False, True]


def test_a_model_without_marks_fills_no_gap() -> None:
    with pytest.raises(UnsupportedByModel):
        filled_in("a", "b", None)


async def test_one_text_is_continued_as_it_stands(serving: Serving) -> None:
    engine = echoing()
    async with serving(engine=engine) as client:
        answer = await post(client, prompt="def f():<|end|>", max_tokens=99)
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"text": "[def f():<|end|>]", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert engine.generated[0].prompt == (Segment("def f():<|end|>", special=True),)


async def test_sixteen_tokens_unless_more_are_asked_for(serving: Serving) -> None:
    engine = ScriptedEngine(always("x" * 50), name="tiny")
    async with serving(engine=engine) as client:
        short = await post(client, prompt="a")
        long = await post(client, prompt="a", max_tokens=-1)
    assert (short["choices"][0]["text"], short["choices"][0]["finish_reason"]) == ("x" * 16, "length")
    assert long["choices"][0]["text"] == "x" * 50
    assert [request.max_tokens for request in engine.generated] == [16, None]


async def test_several_prompts_with_several_answers_each(serving: Serving) -> None:
    engine = ScriptedEngine(lambda request: f"{prompt_text(request)}{request.sampling.seed}", name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, prompt=["a", "b"], n=2, seed=7)
    assert [choice["text"] for choice in answer["choices"]] == ["a7", "a8", "b7", "b8"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"]["prompt_tokens"] == 2
    assert answer["usage"]["completion_tokens"] == 8


async def test_tokens_are_read_as_text(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        one = await post(client, prompt=list(b"abc"))
        two = await post(client, prompt=[list(b"a"), list(b"b")], echo=True)
    assert one["choices"][0]["text"] == "[abc]"
    assert [choice["text"] for choice in two["choices"]] == ["a[a]", "b[b]"]


async def test_tokens_that_the_model_does_not_have_are_refused(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        response = await client.post(PATH, json={"prompt": [100_000]})
    assert response.status_code == 400
    assert "tokens[0]" in response.json()["error"]["message"]


async def test_the_prompt_is_repeated_whole_and_streamed(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        answer = await post(client, prompt="abc", echo=True)
        told = await chunks(client, PATH, model="tiny", prompt="abc", echo=True)
    assert answer["choices"][0]["text"] == "abc[abc]"
    assert "".join(chunk["choices"][0]["text"] for chunk in told) == "abc[abc]"


async def test_logprobs_in_the_old_shape(serving: Serving) -> None:
    async with serving(engine=Telling(name="tiny")) as client:
        answer = await post(client, prompt="abc", echo=True, logprobs=1)
        told = await chunks(client, PATH, model="tiny", prompt="abc", echo=True, logprobs=1)
    logprobs = answer["choices"][0]["logprobs"]
    assert logprobs == {
        "tokens": [" x", "y"],
        "token_logprobs": [-0.1, -2.0],
        "top_logprobs": [{"y": -0.1, " x": -0.1}, {"y": -2.0}],
        "text_offset": [3, 5],
    }
    assert any("logprobs" in warning for warning in answer["smidgen"]["warnings"])
    parts = [chunk["choices"][0]["logprobs"] for chunk in told if chunk["choices"][0]["logprobs"]]
    assert [offset for part in parts for offset in part["text_offset"]] == [3, 5]


async def test_logprobs_of_zero_are_those_of_the_tokens_alone(serving: Serving) -> None:
    async with serving(engine=Telling(name="tiny")) as client:
        answer = await post(client, prompt="abc", logprobs=0)
    logprobs = answer["choices"][0]["logprobs"]
    assert (logprobs["tokens"], logprobs["top_logprobs"], logprobs["text_offset"]) == ([" x", "y"], None, [0, 2])


async def test_a_gap_is_filled(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        answer = await post(client, prompt="a", suffix="b", max_tokens=99)
    assert answer["choices"][0]["text"] == "[<PRE>a<SUF>b<MID>]"


async def test_a_gap_is_refused_by_a_model_that_fills_none(serving: Serving) -> None:
    async with serving(engine=echoing(), fim=()) as client:
        response = await client.post(PATH, json={"prompt": "a", "suffix": "b"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_by_model"


async def test_best_of_is_told_to_have_no_effect(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        answer = await post(client, prompt="a", best_of=3)
        refused = await client.post(PATH, json={"prompt": "a", "best_of": 1, "n": 2})
    assert len(answer["choices"]) == 1
    assert any("best_of" in warning for warning in answer["smidgen"]["warnings"])
    assert refused.status_code == 400


async def test_a_stream_ends_with_its_usage(serving: Serving) -> None:
    async with serving(engine=echoing()) as client:
        options = {"include_usage": True}
        told = await chunks(client, PATH, model="tiny", prompt=["a", "b"], n=2, stream_options=options)
    assert all(chunk["usage"] is None for chunk in told[:-1])
    assert told[-1]["usage"] == {**told[-1]["usage"], "prompt_tokens": 2, "completion_tokens": 12}
    texts = dict.fromkeys(range(4), "")
    for chunk in told[:-1]:
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert texts == {0: "[a]", 1: "[a]", 2: "[b]", 3: "[b]"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": []},
        {"prompt": ["a", ""]},
        {"prompt": "a", "max_tokens": 0},
        {"prompt": "a", "logprobs": 6},
        {"prompt": "a", "grammar": "root ::= x"},
        {"prompt": [-1]},
        {"prompt": {"a": 1}},
        {"prompt": ["a"] * 128, "n": 2},
        {"prompt": "a", "stop": ["x"] * 65},
    ],
)
async def test_what_cannot_be_done_is_refused(serving: Serving, body: dict[str, Any]) -> None:
    async with serving(engine=echoing()) as client:
        response = await client.post(PATH, json=body)
    assert response.status_code == 400, response.text
