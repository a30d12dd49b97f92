"""Requests as they arrive, and embeddings a batch at a time, over the fake backend."""

from __future__ import annotations

import pytest

from smidgen.errors import ContextOverflow, InvalidRequest
from smidgen.messages import GenerateRequest, ScoreRequest, Segment
from smidgen.testing.backend import FakeBackend
from smidgen.wire import LoadOptions, Score, Submit
from smidgen.worker import intake as intake_module
from smidgen.worker.embed import Embedding
from smidgen.worker.intake import Intake


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(LoadOptions(path="fake:", context=256))


def submit(text: str, **fields: object) -> Submit:
    return Submit(id=1, request=GenerateRequest(prompt=(Segment(text),), **fields))  # pyright: ignore


def test_a_prompt_that_fills_the_context_is_refused_with_the_figures(backend: FakeBackend) -> None:
    intake = Intake(backend)
    longest = 256 - 1 - len(intake.tokenize((Segment(""),)))
    assert intake.generation(submit("x" * longest)).sequence.prompt_length == 255
    with pytest.raises(ContextOverflow) as caught:
        intake.generation(submit("x" * (longest + 10)))
    assert caught.value.details["over_by"] == 10
    assert caught.value.details["context_tokens"] == 256


def test_max_tokens_counts_from_the_prompt_also_when_resumed(backend: FakeBackend) -> None:
    request = GenerateRequest(prompt=(Segment("abc"),), max_tokens=10)
    generation = Intake(backend).generation(Submit(id=1, request=request, resume_tokens=(97, 98), resume_bytes=2))
    assert generation.limit == generation.sequence.prompt_length + 10
    assert len(generation.sequence.tokens) == generation.sequence.prompt_length + 2


def test_an_empty_candidate_is_refused(backend: FakeBackend) -> None:
    request = ScoreRequest(prompt=(Segment("abc"),), candidates=("yes", ""))
    with pytest.raises(InvalidRequest, match="no tokens"):
        Intake(backend).scoring(Score(id=1, request=request))


def test_kept_tokenisations_are_bounded_and_refused_prompts_are_not_kept(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "KEPT_TOKENS", 300)
    intake = Intake(backend)
    for number in range(50):
        with pytest.raises(ContextOverflow):
            intake.generation(submit(f"{number} " + "x" * 500))
    assert (intake.hits, intake.misses) == (0, 50)
    for _ in range(2):
        intake.generation(submit("first"))
    assert intake.hits == 1
    for number in range(10):
        intake.generation(submit(f"{number}" * 100))
    intake.generation(submit("first"))
    assert intake.hits == 1, "the oldest went"


def test_embeddings_advance_text_by_text_and_add_up(backend: FakeBackend) -> None:
    texts = [backend.tokenize("one", False), backend.tokenize("three", False)]
    embedding = Embedding(texts, backend)
    wanted: list[int] = []
    for _ in range(20):
        if embedding.result is not None:
            break
        if embedding.starts_text:
            wanted.append(embedding.cells_wanted)
        embedding.advance()
    assert wanted == [3, 5]
    assert embedding.result is not None
    assert len(embedding.result.vectors) == 2
    assert embedding.result.usage.prompt_tokens == 8


def test_no_texts_are_done_at_once(backend: FakeBackend) -> None:
    result = Embedding([], backend).result
    assert result is not None and result.vectors == ()
