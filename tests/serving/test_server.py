"""`smidgen serve` as a process: how it starts, what ends a request, how it stops, and what survives its death."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

SMALLEST = "smollm2-135m"
Start = Callable[..., Any]
LONG = {"messages": [{"role": "user", "content": "Write a very long story about the sea."}], "stream": True}


def chunks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Of a stream, up to and without `[DONE]`."""
    for line in lines:
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line[6:])
    raise AssertionError("the stream broke off")


def text_of(found: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in found for choice in chunk["choices"])


def metric(url: str, name: str) -> float:
    """A counter with labels is 0 as long as nothing was counted; all else must be there."""
    page = httpx2.get(f"{url}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found or "{" in name, name
    return float(found[1]) if found else 0.0


def until(holds: Callable[[], bool]) -> None:
    """Within a time that only a server that hangs exceeds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "smidgen.worker" in " ".join(child.cmdline())]


def test_killed_workers_are_a_pause_in_the_stream(start: Start) -> None:
    asked = {**LONG, "temperature": 0, "max_tokens": 120}
    with start("--model", SMALLEST) as server, httpx2.Client(base_url=server.url, timeout=120) as client:
        with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            undisturbed = text_of(list(chunks(answer.iter_lines())))
        found: list[dict[str, Any]] = []
        with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            for chunk in chunks(answer.iter_lines()):
                found.append(chunk)
                if len(found) == 5:
                    workers(server.process.pid)[0].send_signal(signal.SIGKILL)
        assert found[-1]["choices"][0]["finish_reason"] in ("stop", "length")
        said = text_of(found)
        # What was said before goes on as it would have, but for rounding after a prefill in other batches.
        assert said[:40] == undisturbed[:40] and len(said) > 100
        assert metric(server.url, "smidgen_resumed_total") == 1


def test_a_client_that_goes_away_ends_its_request(start: Start) -> None:
    with start("--model", SMALLEST) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=LONG) as answer:
            next(chunks(answer.iter_lines()))
        until(lambda: metric(server.url, 'smidgen_requests_total{end="gone",kind="chat"}') == 1)
        whole = {**LONG, "stream": False}
        with pytest.raises(httpx2.TimeoutException):
            client.post("/v1/chat/completions", json=whole, timeout=0.5)
        until(lambda: metric(server.url, 'smidgen_requests_total{end="gone",kind="chat"}') == 2)
        for path in ("/v1/chat/completions", "/v1/messages"):
            unread = [{"role": "user", "content": f"{path} " + "and then again " * 1000}]
            with pytest.raises(httpx2.TimeoutException):
                client.post(path, json={"model": "default", "messages": unread, "max_tokens": 5}, timeout=0.4)
            until(lambda: metric(server.url, "smidgen_requests_running") == 0)  # long before the prompt is read
        assert metric(server.url, "smidgen_requests_waiting") == 0


def test_sigterm_lets_what_runs_come_to_its_end_and_refuses_the_rest(start: Start) -> None:
    with start("--model", SMALLEST) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json={**LONG, "max_tokens": 60}) as answer:
            lines = chunks(answer.iter_lines())
            found = [next(lines)]
            server.process.send_signal(signal.SIGTERM)

            def refused() -> bool:
                try:
                    return httpx2.get(f"{server.url}/health", timeout=5).status_code == 503
                except httpx2.TransportError:
                    return True

            until(refused)
            found += lines
        assert "choices" in found[-1] and found[-1]["choices"][0]["finish_reason"], found[-1]
        assert server.process.wait(30) == 0
        assert not psutil.pid_exists(server.process.pid)


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    with start("--model", SMALLEST) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=LONG) as answer:
            next(chunks(answer.iter_lines()))
            own = workers(server.process.pid)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            server.process.wait(20)
        until(lambda: not any(worker.is_running() for worker in own))


def test_sessions_and_their_events_survive_kill_9(start: Start, tmp_path: Path) -> None:
    sessions = str(tmp_path / "sessions.sqlite")
    with start("--model", SMALLEST, SMIDGEN_SESSIONS=sessions) as server:
        with httpx2.Client(base_url=f"{server.url}/v1/agents", timeout=60) as api:
            session = api.post("/sessions", json={}).json()["id"]
            api.post("/assistant/runs", json={"session": session, "input": "What is 17.5% of 2,340?"})
            body = {"session": session, "input": LONG["messages"][0]["content"], "tools": [], "background": True}
            run = api.post("/assistant/runs", json=body).json()["run"]["id"]
            seen: list[str] = []
            with api.stream("GET", f"/runs/{run}/events") as events:
                for line in events.iter_lines():
                    seen.append(line)
                    if len(seen) > 60:
                        break
        own = workers(server.process.pid)
        server.process.kill()
        server.process.wait(10)
        until(lambda: not any(worker.is_running() for worker in own))
    with start("--model", SMALLEST, SMIDGEN_SESSIONS=sessions) as server:
        again_api = httpx2.Client(base_url=f"{server.url}/v1/agents", timeout=60)
        with again_api as api:
            kept = api.get(f"/sessions/{session}").json()
            assert [turn["role"] for turn in kept["messages"]] == ["user", "assistant", "tool", "assistant"]
            assert [told["status"] for told in kept["runs"]] == ["finished", "interrupted"]
            again = api.get(f"/runs/{run}/events").text.splitlines()
            # Whatever was shown is told again in the same way, and then how it ended.
            assert again[: len(seen) - 4] == seen[: len(seen) - 4]
            assert json.loads(again[-2][6:])["error"]["code"] == "interrupted"
            answer = api.post("/assistant/runs", json={"session": session, "input": "What is 2 + 2?"}).json()
            assert answer["run"]["status"] == "finished"


def test_an_address_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = refused(tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2 and "can't be had" in done.stderr and "--port" in done.stderr


def test_nobody_else_is_let_in_without_a_key(tmp_path: Path) -> None:
    done = refused(tmp_path, "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2 and "--key" in done.stderr


def refused(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "config.toml").touch()
    return subprocess.run(
        [sys.executable, "-m", "smidgen", "serve", "--model", SMALLEST, *arguments],
        env={**os.environ, "SMIDGEN_CONFIG": str(folder / "config.toml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_many_at_once_with_clients_that_vanish_leave_nothing_behind(start: Start) -> None:
    """A short form of benchmarks/soak.py, which goes on for minutes."""
    with start("--model", SMALLEST, "--streams", "24") as server:
        broken: list[str] = []

        def client(number: int) -> None:
            body = {**LONG, "max_tokens": 16, "seed": number}
            with httpx2.Client(base_url=server.url, timeout=120) as own:
                with own.stream("POST", "/v1/chat/completions", json=body) as answer:
                    if number % 3 == 0:
                        next(chunks(answer.iter_lines()))
                        return
                    found = list(chunks(answer.iter_lines()))
                if not found[-1]["choices"][0]["finish_reason"]:
                    broken.append(f"{number} has no end")

        threads = [threading.Thread(target=client, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert broken == []
        until(lambda: metric(server.url, "smidgen_requests_running") == 0)
        assert metric(server.url, "smidgen_requests_waiting") == 0
