"""The loop: receive, plan, decode, sample, emit. Synchronous, single-threaded; it reports progress itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from smidgen.errors import DeadlineExceeded, EngineBusy, EngineError, InvalidRequest, OutOfMemory, SmidgenError
from smidgen.events import FinishReason
from smidgen.llama import Backend, DecodeFailed, NoRoom
from smidgen.wire import (
    Cancel,
    ClearCache,
    Detokenize,
    Embed,
    Embedded,
    GetStats,
    LoadOptions,
    Open,
    ParentMessage,
    Ping,
    Pong,
    RenderNative,
    RequestFailed,
    Score,
    Scored,
    Shutdown,
    Stats,
    Step,
    Submit,
    Text,
    Tokenize,
    Tokens,
)
from smidgen.worker.channel import Channel
from smidgen.worker.constrain import Grammars
from smidgen.worker.embed import Embedding, KeptVectors
from smidgen.worker.generation import Generation
from smidgen.worker.intake import Intake
from smidgen.worker.scheduler import Copy, Operation, Scheduler
from smidgen.worker.score import Scoring
from smidgen.worker.sequence import Sequence
from smidgen.worker.turn import Outcome, Turn

TELL_WAITING_S = 1.0
SHORT_STEP = 16
"""Tokens of a step that what was drawn before may wait for."""
NOTHING_READY_S = 0.02
"""How long to wait for messages when requests are there but none can be decoded (a grammar is being prepared)."""


class Stop(Exception):
    """The parent asked the worker to end."""


class Loop:
    def __init__(self, backend: Backend, options: LoadOptions, channel: Channel) -> None:
        self._backend = backend
        self._channel = channel
        self._info = backend.info
        self._max_queue = options.max_queue
        self._pace_s = options.pace_s
        self._intake = Intake(backend, options.forced_tokens)
        self._scheduler = Scheduler(
            slots=backend.sequences,
            cells=self._info.context,
            batch=backend.batch,
            outputs=backend.outputs,
            can_rewind=self._info.can_rewind,
        )
        self._grammars = Grammars(backend.grammar_tokenizer, self._info.vocab_size)
        self._generations: dict[int, Generation] = {}
        self._scorings: dict[int, tuple[Scoring, Sequence]] = {}
        self._embeddings: dict[int, Embedding] = {}
        self._kept_vectors = KeptVectors()
        self._steps = 0
        self._told_at = 0.0
        self._untold = 0
        self._first_token = False
        self._counters: dict[str, int] = dict.fromkeys(
            (
                "decoded_tokens",
                "prefilled_tokens",
                "cached_tokens",
                "sampled_tokens",
                "forced_tokens",
                "drafted_tokens",
                "accepted_tokens",
            ),
            0,
        )
        self._turns = Turn(
            backend, self._scheduler, self._generations, self._scorings, self._counters, drafts=options.drafts
        )

    def run(self) -> None:
        """Until Stop or ParentGone."""
        while True:
            self._receive()
            self._attach_grammars()
            self._expire()
            self._turn()
            self._embed_turn()

    # --- receiving --------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        if self._embeddings or any(sequence.pending > 0 for sequence in self._scheduler.running):
            seconds = 0.0
        elif self._scheduler.running:
            seconds = NOTHING_READY_S
        else:
            seconds = 0.0 if self._scheduler.waiting else None
        for message in self._channel.receive(seconds):
            self._handle(message)

    def _handle(self, message: ParentMessage) -> None:
        match message:
            case Submit():
                self._guarded(message.id, lambda: self._submit(message))
            case Score():
                self._guarded(message.id, lambda: self._score(message))
            case Embed():
                self._guarded(message.id, lambda: self._embed(message))
            case Tokenize():
                self._guarded(message.id, lambda: self._answer_tokens(message))
            case Detokenize():
                self._guarded(message.id, lambda: self._answer_text(message))
            case RenderNative():
                self._guarded(message.id, lambda: self._render(message))
            case Cancel():
                self._cancel(message.id)
            case GetStats():
                self._channel.send(Stats(id=message.id, values=self._stats()))
            case ClearCache():
                self._perform(self._scheduler.clear())
                self._channel.send(Stats(id=message.id, values=self._stats()))
            case Ping():
                self._channel.send(Pong(id=message.id))
            case Shutdown():
                raise Stop
            case Open():
                raise InvalidRequest("The model is open already.")

    def _guarded(self, request_id: int, action: Callable[[], None]) -> None:
        """A request's typed error is its own; anything else is a bug and ends the worker."""
        try:
            action()
        except SmidgenError as error:
            self._channel.send(RequestFailed(id=request_id, error=error.info()))

    def _submit(self, message: Submit) -> None:
        self._check_queue()
        generation = self._intake.generation(message)
        generation.replay(self._backend)
        if generation.sequence.held:
            self._grammars.prepare()
        self._generations[message.id] = generation
        self._scheduler.add(generation.sequence)
        if generation.ended is not None:
            self._finish(generation, generation.ended)

    def _score(self, message: Score) -> None:
        self._check_queue()
        scoring, sequence = self._intake.scoring(message)
        self._scorings[message.id] = scoring, sequence
        self._scheduler.add(sequence)

    def _check_queue(self) -> None:
        if len(self._scheduler.waiting) >= self._max_queue:
            raise EngineBusy(f"{self._max_queue} requests are waiting already.", hint="Try again in a moment.")

    def _embed(self, message: Embed) -> None:
        texts = [self._intake.text_to_embed(text) for text in message.texts]
        embedding = Embedding(texts, self._backend, self._kept_vectors)
        if embedding.result is not None:
            self._channel.send(Embedded(id=message.id, result=embedding.result))
        else:
            self._embeddings[message.id] = embedding

    def _answer_tokens(self, message: Tokenize) -> None:
        self._channel.send(Tokens(id=message.id, tokens=tuple(self._intake.tokenize(message.prompt))))

    def _answer_text(self, message: Detokenize) -> None:
        text = b"".join(self._backend.piece(token) for token in message.tokens).decode(errors="replace")
        self._channel.send(Text(id=message.id, text=text))

    def _render(self, message: RenderNative) -> None:
        text = self._backend.render(message.messages, message.add_generation_prompt)
        self._channel.send(Text(id=message.id, text=text))

    # --- endings ----------------------------------------------------------------------------------------------------

    def _cancel(self, request_id: int) -> None:
        if request_id in self._generations:
            self._finish(self._generations[request_id], "cancelled")
        elif request_id in self._scorings:
            _, sequence = self._scorings.pop(request_id)
            self._perform(self._scheduler.finish(sequence))
        elif request_id in self._embeddings:
            self._drop_embedding(request_id)

    def _expire(self) -> None:
        now = time.monotonic()
        for generation in [g for g in self._generations.values() if g.sequence.deadline <= now]:
            self._finish(generation, "deadline")
        for request_id, (_, sequence) in list(self._scorings.items()):
            if sequence.deadline <= now:
                self._fail(request_id, sequence, DeadlineExceeded("The deadline passed before the scores were there."))

    def _finish(self, generation: Generation, reason: FinishReason) -> None:
        del self._generations[generation.id]
        self._perform(self._scheduler.finish(generation.sequence))
        chunk = generation.take_chunk()
        if chunk is not None:
            self._channel.send(Step(number=self._steps, decoded=0, chunks=(chunk,)))
        done = generation.done(reason)
        self._counters["forced_tokens"] += done.usage.forced_tokens
        self._channel.send(done)

    def _fail(self, request_id: int, sequence: Sequence, error: SmidgenError) -> None:
        generation = self._generations.pop(request_id, None)
        self._scorings.pop(request_id, None)
        self._perform(self._scheduler.finish(sequence, keep=False))
        if generation is not None and generation.sampled_at and (chunk := generation.take_chunk()) is not None:
            self._channel.send(Step(number=self._steps, decoded=0, chunks=(chunk,)))
        self._channel.send(RequestFailed(id=request_id, error=error.info()))

    # --- decoding ---------------------------------------------------------------------------------------------------

    def _attach_grammars(self) -> None:
        if not self._grammars.ready:
            return
        for generation in [g for g in self._generations.values() if g.sequence.held]:
            constraint = generation.request.constraint
            self._tell_before(self._info.context)
            try:
                if constraint is not None:
                    generation.use_matcher(self._grammars.matcher(constraint), self._backend)
            except SmidgenError as error:
                self._fail(generation.id, generation.sequence, error)
                continue
            if generation.ended is not None:
                self._finish(generation, generation.ended)

    def _turn(self) -> None:
        plan = self._scheduler.plan()
        self._perform(plan.operations)
        if not plan.work:
            self._tell_waiting()
            return
        now = time.perf_counter()
        for sequence, *_ in plan.work:
            generation = self._generations.get(sequence.id)
            if generation is not None and not generation.started_at:
                generation.started_at = now
                self._counters["cached_tokens"] += max(sequence.cached, 0)
        self._tell_before(sum(item.size for item in plan.work))
        try:
            self._turns.decode(plan.work)
        except NoRoom:
            self._scheduler.admitting = False
            room = self._scheduler.make_room()
            self._perform(room)
            if not room:
                for sequence, *_ in plan.work:
                    self._fail(sequence.id, sequence, OutOfMemory("The KV cache has no room for this request."))
            return
        except (DecodeFailed, SmidgenError) as error:
            for sequence, *_ in plan.work:
                self._fail(sequence.id, sequence, _typed(error))
            return
        operations, outcome = self._turns.commit(plan.work)
        self._perform(operations)
        self._conclude(outcome)

    def _tell_waiting(self) -> None:
        """Requests are there but none can be decoded, because a grammar is being prepared: that is progress too."""
        late = self._scheduler.running and time.monotonic() - self._told_at >= TELL_WAITING_S
        if self._untold or late:
            self._tell()

    def _conclude(self, outcome: Outcome) -> None:
        self._first_token |= outcome.started
        self._count_step(outcome.decoded, tell=bool(outcome.ended or outcome.failed))
        for sequence, error in outcome.failed:
            self._fail(sequence.id, sequence, error)
        for generation in outcome.ended:
            self._finish(generation, generation.ended or "stop")
        for sequence in outcome.scored:
            self._finish_scoring(sequence)

    def _finish_scoring(self, sequence: Sequence) -> None:
        """Decode the candidates below the prompt, all at once if there is room, and answer."""
        scoring, _ = self._scorings[sequence.id]
        self._tell_before(self._info.context)
        slots: list[int] = []
        try:
            if scoring.leaves:
                while not slots:
                    slots, operations = self._scheduler.take_slots(scoring.leaves)
                    self._perform(operations)
                    if not slots:
                        self._make_room(sequence)
                while self._scheduler.free_cells < scoring.longest:
                    self._make_room(sequence)
                scoring.run(
                    self._backend,
                    sequence.slot,
                    sequence.computed,
                    slots,
                    self._scheduler.free_cells,
                    self._count_step,
                )
            result = scoring.result(sequence.prompt_length, max(sequence.cached, 0))
        except NoRoom:
            self._fail(sequence.id, sequence, OutOfMemory("The KV cache has no room for these candidates."))
        except (SmidgenError, DecodeFailed) as error:
            self._fail(sequence.id, sequence, _typed(error))
        else:
            del self._scorings[sequence.id]
            self._perform(self._scheduler.finish(sequence))
            self._channel.send(Scored(id=sequence.id, result=result))
        finally:
            self._scheduler.return_slots(slots)

    def _make_room(self, keep: Sequence | None = None) -> None:
        """Raises NoRoom when nothing is left to free."""
        room = self._scheduler.make_room(keep)
        if not room:
            raise NoRoom
        self._perform(room)

    def _embed_turn(self) -> None:
        """One batch of the oldest request for embeddings, between two turns of the streams."""
        if not self._embeddings:
            return
        request_id, embedding = next(iter(self._embeddings.items()))
        self._tell_before(self._info.context)
        try:
            if embedding.starts_group:
                self._scheduler.lent = 0  # the group before has given its cells back
                while self._scheduler.free_cells < embedding.cells_wanted:
                    self._make_room()
                self._scheduler.lent = embedding.cells_wanted
            decoded = embedding.advance()
        except NoRoom:
            self._drop_embedding(request_id)
            busy = bool(self._scheduler.running)
            error = OutOfMemory("The KV cache has no room to embed this text now.", retryable=busy)
            self._channel.send(RequestFailed(id=request_id, error=error.info()))
            return
        except (SmidgenError, DecodeFailed) as error:
            self._drop_embedding(request_id)
            self._channel.send(RequestFailed(id=request_id, error=_typed(error).info()))
            return
        self._count_step(decoded)
        if embedding.result is not None:
            self._drop_embedding(request_id)
            self._channel.send(Embedded(id=request_id, result=embedding.result))

    def _drop_embedding(self, request_id: int) -> None:
        self._embeddings.pop(request_id).close()
        self._scheduler.lent = 0

    def _count_step(self, decoded: int, tell: bool = False) -> None:
        """A decode is done. What it brought goes out at once if it ends a request or is a request's first token, else
        at most once per `pace_s`: on two cores every message that wakes the parent takes time from the decode."""
        self._steps += 1
        self._counters["decoded_tokens"] += decoded
        self._untold += decoded
        if tell or self._first_token or time.monotonic() - self._told_at >= self._pace_s:
            self._tell()

    def _tell(self) -> None:
        """What the steps since the last message brought. A request is announced with its first drawn token."""
        drawing = [generation for generation in self._generations.values() if generation.sampled_at]
        chunks = [chunk for generation in drawing if (chunk := generation.take_chunk())]
        self._channel.send(Step(number=self._steps, decoded=self._untold, chunks=tuple(chunks)))
        self._told_at, self._untold, self._first_token = time.monotonic(), 0, False

    def _tell_before(self, tokens: int) -> None:
        """Nothing drawn waits for a long step to end."""
        if self._untold and tokens > SHORT_STEP:
            self._tell()

    def _perform(self, operations: list[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, Copy):
                self._backend.copy(operation.source, operation.target, operation.length)
            else:
                self._backend.drop(operation.slot)

    def _stats(self) -> dict[str, int | float]:
        scheduler = self._scheduler
        return {
            "steps": self._steps,
            **self._counters,
            "token_cache_hits": self._intake.hits,
            "token_cache_misses": self._intake.misses,
            "kept_vector_hits": self._kept_vectors.hits,
            "kept_vector_misses": self._kept_vectors.misses,
            "evictions": scheduler.evictions,
            "preemptions": scheduler.preemptions,
            "grammar_hits": self._grammars.hits,
            "grammar_misses": self._grammars.misses,
            "running": len(scheduler.running),
            "waiting": len(scheduler.waiting),
            "idle_prefixes": scheduler.idle_prefixes,
            "cells_used": scheduler.tree.cells,
            "cells_total": scheduler.cells,
        }


def _typed(error: SmidgenError | DecodeFailed) -> SmidgenError:
    return error if isinstance(error, SmidgenError) else EngineError(f"The model failed on this input ({error}).")
