"""Chain of density: its pure parts, and runs with scripted models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import Any, cast

import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, ContextOverflow, NoAnswer
from smidgen.events import AgentEvent, EngineEvent, FellBack, Finished, StepStarted, TextDelta, Verified
from smidgen.messages import GenerateRequest, Prompt
from smidgen.patterns.chain import Density, fidelity
from smidgen.patterns.chain.condense import LONG, off_loop
from smidgen.patterns.chain.fidelity import Source
from smidgen.patterns.chain.sentences import parts, sentences
from smidgen.patterns.chain.terms import candidates, chosen, kept
from smidgen.patterns.chain.together import AT_ONCE
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

TEXT = (
    "A beaver builds dams of branches and mud. The dam raises the water of a river to about 3 metres, and the beaver "
    "lives in a lodge in its middle. In Canada a dam of 850 metres was found in 2007. Beavers eat bark and leaves. "
    "They store branches under the water for the winter, when the river is frozen over. Foxes and wolves can hardly "
    "reach a lodge, because its entrance lies under the water."
)


def test_sentences_end_where_they_should():
    text = 'He asked Dr. Smith, e.g. about 3.5 litres. "Why?" she said. It\nwas late!\n\nNew paragraph without end'
    assert sentences(text) == (
        "He asked Dr. Smith, e.g. about 3.5 litres.",
        '"Why?" she said.',
        "It was late!",
        "New paragraph without end",
    )
    assert sentences(" \n\n ") == ()


def test_parts_hold_every_word_and_no_more_tokens_than_allowed():
    pieces = [f"{'word ' * count}end{count}." for count in (3, 9, 40, 2, 5, 1)]
    tokens = [len(piece.split()) for piece in pieces]
    found = parts(pieces, tokens, 12)
    assert " ".join(found).split() == " ".join(pieces).split()
    assert all(len(part.split()) <= 12 for part in found)
    assert parts(["a b.", "c d."], [2, 2], 4) == ("a b. c d.",)


def test_terms_stand_in_the_text_and_say_what_it_is_about():
    found = candidates(TEXT, 6)
    assert all(term in TEXT for term in found)
    assert {"beaver", "dam", "water"} <= {term.lower() for term in found}
    assert "the" not in found
    assert "New York" in candidates("She lives in New York. New trains to New York are slow.")


def test_kept_terms_may_have_another_form():
    assert kept(("beavers", "dams", "frozen", "Royal Society"), "A beaver built a dam for the Society") == (
        "beavers",
        "dams",
    )
    assert kept(("art",), "a part of it") == ()


def test_half_of_the_terms_are_the_models():
    assert chosen(("a", "b", "c", "d", "e"), ("e", "a", "d"), 4) == ("a", "b", "e", "d")
    assert chosen(("a", "b"), (), 4) == ("a", "b")


@pytest.mark.parametrize(
    ("short", "reason"),
    [
        ("", "empty"),
        ("A beaver builds dams of branches and mud in the river.", "may have 10"),
        ("A beaver builds dams and", "no end"),
        ("- A beaver builds dams.", "list or with markup"),
        ("Beavers eat.", "too short"),
        ("A dam has 900 metres.", "numbers that are not in the text: 900"),
        ("The dam in Norway was found.", "names that are not in the text: Norway"),
        ("Beavers eat bark. Beavers eat bark.", "repeats itself"),
        ("Beavers eat (bark and leaves.", "bracket"),
        ("Beavers eat bark.", "it has lost: water"),
    ],
)
def test_what_is_wrong_with_a_short_version(short: str, reason: str):
    assert reason in "; ".join(fidelity.problems(short, Source(TEXT), words=10, keep=("water",)))


@pytest.mark.parametrize(
    "short", ["In Canada a dam of 850 metres was found.", "Beavers store branches. I think Foxes are no danger."]
)
def test_faithful_versions_pass(short: str):
    assert fidelity.problems(short, Source(TEXT), words=20) == ()


def test_numbers_in_words_and_digits_are_the_same():
    assert fidelity.invented_numbers("Twelve of 3,000 came, 5%.", Source("12 came of three thousand, 5 percent")) == ()
    assert fidelity.invented_numbers("It took 13 days.", Source("12 days")) == ("13",)


def test_mending_drops_sentences_and_never_cuts_one():
    short = "Beavers eat bark. They live in Norway. Foxes can hardly reach a lodge. The dam raises the wat"
    assert fidelity.mended(short, Source(TEXT), words=20) == "Beavers eat bark. Foxes can hardly reach a lodge."
    assert fidelity.mended(short, Source(TEXT), words=5) == "Beavers eat bark."
    assert fidelity.mended("All is in Norway.", Source(TEXT), words=5) == ""


def test_extracts_are_sentences_of_the_text_in_its_order():
    taken = fidelity.extract(TEXT, ("winter", "bark", "dams"), words=30)
    assert [line for line in sentences(TEXT) if line in taken] == list(sentences(taken))
    assert kept(("winter", "bark", "dams"), taken) == ("winter", "bark", "dams")
    assert len(taken.split()) <= 30
    assert fidelity.extract("One very long sentence that is much too long.", ("long",), words=3) == ""


def scripted(
    plain: str, rounds: Callable[[str], str] | str = "", terms: str = "", context: int = 8192
) -> ScriptedEngine:
    def answer(request: Any) -> str:
        prompt = prompt_text(request)
        if "most important of these terms" in prompt:
            return terms
        if "This is a summary of it" in prompt:
            return rounds if isinstance(rounds, str) else rounds(prompt)
        return plain

    return ScriptedEngine(answer, name="tiny", context=context)


async def told(density: Density, engine: ScriptedEngine, text: str = TEXT) -> tuple[list[AgentEvent], Finished]:
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=density).astream(text)]
    end = events[-1]
    assert isinstance(end, Finished), end
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    return events, end


PLAIN = "A beaver builds dams of branches."
BETTER = "A beaver builds dams of branches under the water of a river."


async def test_a_round_that_says_more_terms_is_kept():
    events, end = await told(Density(words=30, rounds=1, extract=False), scripted(PLAIN, BETTER))
    assert end.text == BETTER
    assert end.strategy.startswith("density: round 1, ")
    rounds = [event for event in events if isinstance(event, Verified) and event.check == "round 1"]
    assert rounds[0].ok
    assert "6 -> 12 words" in rounds[0].reason


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ("A beaver builds dams of branches in Norway.", "Norway"),
        ("Foxes can hardly reach a lodge.", "it has lost"),
        (PLAIN, "none says more"),
        ("A beaver often builds dams of branches.", "none says more"),
        ("", "empty"),
    ],
)
async def test_the_text_before_stays_when_a_round_is_no_better(worse: str, reason: str):
    events, end = await told(Density(words=20, rounds=1, extract=False), scripted(PLAIN, worse))
    assert end.text == PLAIN
    assert end.strategy.startswith("density: simple answer, ")
    verified = [event for event in events if isinstance(event, Verified) and event.check == "round 1"]
    assert not verified[0].ok
    assert "the text before stays" in verified[0].reason
    assert reason in verified[0].reason


async def test_shorter_with_the_same_terms_is_better():
    _, end = await told(
        Density(words=20, rounds=1, extract=False), scripted("A beaver very often builds dams of branches.", PLAIN)
    )
    assert end.text == PLAIN


async def test_no_prompt_is_asked_twice_greedily():
    engine = scripted(PLAIN, PLAIN)
    await told(Density(words=20, rounds=3, extract=False, samples=2), engine)
    asked = [
        (prompt_text(request), request.sampling.temperature, request.sampling.seed)
        for request in engine.generated
        if "This is a summary of it" in prompt_text(request)
    ]
    assert len(asked) == 6 == len(set(asked))
    assert sum(temperature == 0 for _, temperature, _ in asked) == 1


async def test_a_simple_answer_with_invented_sentences_loses_them_and_says_so():
    events, end = await told(Density(words=20, rounds=0, extract=False), scripted(f"{PLAIN} It lives in Norway."))
    assert end.text == PLAIN
    assert "Norway" in end.warnings[0]
    assert any(isinstance(event, FellBack) for event in events)


async def test_without_a_usable_answer_sentences_of_the_text_are_taken():
    _, end = await told(Density(words=20, rounds=0), scripted("no"))
    assert all(line in TEXT for line in sentences(end.text))
    assert "sentences of the text" in end.strategy


async def test_nothing_at_all_is_an_honest_failure():
    text = " ".join(["word"] * 50) + "."
    engine = scripted("no")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(NoAnswer, match="no sentence of the text has 20 words"):
            await Agent(runtime=runtime, pattern=Density(words=20)).arun(text)


async def test_the_models_terms_are_of_the_text_by_grammar():
    engine = scripted(PLAIN, "", "lodge\nlodge\nwolves")
    events, _ = await told(Density(words=20, rounds=0, terms=4), engine)
    constraint = next(request.constraint for request in engine.generated if request.constraint)
    offered = candidates(TEXT, 12)
    assert constraint.kind == "regex"
    assert all(term in constraint.source for term in offered)
    terms = next(event.reason for event in events if isinstance(event, Verified) and event.check == "terms")
    assert terms.split(", ")[2] == "lodge"


async def test_rounds_begin_with_sentences_of_the_text_where_these_say_more():
    events, end = await told(Density(words=30, rounds=1), scripted(PLAIN, PLAIN))
    assert end.text != PLAIN
    assert all(line in TEXT for line in sentences(end.text))
    assert end.strategy.startswith("density: sentences of the text, ")
    assert end.warnings == ()
    checked = next(event for event in events if isinstance(event, Verified) and event.check == "sentences of the text")
    assert checked.ok
    assert "; the simple answer: " in checked.reason
    started = next(event for event in events if isinstance(event, StepStarted) and event.action == "round 1")
    asked = scripted(PLAIN, PLAIN)
    await told(Density(words=30, rounds=1), asked)
    again = [prompt_text(request) for request in asked.generated if "This is a summary of it" in prompt_text(request)]
    assert all(end.text in prompt for prompt in again)
    assert started.detail.startswith("missing: ")


async def test_a_simple_answer_that_says_more_stays():
    said = "A beaver dam of branches raises river water."
    events, end = await told(Density(words=21, rounds=0, terms=6), scripted(said))
    assert end.text == said
    assert end.strategy.startswith("density: simple answer, ")
    checked = next(event for event in events if isinstance(event, Verified) and event.check == "sentences of the text")
    assert not checked.ok


async def test_sentences_of_the_text_keep_the_limit_of_tokens():
    """A token is a byte here."""
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": scripted("no")})) as runtime:
        agent = Agent(runtime=runtime, pattern=Density(words=40, rounds=0), max_tokens=90)
        end = await agent.arun(TEXT)
        assert all(line in TEXT for line in sentences(end.text))
        assert 0 < len(end.text) <= 90
        short = "Beavers eat bark and leaves. They store branches under the water for the winter. Foxes stay out."
        end = await agent.arun(short)
        assert 0 < len(end.text) <= 90


async def test_an_agents_instructions_stand_before_every_prompt_and_in_its_budget():
    engine = scripted(PLAIN, BETTER)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        await Agent(runtime=runtime, pattern=Density(words=20, rounds=1), system="Speak plainly.").arun(TEXT)
        assert len(engine.generated) == 5
        assert all(prompt_text(one).startswith("system: Speak plainly.\n") for one in engine.generated)
        with pytest.raises(ContextOverflow, match="too small") as caught:
            await Agent(runtime=runtime, pattern=Density(words=20), system="x" * 8000).arun(TEXT)
        assert caught.value.details["part"] == "system"


class Counting(ScriptedEngine):
    """peak: of requests at once."""

    def __init__(self) -> None:
        super().__init__(lambda request: "Beavers build dams.", name="tiny", context=8192)
        self.active = self.peak = 0

    @contextmanager
    def _counted(self) -> Generator[None]:
        self.active += 1
        self.peak = max(self.peak, self.active)
        try:
            yield
        finally:
            self.active -= 1

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        with self._counted():
            async with aclosing(cast(Any, super()._events(request))) as events:
                async for event in events:
                    yield event

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        with self._counted():
            await asyncio.sleep(0)
            return await super().tokenize(prompt, timeout_s=timeout_s)


async def test_many_sentences_and_parts_are_never_more_at_once_than_a_queue_has_places_for():
    text = " ".join(f"Beavers build dams, the number {number}." for number in range(400))
    engine = Counting()
    events, _ = await told(Density(words=10, rounds=0, terms=2, part_tokens=60), engine, text)
    told_ = next(event.detail for event in events if isinstance(event, StepStarted) and event.action == "parts")
    assert int(told_.split()[0]) > 256
    assert 1 < engine.peak <= AT_ONCE


async def test_long_texts_are_read_by_code_in_a_thread():
    own = threading.get_ident()
    assert await off_loop(threading.get_ident, "x" * LONG) == own
    assert await off_loop(threading.get_ident, "x" * (LONG + 1)) != own


async def test_what_is_short_already_stays():
    engine = scripted(PLAIN)
    _, end = await told(Density(words=20), engine, "Two words.")
    assert (end.text, engine.generated) == ("Two words.", [])
    assert "left as it is" in end.warnings[0]


async def test_explaining_condenses_the_models_own_answer():
    engine = scripted(PLAIN)
    asked: list[str] = []

    def answer(request: Any) -> str:
        asked.append(prompt_text(request))
        return TEXT if asked[-1] == "user: How do beavers live?\nassistant: " else PLAIN

    engine = ScriptedEngine(answer, name="tiny", context=8192)
    _, end = await told(
        Density(words=20, rounds=0, terms=3, extract=False, explain=True, max_tokens=600),
        engine,
        "How do beavers live?",
    )
    assert end.text == PLAIN
    assert any(TEXT in prompt for prompt in asked[1:])


async def test_longer_than_the_context_is_condensed_in_parts_of_which_none_is_lost():
    """A token is a byte here. Every sentence is read by the model in exactly one part."""
    lines = [f"Beaver number {number} builds a dam of branches." for number in range(100, 160)]
    engine = scripted("Beavers build dams of branches.", context=2200)
    events, end = await told(Density(words=20, rounds=0, terms=3, extract=False), engine, " ".join(lines))
    read = [prompt_text(request) for request in engine.generated if "Summarise" in prompt_text(request)]
    for line in lines:
        assert sum(line in prompt for prompt in read) == 1
    assert all(len(prompt.encode()) + 56 <= 2200 for prompt in read)
    assert next(event.action for event in events if isinstance(event, StepStarted)) == "parts"
    assert end.text == "Beavers build dams of branches."
    assert end.warnings == ()


async def test_a_context_that_is_too_small_is_told():
    engine = scripted(PLAIN, context=300)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(ContextOverflow, match="too small for short versions of 40 words"):
            await Agent(runtime=runtime, pattern=Density(words=40)).arun(TEXT)


@pytest.mark.parametrize(
    "broken",
    [
        {"words": 3},
        {"rounds": 11},
        {"terms": 0},
        {"samples": 0},
        {"part_tokens": 100},
        {"part_tokens": -1},
        {"max_tokens": 1},
    ],
)
def test_options_out_of_range_are_refused(broken: dict[str, int]):
    with pytest.raises(ConfigError):
        Density(**broken)
