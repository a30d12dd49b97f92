"""The loop in this process, over the fake model: what it decodes and when it speaks."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.llama import DecodeFailed, NoRoom
from smidgen.messages import Constraint, GenerateRequest, Sampling, Segment
from smidgen.testing import FakeBackend
from smidgen.wire import Done, LoadOptions, ParentMessage, RequestFailed, Step, Submit
from smidgen.worker.channel import Channel
from smidgen.worker.loop import Loop, Stop

OPTIONS: Any = LoadOptions
REPETITIVE = "abcabcabd abcabcabd abcabcabd "


class Recorder:
    """A channel that hands over its messages at once, keeps the answers, and stops the loop after the last request."""

    def __init__(self, *messages: ParentMessage) -> None:
        self._incoming = list(messages)
        self._open = sum(isinstance(message, Submit) for message in messages)
        self.sent: list[Any] = []

    def receive(self, _seconds: float | None) -> list[ParentMessage]:
        if not self._open:
            raise Stop
        messages, self._incoming = self._incoming, []
        return messages

    def send(self, message: object) -> None:
        self.sent.append(message)
        self._open -= isinstance(message, Done)

    def text(self, request_id: int) -> str:
        chunks = "".join(c.text for m in self.sent if isinstance(m, Step) for c in m.chunks if c.id == request_id)
        (done,) = [m for m in self.sent if isinstance(m, Done) and m.id == request_id]
        return chunks + done.text

    def tokens(self, request_id: int) -> list[int]:
        return [t for m in self.sent if isinstance(m, Step) for c in m.chunks if c.id == request_id for t in c.tokens]


class Loops(FakeBackend):
    """A model that goes on as the text went on after its last two bytes, at most places: drafts come true there."""

    def __init__(self, options: LoadOptions, truth: float) -> None:
        super().__init__(options)
        self.sizes: list[int] = []
        self._truth = truth
        self._rows_of: dict[int, tuple[int, ...]] = {}

    def decode(self, tokens: Any, positions: Any, sequences: Any, wants_logits: Any) -> None:
        self.sizes.append(len(tokens))
        before = [self.held(owner[0]) for owner in sequences]
        super().decode(tokens, positions, sequences, wants_logits)
        self._rows_of = {}
        for index, (owner, position) in enumerate(zip(sequences, positions.tolist(), strict=True)):
            assert len(before[index]) <= position + 1
            self._rows_of[index] = self.held(owner[0])[: position + 1]

    def logits(self, index: int) -> NDArray[np.float32]:
        row = super().logits(index)
        row[256:] = -np.inf
        held = self._rows_of[index]
        for at in range(len(held) - 3, 1, -1):
            if held[at - 1 : at + 1] == held[-2:] and (held[at + 1] * 31 + len(held)) % 100 < self._truth * 100:
                row[held[at + 1]] = 50.0
                break
        return row


def run(backend: FakeBackend, *messages: Submit, **options: Any) -> Recorder:
    channel = Recorder(*messages)
    with pytest.raises(Stop):
        Loop(backend, OPTIONS(path="fake:", **{"pace_s": 0.0, **options}), cast("Channel", channel)).run()
    return channel


def submit(text: str, request_id: int = 1, **fields: Any) -> Submit:
    fields = {"max_tokens": 60, "ignore_eos": "constraint" not in fields, **fields}
    return Submit(id=request_id, request=GenerateRequest(prompt=(Segment(text),), **fields))


@pytest.mark.parametrize("truth", [1.0, 0.8, 0.3])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_drafts_change_no_token_and_save_steps_where_they_come_true(truth: float, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=7)
    drafting, plain = (Loops(LoadOptions(path="fake:"), truth) for _ in range(2))
    with_drafts = run(drafting, submit(REPETITIVE, sampling=sampling))
    without = run(plain, submit(REPETITIVE, sampling=sampling), drafts=False)
    assert with_drafts.tokens(1) == without.tokens(1)
    assert with_drafts.text(1) == without.text(1)
    assert len(plain.sizes) == 60
    if truth == 1.0:
        assert len(drafting.sizes) < 30


def test_drafts_leave_no_cells_behind() -> None:
    backend = Loops(LoadOptions(path="fake:"), 0.5)
    channel = run(backend, submit(REPETITIVE), submit(REPETITIVE + "x", 2))
    held = sum(len(backend.held(slot)) for slot in range(backend.sequences))
    known = {len(REPETITIVE) + 1 + 59, len(REPETITIVE) + 2 + 59}
    kept = {len(backend.held(slot)) for slot in range(backend.sequences)} - {0}
    assert channel.text(1) and channel.text(2)
    assert kept <= known and held <= sum(known)


def test_a_draft_never_crosses_the_limit_of_tokens() -> None:
    for limit in range(1, 12):
        channel = run(Loops(LoadOptions(path="fake:"), 1.0), submit(REPETITIVE, max_tokens=limit))
        assert len(channel.text(1)) == limit


def test_without_room_a_draft_is_given_up_not_the_request() -> None:
    backend = Loops(LoadOptions(path="fake:", context=len(REPETITIVE) + 1 + 60), 1.0)
    channel = run(backend, submit(REPETITIVE), context=len(REPETITIVE) + 1 + 60)
    assert len(channel.text(1)) == 60

    class NoDrafts(Loops):
        def decode(self, tokens: Any, positions: Any, sequences: Any, wants_logits: Any) -> None:
            if int(np.count_nonzero(wants_logits)) > 1:
                raise NoRoom
            super().decode(tokens, positions, sequences, wants_logits)

    refusing = NoDrafts(LoadOptions(path="fake:"), 1.0)
    assert run(refusing, submit(REPETITIVE)).text(1) == channel.text(1)


def test_constrained_drafts_stay_inside_the_grammar() -> None:
    schema = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 9}}, "required": ["word"]}
    constraint = Constraint(kind="json_schema", source=json.dumps({**schema, "additionalProperties": False}))
    texts: list[str] = []
    for drafts in (True, False):
        backend = Loops(LoadOptions(path="fake:"), 1.0)
        channel = run(backend, submit('say {"word": "tree"} ' * 3, constraint=constraint), drafts=drafts)
        texts.append(channel.text(1))
    assert texts[0] == texts[1]
    assert set(json.loads(texts[0])) == {"word"}


def test_close_steps_share_a_message_but_the_first_token_and_the_end_are_told_at_once() -> None:
    backend = FakeBackend(LoadOptions(path="fake:"))
    channel = run(backend, submit("hello"), submit("other", 2, max_tokens=3), pace_s=3600.0)
    told = [m for m in channel.sent if isinstance(m, Step)]
    assert told[0].chunks and len(told[0].chunks[0].tokens) == 1
    assert len(told) == 3  # the first tokens; the end of 2, with what 1 has by then; the end of 1
    every_step = run(FakeBackend(LoadOptions(path="fake:")), submit("hello"), submit("other", 2, max_tokens=3))
    assert sum(isinstance(m, Step) for m in every_step.sent) > 50
    assert channel.tokens(1) == every_step.tokens(1)
    assert channel.text(2) == every_step.text(2)
    assert sum(m.decoded for m in told) == sum(m.decoded for m in every_step.sent if isinstance(m, Step))


def test_a_constrained_request_is_announced_when_it_draws_not_when_its_grammar_forces() -> None:
    schema = {"type": "object", "properties": {"a_rather_long_name": {"type": "boolean"}}}
    schema |= {"required": ["a_rather_long_name"], "additionalProperties": False}
    constraint = Constraint(kind="json_schema", source=json.dumps(schema))
    prompt = "abc " * 60
    channel = run(
        FakeBackend(LoadOptions(path="fake:", batch=32)),
        submit(prompt, constraint=constraint),
        submit("other", 2),
        batch=32,
    )
    announced = [
        c.prefilled for m in channel.sent if isinstance(m, Step) for c in m.chunks if c.id == 1 and c.prefilled
    ]
    assert len(announced) == 1
    steps = [m for m in channel.sent if isinstance(m, Step)]
    at = next(i for i, m in enumerate(steps) if any(c.id == 1 for c in m.chunks))
    assert sum(m.decoded for m in steps[: at + 1]) > len(prompt)
    assert set(json.loads(channel.text(1))) == {"a_rather_long_name"}


def test_what_was_drawn_is_told_before_a_failure_and_before_a_long_step() -> None:
    class Breaks(FakeBackend):
        def decode(self, tokens: Any, positions: Any, sequences: Any, wants_logits: Any) -> None:
            if int(positions[0]) == 20:
                raise DecodeFailed(-3)
            super().decode(tokens, positions, sequences, wants_logits)

    class UntilFailed(Recorder):
        def send(self, message: object) -> None:
            super().send(message)
            self._open -= isinstance(message, RequestFailed)

    channel = UntilFailed(submit("hello"))
    with pytest.raises(Stop):
        Loop(Breaks(LoadOptions(path="fake:")), OPTIONS(path="fake:", pace_s=3600.0), cast("Channel", channel)).run()
    assert isinstance(channel.sent[-1], RequestFailed)
    assert len(channel.tokens(1)) == 20 - len("hello")

    class Late(Recorder):
        """The second request comes when the first has drawn some."""

        def __init__(self) -> None:
            super().__init__(submit("hello"), submit("x" * 100, 2, max_tokens=2))
            self._turns = 0

        def receive(self, _seconds: float | None) -> list[ParentMessage]:
            if not self._open:
                raise Stop
            self._turns += 1
            at = {1: 0, 10: 1}.get(self._turns)
            return [] if at is None else [self._incoming[at]]

    late = Late()
    with pytest.raises(Stop):
        Loop(FakeBackend(LoadOptions(path="fake:")), OPTIONS(path="fake:", pace_s=3600.0), cast("Channel", late)).run()
    first_of_two = next(i for i, m in enumerate(late.sent) if isinstance(m, Step) and any(c.id == 2 for c in m.chunks))
    before = [t for m in late.sent[:first_of_two] for c in m.chunks if c.id == 1 for t in c.tokens]
    assert len(before) == 9
