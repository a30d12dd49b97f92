"""Every message that crosses the process boundary between a parent and its worker, and nothing else.

A frame is a 4-byte little-endian length followed by one msgpack-encoded message of at most `MAX_FRAME` bytes. The
first frame each way carries `PROTOCOL_VERSION`. The set of types is closed; anything else is a `ProtocolError`.
The worker never asks the parent anything: it answers, and it reports progress.
"""

from __future__ import annotations

from typing import Any

import msgspec

from smidgen.errors import ErrorInfo
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
    memory_limit: bytes of address space the worker may use, 0 for none.
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
    max_queue: int = 256
    vocab_cache: str = ""
    memory_limit: int = 0


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the native library says of the open model.

    can_rewind: cells behind a position can be dropped one by one (false: recurrent or sliding-window memory).
    control_tokens: texts of the tokens that count as control when parsed as special.
    native_template: the chat template the library found in the file, "" if none.
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


# --- parent -> worker -----------------------------------------------------------------------------------------------


class ToWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    pass


class Open(ToWorker, tag="open"):
    """The first message. Answered by `Opened` or `OpenFailed`."""

    version: int
    options: LoadOptions


class Submit(ToWorker, tag="submit"):
    """Start, or after a crash go on with, a generation. `resume_tokens` were emitted before; their text, `resume_bytes`
    bytes of which were delivered, is not sent again."""

    id: int
    request: GenerateRequest
    resume_tokens: tuple[int, ...] = ()
    resume_bytes: int = 0


class Score(ToWorker, tag="score"):
    id: int
    request: ScoreRequest


class Embed(ToWorker, tag="embed"):
    id: int
    texts: tuple[str, ...]


class Tokenize(ToWorker, tag="tokenize"):
    """Answered by `Tokens`."""

    id: int
    prompt: Prompt


class Detokenize(ToWorker, tag="detokenize"):
    """Answered by `Text`."""

    id: int
    tokens: tuple[int, ...]


class RenderNative(ToWorker, tag="render"):
    """Render (role, content) pairs with llama.cpp's own template engine; answered by `Text`. For verification."""

    id: int
    messages: tuple[tuple[str, str], ...]
    add_generation_prompt: bool = True


class Cancel(ToWorker, tag="cancel"):
    """Ends the request with finish reason `cancelled`; unknown ids are ignored."""

    id: int


class GetStats(ToWorker, tag="stats"):
    id: int


class ClearCache(ToWorker, tag="clear"):
    """Drop all idle prefixes. Answered by `Stats`."""

    id: int


class Ping(ToWorker, tag="ping"):
    id: int


class Shutdown(ToWorker, tag="shutdown"):
    """Finish nothing, free the model, exit with status 0."""


# --- worker -> parent -----------------------------------------------------------------------------------------------


class FromWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    pass


class Hello(FromWorker, tag="hello"):
    """The first frame, sent before the native library is imported."""

    version: int
    pid: int


class Loading(FromWorker, tag="loading"):
    """Progress of opening the file, 0.0 to 1.0."""

    fraction: float


class Opened(FromWorker, tag="opened"):
    info: ModelInfo


class OpenFailed(FromWorker, tag="open_failed"):
    error: ErrorInfo


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New tokens of one request. `text` may be empty while characters or stop strings are undecided."""

    id: int
    tokens: tuple[int, ...]
    text: str = ""
    prefilled: tuple[int, int] | None = None
    """(prompt_tokens, cached_tokens), on the first chunk only."""
    logprobs: tuple[TokenLogprob, ...] = ()


class Step(FromWorker, tag="step"):
    """One turn of the decode loop: proof of progress, with what it brought. `decoded` tokens went through the model."""

    number: int
    decoded: int
    chunks: tuple[Chunk, ...] = ()


class Done(FromWorker, tag="done"):
    """End of a generation. `text` is the last, until now held back, piece."""

    id: int
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    text: str = ""
    stop_string: str = ""


class RequestFailed(FromWorker, tag="failed"):
    """End of any request with an error."""

    id: int
    error: ErrorInfo


class Scored(FromWorker, tag="scored"):
    id: int
    result: ScoreResult


class Embedded(FromWorker, tag="embedded"):
    id: int
    result: Embeddings


class Tokens(FromWorker, tag="tokens"):
    id: int
    tokens: tuple[int, ...]


class Text(FromWorker, tag="text"):
    id: int
    text: str


class Stats(FromWorker, tag="stats"):
    """Counters since start: steps, decoded_tokens, prefilled_tokens, cached_tokens, sampled_tokens, forced_tokens,
    evictions, preemptions, grammar_hits, grammar_misses; gauges: running, waiting, cells_used, cells_total."""

    id: int
    values: dict[str, Any]


class Pong(FromWorker, tag="pong"):
    id: int


ParentMessage = (
    Open | Submit | Score | Embed | Tokenize | Detokenize | RenderNative | Cancel | GetStats | ClearCache | Ping | Shutdown
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
