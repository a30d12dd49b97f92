"""/infill as editors send it, where completions end, and what is known of a model's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.agent.infill import LEAST_BEFORE
from smidgen.api.llama_server.limits import Lines, limited
from smidgen.api.llama_server.pace import TELLING, Pace
from smidgen.events import AgentEvent, Finished, Prefilled, TextDelta
from smidgen.messages import BACKGROUND, GenerateRequest, Timings, Usage
from smidgen.testing import ScriptedEngine
from smidgen.testing.models import FIM

VIM: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "import os\n\n",
    "input_suffix": "\n\nprint(path())\n",
    "input_extra": [{"text": "x = 1\n", "time": 12.5, "filename": "a.py"}],
    "prompt": "def path(",
    "n_predict": 128,
    "stop": [],
    "n_indent": 0,
    "top_k": 40,
    "top_p": 0.90,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "response_fields": ["content", "timings/prompt_n", "timings/predicted_n", "truncated", "tokens_cached"],
    "model": "",
}
WARM_UP = VIM | {"input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0, "t_max_prompt_ms": 1}
WARM_UP |= {"t_max_predict_ms": 1, "samplers": [], "response_fields": [""]}


def asked(client: Client) -> list[GenerateRequest]:
    engine = client.models.engines["tiny"]
    assert isinstance(engine, ScriptedEngine)
    return engine.generated


def sent(request: GenerateRequest) -> str:
    """A token is a byte here, and a mark's is its number."""
    marks = {mark.id: mark.text for mark in (FIM.prefix, FIM.suffix, FIM.middle, FIM.repo, FIM.file) if mark}
    tokens = "".join(marks.get(token) or chr(token) for part in request.prompt for token in part.tokens)
    return "".join(segment.text for segment in request.prompt) + tokens


class Answers:
    """`ahead` is set once something is read ahead."""

    def __init__(self) -> None:
        self.ahead = asyncio.Event()

    def __call__(self, request: GenerateRequest) -> str:
        if request.priority >= BACKGROUND and len(request.prompt[0].tokens) % 256:
            self.ahead.set()  # the last piece
        return "y"


async def test_what_vim_sends_is_answered_as_vim_reads_it(serving: Serving) -> None:
    async with serving(["):\n    pass"]) as client:
        response = await client.post("/infill", json=VIM, headers={"Authorization": "Bearer "})
        (request,) = asked(client)
    assert response.text.startswith('{"content":"):\\n    pass","timings/prompt_n":')
    assert "\n" not in response.text
    assert set(response.json()) == set(VIM["response_fields"])
    assert sent(request) == (
        "<REP>project\n<SEP>a.py\nx = 1\n<SEP>filename\n<PRE>import os\n\ndef path(<SUF>\n\nprint(path())\n<MID>"
    )
    assert request.sampling.temperature == 0.0 and request.sampling.top_p == 0.9 and request.sampling.min_p == 0.0
    assert request.cache == "editor" and request.priority < 0 and request.max_tokens == 128


async def test_a_warm_up_is_answered_at_once_and_read_in_the_background(serving: Serving) -> None:
    answers = Answers()
    async with serving(answers) as client:
        assert (await client.post("/infill", json=WARM_UP)).text == "{}"
        await asyncio.wait_for(answers.ahead.wait(), 10)
        request = asked(client)[0]
        whole = (await client.post("/infill", json=WARM_UP | {"response_fields": None})).json()
    assert whole["content"] == "" and whole["stop"] is True and whole["truncated"] is False
    assert request.priority >= BACKGROUND and request.cache == "editor" and request.max_tokens == 1
    assert sent(request) == "<REP>project\n<SEP>a.py\nx = 1\n<SEP>filename\n<PRE>"


async def test_nothing_to_write_but_something_to_read_is_read(serving: Serving) -> None:
    async with serving(["x"]) as client:
        answer = (await client.post("/infill", json={"input_prefix": "a", "n_predict": 0})).json()
        assert asked(client)[0].priority < 0
    assert answer["content"] == "" and answer["tokens_evaluated"] > 1 and answer["tokens_predicted"] == 0


