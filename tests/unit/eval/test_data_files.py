"""Files of items: what of them is asked and what is right, and what is said of those that can't be used."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import ConfigError
from smidgen.eval import Suite
from smidgen.eval.intents import data
from smidgen.eval.suites import INTENTS, NAMES, OF_A_FILE, Given, chosen_categories, suite

PROBLEM = {"question": "Two boxes of 650 pins. How many pins?", "answer": "2 * 650 = <<2*650=1300>>1300\n#### 1,300"}
FUNCTION = {
    "task_id": "T/0",
    "prompt": 'def double(n: int) -> int:\n    """Twice the number."""\n',
    "entry_point": "double",
    "test": "def check(candidate):\n    assert candidate(4) == 8\n",
}


def lines(*items: Any) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def clinc(intents: int = 3, **parts: Any) -> dict[str, list[list[str]]]:
    def said(count: int) -> list[list[str]]:
        return [
            [f"request {number} of {intent}", f"intent_{intent}"]
            for number in range(count)
            for intent in range(intents)
        ]

    return {"train": said(6), "val": said(2), "oos_val": [["something else", "oos"]], "oos_train": [], **parts}


def banking(rows: Sequence[tuple[str, str]]) -> bytes:
    return ("text,category\n" + "".join(f'"{text}",{intent}\n' for text, intent in rows)).encode()


GOOD: dict[str, bytes] = {
    "gsm8k": lines(PROBLEM),
    "humaneval": lines(FUNCTION),
    "clinc150": json.dumps(clinc()).encode(),
    "banking77": banking(
        [("my card, please", "card"), ("give me cash", "cash"), ("a card?", "card"), ("cash!", "cash")]
    ),
}


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Suite]:
    def make(name: str, content: bytes, file: str = "items", **options: Any) -> Suite:
        path = tmp_path / file
        path.write_bytes(content)
        return suite(name, Given(data=path, **options))

    return make


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_A_FILE)
def test_without_its_file_a_suite_asks_for_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data"):
        suite(name)
    with pytest.raises(ConfigError, match=r"nowhere\.jsonl: No such file"):
        suite(name, Given(data=tmp_path / "nowhere.jsonl"))


@pytest.mark.parametrize("name", ["bfcl", "everyday"])
def test_a_suite_with_items_of_its_own_takes_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes no --data"):
        suite(name, Given(data=tmp_path / "items"))


def test_only_intents_take_shots_and_at_least_one(given: Callable[..., Suite]) -> None:
    for name in set(NAMES) - set(INTENTS):
        with pytest.raises(ConfigError, match="takes no --shots"):
            suite(name, Given(shots=3))
    with pytest.raises(ConfigError, match="1 or more"):
        given("clinc150", GOOD["clinc150"], shots=0)


BROKEN = [
    ("gsm8k", lines(PROBLEM, PROBLEM) + b"{\n", "Line 3 .*truncated"),
    ("gsm8k", b"\n" + lines(PROBLEM, {"question": "?"}), "Line 3 .*`answer`"),
    ("gsm8k", lines(PROBLEM, {"question": "?", "answer": "42"}), 'Line 2 .*no "####"'),
    ("gsm8k", lines({"question": "?", "answer": "#### some"}), "Line 1 .*'some' is no number"),
    ("gsm8k", lines({"question": "?", "answer": "#### inf"}), "Line 1 .*no number"),
    ("gsm8k", lines(PROBLEM) + b'{"question": "\xff"}\n', "Line 2 "),
    ("gsm8k", b"\n", "no items"),
    ("gsm8k", gzip.compress(GOOD["gsm8k"])[:20], "unpacked"),
    ("humaneval", lines(FUNCTION, {**FUNCTION, "test": 3}), "Line 2 .*test"),
    ("humaneval", lines(FUNCTION, {**FUNCTION, "prompt": ""}), "Line 2 .*T/0 was there before"),
    ("clinc150", b"[]", "can't be used"),
    ("clinc150", json.dumps(clinc(val=[["a text"]])).encode(), "can't be used.*`\\$\\[...\\]\\[0\\]`"),
    ("clinc150", json.dumps({**clinc(), "oos_val": []}).encode(), "no part 'oos_val'"),
    ("banking77", GOOD["banking77"] + b"a text without\n", "Line 6 "),
    ("banking77", GOOD["banking77"] + b"one,two,three\n", "Line 6 "),
    ("banking77", b"question,answer\na,b\n", "Line 2 "),
    ("banking77", GOOD["banking77"] + b'"open, end\n', "Line 6 .*unexpected end"),
    ("banking77", b"text,category\n", "no items"),
    ("banking77", b"text,category\n\xff,b\n", "can't be used"),
]


@pytest.mark.parametrize(("name", "content", "told"), BROKEN)
def test_a_file_that_cant_be_used_is_refused_with_the_place(
    name: str, content: bytes, told: str, given: Callable[..., Suite]
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        given(name, content)
    assert caught.value.hint


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_A_FILE)
def test_data_is_known_by_its_content_packed_or_not(name: str, given: Callable[..., Suite]) -> None:
    plain, packed = given(name, GOOD[name]), given(name, gzip.compress(GOOD[name]), "packed.gz")
    other = given(
        name, GOOD[name].replace(b"card", b"purse").replace(b"request", b"wish").replace(b"pins", b"pens") + b"\n"
    )
    category = plain.categories[0]
    assert plain.items(category) == packed.items(category)
    assert plain.fingerprint(category) == packed.fingerprint(category) != other.fingerprint(category)
    assert plain.name == name
    assert chosen_categories(plain, ()) == plain.categories


def test_problems_of_words_have_the_number_behind_the_mark(given: Callable[..., Suite]) -> None:
    problems = [{"question": f"{number}?", "answer": f"#### {number}"} for number in range(103)]
    chosen = given("gsm8k", lines(PROBLEM, *problems))
    assert chosen.items("gsm8k")[0].expected == 1300
    assert [item.id for item in chosen.items("gsm8k", skip=2, limit=2)] == ["gsm8k_2", "gsm8k_3"]
    assert chosen.items("gsm8k", skip=200) == []
    assert [item.tuning for item in chosen.items("gsm8k", skip=98)] == [True, True, *[False] * 4]


def test_of_clinc_all_of_val_is_asked_and_what_has_no_intent_apart(given: Callable[..., Suite]) -> None:
    chosen = given("clinc150", GOOD["clinc150"])
    assert chosen.categories == ("in_scope", "out_of_scope")
    inside, outside = chosen.items("in_scope"), chosen.items("out_of_scope")
    assert [(item.request, item.expected) for item in inside] == [tuple(said) for said in clinc()["val"]]
    assert [(item.request, item.expected) for item in outside] == [("something else", "oos")]


def test_examples_are_so_many_of_each_intent_and_others_for_another_seed() -> None:
    train = [data.Said(text, intent) for text, intent in clinc()["train"]]
    drawn = data.examples(train, 2, seed=0)
    assert sorted(said.intent for said in drawn) == ["intent_0"] * 2 + ["intent_1"] * 2 + ["intent_2"] * 2
    assert drawn == data.examples(train, 2, seed=0) != data.examples(train, 2, seed=1)
    assert list(drawn) == [said for said in train if said in drawn]
    assert len(data.examples(train, 99, seed=0)) == len(train)


def test_no_text_of_bankings_one_file_is_both_an_example_and_asked(given: Callable[..., Suite], tmp_path: Path) -> None:
    rows = [(f"text {number}", f"intent {number % 3}") for number in range(31)]
    given("banking77", banking(rows))
    split = data.banking77(data.DataFile(path=tmp_path, content=banking(rows)))
    asked = split.asked["in_scope"]
    assert {*split.train, *asked} == {data.Said(*row) for row in rows}
    assert not {*split.train} & {*asked}
    assert (len(split.train), len(asked)) == (15, 16)
    assert list(split.train) == [data.Said(*row) for row in rows if data.Said(*row) in split.train]
