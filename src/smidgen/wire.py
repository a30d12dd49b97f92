"""Every message that crosses the process boundary between a parent and its worker, and nothing else.

A frame is a 4-byte little-endian length followed by one msgpack-encoded message of at most `MAX_FRAME` bytes. The
first frame each way carries `PROTOCOL_VERSION`. The set of types is closed; anything else is a `ProtocolError`.
The worker never asks the parent anything: it answers, and it reports progress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from smidgen.errors import ErrorInfo, ProtocolError
from smidgen.events import FinishReason, TokenLogprob
from smidgen.messages import (
    Embeddings,
    GenerateRequest,
    Prompt,
    ScoreRequest,
    ScoreResult,
    Timings,
    Usage,
)

PROTOCOL_VERSION = 1
MAX_FRAME = 64 * 1024 * 1024


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to open a model file. All figures were chosen by the parent (models/fit) before the worker started.

    context: cells of the KV cache shared by all sequences. batch: tokens per decode at most (512).
    threads: for decode and prefill. gpu_layers: 0 for CPU only. kv_bits: 16 or 8.
    swa_full: keep all cells of sliding-window layers, so that the memory can rewind.
    sequences: concurrent sequences including cached prefixes. vocab_cache: folder for tokenizer tables, or "".
    memory_limit: bytes of address space the worker may use, 0 for none. pace_s: steps closer together than this many
    seconds share a message. forced_tokens: append what a grammar forces without sampling it. drafts: decode likely
    continuations together with the pending token.
    """

    path: str
    sha256: str = ""
    context: int = 4096
    batch: int = 512
    threads: int = 0
    gpu_layers: int = 0
    kv_bits: int = 16
    swa_full: bool = True
    sequences: int = 64
    use_mmap: bool = True
    embeddings: bool = False
    forced_tokens: bool = True
    drafts: bool = True
    max_queue: int = 256
    vocab_cache: str = ""
    memory_limit: int = 0
    pace_s: float = 0.025


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the native library says of the open model.

    can_rewind: cells behind a position can be dropped one by one (false: recurrent or sliding-window memory).
    control_tokens: texts of the tokens that count as control when parsed as special.
    native_template: the chat template the library found in the file, "" if none.
    closing: the token that ends a text to embed, -1 if the model wants none.
    """

    library: str
    description: str
    vocab_size: int
    context: int
    trained_context: int
    embedding_size: int
    layers: int
    parameters: int
    size_bytes: int
    state_bytes: int
    can_rewind: bool
    is_encoder_only: bool
    has_encoder: bool
    add_bos: bool
    bos: int
    eos: int
    end_tokens: tuple[int, ...]
    control_tokens: tuple[str, ...]
    devices: tuple[str, ...]
    gpu_layers: int
    load_seconds: float
    native_template: str = ""
    closing: int = -1


# --- parent -> worker -----------------------------------------------------------------------------------------------


class ToWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    pass


class Open(ToWorker, frozen=True, kw_only=True, tag="open"):
    """The first message. Answered by `Opened` or `OpenFailed`."""

    version: int
    options: LoadOptions


class Submit(ToWorker, frozen=True, kw_only=True, tag="submit"):
    """Start, or after a crash go on with, a generation. `resume_tokens` were emitted before; their text, `resume_bytes`
    bytes of which were delivered, is not sent again."""

    id: int
    request: GenerateRequest
    resume_tokens: tuple[int, ...] = ()
    resume_bytes: int = 0


class Score(ToWorker, frozen=True, kw_only=True, tag="score"):
    id: int
    request: ScoreRequest


class Embed(ToWorker, frozen=True, kw_only=True, tag="embed"):
    id: int
    texts: tuple[str, ...]


class Tokenize(ToWorker, frozen=True, kw_only=True, tag="tokenize"):
    """Answered by `Tokens`."""

    id: int
    prompt: Prompt


class Detokenize(ToWorker, frozen=True, kw_only=True, tag="detokenize"):
    """Answered by `Text`."""

    id: int
    tokens: tuple[int, ...]


class RenderNative(ToWorker, frozen=True, kw_only=True, tag="render"):
    """Render (role, content) pairs with llama.cpp's own template engine; answered by `Text`. For verification."""

    id: int
    messages: tuple[tuple[str, str], ...]
    add_generation_prompt: bool = True


class Cancel(ToWorker, frozen=True, kw_only=True, tag="cancel"):
    """Ends the request with finish reason `cancelled`; unknown ids are ignored."""

    id: int


class GetStats(ToWorker, frozen=True, kw_only=True, tag="stats"):
    id: int


class ClearCache(ToWorker, frozen=True, kw_only=True, tag="clear"):
    """Drop all idle prefixes. Answered by `Stats`."""

    id: int


class Ping(ToWorker, frozen=True, kw_only=True, tag="ping"):
    id: int


class Shutdown(ToWorker, frozen=True, kw_only=True, tag="shutdown"):
    """Finish nothing, free the model, exit with status 0."""


# --- worker -> parent -----------------------------------------------------------------------------------------------


class FromWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    pass


class Hello(FromWorker, frozen=True, kw_only=True, tag="hello"):
    """The first frame, sent before the native library is imported."""

    version: int
    pid: int


class Loading(FromWorker, frozen=True, kw_only=True, tag="loading"):
    """Progress of opening the file, 0.0 to 1.0."""

    fraction: float


