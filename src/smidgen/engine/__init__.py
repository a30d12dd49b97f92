"""ASKS: the Engine contract. An engine turns a request into a stream of events; it never judges what came out.

`engine/local.py` runs a model file in a supervised worker process; `engine/pool.py` holds several of them under one
memory budget. A remote or scripted engine is just another Engine.

local       LocalEngine: the Engine contract over a desk
desk        the one retry authority for crashes: owns requests, sends them, and sends them again
job         one request from acceptance to its end, across workers
quarantine  pure: which request killed the worker
validate    pure: every absurd parameter is a typed error before any native call
pool        several engines under one memory budget
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from smidgen.events import EngineEvent
from smidgen.messages import Embeddings, GenerateRequest, Prompt, ScoreRequest, ScoreResult


@runtime_checkable
class Engine(Protocol):
    """What an agent needs of a model.

    All methods raise the typed errors of smidgen.errors before any work for a request that can't be served
    (InvalidRequest, ContextOverflow, ConstraintError, EngineUnavailable). `generate` yields events and ends in exactly
    one `Generated` or `Failed`; closing the iterator cancels the request within one decode step. The others raise
    DeadlineExceeded when their `timeout_s` (seconds, None for no limit) has passed.
    """

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]: ...

    async def score(self, request: ScoreRequest) -> ScoreResult: ...

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings: ...

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]: ...

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str: ...

    async def stats(self) -> dict[str, Any]: ...

    async def aclose(self) -> None: ...
