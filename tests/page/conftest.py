"""A server as a user starts it, with a real model, and a real browser that looks at its page."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, sync_playwright

from smidgen.errors import SmidgenError
from smidgen.models.library import Library

MODEL = "qwen2.5-coder-0.5b"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
START_S = 60
PATIENCE_MS = 30_000

Open = Callable[..., "Reader"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/page" in item.path.as_posix():
            item.add_marker(pytest.mark.model)


class Server:
    """`smidgen serve` on a port that it keeps over restarts; sessions and workspace are in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.workspace = home / "workspace"
        self.workspace.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, arguments: Sequence[str] = ()) -> None:
        config = self.home / "config.toml"
        config.touch()
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SMIDGEN_")},
            "SMIDGEN_CONFIG": str(config),
            "SMIDGEN_AUDIT": "off",
            "SMIDGEN_TUNED": "off",
            "SMIDGEN_WORKSPACE": str(self.workspace),
            "SMIDGEN_SESSIONS": str(self.home / "sessions.sqlite"),
        }
        command = [sys.executable, "-m", "smidgen", "serve", "--model", MODEL, "--port", str(self.port), *arguments]
        self._process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=self.home)
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process, ready), daemon=True)
        self._reader.start()
        assert ready.wait(START_S) and self._process.poll() is None, "".join(self.log)

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line)
            if re.match(r"listening on http", line):
                ready.set()
        ready.set()

    def stop(self, number: int = signal.SIGTERM) -> None:
        process, reader = self._process, self._reader
        assert process is not None and reader is not None and process.stderr is not None
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        reader.join(10)
        process.stderr.close()


@contextmanager
def serving(home: Path) -> Generator[Server]:
    try:
        Library().resolve(MODEL)
    except SmidgenError as error:
        pytest.skip(f"{MODEL} is not here: {error}")
    server = Server(home)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One for all tests that leave it running."""
    with serving(tmp_path_factory.mktemp("page")) as started:
        yield started


@pytest.fixture
def own_server(tmp_path: Path) -> Generator[Server]:
    """For a test that kills it."""
    with serving(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Of a module, as its event loop must be gone before tests that have loops of their own."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not here")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


class Watched:
    """What a page does that none of its tests wants: messages of errors, requests to elsewhere."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.errors: list[str] = []
        self.elsewhere: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "blob:", "data:")):
            self.elsewhere.append(request.url)


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Watched:
    server = request.getfixturevalue("own_server" if "own_server" in request.fixturenames else "server")
    return Watched(server.url)


class Reader:
    """What a person does with the page, in their words."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def latest(self) -> Locator:
        return self.page.locator(".exchange").last

    def ask(self, text: str) -> None:
        self.page.get_by_label("Your question").fill(text)
        self.page.keyboard.press("Enter")

    def answer(self) -> str:
        """Waits for the latest answer, and gives its text."""
        self.latest.locator(".receipt").wait_for()
        return self.latest.locator(".md").inner_text()

    def told(self) -> str:
        """What the latest answer comes with: notes and warnings."""
        return self.latest.locator(".notes").inner_text()

    def explain(self) -> Locator:
        """Opens how the latest answer came about."""
        self.latest.locator(".strategy").click()
        details = self.latest.locator(".details")
        details.locator(".story").wait_for()
        return details


@pytest.fixture
def open_page(browser: Browser, watched: Watched) -> Generator[Open]:
    """Opens the page in a browser profile of its own, with choices kept from an earlier visit."""
    contexts: list[BrowserContext] = []

    def opened(
        width: int = 1280, height: int = 800, *, scheme: str = "light", address: str = "/", **kept: object
    ) -> Reader:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        watched.watch(page)
        for name, value in kept.items():
            page.add_init_script(f"localStorage['smidgen.{name}'] ??= {json.dumps(json.dumps(value))}")
        page.goto(f"{watched.origin}{address}")
        return Reader(page)

    yield opened
    for context in contexts:
        context.close()
    assert watched.elsewhere == []
    assert watched.errors == []
