"""Several real processes at one store, and processes killed in the middle of a pull."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smidgen.models.library import Library
from smidgen.models.store import Store

PATH = "/m/tiny.gguf"

PULL = """
import sys
from pathlib import Path
from smidgen.models.library import Library
from smidgen.models.store import Store
seen = set()
def progress(item):
    if item.phase not in seen:
        seen.add(item.phase)
        print(item.phase, flush=True)
model = Library(Store(Path(sys.argv[1])), validate=lambda path: None).pull(sys.argv[2], progress)
print("done", model.sha256, flush=True)
"""


Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    """Starts a process that pulls a spec into the store."""
    children: list[subprocess.Popen[str]] = []

    def run(spec: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PULL, str(store.root), spec]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def size_of_partial(store: Store) -> int:
    return sum(path.stat().st_size for path in (store.root / "partial").rglob("data"))


def test_two_processes_pulling_one_model_fetch_it_once(
    start: Start, site: Any, weights: bytes, digest: str, wait_until: Any
) -> None:
    site.files[PATH], site.delay_s = weights, 0.01
    spec = f"{site.url}{PATH}#sha256={digest}"
    first = start(spec)
    wait_until(site.sent.is_set)
    second = start(spec)
    outputs = [child.communicate(timeout=60) for child in (first, second)]
    assert [errors for _, errors in outputs] == ["", ""]
    assert all(output.endswith(f"done {digest}\n") for output, _ in outputs)
    assert "waiting" in outputs[1][0] and "downloading" not in outputs[1][0]
    assert len(site.gets(PATH)) == 1


def test_a_slow_pull_does_not_hold_up_another_model(
    start: Start, site: Any, weights: bytes, store: Store, wait_until: Any, make_library: Any
) -> None:
    site.files[PATH], site.files["/quick.gguf"] = weights, b"GGUF" + bytes(1000)
    site.delay_s = 0.5
    slow = start(f"{site.url}{PATH}")
    wait_until(site.sent.is_set)
    quick = make_library().pull(f"{site.url}/quick.gguf")
    assert Path(quick.path).is_file() and slow.poll() is None


def test_a_pull_killed_in_the_middle_goes_on_where_it_was(
    start: Start, site: Any, weights: bytes, digest: str, store: Store, wait_until: Any, library: Library
) -> None:
    site.files[PATH], site.delay_s = weights, 0.02
    spec = f"{site.url}{PATH}#sha256={digest}"
    killed = start(spec)
    wait_until(lambda: size_of_partial(store) > 300_000)
    killed.kill()
    killed.wait()
    assert store.records() == () and not list((store.root / "blobs").glob("*"))
    site.delay_s = 0.0
    assert Path(library.pull(spec).path).read_bytes() == weights
    assert int(site.gets(PATH)[1].headers["range"].removeprefix("bytes=").rstrip("-")) > 300_000


def test_the_waiting_process_takes_over_when_the_first_is_killed(
    start: Start, site: Any, weights: bytes, digest: str, store: Store, wait_until: Any
) -> None:
    site.files[PATH], site.delay_s = weights, 0.02
    spec = f"{site.url}{PATH}#sha256={digest}"
    first = start(spec)
    wait_until(lambda: size_of_partial(store) > 200_000)
    second = start(spec)
    assert second.stdout is not None and second.stdout.readline() == "waiting\n"
    first.kill()
    site.delay_s = 0.0
    output, errors = second.communicate(timeout=60)
    assert errors == "" and output.endswith(f"done {digest}\n")
    assert "range" in site.gets(PATH)[1].headers
