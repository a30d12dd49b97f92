"""The agents API over a scripted model: runs told event by event, approvals, sessions, and what survives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smidgen.api.agents.known import known_agents
from smidgen.config import AgentConfig, Config
from smidgen.errors import ConfigError
from smidgen.sessions import SessionStore
from smidgen.testing import ScriptedEngine

Serving = Callable[..., Any]
ASSISTANT = "/v1/agents/assistant/runs"


def events_of(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, event, data) of each server-sent event."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def streamed(
    client: httpx2.AsyncClient, path: str = ASSISTANT, **body: Any
) -> list[tuple[int, str, dict[str, Any]]]:
    answer = await client.post(path, json={"stream": True, **body})
    assert answer.status_code == 200, answer.text
    return events_of(answer.text)


async def until(client: Any, run: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            told = (await client.get(f"/v1/agents/runs/{run}")).json()
            if told["status"] == status:
                return told
            await asyncio.sleep(0.005)


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_rules_give_needs_no_model(serving: Serving) -> None:
    async with serving() as client:
        answer = (await client.post(ASSISTANT, json={"input": "What is 17.5% of 2,340?"})).json()
        assert answer["run"]["status"] == "finished" and "409.5" in answer["answer"]["text"]
        assert answer["answer"]["strategy"] == "rules" and answer["answer"]["tool_calls"][0]["name"] == "calculator"


async def test_everything_that_happens_is_told_in_order_and_once(serving: Serving) -> None:
    async with serving(["Hello there, dear friend."]) as client:
        told = await streamed(client, input="Say hello.", tools=[])
        assert [number for number, _, _ in told] == list(range(len(told)))
        kinds = [kind for _, kind, _ in told]
        assert kinds[0] == "run" and kinds[-1] == "finished" and "text" in kinds and "prefilled" in kinds
        assert all(kind == data["type"] for _, kind, data in told)
        text = "".join(data["text"] for _, kind, data in told if kind == "text")
        assert text == told[-1][2]["text"] == "Hello there, dear friend."


async def test_a_run_is_told_again_from_any_event_on(serving: Serving) -> None:
    async with serving(["Hello there."]) as client:
        told = await streamed(client, input="Say hello.", tools=[])
        run = told[0][2]["run"]
        for after in (0, 2, len(told) - 2, len(told) - 1):
            again = events_of((await client.get(f"/v1/agents/runs/{run}/events?after={after}")).text)
            assert again == (told if after == 0 else told[after + 1 :])
        header = {"Last-Event-ID": "3"}
        assert events_of((await client.get(f"/v1/agents/runs/{run}/events", headers=header)).text) == told[4:]


async def test_a_run_in_the_background_can_be_listened_to_while_it_lasts(serving: Serving) -> None:
    long = " ".join(str(number) for number in range(400))
    async with serving([long]) as client:
        begun = await client.post(
            ASSISTANT, json={"input": "Count.", "tools": [], "background": True, "max_tokens": 4000}
        )
        assert begun.status_code == 202
        run = begun.json()["run"]["id"]
        told = events_of((await client.get(f"/v1/agents/runs/{run}/events")).text)
        assert told[-1][1] == "finished" and told[-1][2]["text"] == long


async def test_what_fails_is_the_last_event_and_the_status(serving: Serving) -> None:
    async with serving() as client:  # the script has no answer
        told = await streamed(client, input="Say hello.", tools=[])
        assert told[-1][1] == "failed" and told[-1][2]["error"]["code"] == "engine_unavailable"
        assert (await client.get(f"/v1/agents/runs/{told[0][2]['run']}")).json()["status"] == "failed"


async def test_cancelling_ends_a_run_and_says_so(serving: Serving) -> None:
    engine = Waiting()
    async with serving(engine=engine) as client:
        run = (await client.post(ASSISTANT, json={"input": "Hi.", "tools": [], "background": True})).json()["run"]["id"]
        await engine.asked.wait()
        assert (await client.post(f"/v1/agents/runs/{run}/cancel")).json()["status"] == "cancelled"
        told = events_of((await client.get(f"/v1/agents/runs/{run}/events")).text)
        assert told[-1][1] == "failed" and told[-1][2]["error"]["code"] == "cancelled"
        assert client.service.admission.running == 0
        again = await client.post(f"/v1/agents/runs/{run}/cancel")
        assert again.status_code == 200 and again.json()["status"] == "cancelled"


class Waiting(ScriptedEngine):
    """Says something and then nothing more."""

    def __init__(self) -> None:
        super().__init__([""])
        self.asked = asyncio.Event()

    async def _events(self, request: Any) -> AsyncIterator[Any]:
        from smidgen.events import TextDelta

        yield TextDelta(text="Well")
        self.asked.set()
        await asyncio.Event().wait()


# --- approvals --------------------------------------------------------------------------------------------------------

CALL = 'write_file(path="notes.txt", content="hello")'


def writing() -> dict[str, Any]:
    return {"answers": [CALL, "It is written.", "It is not."], "scores": {"write_file": -0.1, "chat": -5.0}}


async def asked(client: Any) -> tuple[str, dict[str, Any], int]:
    """The run, the approval that it waits for, and that event's number."""
    body = {"input": 'Write "hello" into notes.txt', "tools": ["write_file"], "background": True}
    run = (await client.post(ASSISTANT, json=body)).json()["run"]["id"]
    await until(client, run, "waiting")
    live = client.runs.live(run)
    assert live is not None
    number, data = next((n, json.loads(d)) for n, d in enumerate(live.events, 1) if json.loads(d)["type"] == "approval")
    return run, data, number


