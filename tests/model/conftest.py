"""Real models from the user's own store. `make test` pulls them; without them these tests are skipped with a reason."""

from __future__ import annotations

import functools
import json
import logging
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.errors import SmidgenError
from smidgen.events import Generated, Resumed, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Segment, Timings, Usage
from smidgen.models.library import Library, ModelFile
from smidgen.wire import LoadOptions

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Write = Callable[..., Awaitable[Generated]]
log = logging.getLogger("smidgen.tests")
TEXTS = Path(__file__).with_name("texts.json")
SMALLEST = "smollm2-135m"
ALTERNATIVES = 20


class Nats(NamedTuple):
    """Between two computations of the same log-probabilities: the median over a test's chosen tokens, and the most
    where choices are greedy and where they are drawn."""

    median: float
    most: float
    drawn: float


FACTORS = Nats(median=2.0, most=1.5, drawn=1.5)
"""Smidgen's differences against the largest between shapes of the bare library's own work, which bare_noise.py measures
on the machine at hand (docs/engine.md has figures and says why there are any). More than once, because the tests cut
the work up in still other ways and go on for longer. With AVX-512 the tests' largest were at most 1.2 times as large.

What was caught when prefixes of over 20 tokens were copied wrongly, with AVX-512, in the tests of cached prefixes and
of the sliding window:
- without the cell in the middle: by the exact test alone, the others' differences stay as small as rounding;
- without the last cell but one: by all six of cached prefixes (Qwen's narrowly, 1.01 and 1.06 of 0.98), not by those
  of the sliding window;
- with one cell more, of another text's next token: by these six and that of the sliding window with rewind;
- with one cell less: by the same, since the library refuses positions that don't follow.
"""
FLOORS = Nats(median=0.001, most=0.05, drawn=0.05)
"""Where the library's own differences are smaller than that or none."""
EXACT = Nats(median=1e-6, most=1e-6, drawn=1e-6)
"""For smollm2-135m in batches of under 64 rows with under 512 cells: none of its weights are repacked, and every row is
computed alike."""
EXACT_ON = ("x86_64", "AMD64")
"""Elsewhere kernels may take rows in pairs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/model" in item.path.as_posix():
            item.add_marker(pytest.mark.model)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_logged() -> Generator[None]:
    """The models are the user's own; the log of what tools do is to stay so too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMIDGEN_AUDIT", "off")
        yield


@pytest.fixture(scope="session")
def model_file() -> Callable[[str], ModelFile]:
    library = Library()

    def find(name: str) -> ModelFile:
        try:
            return library.resolve(name)
        except SmidgenError:
            pytest.skip(f"{name} isn't on this computer: smidgen models pull {name}")

    return find


@pytest.fixture
def open_engine(model_file: Callable[[str], ModelFile], tmp_path_factory: pytest.TempPathFactory) -> OpenEngine:
    @asynccontextmanager
    async def opened(name: str = SMALLEST, **options: Any) -> AsyncIterator[LocalEngine]:
        found = model_file(name)
        engine_options = {key: options.pop(key) for key in ("limits", "crash_folder", "on_notice") if key in options}
        chosen = LoadOptions(
            sha256=found.sha256,
            threads=2,
            **{
                "path": found.path,
                "context": 2048,
                "vocab_cache": str(tmp_path_factory.getbasetemp() / "vocabularies"),
                **options,
            },
        )
        async with LocalEngine(name, chosen, **engine_options) as engine:
            yield engine

    return opened


async def _write(engine: LocalEngine, text: str, **fields: Any) -> Generated:
    request = GenerateRequest(prompt=(Segment(text),), **{"max_tokens": 24, **fields})
    events = [event async for event in engine.generate(request)]
    assert isinstance(events[-1], Generated), events[-1]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == events[-1].text
    return events[-1]


class Recorded(NamedTuple):
    """A completion with the log-probabilities of its sampled tokens, each with its likeliest alternatives."""

    generated: Generated
    tokens: tuple[TokenLogprob, ...]
    resumed_after: int = 0

    @property
    def text(self) -> str:
        return self.generated.text


async def _record(engine: LocalEngine, text: str, *, kill_after: int = 0, **fields: Any) -> Recorded:
    chosen: dict[str, Any] = {"max_tokens": 24, "ignore_eos": True, "logprobs": ALTERNATIVES, **fields}
    tokens: list[TokenLogprob] = []
    shown, resumed_after = "", 0
    async for event in engine.generate(GenerateRequest(prompt=(Segment(text),), **chosen)):
        if isinstance(event, TextDelta):
            tokens += event.logprobs
            shown += event.text
            if kill_after and len(shown) > kill_after and engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
                kill_after = 0
        elif isinstance(event, Resumed):
            resumed_after = event.after_tokens
        elif isinstance(event, Generated):
            assert event.text == shown
            assert len(tokens) == event.usage.completion_tokens - event.usage.forced_tokens
            return Recorded(event, tuple(tokens), resumed_after)
    raise AssertionError("the stream failed")


