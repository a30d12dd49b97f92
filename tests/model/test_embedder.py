"""Sentence embedders through the engine, compared with the model's own arithmetic in numpy (bert_reference.py).

A model without training is made here and converted; the real one is the catalogue's, whose file has a known checksum,
and of which the reference's figures are written down. SMIDGEN_TEST_EMBEDDER names the folder with its original weights,
for comparing all of the vectors again.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.engine.local import LocalEngine
from smidgen.errors import ContextOverflow, InvalidRequest
from smidgen.messages import GenerateRequest, Segment
from smidgen.models.convert.bert import convert
from smidgen.models.library import ModelFile
from smidgen.runtime.runtime import Runtime
from smidgen.testing import tiny_bert
from smidgen.wire import LoadOptions

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
EMBEDDER = "all-minilm-l6-v2"
TEXTS = (
    "How do I reset my password?",
    "I forgot my password, how can I change it?",
    "Bananas are yellow fruit.",
    "Wie wird das Wetter morgen in Zürich?",
    "Café Ångström – naïve résumé, coöperate!",
    "深度学习 と 한국어 и Привет, мир 😀",
    "Cafe\u0301 A\u030angstro\u0308m",
    "get_weather(city: str, unit='celsius') -> dict",
    " .",
    "a",
    "\u200b\x07",
    "word" * 40,
    "The quick brown fox jumps over the lazy dog. " * 20,
)


FIRST_COMPONENTS = (
    (0.0069, -0.063, -0.072, -0.0325, -0.0427, 0.0704, 0.0091, 0.0154),
    (-0.0238, -0.0162, -0.0705, -0.0089, -0.0107, 0.1069, 0.0034, 0.0359),
    (-0.0183, 0.0079, 0.007, 0.0067, 0.0378, 0.0778, 0.0577, -0.0344),
    (0.0039, 0.0551, 0.0943, -0.0095, 0.0288, -0.0105, 0.0504, 0.0469),
    (0.0164, -0.039, 0.0243, 0.0633, 0.0499, 0.0641, 0.0042, -0.0283),
    (0.0068, 0.0952, 0.0119, 0.0026, -0.0264, -0.005, 0.0089, 0.0115),
    (0.0896, -0.0219, -0.0258, 0.0747, 0.0309, 0.0369, 0.0811, -0.0155),
    (0.0338, 0.089, 0.0671, 0.0448, -0.0003, -0.111, 0.0365, -0.0424),
    (-0.1338, 0.0142, -0.0162, -0.0266, 0.0602, 0.0514, 0.1349, 0.0157),
    (-0.0364, 0.0347, -0.046, 0.0343, -0.0808, 0.0328, 0.117, -0.0233),
    (-0.1188, 0.0483, -0.0025, -0.011, 0.052, 0.0103, 0.1154, 0.0007),
    (-0.0416, -0.0247, 0.0779, -0.0061, 0.017, 0.0013, 0.1237, -0.002),
    (0.0585, -0.046, 0.0758, -0.0035, -0.0404, 0.0097, -0.0254, -0.0789),
)
"""Of the vectors of TEXTS, by bert_reference.py on the original weights."""

PASSWORD, FORGOT, BANANAS, COMPOSED, DECOMPOSED = 0, 1, 2, 4, 6
COSINES = {(PASSWORD, FORGOT): 0.894, (PASSWORD, BANANAS): 0.042, (COMPOSED, DECOMPOSED): 0.751}
"""Of pairs of these texts, in the same way."""


def reference_of(folder: Path) -> Any:
    path = Path(__file__).with_name("bert_reference.py")
    spec = importlib.util.spec_from_file_location("bert_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Reference(folder)


def cosines(one: Any, other: Any) -> Any:
    return (np.asarray(one) * np.asarray(other)).sum(axis=1)


# --- a model made here ----------------------------------------------------------------------------------------------


@pytest.fixture
def open_tiny(tmp_path: Path) -> Callable[[], LocalEngine]:
    tiny_bert.write(tmp_path / "tiny")
    convert(tmp_path / "tiny", tmp_path / "tiny.gguf", lambda done, total: None)
    options = LoadOptions(path=str(tmp_path / "tiny.gguf"), context=64, threads=2, embeddings=True)
    return lambda: LocalEngine("tiny", options)


@pytest.fixture
async def tiny(open_tiny: Callable[[], LocalEngine]) -> AsyncIterator[LocalEngine]:
    async with open_tiny() as engine:
        yield engine


async def test_the_engine_computes_what_the_weights_say(tiny: LocalEngine, tmp_path: Path) -> None:
    reference = reference_of(tmp_path / "tiny")
    texts = ("the cat sat.", "Unwanted running, a DOG!", "Café 深 xyz", ".", "the " * 62, "the dog sat")
    made = await tiny.embed(texts)
    expected = [reference.embed(text) for text in texts]
    assert cosines(made.vectors, expected).min() > 0.999
    assert np.linalg.norm(made.vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    others = np.asarray(made.vectors) @ np.asarray(expected).T
    assert (others - 2 * np.eye(len(texts))).max() < 0.99, "the texts' vectors differ enough to tell them apart"


async def test_a_text_has_one_vector_alone_and_in_company(open_tiny: Callable[[], LocalEngine]) -> None:
    texts = tuple(f"the cat {'sat ' * number}." for number in range(40))
    async with open_tiny() as engine:
        together = await engine.embed(texts)
        assert (await engine.embed(texts)).vectors == together.vectors, "kept ones"
        assert (await engine.stats())["kept_vector_hits"] == 40
    async with open_tiny() as engine:
        alone = [(await engine.embed((text,))).vectors[0] for text in texts[::13]]
    assert cosines(alone, together.vectors[::13]).min() > 0.9999


async def test_a_text_that_does_not_fit_is_refused(tiny: LocalEngine) -> None:
    assert (await tiny.embed(("the " * 62,))).usage.prompt_tokens == 64
    with pytest.raises(ContextOverflow, match="65 tokens") as caught:
        await tiny.embed(("a", "the " * 63))
    assert "parts" in caught.value.hint


async def test_an_embedding_model_does_not_generate(tiny: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match="embedding model"):
        async for _ in tiny.generate(GenerateRequest(prompt=(Segment("the"),))):
            pass


# --- the catalogue's ------------------------------------------------------------------------------------------------


@pytest.fixture
async def embedder(model_file: Callable[[str], ModelFile]) -> AsyncIterator[LocalEngine]:
    found = model_file(EMBEDDER)
    options = LoadOptions(path=found.path, sha256=found.sha256, context=512, threads=2, embeddings=True)
    async with LocalEngine(EMBEDDER, options) as engine:
        yield engine


async def test_the_catalogue_s_embedder_gives_the_vectors_of_the_original_weights(embedder: LocalEngine) -> None:
    made = np.asarray((await embedder.embed(TEXTS)).vectors)
    assert made.shape == (len(TEXTS), 384)
    assert made[:, :8] == pytest.approx(np.asarray(FIRST_COMPONENTS), abs=0.002)
    for (one, other), expected in COSINES.items():
        assert float(made[one] @ made[other]) == pytest.approx(expected, abs=0.003)


async def test_all_of_the_vectors_agree_with_the_original_weights(embedder: LocalEngine) -> None:
    folder = os.environ.get("SMIDGEN_TEST_EMBEDDER")
    if not folder:
        pytest.skip("SMIDGEN_TEST_EMBEDDER doesn't name a folder with the original weights")
    reference = reference_of(Path(folder))
    made = await embedder.embed(TEXTS)
    expected = [reference.embed(text) for text in TEXTS]
    assert cosines(made.vectors, expected).min() > 0.9999


async def test_the_embedder_s_limit_is_an_error_with_the_figures(embedder: LocalEngine) -> None:
    assert (await embedder.embed(("word " * 510,))).usage.prompt_tokens == 512
    with pytest.raises(ContextOverflow) as caught:
        await embedder.embed(("word " * 511,))
    assert (caught.value.details["prompt_tokens"], caught.value.details["context_tokens"]) == (513, 512)


async def test_control_tokens_that_a_text_spells_are_text(embedder: LocalEngine) -> None:
    plain = await embedder.tokenize((Segment("a [SEP] b", special=False),))
    special = await embedder.tokenize((Segment("a [SEP] b"),))
    assert len(plain) == len(special) + 2 and 102 in special and 102 not in plain


async def test_a_runtime_embeds_by_the_catalogue_s_name(model_file: Callable[[str], ModelFile]) -> None:
    model_file(EMBEDDER)
    tools = ("get_weather: the weather forecast for a city", "calculator: evaluate an arithmetic expression")
    async with Runtime() as runtime:
        first = await runtime.aembed(("Will it rain in Oslo tomorrow?", *tools), model=EMBEDDER)
        second = await runtime.aembed(("What is 12 times 7?", *tools), model=EMBEDDER)
    assert second.usage.cached_tokens and second.vectors[1:] == first.vectors[1:]
    rain, times = (np.asarray(made.vectors[0]) @ np.asarray(made.vectors[1:]).T for made in (first, second))
    assert rain[0] > rain[1] + 0.2
    assert times[1] > times[0] + 0.2
