"""The router with the real sentence embedder, on requests in words that its examples don't have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from smidgen.events import Finished, Routed
from smidgen.models.library import ModelFile
from smidgen.patterns.router import Classifier, Intent, Router, Slot
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

EMBEDDER = "all-minilm-l6-v2"
INTENTS = (
    Intent(
        name="hours",
        examples=("When do you open?", "what are your opening hours", "are you open on Sundays", "when do you close"),
        template="From nine to six.",
    ),
    Intent(
        name="status",
        examples=("Where is my parcel?", "track my order", "has it been shipped", "when will the package arrive"),
        template="Order {order} is on its way.",
        slots=(Slot(name="order", regex=r"[A-Z]{2}-\d{4}"),),
    ),
    Intent(
        name="returns",
        examples=("I want my money back", "how do I return this", "can I get a refund", "it doesn't fit, take it back"),
        template="Within 30 days.",
    ),
)
ASKED = {
    "until what time can I come by this evening?": "hours",
    "is the store shut at Christmas?": "hours",
    "my delivery is three days late": "status",
    "did you post the thing I bought?": "status",
    "these boots are the wrong size, I'd like to be reimbursed": "returns",
    "I changed my mind and don't want to keep it": "returns",
}
STRANGE = ("Who wrote Hamlet?", "What is the square root of 81?", "Recommend me a film", "How tall is Mont Blanc?")


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as opened:
        yield opened


def test_paraphrases_are_known_and_strangers_are_not(model_file: Callable[[str], ModelFile], runtime: Runtime) -> None:
    model_file(EMBEDDER)
    classifier = Classifier(INTENTS, lambda texts: runtime.embed(texts, model=EMBEDDER).vectors)
    found = classifier.classify(tuple(ASKED))
    assert [one.intent for one in found] == list(ASKED.values())
    assert sum(one.in_scope for one in found) >= len(ASKED) - 1
    assert not any(one.in_scope for one in classifier.classify(STRANGE))


def test_a_template_is_told_without_loading_the_model(model_file: Callable[[str], ModelFile], runtime: Runtime) -> None:
    model_file(EMBEDDER)
    agent = Agent(runtime=runtime, pattern=Router(INTENTS, otherwise="No."))
    events = list(agent.stream("Where is order KL-2041?"))
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.text == "Order KL-2041 is on its way."
    assert end.usage.completion_tokens == 0
    assert any(isinstance(event, Routed) and "probable" in event.reason for event in events)
    assert [model.name for model in runtime.held()] == [EMBEDDER]