async def test_three_answers_come_as_a_list_and_only_the_first_is_the_likeliest(serving: Serving) -> None:
    body = {"input_prefix": "a", "n_cmpl": 3, "n_predict": 5, "samplers": ["top_k", "top_p", "infill"]}
    async with serving(["one", "two", "two"]) as client:
        answers = (await client.post("/infill", json=body)).json()
        temperatures = sorted(request.sampling.temperature for request in asked(client))
    assert [answer["index"] for answer in answers] == [0, 1, 2]
    assert all("prompt_per_second" in answer["timings"] for answer in answers)
    assert temperatures[0] == 0.0 < temperatures[1] == temperatures[2]
    assert not answers[0]["smidgen"]["warnings"] and "temperature" in answers[1]["smidgen"]["warnings"][0]


async def test_adapters_are_told_to_have_no_effect(serving: Serving) -> None:
    async with serving(["x"]) as client:
        answer = (await client.post("/infill", json={"prompt": "a", "lora": [{"id": 0, "scale": 1.0}]})).json()
    assert answer["smidgen"]["warnings"] == ["lora has no effect here."]


@pytest.mark.parametrize("slot", [-1, 5, 9999])
async def test_slots_that_there_are_not_are_taken_for_others(serving: Serving, slot: int) -> None:
    async with serving(["x"]) as client:
        assert (await client.post("/infill", json={"prompt": "a", "id_slot": slot})).json()["content"] == "x"


@pytest.mark.parametrize("body", [VIM, WARM_UP, VIM | {"stream": True}])
async def test_a_model_that_has_no_marks_is_told_as_llama_server_tells_it(serving: Serving, body: Any) -> None:
    async with serving(["x"], fim=()) as client:
        response = await client.post("/infill", json=body)
    assert response.status_code == 501
    error = response.json()["error"]
    assert error["message"].startswith("Infill is not supported by this model: ")
    assert error["type"] == "not_supported_error" and error["code"] == 501


async def test_a_stream_of_code(serving: Serving) -> None:
    async with serving(["0123456789"]) as client:
        text = (await client.post("/infill", json={"prompt": "a", "stream": True})).text
    assert text.count("data: ") == 3 and '"content":"01234567"' in text and '"stop":true' in text


async def test_what_there_is_no_time_to_read_is_left_out_told_and_read_afterwards(serving: Serving) -> None:
    before = "".join(f"line {number}\n" for number in range(200))
    body = {"input_prefix": before, "prompt": "x = ", "n_predict": 4, "t_max_prompt_ms": 100}
    answers = Answers()
    async with serving(answers) as client:
        answer = (await client.post("/infill", json=body)).json()
        await asyncio.wait_for(answers.ahead.wait(), 10)
        hurried, *pieces = asked(client)
        ahead = pieces[-1]
        again = (await client.post("/infill", json=body)).json()
        last = asked(client)[-1]
    assert all(len(later.prompt[0].tokens) - len(one.prompt[0].tokens) <= 256 for one, later in pairwise(pieces))
    assert answer["truncated"] is True and "no time" in answer["smidgen"]["warnings"][0]
    assert len(sent(hurried)) < 200 and sent(hurried).endswith("x = <SUF><MID>")
    assert ahead.priority >= BACKGROUND and before in sent(ahead) and "<SUF>" not in sent(ahead)
    assert again["truncated"] is False and before in sent(last), "what was read ahead needs no time"


async def test_a_limit_below_the_least_still_reads_the_text_close_to_the_cursor(serving: Serving) -> None:
    body = {"input_prefix": "word " * 500, "prompt": "x = ", "n_predict": 4, "t_max_prompt_ms": 1}
    async with serving(["y", "y"]) as client:
        await client.post("/infill", json=body)
        prompt = sent(asked(client)[0])
    assert len(prompt) > LEAST_BEFORE // 2 and prompt.endswith("x = <SUF><MID>")