@pytest.mark.parametrize("yes", [True, False])
async def test_a_call_waits_for_a_yes_or_a_no(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yes: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(**writing()) as client:
        run, approval, number = await asked(client)
        assert "notes.txt" in approval["preview"]
        assert not (tmp_path / "notes.txt").exists()
        wrong = await client.post(f"/v1/agents/runs/{run}/approval", json={"approve": True, "event": number + 1})
        assert wrong.status_code == 409 and not (tmp_path / "notes.txt").exists()
        answered = await client.post(f"/v1/agents/runs/{run}/approval", json={"approve": yes, "event": number})
        assert answered.status_code == 200
        await until(client, run, "finished")
        assert (tmp_path / "notes.txt").exists() is yes
        late = await client.post(f"/v1/agents/runs/{run}/approval", json={"approve": True})
        assert late.status_code == 409 and late.json()["error"]["code"] == "nothing_to_approve"


async def test_where_nobody_can_be_asked_the_call_is_refused(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(**writing()) as client:
        body = {"input": 'Write "hello" into notes.txt', "tools": ["write_file"]}
        answer = (await client.post(ASSISTANT, json=body)).json()
        assert not (tmp_path / "notes.txt").exists()
        assert not any(call["ok"] for call in answer["answer"]["tool_calls"])


async def test_cancelling_a_run_that_waits_refuses_its_call(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(**writing()) as client:
        run, _, _ = await asked(client)
        assert (await client.post(f"/v1/agents/runs/{run}/cancel")).json()["status"] == "cancelled"
        assert not (tmp_path / "notes.txt").exists()


# --- sessions ---------------------------------------------------------------------------------------------------------


async def new_session(client: Any) -> str:
    made = await client.post("/v1/agents/sessions", json={})
    assert made.status_code == 201
    return made.json()["id"]


async def test_a_session_remembers_what_was_said(serving: Serving) -> None:
    async with serving(["I am tiny.", "You asked who I am."]) as client:
        session = await new_session(client)
        await streamed(client, input="Who are you?", session=session, tools=[])
        await streamed(client, input="What did I ask?", session=session, tools=[])
        kept = (await client.get(f"/v1/agents/sessions/{session}")).json()
        assert [turn["role"] for turn in kept["messages"]] == ["user", "assistant"] * 2
        assert kept["title"] == "Who are you?" and [run["status"] for run in kept["runs"]] == ["finished"] * 2
        engine = client.models.engines["tiny"]
        assert "I am tiny." in engine.generated[-1].prompt[0].text


async def test_a_session_goes_on_after_the_server_was_started_anew(serving: Serving) -> None:
    async with serving(["I am tiny."]) as client:
        session = await new_session(client)
        told = await streamed(client, input="Who are you?", session=session, tools=[])
    async with serving(["You asked who I am."]) as client:
        run = told[0][2]["run"]
        assert events_of((await client.get(f"/v1/agents/runs/{run}/events?after=2")).text) == told[3:]
        await streamed(client, input="What did I ask?", session=session, tools=[])
        assert "I am tiny." in client.models.engines["tiny"].generated[-1].prompt[0].text


async def test_a_turn_is_kept_before_its_end_is_told(serving: Serving, tmp_path: Path) -> None:
    async with serving(["Hello."]) as client:
        session = await new_session(client)
        await streamed(client, input="Hi.", session=session, tools=[])
        async with SessionStore(tmp_path / "sessions.sqlite") as another:
            assert len((await another.session(session)).messages) == 2


async def test_a_session_answers_one_request_at_a_time(serving: Serving) -> None:
    engine = Waiting()
    async with serving(engine=engine) as client:
        session = await new_session(client)
        body = {"input": "Hi.", "tools": [], "session": session}
        run = (await client.post(ASSISTANT, json={**body, "background": True})).json()["run"]["id"]
        second = await client.post(ASSISTANT, json=body)
        assert second.status_code == 409 and second.json()["error"]["code"] == "session_busy"
        await client.post(f"/v1/agents/runs/{run}/cancel")
        assert (await client.get(f"/v1/agents/sessions/{session}")).json()["messages"] == []
        third = await client.post(ASSISTANT, json={**body, "background": True})
        assert third.status_code == 202
        await client.post(f"/v1/agents/runs/{third.json()['run']['id']}/cancel")


async def test_sessions_are_listed_renamed_and_deleted(serving: Serving) -> None:
    async with serving() as client:
        ids = [await new_session(client) for _ in range(3)]
        page = (await client.get("/v1/agents/sessions?limit=2")).json()
        assert [session["id"] for session in page["sessions"]] == ids[:0:-1] and page["more"]
        rest = (await client.get(f"/v1/agents/sessions?before={ids[1]}")).json()
        assert [session["id"] for session in rest["sessions"]] == ids[:1] and not rest["more"]
        renamed = await client.patch(f"/v1/agents/sessions/{ids[0]}", json={"title": "Mine"})
        assert renamed.json()["title"] == "Mine"
        assert (await client.delete(f"/v1/agents/sessions/{ids[0]}")).status_code == 204
        assert (await client.get(f"/v1/agents/sessions/{ids[0]}")).status_code == 404


# --- what is asked wrongly, and what can't be kept --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ASSISTANT, {}, 400),
        (ASSISTANT, {"input": "a", "messages": []}, 400),
        (ASSISTANT, {"input": "  "}, 400),
        (ASSISTANT, {"input": "a", "unknown": 1}, 400),
        (ASSISTANT, {"messages": [{"role": "user", "content": "a"}], "session": "ses_x"}, 400),
        (ASSISTANT, {"input": "a", "session": "ses_x"}, 404),
        (ASSISTANT, {"input": "a", "tools": ["calculater"]}, 400),
        (ASSISTANT, {"input": "a", "model": "nope"}, 404),
        ("/v1/agents/nobody/runs", {"input": "a"}, 404),
        ("/v1/agents/runs/run_x/cancel", {}, 404),
        ("/v1/agents/runs/run_x/approval", {"approve": True}, 404),
        ("/v1/agents/sessions", {"agent": "nobody"}, 404),
    ],
)
async def test_what_cannot_be_done_is_refused(serving: Serving, path: str, body: dict[str, Any], status: int) -> None:
    async with serving() as client:
        answer = await client.post(path, json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]


async def test_a_run_that_could_not_begin_leaves_its_session_free(serving: Serving) -> None:
    async with serving(["Hello."]) as client:
        session = await new_session(client)
        assert (
            await client.post(ASSISTANT, json={"input": "a", "session": session, "model": "nope"})
        ).status_code == 404
        assert (await streamed(client, input="a", session=session, tools=[]))[-1][1] == "finished"


async def test_agents_and_tools_are_told(serving: Serving) -> None:
    async with serving() as client:
        agents = (await client.get("/v1/agents")).json()["agents"]
        assert agents[0]["name"] == "assistant" and "calculator" in agents[0]["tools"]
        told = (await client.get("/v1/agents/tools")).json()
        effects = {tool["name"]: (tool["effect"], tool["group"]) for tool in told["tools"]}
        assert effects["write_file"] == ("write", "files") and effects["calculator"] == ("read", "")


async def test_where_events_cannot_be_kept_the_answer_goes_on_and_says_so(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smidgen.errors import SessionsUnavailable

    async def full(*_: Any, **__: Any) -> None:
        raise SessionsUnavailable("The disk is full.")

    async with serving(["Hello."]) as client:
        monkeypatch.setattr(client.runs.store, "append_events", full)
        monkeypatch.setattr(client.runs.store, "end_run", full)
        told = await streamed(client, input="Hi.", tools=[])
        assert told[-1][1] == "finished" and told[-1][2]["text"] == "Hello."
        assert [data["code"] for _, kind, data in told if kind == "notice"] == ["not_kept"]


async def test_the_last_turn_is_taken_back_and_asked_otherwise(serving: Serving) -> None:
    async with serving(["One.", "Two.", "Three."]) as client:
        session = (await client.post("/v1/agents/sessions", json={})).json()["id"]
        first = await streamed(client, input="Count.", session=session, tools=[])
        second = await streamed(client, input="Go on.", session=session, tools=[])
        body = {"input": "Go on, please.", "session": session, "tools": []}
        refused = await client.post(ASSISTANT, json={**body, "replaces": first[0][2]["run"]})
        assert refused.status_code == 400 and "last" in refused.json()["error"]["message"]
        await streamed(client, **body, replaces=second[0][2]["run"])
        told = (await client.get(f"/v1/agents/sessions/{session}")).json()
        assert [message["content"] for message in told["messages"]] == ["Count.", "One.", "Go on, please.", "Three."]
        assert [run["input"][0]["content"] for run in told["runs"]] == ["Count.", "Go on, please."]


# --- found by a second look -------------------------------------------------------------------------------------------


async def test_a_run_that_nobody_watches_asks_nobody_even_in_a_session_that_was_watched(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = writing()
    given["answers"] = [CALL, "It is written.", CALL, "It is not."]
    async with serving(**given) as client:
        session = await new_session(client)
        body = {"input": 'Write "hello" into notes.txt', "tools": ["write_file"], "session": session}
        run = (await client.post(ASSISTANT, json={**body, "background": True})).json()["run"]["id"]
        await until(client, run, "waiting")
        await client.post(f"/v1/agents/runs/{run}/approval", json={"approve": False})
        await until(client, run, "finished")
        answer = (await client.post(ASSISTANT, json=body)).json()
        assert answer["run"]["status"] == "finished" and not (tmp_path / "notes.txt").exists()


async def test_conversations_that_are_answered_are_not_pushed_out(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smidgen.api.agents import conversations

    monkeypatch.setattr(conversations, "MOST", 1)
    long = " ".join(str(number) for number in range(400))
    async with serving(["First.", long, "Other."]) as client:
        first, other = await new_session(client), await new_session(client)
        await streamed(client, input="One.", session=first, tools=[])
        body = {"input": "Count.", "session": first, "tools": [], "background": True, "max_tokens": 4000}
        run = (await client.post(ASSISTANT, json=body)).json()["run"]["id"]
        await streamed(client, input="Two.", session=other, tools=[])
        await until(client, run, "finished")
        assert len((await client.get(f"/v1/agents/sessions/{first}")).json()["messages"]) == 4


async def test_cancelling_twice_still_ends_the_run(serving: Serving) -> None:
    engine = Slow()
    async with serving(engine=engine) as client:
        run = (await client.post(ASSISTANT, json={"input": "Hi.", "tools": [], "background": True})).json()["run"]["id"]
        await engine.asked.wait()
        answers = [asyncio.create_task(client.runs.cancel(run))]
        await asyncio.sleep(0.05)
        answers.append(asyncio.create_task(client.runs.cancel(run)))
        await asyncio.gather(*answers)
        assert (await until(client, run, "cancelled"))["ended"]
        assert events_of((await client.get(f"/v1/agents/runs/{run}/events")).text)[-1][1] == "failed"


class Slow(Waiting):
    """Takes a while to stop."""

    async def _events(self, request: Any) -> AsyncIterator[Any]:
        from smidgen.events import TextDelta

        try:
            yield TextDelta(text="Well")
            self.asked.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)


async def test_a_run_that_waits_for_a_person_keeps_nobody_waiting(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = writing()
    given["answers"] = [CALL, "Hello.", "It is not."]
    async with serving(**given, streams=1) as client:
        run, _, _ = await asked(client)
        chat = {"messages": [{"role": "user", "content": "Hi."}]}
        assert (await client.post("/v1/chat/completions", json=chat)).status_code == 200
        await client.post(f"/v1/agents/runs/{run}/approval", json={"approve": False})
        await until(client, run, "finished")
        assert client.service.admission.running == 0


async def test_a_server_that_stops_interrupts_what_runs(serving: Serving, tmp_path: Path) -> None:
    engine = Waiting()
    async with serving(engine=engine) as client:
        run = (await client.post(ASSISTANT, json={"input": "Hi.", "tools": [], "background": True})).json()["run"]["id"]
        await engine.asked.wait()
    async with SessionStore(tmp_path / "sessions.sqlite") as store:
        assert (await store.run(run)).status == "interrupted"
        assert json.loads((await store.events(run))[-1].data)["error"]["code"] == "interrupted"


async def test_a_failed_run_is_refused_like_any_other_request(serving: Serving) -> None:
    async with serving(streams=1, queue=0) as client:
        body = {"input": "Hi.", "tools": ["calculator"], "tool_choice": "nope"}
        assert (await client.post(ASSISTANT, json=body)).status_code == 400


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "-1", "x", "²"])
async def test_absurd_event_numbers_end_nothing(serving: Serving, number: str) -> None:
    async with serving(["Hello."]) as client:
        run = (await streamed(client, input="Hi.", tools=[]))[0][2]["run"]
        header = [(b"last-event-id", number.encode("latin-1"))]
        assert (await client.get(f"/v1/agents/runs/{run}/events", headers=header)).status_code == 200
        assert (await client.get(f"/v1/agents/runs/{run}/events", params={"after": number})).status_code == 400


async def test_deleting_a_session_ends_its_run(serving: Serving) -> None:
    engine = Waiting()
    async with serving(engine=engine) as client:
        session = await new_session(client)
        body = {"input": "Hi.", "tools": [], "session": session, "background": True}
        run = (await client.post(ASSISTANT, json=body)).json()["run"]["id"]
        await engine.asked.wait()
        assert (await client.delete(f"/v1/agents/sessions/{session}")).status_code == 204
        assert (await client.get(f"/v1/agents/runs/{run}")).status_code == 404
        assert client.service.admission.running == 0


async def test_what_runs_is_waited_for_until_somebody_hurries(serving: Serving) -> None:
    engine = Waiting()
    async with serving(engine=engine) as client:
        await client.post(ASSISTANT, json={"input": "Hi.", "tools": [], "background": True})
        await engine.asked.wait()
        draining = asyncio.create_task(client.runs.drain(60))
        await asyncio.sleep(0.01)
        assert not draining.done()
        client.runs.hurry()
        await draining


async def test_a_run_is_waited_for_until_it_ends(serving: Serving) -> None:
    long = " ".join(str(number) for number in range(200))
    async with serving([long]) as client:
        body = {"input": "Count.", "tools": [], "background": True, "max_tokens": 4000}
        run = (await client.post(ASSISTANT, json=body)).json()["run"]["id"]
        await client.runs.drain(60)
        assert (await client.get(f"/v1/agents/runs/{run}")).json()["status"] == "finished"


def test_an_agent_cannot_be_called_like_a_path() -> None:
    with pytest.raises(ConfigError, match=r"agents\.sessions"):
        known_agents(Config(agents={"sessions": AgentConfig()}))
