"""The head on vectors made here: accuracy, scope and probabilities, and that it is the same each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.errors import ConfigError
from smidgen.patterns.router import Classifier, Intent
from smidgen.patterns.router.classifier import Scope
from smidgen.patterns.router.head import Head
from smidgen.patterns.router.lexical import Lexicon
from smidgen.patterns.router.projection import learned, unit
from smidgen.patterns.router.ridge import Ridge, solved

Matrix = NDArray[np.float32]
INTENTS, EACH, WIDTH = 12, 6, 64


def drawn(seed: int, centres: Matrix, each: int, spread: float = 0.14) -> tuple[Matrix, list[int]]:
    noise = np.random.default_rng(seed).standard_normal((len(centres) * each, WIDTH)) * spread
    return unit((np.repeat(centres, each, axis=0) + noise).astype(np.float32)), [
        index for index in range(len(centres)) for _ in range(each)
    ]


def centres(seed: int, count: int) -> Matrix:
    return unit(np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32))


def wordless(count: int) -> list[str]:
    """Texts that share no grams."""
    return [chr(0x4E00 + index) for index in range(count)]


@pytest.fixture(scope="module")
def head() -> Head:
    vectors, labels = drawn(1, centres(0, INTENTS), EACH)
    return Head(wordless(len(labels)), vectors, labels, INTENTS)


def test_unseen_texts_get_their_intent_and_strangers_are_untypical(head: Head) -> None:
    vectors, labels = drawn(2, centres(0, INTENTS), 20)
    known = head.scores(wordless(len(labels)), vectors)
    strangers, _ = drawn(3, centres(9, 60), 2)
    unknown = head.scores(wordless(len(strangers)), strangers)
    assert (known.probabilities.argmax(axis=1) == labels).mean() > 0.95
    assert known.probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert (known.typical >= 0.02).mean() > 0.9
    assert (unknown.typical < 0.02).mean() > 0.9


def test_probabilities_are_about_as_often_right_as_they_say() -> None:
    vectors, labels = drawn(1, centres(0, INTENTS), EACH, spread=0.3)
    head = Head(wordless(len(labels)), vectors, labels, INTENTS)
    seen, right = drawn(2, centres(0, INTENTS), 40, spread=0.3)
    found = head.scores(wordless(len(right)), seen).probabilities
    accuracy = (found.argmax(axis=1) == right).mean()
    assert 0.5 < accuracy < 0.97, "some are wrong, or nothing is tested"
    assert found.max(axis=1).mean() == pytest.approx(accuracy, abs=0.12)


def test_examples_of_what_is_outside_keep_their_like_out() -> None:
    vectors, labels = drawn(1, centres(0, INTENTS), EACH)
    near = unit((centres(0, 1) + 0.5 * centres(5, 1)).astype(np.float32))
    outside, _ = drawn(4, near, 6)
    asked, _ = drawn(5, near, 30)
    texts = wordless(len(labels) + 6)
    without = Head(texts[:-6], vectors, labels, INTENTS).scores(wordless(30), asked)
    with_them = Head(texts, np.vstack([vectors, outside]), [*labels, *[INTENTS] * 6], INTENTS).scores(
        wordless(30), asked
    )
    assert (without.typical >= 0.02).mean() > 0.5, "near enough to be taken for one"
    assert (with_them.probabilities.argmax(axis=1) == INTENTS).mean() > 0.9


def test_the_projection_moves_intents_apart() -> None:
    vectors, labels = drawn(1, centres(0, INTENTS), EACH, spread=0.3)
    seen, right = drawn(2, centres(0, INTENTS), 20, spread=0.3)
    change = learned(vectors, np.asarray(labels), INTENTS)

    def margin(examples: Matrix, others: Matrix) -> float:
        cosines = others @ examples.T
        same = np.asarray(right)[:, None] == np.asarray(labels)[None, :]
        return float(cosines[same].mean() - cosines[~same].mean())

    assert margin(unit(vectors @ change), unit(seen @ change)) > margin(vectors, seen) + 0.02


def test_what_is_left_out_is_what_training_without_it_says() -> None:
    drawn_at = np.random.default_rng(0).standard_normal((12, 6))
    kernel, labels = np.exp(drawn_at @ drawn_at.T / 6), np.arange(12) % 3
    whole = Ridge(kernel, labels, 3)
    kept = np.arange(1, 12)
    without = Ridge(kernel[np.ix_(kept, kept)], labels[kept], 3)
    assert whole.left_out[0] == pytest.approx(kernel[0, kept] @ without.weights, abs=1e-4)
    assert solved(kernel, labels, 3) == pytest.approx(whole.weights, abs=1e-4)


def test_training_is_the_same_each_time() -> None:
    vectors, labels = drawn(1, centres(0, 4), 5)
    one, other = (Head(wordless(20), vectors, labels, 4).scores(wordless(3), vectors[:3]) for _ in range(2))
    assert (one.probabilities == other.probabilities).all()
    assert (one.typical == other.typical).all()


@pytest.mark.parametrize(("intents", "each"), [(1, 1), (1, 5), (2, 1), (3, 2)])
def test_few_examples_are_enough(intents: int, each: int) -> None:
    vectors, labels = drawn(1, centres(0, intents), each, spread=0.05)
    head = Head(wordless(len(labels)), vectors, labels, intents)
    seen, right = drawn(2, centres(0, intents), 5, spread=0.05)
    found = head.scores(wordless(len(right)), seen)
    assert (found.probabilities.argmax(axis=1) == right).all()
    assert (found.typical > 0.02).mean() > 0.7
    assert (head.scores(["x"], -seen[:1]).typical < 0.02).all()


def test_words_and_their_pieces_are_compared() -> None:
    lexicon = Lexicon(["reset my password", "open an account"])
    near = lexicon.likeness(["i forgot my pasword", "open an account", "zzz"])
    assert near[0, 0] > 0.3 > near[0, 1]
    assert near[1, 1] == pytest.approx(1.0, abs=1e-5)
    assert not near[2].any()
    assert np.allclose(np.diag(lexicon.among()), 1.0, atol=1e-5)


# --- the classifier -------------------------------------------------------------------------------------------------

HOURS = Intent(name="hours", examples=("when do you open", "opening times", "are you open today"), template="At nine.")
REFUND = Intent(name="refund", examples=("i want a refund", "give my money back", "refund please"), template="Done.")


def test_a_classifier_by_words_alone() -> None:
    found, other = Classifier([HOURS, REFUND]).classify(["when do you open today?", "purple elephants dance"])
    assert (found.intent, found.in_scope) == ("hours", True)
    assert found.alternatives[0][0] == "refund"
    assert found.probability > 0.8
    assert "hours is" in found.reason
    assert not other.in_scope
    assert "less like any intent" in other.reason
    assert Classifier([HOURS]).classify([]) == ()


def test_a_classifier_embeds_its_examples_once() -> None:
    asked: list[tuple[str, ...]] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.append(tuple(texts))
        return [[1.0, 0.0] if "open" in text else [0.0, 1.0] for text in texts]

    classifier = Classifier([HOURS, REFUND], embed, outside=["who won the match"])
    found = classifier.classify(["do you open early"])
    assert found[0].intent == "hours"
    assert asked == [(*HOURS.examples, *REFUND.examples, "who won the match"), ("do you open early",)]


def test_an_intent_has_a_threshold_of_its_own() -> None:
    asked = "open my refund please today"
    as_it_is = Classifier([HOURS, REFUND]).classify([asked])[0]
    assert as_it_is.in_scope
    strict = [msgspec.structs.replace(one, threshold=as_it_is.probability + 1e-6) for one in (HOURS, REFUND)]
    found = Classifier(strict).classify([asked])[0]
    assert not found.in_scope
    assert "must be" in found.reason


@pytest.mark.parametrize("changes", [{"rejects": -0.1}, {"threshold": 2.0}])
def test_a_scope_that_can_not_be_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="no share"):
        Scope(**changes)


def test_the_package_is_imported_without_numpy() -> None:
    program = (
        "import sys; from smidgen.patterns.router import Router, Intent; "
        "Router([Intent(name='a', examples=('b',), template='c')]); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