async def test_text_beyond_the_context_is_cut_and_told(serving: Serving) -> None:
    long = "".join(f"line {number}\n" for number in range(3000))
    body = {"input_prefix": long, "input_suffix": long, "input_extra": [{"text": long}] * 2, "n_predict": 8}
    async with serving(["y"]) as client:
        answer = (await client.post("/infill", json=body)).json()
        assert answer["truncated"] is True
        assert len(sent(asked(client)[0])) < 4096
    assert len(answer["smidgen"]["warnings"]) == 3


# --- where completions end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("indent", "text", "kept"),
    [
        (0, "a\nb\n", "a\nb\n"),
        (4, "a\n    b\n  c\n    d", "a\n    b"),
        (4, "a\n\n    b\n\nc", "a\n\n    b"),
        (2, "a\n\tb", "a"),
        (4, "  a", "  a"),
        (4, "a\n    ", "a\n    "),
        (1, "a\nb", "a"),
    ],
)
def test_a_line_that_is_indented_less_than_the_cursors_ends_a_completion(
    indent: int, text: str, kept: str, chunk: int
) -> None:
    lines = Lines(indent)
    said = "".join(lines.feed(text[start : start + chunk]) for start in range(0, len(text), chunk))
    assert said + ("" if lines.over else lines.end()) == kept


def clock_of(times: Sequence[float]) -> Callable[[], float]:
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


async def events_of(*texts: str, closed: list[bool] | None = None) -> AsyncGenerator[AgentEvent, None]:
    try:
        yield Prefilled(prompt_tokens=10, cached_tokens=4)
        for text in texts:
            yield TextDelta(text=text)
        yield Finished(
            text="".join(texts),
            model="m",
            finish_reason="stop",
            tool_calls=(),
            usage=Usage(),
            timings=Timings(),
            warnings=(),
            strategy="infill",
        )
    finally:
        if closed is not None:
            closed.append(True)


async def count(text: str) -> int:
    return len(text)


async def test_time_ends_a_completion_only_when_it_has_a_whole_line() -> None:
    closed: list[bool] = []
    source = events_of("a", "b\n", "c", "d", closed=closed)
    found = [event async for event in limited(source, count, model="m", seconds=1, clock=clock_of([0, 0, 5, 5, 5]))]
    end = found[-1]
    assert isinstance(end, Finished) and end.text == "ab\n" and end.finish_reason == "length" and end.model == "m"
    assert end.usage == Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=3)
    assert closed == [True]


async def test_without_a_new_line_time_ends_nothing() -> None:
    found = [event async for event in limited(events_of("a", "b"), count, model="m", seconds=0, clock=lambda: 9.0)]
    assert isinstance(found[-1], Finished) and found[-1].text == "ab" and found[-1].finish_reason == "stop"


# --- pace -----------------------------------------------------------------------------------------------------------


def test_how_much_can_be_read_follows_what_was_measured_in_coarse_steps() -> None:
    pace = Pace()
    pace.learn(Usage(prompt_tokens=1000), Timings(prefill_s=1.0))
    assert 750 <= pace.readable(1.0) <= 1000
    assert pace.readable(0.001) == LEAST_BEFORE
    pace.learn(Usage(prompt_tokens=TELLING - 1), Timings(prefill_s=100.0))
    assert pace.readable(1.0) >= 750, "a short prompt tells nothing"
    before = pace.readable(1.0)
    pace.learn(Usage(prompt_tokens=1000), Timings(prefill_s=1.03))
    assert pace.readable(1.0) == before, "small changes don't move cuts"
    for _ in range(20):
        pace.learn(Usage(prompt_tokens=100), Timings(prefill_s=1.0))
    assert pace.readable(1.0) <= 100


def test_what_was_read_is_cached_until_it_turns_out_not_to_be() -> None:
    pace = Pace()
    first, second = tuple(range(500)), (*range(300), *range(900, 950))
    pace.remember(first, 0)
    assert pace.cached(second) == 300 and pace.cached((7,)) == 0
    pace.remember(second, 300)
    assert pace.cached(first) == 500
    pace.remember((*second, 1), 0)
    assert pace.cached(first) == 300, "the worker knew nothing of it: what was remembered is gone"
