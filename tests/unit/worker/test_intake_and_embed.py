"""Requests as they arrive, and embeddings a batch at a time, over the fake backend."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from smidgen.errors import ContextOverflow, InvalidRequest
from smidgen.messages import GenerateRequest, ScoreRequest, Segment
from smidgen.testing.backend import FakeBackend
from smidgen.wire import Embed, Embedded, LoadOptions, RequestFailed, Score, Submit
from smidgen.worker import embed as embed_module
from smidgen.worker import intake as intake_module
from smidgen.worker.embed import Embedding, KeptVectors
from smidgen.worker.intake import Intake
from smidgen.worker.loop import Loop, Stop


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


def finished(embedding: Embedding) -> list[int]:
    """Advances to the end; the cells wanted by each group."""
    wanted: list[int] = []
    for _ in range(50):
        if embedding.result is not None:
            return wanted
        if embedding.starts_group:
            wanted.append(embedding.cells_wanted)
        embedding.advance()
    raise AssertionError("no end")


def test_embeddings_advance_text_by_text_and_add_up(backend: FakeBackend) -> None:
    texts = [backend.tokenize("one", False), backend.tokenize("three", False)]
    embedding = Embedding(texts, backend, KeptVectors())
    assert finished(embedding) == [3, 5]
    assert embedding.result is not None
    assert len(embedding.result.vectors) == 2
    assert embedding.result.usage.prompt_tokens == 8


def test_no_texts_are_done_at_once(backend: FakeBackend) -> None:
    result = Embedding([], backend, KeptVectors()).result
    assert result is not None and result.vectors == ()


def test_an_encoder_takes_as_many_texts_together_as_fit_and_gives_the_same_vectors() -> None:
    options = LoadOptions(path="fake:", context=16, sequences=3)
    texts = [[number] * length for number, length in enumerate((4, 8, 4, 1, 2, 3, 5, 16), 1)]
    encoder = Embedding(texts, FakeBackend(options, encoder=True), KeptVectors())
    alone = Embedding(texts, FakeBackend(options), KeptVectors())
    assert finished(encoder) == [16, 6, 5, 16], "at most 3 texts and 16 tokens"
    assert finished(alone) == [4, 8, 4, 1, 2, 3, 5, 16]
    assert encoder.result is not None and alone.result is not None
    assert encoder.result.vectors == alone.result.vectors


def test_a_text_is_embedded_once(backend: FakeBackend) -> None:
    kept = KeptVectors()
    first = Embedding([[1, 2], [3], [1, 2]], backend, kept)
    assert finished(first) == [2, 1], "equal texts of a request"
    again = Embedding([[1, 2], [4, 4, 4], [3]], backend, kept)
    assert finished(again) == [3], "texts of an earlier request"
    assert first.result is not None and again.result is not None
    assert again.result.vectors[0] == first.result.vectors[0] == first.result.vectors[2]
    assert again.result.vectors[2] == first.result.vectors[1]
    assert (again.result.usage.prompt_tokens, again.result.usage.cached_tokens) == (6, 3)
    assert Embedding([[3]], backend, kept).result is not None


def test_kept_vectors_are_bounded_and_the_least_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_module, "KEPT_FLOATS", 20)
    kept = KeptVectors()
    row = np.ones(8, dtype=np.float32)
    kept.put((1,), row)
    kept.put((2,), row)
    assert kept.get((1,)) is not None
    kept.put((3,), row)
    assert kept.get((2,)) is None
    assert kept.get((1,)) is not None and kept.get((3,)) is not None
    assert (kept.hits, kept.misses) == (3, 1)


def test_a_text_to_embed_is_framed_as_the_model_wants_and_one_that_is_too_long_is_refused() -> None:
    intake = Intake(FakeBackend(LoadOptions(path="fake:", context=16), encoder=True))
    framed = intake.text_to_embed("ab")
    assert framed[0] == intake.tokenize((Segment("x"),))[0]
    assert framed[1:-1] == [97, 98]
    assert framed[-1] == FakeBackend(LoadOptions(path="fake:")).info.eos
    assert len(intake.text_to_embed("x" * 14)) == 16
    with pytest.raises(ContextOverflow, match="text to embed has 17 tokens") as caught:
        intake.text_to_embed("x" * 15)
    assert caught.value.details["over_by"] == 1


def test_each_group_has_the_whole_room_and_what_is_kept_is_answered_at_once() -> None:
    """The cells that one group was lent are free again for the next."""

    class Channel:
        def __init__(self) -> None:
            self.sent: list[Any] = []
            self.incoming = [Embed(id=1, texts=("a" * 12, "b" * 12)), Embed(id=2, texts=("b" * 12,))]

        def receive(self, _seconds: float | None) -> list[Any]:
            if len(self.answers()) + len(self.incoming) < 2:
                return []
            if not self.incoming:
                raise Stop
            return [self.incoming.pop(0)]

        def send(self, message: object) -> None:
            self.sent.append(message)

        def answers(self) -> list[Any]:
            return [message for message in self.sent if isinstance(message, Embedded | RequestFailed)]

    options = LoadOptions(path="fake:", context=16)
    channel = Channel()
    with pytest.raises(Stop):
        Loop(FakeBackend(options, encoder=True), options, cast(Any, channel)).run()
    first, second = channel.answers()
    assert isinstance(first, Embedded) and isinstance(second, Embedded), channel.sent
    assert second.result.vectors == first.result.vectors[1:]
    assert second.result.usage.cached_tokens == 14


def test_tokens_in_a_prompt_are_taken_as_they_are_behind_their_segments_text(backend: FakeBackend) -> None:
    prompt = (Segment("ab", tokens=(99, 258)), Segment("<|im_end|>"), Segment("", tokens=(100,)))
    assert Intake(backend).tokenize(prompt) == [256, 97, 98, 99, 258, 259, 100]


@pytest.mark.parametrize("token", [-1, 260, 2**31])
def test_a_token_outside_the_vocabulary_is_refused_before_any_native_call(backend: FakeBackend, token: int) -> None:
    with pytest.raises(InvalidRequest, match="vocabulary"):
        Intake(backend).tokenize((Segment("", tokens=(token,)),))


def test_whose_cache_a_request_is_for_reaches_the_scheduler(backend: FakeBackend) -> None:
    assert Intake(backend).generation(submit("a", cache="editor")).sequence.cache == "editor"
    assert Intake(backend).generation(submit("a")).sequence.cache == "chat"
