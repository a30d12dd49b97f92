"""Requests that are a call in so many words, and requests that a tool's own data know of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent import AgentModel, AgentSettings
from smidgen.agent.choosing import known_to
from smidgen.agent.rules import commands, match
from smidgen.agent.run import run
from smidgen.events import AgentEvent, Finished, ToolCalled
from smidgen.messages import Message
from smidgen.testing import ScriptedEngine
from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.function import BadArguments, failure, tool
from smidgen.tools.results import Results
from smidgen.tools.wrappers import Wrapped

Make = Callable[..., AgentModel]


@tool
def query(sql: str, file: str = "") -> str:
    """Ask the data."""
    return sql


@tool
def run_python(code: str) -> str:
    """Run Python."""
    return code


@tool
def search_files(text: str, folder: str = ".") -> str:
    """Search the files."""
    return text


@tool
def web_search(query: str) -> str:
    """Search the web."""
    return query


TOOLS: tuple[Tool, ...] = (query, run_python, search_files, web_search)
SPECS = tuple(one.spec for one in TOOLS)


@pytest.mark.parametrize(
    ("request_", "name", "arguments"),
    [
        ("sql: SELECT a\nFROM b", "query", {"sql": "SELECT a\nFROM b"}),
        ("  SQL:  select 1 ", "query", {"sql": "select 1"}),
        ("/python: x = 1\nprint(x)", "run_python", {"code": "x = 1\nprint(x)"}),
        ("search: milk: fresh", "search_files", {"text": "milk: fresh"}),
        ("web: news", "web_search", {"query": "news"}),
        ('query(sql="SELECT 1")', "query", {"sql": "SELECT 1"}),
        ("<query><sql>SELECT 1</sql></query>", "query", {"sql": "SELECT 1"}),
        ("<run_python>\n<code>print('a')\nprint('b')</code>\n</run_python>", "run_python", None),
    ],
)
def test_what_is_a_call_in_so_many_words(request_: str, name: str, arguments: dict[str, Any] | None) -> None:
    call = commands.written(request_, SPECS)
    assert call is not None and call.name == name
    if arguments is not None:
        assert call.arguments == arguments
    else:
        assert call.arguments["code"].split() == ["print('a')", "print('b')"]


@pytest.mark.parametrize(
    "request_",
    [
        "fetch: https://example.org",
        "sql:",
        "Note: buy milk",
        "tell me about sql: what is it",
        "calc: 2+2",
        "",
        "a" * 30_000,
    ],
)
def test_what_is_none(request_: str) -> None:
    """Tools that aren't offered, prefixes that are none, nothing behind them."""
    assert commands.written(request_, SPECS) is None


def test_search_means_the_web_where_files_cannot_be_searched() -> None:
    call = commands.written("search: news", [web_search.spec])
    assert call is not None and call.name == "web_search"


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    call = commands.written(text, SPECS)
    assert call is None or call.name in {spec.name for spec in SPECS}


def test_more_reads_on_where_there_is_something_to_read_on_in() -> None:
    results = Results()
    assert match("more", SPECS) is None
    results.shown("line\n" * 1000, 400)
    offered = (*SPECS, *(one.spec for one in results.tools()))
    for said in ("more", "Read on.", "go on", "please continue", "next part", "the rest"):
        found = match(said, offered)
        assert found is not None and found.tool == "read_more", said
    assert match("more about cats", offered) is None


class Holding(Wrapped):
    """Knows of a request what its words say."""

    def __init__(self, inner: Tool, share: float, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(inner)
        self._share, self._arguments = share, arguments

    def knows(self, request: str) -> float:
        return self._share if "river" in request else 0.0

    def arguments_for(self, request: str) -> dict[str, Any] | None:
        return self._arguments

    def note_for(self, request: str) -> str:
        return "river.name = 'Danube'"

    @property
    def told(self) -> str:
        return ""


class Broken(Wrapped):
    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return failure("The file is damaged.")


async def events_of(model: AgentModel, tools: tuple[Tool, ...], text: str) -> list[AgentEvent]:
    history = [Message(role="user", content=text)]
    return [event async for event in run(model, tools, history, AgentSettings())]


def test_the_tool_that_knows_most_is_chosen_and_only_if_it_knows_enough() -> None:
    some, most = Holding(query, 0.7), Holding(web_search, 0.9)
    assert known_to("a river", [some, most, run_python]) == "web_search"
    assert known_to("a river", [some, most], failed=["web_search"]) == "query"
    assert known_to("a lake", [some, most]) is None
    assert known_to("a river", [Holding(query, 0.5)]) is None


async def test_a_tool_that_knows_the_request_is_called_without_asking_a_model(agent_model: Make) -> None:
    holding = Holding(search_files, 0.9, {"text": "river"})
    events = await events_of(agent_model(ScriptedEngine(["Found."])), (holding, query), "Which river?")
    called = [event.call.name for event in events if isinstance(event, ToolCalled)]
    assert called == ["search_files"]


async def test_what_the_data_know_is_told_to_the_model_that_writes_the_call(agent_model: Make) -> None:
    engine = ScriptedEngine(['query(sql="SELECT 1")', "One."])
    events = await events_of(agent_model(engine), (Holding(query, 0.9), run_python), "Which river?")
    assert [event.call.name for event in events if isinstance(event, ToolCalled)] == ["query"]
    assert "In the data: river.name = " in str(engine.requests[0])


async def test_nothing_is_made_up_where_the_own_data_fail(agent_model: Make) -> None:
    engine = ScriptedEngine(["The Rhine, as everybody knows."] * 9)
    events = await events_of(agent_model(engine), (Holding(Broken(query), 0.9, {"sql": "SELECT 1"}),), "Which river?")
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.strategy == "refusal"
    assert "damaged" in end.text and "Rhine" not in end.text


async def test_a_command_that_fails_is_not_tried_in_another_way(agent_model: Make) -> None:
    @tool
    def run_command(command: str) -> str:
        """Run a program."""
        raise BadArguments("There is no program of that name.")

    engine = ScriptedEngine(['run_command(command="rm")'] * 5)
    events = await events_of(agent_model(engine), (run_command,), "sh: rn file")
    assert len([event for event in events if isinstance(event, ToolCalled)]) == 1
    end = events[-1]
    assert isinstance(end, Finished) and "no program" in end.text
    assert not engine.requests
