"""A server as a user starts it, with real models, shared by the tests of all clients."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from smidgen.errors import SmidgenError
from smidgen.models.library import Library

MODEL = "qwen2.5-coder-0.5b"
SMALLEST = "smollm2-135m"
EMBEDDER = "all-minilm-l6-v2"
START_S = 60

Start = Callable[..., AbstractContextManager["Server"]]


class Server:
    """url: without a slash at the end. process: of smidgen. log: its stderr so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        self.urls: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        return self.urls[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.match(r"listening on (http://\S+)", line):
                self.urls.append(found[1])
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(START_S) and self.urls, "".join(self.log)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/serving" in item.path.as_posix():
            item.add_marker(pytest.mark.model)


@contextmanager
def started(arguments: Sequence[str] = (), *, home: Path, **environment: str) -> Generator[Server]:
    """`smidgen serve` with these arguments on a free port; the models are the user's own, nothing else is."""
    for model in (MODEL, SMALLEST, EMBEDDER):
        try:
            Library().resolve(model)
        except SmidgenError as error:
            pytest.skip(f"{model} is not here: {error}")
    config = home / "config.toml"
    config.touch()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SMIDGEN_")},
        "SMIDGEN_CONFIG": str(config),
        "SMIDGEN_AUDIT": "off",
        "SMIDGEN_TUNED": "off",
        "SMIDGEN_WORKSPACE": str(home),
        **environment,
    }
    command = [sys.executable, "-m", "smidgen", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=home)
    server = Server(process)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        server.stop()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A server of the test's own."""

    @contextmanager
    def own(*arguments: str, **environment: str) -> Generator[Server]:
        with started(arguments, home=tmp_path, **environment) as server:
            yield server

    return own


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One for all tests that only ask."""
    with started(("--model", MODEL), home=tmp_path_factory.mktemp("serving")) as server:
        yield server
