"""The one way in: which model a name stands for, how runs are admitted, counted and ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from smidgen.api.agents.known import ForAgent
from smidgen.config import AgentConfig
from smidgen.errors import EngineBusy, EngineCrashed, UnknownModel
from smidgen.messages import Message
from smidgen.testing import ScriptedEngine

Serving = Callable[..., Any]
HELLO = (Message(role="user", content="Hello"),)


@pytest.mark.parametrize("name", ["", None, "default", "tiny", "tiny:latest", " tiny "])
async def test_the_server_s_own_model_has_many_names(serving: Serving, name: str | None) -> None:
    async with serving() as client:
        assert client.service.model(name) == "tiny"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../tiny",
        ".tiny",
        "~tiny",
        "tiny.GGUF",
        "." + "a" * 5000,
        "hf:owner/repo/file.gguf",
        "tiny.gguf",
        "a\\b",
        "nope",
    ],
)
async def test_only_pulled_models_can_be_named(serving: Serving, name: str) -> None:
    async with serving() as client:
        with pytest.raises(UnknownModel, match="tiny"):
            client.service.model(name)


async def test_another_model_can_be_named_and_near_names_are_told(serving: Serving) -> None:
    async with serving(others={"larger": ScriptedEngine(["other"])}) as client:
        assert client.service.model("larger") == "larger"
        with pytest.raises(UnknownModel, match="Did you mean larger"):
            client.service.model("large")


async def test_a_model_is_kept_as_long_as_the_settings_say(serving: Serving) -> None:
    async with serving(["hi", "hi"], keep_alive_s=7.0) as client:
        await client.service.chat("tiny", HELLO).end()
        assert client.models.kept_s == {"tiny": 7.0}
        client.service.serve = type(client.service.serve)(keep_alive_s=0)
        await client.service.chat("tiny", HELLO).end()
        assert client.models.kept_s == {"tiny": None}


async def test_requests_beyond_the_queue_are_refused(serving: Serving) -> None:
    long = " ".join(str(number) for number in range(300))
    async with serving([long], streams=1, queue=0) as client:
        first = client.service.chat("tiny", HELLO)
        await first.begin()
        second = client.service.chat("tiny", HELLO)
        with pytest.raises(EngineBusy):
            await second.begin()
        await second.aclose()
        events, end = await first.end()
        assert end is not None and end.text == long and events[-1] == end


async def test_ends_of_all_kinds_are_counted(serving: Serving) -> None:
    async with serving(["one", EngineCrashed("It crashed twice.")]) as client:
        await client.service.chat("tiny", HELLO).end()
        with pytest.raises(EngineCrashed):
            await client.service.chat("tiny", HELLO).end()
        page = client.service.metrics.page().decode()
    assert 'smidgen_requests_total{end="stop",kind="chat"} 1.0' in page
    assert 'smidgen_requests_total{end="engine_crashed",kind="chat"} 1.0' in page
    assert 'smidgen_completion_tokens_total{model="tiny"} 3.0' in page


async def test_a_client_that_goes_away_is_counted_and_frees_its_place(serving: Serving) -> None:
    async with serving([f"{'long ' * 200}"], streams=1) as client:
        stream = client.service.chat("tiny", HELLO)
        await stream.begin()
        stream.abandon()
        await stream.aclose()
        assert client.service.admission.running == 0
        assert 'end="gone"' in client.service.metrics.page().decode()


async def test_answers_differ_from_time_to_time_unless_a_seed_is_given(serving: Serving) -> None:
    async with serving(["a"] * 4) as client:
        for options in ({}, {}, {"seed": 5}, {"seed": 5}):
            await client.service.chat("tiny", HELLO, **options).end()
        engine = client.models.engines["tiny"]
        assert isinstance(engine, ScriptedEngine)
        seeds = [request.sampling.seed for request in engine.generated]
        assert seeds[0] != seeds[1] and seeds[2:] == [5, 5]


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_is_asked_and_answered_is_logged_only_where_it_is_wanted(
    serving: Serving, caplog: pytest.LogCaptureFixture, wanted: bool
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(["Hidden answer.", "more text"], prompts=wanted) as client:
        chat = {"messages": [{"role": "user", "content": "Secret question"}]}
        await client.post("/v1/chat/completions", json=chat)
        await client.post("/v1/completions", json={"prompt": "Secret beginning"})
    for text in ("Secret question", "Hidden answer.", "Secret beginning", "more text"):
        assert (text in caplog.text) is wanted


async def test_an_agent_asked_like_a_model_keeps_its_own_limit_unless_another_is_given(serving: Serving) -> None:
    async with serving(["a", "b"]) as client:
        short = ForAgent("tiny", "short", AgentConfig(max_tokens=7))
        await client.service.chat(short, HELLO).end()
        await client.service.chat(short, HELLO, max_tokens=9).end()
        engine = client.models.engines["tiny"]
        assert [request.max_tokens for request in engine.generated] == [7, 9]
