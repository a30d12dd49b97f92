"""One client, on standard input and output, which are the protocol's alone while it lasts: what anything else would
print goes to standard error, and what it would read is at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import Server
from mcp.shared.message import SessionMessage

from smidgen.errors import ConfigError
from smidgen.tools.threads import in_daemon_thread

_AT_ONCE = 65536

Incoming = SessionMessage | Exception


async def talk(protocol: Server[Any]) -> None:
    """Until the client closes its end, or reads no more. Raises ConfigError where there is nothing to talk on."""
    with claimed() as (reading, writing):
        async with _streams(reading, writing) as (incoming, outgoing):
            await protocol.run(incoming, outgoing, protocol.create_initialization_options())


@contextmanager
def claimed() -> Generator[tuple[int, int]]:
    """Descriptors of what were standard input and output. Raises ConfigError where one of them is closed."""
    try:
        reading, writing = os.dup(0), os.dup(1)
    except OSError as error:
        raise ConfigError(
            "Standard input or output is closed.", hint="Programs that speak the protocol start this command."
        ) from error
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        yield reading, writing
    finally:
        sys.stdout.flush()
        os.dup2(reading, 0)
        os.dup2(writing, 1)
        os.close(writing)
        # A thread may still read from the other one, which must not become some other file's number meanwhile.


@asynccontextmanager
async def _streams(
    reading: int, writing: int
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]]:
    to_server, incoming = anyio.create_memory_object_stream[Incoming](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_read, reading, to_server)
        group.start_soon(_write, writing, from_server, group.cancel_scope)
        async with incoming, outgoing:
            yield incoming, outgoing
        # What was answered last is still written; then nothing more is read.
        group.cancel_scope.cancel()


async def _read(descriptor: int, to_server: MemoryObjectSendStream[Incoming]) -> None:
    """Lines, of any length. A thread that is stuck in reading holds up nobody: not this task, and no exit."""
    begun = bytearray()
    async with to_server:
        while data := await in_daemon_thread(_chunk, descriptor=descriptor):
            *lines, rest = data.split(b"\n")
            for line in lines:
                begun += line
                if begun.strip():
                    await to_server.send(_message(bytes(begun)))
                begun.clear()
            begun += rest


def _chunk(descriptor: int) -> bytes:
    """b"" at the end."""
    return os.read(descriptor, _AT_ONCE)


def _message(line: bytes) -> Incoming:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(
    descriptor: int, from_server: MemoryObjectReceiveStream[SessionMessage], scope: anyio.CancelScope
) -> None:
    async with from_server:
        async for message in from_server:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
            try:
                await in_daemon_thread(_all_written, descriptor=descriptor, data=line.encode())
            except OSError:  # the client is gone
                scope.cancel()
                return


def _all_written(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
