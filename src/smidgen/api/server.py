"""The server: one process that listens, answers until it is told to stop, and then lets go in good order."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import uvicorn

from smidgen.api.agents.runs import Runs
from smidgen.api.app import application
from smidgen.api.manners import connections, require_keys, stack
from smidgen.api.mcp.http import Mounted
from smidgen.api.service import Service
from smidgen.config import Config, Serve
from smidgen.errors import ConfigError, SessionsUnavailable
from smidgen.runtime.runtime import Runtime
from smidgen.sessions import SessionStore

log = logging.getLogger("smidgen.api")

OLLAMA_PORT = 11434


def listening(serve: Serve) -> list[socket.socket]:
    """Bound sockets. Port 0 takes a free one. Raises ConfigError."""
    require_keys(serve)
    ports = (serve.port, OLLAMA_PORT) if serve.ollama else (serve.port,)
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            sockets.append(_bound(serve.host, port))
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host} is no address to listen on: {error.strerror}.") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(1024)
    except OSError as error:
        opened.close()
        hint = "Is another smidgen or Ollama running? Choose another port with --port."
        raise ConfigError(f"Port {port} of {host} can't be had: {error.strerror}.", hint=hint) from error
    opened.setblocking(False)
    return opened


class _Server(uvicorn.Server):
    """Signals are the caller's business; telling when it is ready, too."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def answer(
    config: Config,
    sockets: list[socket.socket],
    *,
    runtime: Runtime | None = None,
    ready: Callable[[Iterable[str]], None] = lambda _: None,
    preload: bool = True,
) -> None:
    """Serves until SIGTERM or SIGINT; requests in flight get `drain_s` seconds to end, a second signal none.

    ready: told the addresses once it listens. preload: load the default model right away."""
    async with runtime or Runtime(config) as opened:
        service = Service(opened, config.serve)
        mcp = Mounted(service, tools=config.serve.mcp_tools)
        runs = Runs(service, await _sessions(config))
        app = stack(application(service, runs, mcp), config.serve)
        settings = uvicorn.Config(
            app,
            http=connections.protocol(config.serve),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=max(1, math.ceil(config.serve.drain_s)),
            timeout_keep_alive=75,
            ws="none",
        )
        addresses = [_address(one) for one in sockets]
        server = _Server(settings, lambda: ready(addresses))
        _until_signalled(server, service, runs)
        loading = asyncio.get_running_loop().create_task(_preloaded(service)) if preload else None
        try:
            await server.serve(sockets)
            await runs.drain(0 if server.force_exit else config.serve.drain_s - service.draining_for())
        finally:
            await mcp.aclose()
            await runs.aclose()
            if loading is not None:
                loading.cancel()
                await asyncio.wait({loading})


async def _sessions(config: Config) -> SessionStore:
    """Where conversations can't be kept, all else goes on, and whoever asks for them is told."""
    store = SessionStore(config.sessions_path())
    try:
        await store.open()
    except SessionsUnavailable as error:
        log.warning("%s", error)
    return store


def _until_signalled(server: uvicorn.Server, service: Service, runs: Runs) -> None:
    def stop() -> None:
        if server.should_exit:
            server.force_exit = True
            runs.hurry()
        server.should_exit = True
        service.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


async def _preloaded(service: Service) -> None:
    """The first request finds the model warm. What goes wrong is told by the log, and to whoever asks."""
    from smidgen.errors import SmidgenError

    try:
        service.keep(service.runtime.model_name)
        await service.runtime.aload(service.runtime.model_name)
    except SmidgenError as error:
        log.warning("%s", error)


def _address(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