class Agreement:
    """Pairs of completions that should be the same computation, token by token.

    Up to the first token that differs, log-probabilities agree within the tolerance. At that token both sides give
    either choice the same log-probability within the tolerance, so greedy choices were a tie up to twice of it.
    """

    def __init__(self, tolerance: Nats) -> None:
        self.tolerance = tolerance
        self.differences: list[float] = []
        self.most = 0.0
        self.equal = 0
        self.pairs = 0

    def compare(self, one: Recorded, other: Recorded, *, greedy: bool = True) -> None:
        self.pairs += 1
        most = self.tolerance.most if greedy else self.tolerance.drawn
        for at, (left, right) in enumerate(zip(one.tokens, other.tokens, strict=False)):
            where = f"token {at} of {one.text!r} / {other.text!r}"
            if left.text != right.text:
                self._compare_parting(left, right, greedy, where)
                return
            self._compare_value(left.logprob, right.logprob, most, f"{where}, {left.text!r}")
        assert len(one.tokens) == len(other.tokens), f"one output ends early: {one.text!r} / {other.text!r}"
        assert one.text == other.text
        self.equal += 1

    def compare_sampled(self, forced: Recorded, sampled: Recorded) -> None:
        """Of two equal texts, the first has no log-probabilities for its forced tokens; the others stand in order among
        the second's."""
        assert forced.text == sampled.text
        self.pairs += 1
        rest = iter(sampled.tokens)
        for token in forced.tokens:
            same = next((other for other in rest if other.text == token.text), None)
            assert same is not None, f"{token.text!r} has no counterpart in {forced.text!r}"
            where = f"{token.text!r} in {forced.text!r}"
            self._compare_value(token.logprob, same.logprob, self.tolerance.most, where)
        self.equal += 1

    def check(self, least_equal: int) -> None:
        """After all pairs: the median of the differences, and how many texts were equal (all of them where exact)."""
        least_equal = self.pairs if self.tolerance is EXACT else least_equal
        assert self.equal >= least_equal, f"{self.equal} of {self.pairs} texts are equal"
        median = statistics.median(self.differences)
        log.info(
            "median %.4f of at most %.4g nats, most %.2f of %.2g (drawn: %.2g), %d of %d texts part",
            median,
            self.tolerance.median,
            self.most,
            self.tolerance.most,
            self.tolerance.drawn,
            self.pairs - self.equal,
            self.pairs,
        )
        assert median <= self.tolerance.median, f"the median difference is {median:.4f} nats"

    def _compare_parting(self, left: TokenLogprob, right: TokenLogprob, greedy: bool, where: str) -> None:
        most = self.tolerance.most if greedy else self.tolerance.drawn
        for mine, theirs in ((left, right), (right, left)):
            text, tops = mine.text, dict(theirs.top)
            if text in tops:
                self._compare_value(mine.logprob, tops[text], most, f"{where}, parting, {text!r}", typical=False)
                gap = theirs.logprob - tops[text]
                assert not greedy or 0 <= gap <= 2 * most, f"{where}: no near tie, {gap}"
            else:
                # Not listed, so no likelier there than the last that is.
                assert not greedy, f"{where}: {text!r} is not among the likeliest of both"
                least = min(tops.values())
                assert mine.logprob - least <= most, f"{where}: {text!r} has {mine.logprob:.4f} and under {least:.4f}"

    def _compare_value(self, one: float, other: float, most: float, where: str, *, typical: bool = True) -> None:
        difference = abs(one - other)
        assert difference <= most, f"{where}: {one:.4f} and {other:.4f} nats"
        self.most = max(self.most, difference)
        if typical:
            self.differences.append(difference)


@pytest.fixture
def write() -> Write:
    """One completion, greedy and of 24 tokens unless told otherwise; checks that the deltas add up to the text."""
    return _write


@pytest.fixture
def record() -> Callable[..., Awaitable[Recorded]]:
    """One greedy completion of 24 tokens, past any end token, with log-probabilities. `kill_after`: the worker is
    killed when more than so many characters have come."""
    return _record


@pytest.fixture
def recorded() -> Callable[..., Recorded]:
    """A Recorded of what another program printed: [text, log-probability, alternatives] per token."""

    def build(rows: list[Any]) -> Recorded:
        tokens = tuple(TokenLogprob(text=text, logprob=value, top=tuple(map(tuple, top))) for text, value, top in rows)
        text = "".join(token.text for token in tokens)
        return Recorded(Generated(text=text, finish_reason="stop", usage=Usage(), timings=Timings()), tokens)

    return build


@pytest.fixture(scope="session")
def noise(model_file: Callable[[str], ModelFile]) -> Callable[[str, bool], Nats]:
    """What the bare library's own figures differ by on this machine, in shapes of few rows or in all: bare_noise.py.
    Takes some seconds per model, during which no engine should be open."""

    @functools.cache
    def shapes(model: str) -> list[dict[str, Any]]:
        command = [sys.executable, str(Path(__file__).with_name("bare_noise.py")), model_file(model).path]
        ran = subprocess.run(command, input=TEXTS.read_bytes(), capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode(errors="replace")[-2000:]
        made = json.loads(ran.stdout)
        for shape in made:
            log.info("%s, bare library: %s", model, shape)
        return made

    def measured(model: str, few_rows: bool) -> Nats:
        chosen = [shape for shape in shapes(model) if shape["few_rows"] or not few_rows]
        return Nats(*(max(shape[name] for shape in chosen) for name in Nats._fields))

    return measured


@pytest.fixture
def agreement(noise: Callable[[str, bool], Nats]) -> Callable[..., Agreement]:
    """For a model by name. few_rows: no batch of either computation has 64 rows, and few cells are in use."""

    def build(model: str = SMALLEST, *, few_rows: bool = False) -> Agreement:
        if few_rows and model == SMALLEST and platform.machine() in EXACT_ON:
            return Agreement(EXACT)
        return Agreement(Nats(*map(allowed, noise(model, few_rows), FACTORS, FLOORS)))

    return build


def allowed(measured: float, factor: float, floor: float) -> float:
    return max(measured * factor, floor)
