"""What the headers of model files tell, read once for each file and never on the server's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from smidgen.errors import SmidgenError
from smidgen.models.library import ModelFile

VOCABULARIES: Mapping[str, int] = {"llama": 1, "gpt2": 2, "bert": 3, "t5": 4, "rwkv": 5}
"""Numbers of the native library for kinds of tokenizers."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """kind: "chat", "base" (continues text) or "embedding". vocab_type: the native library's number, 0 for others.
    tensor_bytes: of all weights."""

    kind: str
    vocab_type: int
    vocab_size: int
    trained_context: int
    embedding_size: int
    parameters: int
    tensor_bytes: int


class Headers:
    def __init__(self) -> None:
        self._known: dict[str, Header | None] = {}
        self._reading = asyncio.Lock()

    async def of(self, file: ModelFile) -> Header | None:
        """None for a file that can't be read any more. Takes some tenths of a second the first time."""
        async with self._reading:
            if file.sha256 not in self._known:
                self._known[file.sha256] = await asyncio.to_thread(read, file.path)
            return self._known[file.sha256]


def read(path: str) -> Header | None:
    from smidgen.models import gguf
    from smidgen.models.detect import detect

    try:
        header = gguf.read(path)
    except SmidgenError:
        return None
    facts = detect(header)
    return Header(
        kind="embedding" if facts.is_embedding else "chat" if facts.is_chat else "base",
        vocab_type=VOCABULARIES.get(facts.tokenizer, 0),
        vocab_size=facts.vocab_size,
        trained_context=facts.trained_context,
        embedding_size=facts.embedding_size,
        parameters=facts.parameters,
        tensor_bytes=sum(tensor.nbytes for tensor in header.tensors),
    )
