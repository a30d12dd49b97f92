"""What the router asked before: when the last words are the answer to it, to which request, and when they aren't."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from smidgen.config import Config
from smidgen.events import Finished
from smidgen.messages import Embeddings, Message
from smidgen.patterns.router import Intent, Router, Slot
from smidgen.patterns.router.begun import begun
from smidgen.patterns.router.slots import fill, is_question, questions
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels

SUBJECTS = ("open", "refund", "track", "tip")
ORDER = Slot(name="order", regex=r"\b[A-Z]{2}-\d{4}\b", ask="Which order is it?")
HOURS = Intent(name="hours", examples=("when do you open", "open today?", "opening hours"), template="At nine.")
TRACK = Intent(
    name="track",
    examples=("track it", "track my parcel", "tracking"),
    slots=(ORDER,),
    template="{order} is on its way.",
)
REFUND = Intent(
    name="refund",
    examples=("a refund", "refund it", "i want a refund"),
    slots=(ORDER,),
    template="{order} is refunded.",
)
TIP = Intent(
    name="tip",
    examples=("a tip", "what tip", "tip please"),
    slots=(Slot(name="bill", kind="number", least=1, most=100, ask="Of how much?"),),
    template="A tenth of {bill}.",
)


class Subjects(ScriptedEngine):
    """An embedder of a few words: texts of one subject are alike."""

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        vectors: list[tuple[float, ...]] = []
        for text in texts:
            row = [float(subject in text.lower()) for subject in SUBJECTS]
            row.append(0.0 if any(row) else 1.0)
            length = sum(value * value for value in row) ** 0.5
            vectors.append(tuple(value / length for value in row))
        return Embeddings(vectors=tuple(vectors), dimensions=len(SUBJECTS) + 1)


@pytest.fixture
async def runtime() -> AsyncGenerator[Runtime, None]:
    models = ScriptedModels({"tiny": ScriptedEngine(name="tiny"), "mini": Subjects(name="mini")}, embedder="mini")
    async with Runtime(Config(model="tiny", audit="off"), models=models) as runtime:
        yield runtime


async def said(runtime: Runtime, router: Router, *requests: str) -> list[str]:
    """The answers of one conversation."""
    turns: list[Message] = []
    answers: list[str] = []
    for request in requests:
        turns.append(Message(role="user", content=request))
        end = [event async for event in Agent(runtime=runtime, pattern=router).astream(turns)][-1]
        assert isinstance(end, Finished)
        answers.append(end.text)
        turns.append(Message(role="assistant", content=end.text))
    return answers


def turns(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(texts))


async def test_a_question_that_two_intents_ask_goes_on_with_the_one_that_asked_it(runtime: Runtime) -> None:
    router = Router([TRACK, REFUND, HOURS], otherwise="No.")
    assert (await said(runtime, router, "a refund please", "KL-2041"))[-1] == "KL-2041 is refunded."
    assert (await said(runtime, router, "track my parcel", "KL-2041"))[-1] == "KL-2041 is on its way."
    changed = await said(runtime, router, "a refund please", "or rather track it", "KL-2041")
    assert changed[-1] == "KL-2041 is on its way."


async def test_another_request_with_a_number_in_it_is_no_answer_to_the_question(runtime: Runtime) -> None:
    router = Router([TIP, HOURS], otherwise="No.")
    assert await said(runtime, router, "a tip please", "are you open at 8 today?") == ["Of how much?", "At nine."]
    for answer in ("80", "it is 80", "80 of course, what else", "a tip of 80"):
        assert (await said(runtime, router, "a tip please", answer))[-1] == "A tenth of 80."


async def test_a_request_made_anew_leaves_the_values_of_the_one_before(runtime: Runtime) -> None:
    day = Slot(name="day", kind="date", ask="When?")
    tip = Intent(name="tip", examples=TIP.examples, slots=(*TIP.slots, day), template="{bill} on {day}.")
    router = Router([tip, HOURS], otherwise="No.")
    answers = await said(runtime, router, "a tip of 50", "a tip of 80, I mean", "on 5 May 2026")
    assert answers == ["When?", "When?", "80 on 2026-05-05."]


async def test_an_answer_that_can_not_be_used_is_asked_for_again_with_the_reason(runtime: Runtime) -> None:
    router = Router([TIP, HOURS], otherwise="No.")
    answers = await said(runtime, router, "a tip please", "500", "70 or 80", "80")
    assert answers[1].startswith("Of how much? (500 is more than 100")
    assert answers[2] == "Of how much? (It could be any of 70, 80.)"
    assert answers[3] == "A tenth of 80."


def test_the_question_is_known_again_whatever_its_reason_holds() -> None:
    slots = (Slot(name="size", one_of=("M (38)", "L (40)"), ask="Which size? "), *TIP.slots)
    question = questions(slots, fill(slots, "M (38) or L (40)?"))
    assert "L (40)" in question
    assert is_question(slots, question)
    assert is_question(slots, question.strip())


def test_where_it_begins_and_when_nothing_was_answered() -> None:
    (found,) = begun(
        (HOURS, TIP), turns("when?", "At nine.", "a tip", "Of how much?", "500", "Of how much?", "it is 7")
    )
    assert (found.first, found.request, found.slots.values) == ("a tip", "a tip\n500\nit is 7", {"bill": 7})
    assert found.aside == "it is"
    assert not begun((HOURS, TIP), turns("a tip", "Of how much?", "never mind"))
    assert not begun((HOURS, TIP), turns("a tip of 7", "A tenth of 7.", "8"))


@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        (("大", "小"), "我要大的", "大"),
        (("대형", "소형"), "대형으로 주세요", "대형"),
        (("café", "bar"), "a cafe\u0301 please", "café"),
        (("large", "small"), "enlarged", None),
    ],
)
def test_one_of_some_texts_is_found_in_other_writing(options: tuple[str, ...], text: str, value: str | None) -> None:
    assert fill((Slot(name="a", one_of=options),), text).values.get("a") == value