class Opened(FromWorker, frozen=True, kw_only=True, tag="opened"):
    info: ModelInfo


class OpenFailed(FromWorker, frozen=True, kw_only=True, tag="open_failed"):
    error: ErrorInfo


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New tokens of one request. `text` may be empty while characters or stop strings are undecided."""

    id: int
    tokens: tuple[int, ...]
    text: str = ""
    prefilled: tuple[int, int] | None = None
    """(prompt_tokens, cached_tokens), on the first chunk only."""
    logprobs: tuple[TokenLogprob, ...] = ()


class Step(FromWorker, frozen=True, kw_only=True, tag="step"):
    """One turn of the decode loop: proof of progress, with what it brought. `decoded` tokens went through the model."""

    number: int
    decoded: int
    chunks: tuple[Chunk, ...] = ()


class Done(FromWorker, frozen=True, kw_only=True, tag="done"):
    """End of a generation. `text` is the last, until now held back, piece."""

    id: int
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    text: str = ""
    stop_string: str = ""


class RequestFailed(FromWorker, frozen=True, kw_only=True, tag="failed"):
    """End of any request with an error."""

    id: int
    error: ErrorInfo


class Scored(FromWorker, frozen=True, kw_only=True, tag="scored"):
    id: int
    result: ScoreResult


class Embedded(FromWorker, frozen=True, kw_only=True, tag="embedded"):
    id: int
    result: Embeddings


class Tokens(FromWorker, frozen=True, kw_only=True, tag="tokens"):
    id: int
    tokens: tuple[int, ...]


class Text(FromWorker, frozen=True, kw_only=True, tag="text"):
    id: int
    text: str


class Stats(FromWorker, frozen=True, kw_only=True, tag="stats"):
    """Counters since start: steps, decoded_tokens, prefilled_tokens, cached_tokens, sampled_tokens, forced_tokens,
    evictions, preemptions, grammar_hits, grammar_misses; gauges: running, waiting, cells_used, cells_total."""

    id: int
    values: dict[str, Any]


class Pong(FromWorker, frozen=True, kw_only=True, tag="pong"):
    id: int


ParentMessage = (
    Open
    | Submit
    | Score
    | Embed
    | Tokenize
    | Detokenize
    | RenderNative
    | Cancel
    | GetStats
    | ClearCache
    | Ping
    | Shutdown
)
WorkerMessage = (
    Hello
    | Loading
    | Opened
    | OpenFailed
    | Step
    | Done
    | RequestFailed
    | Scored
    | Embedded
    | Tokens
    | Text
    | Stats
    | Pong
)

encode = msgspec.msgpack.Encoder().encode
_decode_parent = msgspec.msgpack.Decoder(ParentMessage)
_decode_worker = msgspec.msgpack.Decoder(WorkerMessage)


def decode_from_parent(frame: bytes | memoryview) -> ParentMessage:
    """Raises msgspec.DecodeError on anything outside the closed set."""
    return _decode_parent.decode(frame)


def decode_from_worker(frame: bytes | memoryview) -> WorkerMessage:
    """Raises msgspec.DecodeError on anything outside the closed set."""
    return _decode_worker.decode(frame)


# --- frames ---------------------------------------------------------------------------------------------------------

_HEADER = 4
M = TypeVar("M")


def frame(message: ParentMessage | WorkerMessage) -> bytes:
    """The message as it goes over the socket. Raises ProtocolError for one over MAX_FRAME bytes."""
    body = encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(
            f"A message of {len(body)} bytes is over the limit of {MAX_FRAME}.",
            hint="Send fewer texts at once.",
            retryable=False,
            size=len(body),
        )
    return len(body).to_bytes(_HEADER, "little") + body


class FrameReader(Generic[M]):
    """Incremental reader of frames: bytes in, whole messages out; does no I/O.

    `decode` is `decode_from_parent` or `decode_from_worker`. After a ProtocolError the stream has lost its place, and
    every further `feed` raises again. At most one frame (`MAX_FRAME` bytes) is held between calls.
    """

    def __init__(self, decode: Callable[[bytes | memoryview], M], max_frame: int = MAX_FRAME) -> None:
        self._decode = decode
        self._max_frame = max_frame
        self._held = bytearray()
        self._broken = ""

    @property
    def pending(self) -> int:
        """Bytes of a frame that isn't complete yet. Not 0 at the end of the stream means a truncated frame."""
        return len(self._held)

    def feed(self, data: bytes | bytearray | memoryview) -> list[M]:
        """The messages completed by `data`. Raises ProtocolError on an oversized frame or one that doesn't decode."""
        if self._broken:
            raise ProtocolError(self._broken)
        held = self._held
        held += data
        messages: list[M] = []
        start = 0
        with memoryview(held) as view:
            while len(held) - start >= _HEADER:
                size = int.from_bytes(view[start : start + _HEADER], "little")
                if size > self._max_frame:
                    self._fail(f"A frame announces {size} bytes; at most {self._max_frame} are allowed.")
                if len(held) - start - _HEADER < size:
                    break
                begin = start + _HEADER
                try:
                    messages.append(self._decode(bytes(view[begin : begin + size])))
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    self._fail(f"A frame of {size} bytes isn't a known message: {error}.")
                start = begin + size
        del held[:start]
        return messages

    def _fail(self, why: str) -> NoReturn:
        self._broken = why
        raise ProtocolError(why, hint="The worker is replaced; if this happens again, report it.")
