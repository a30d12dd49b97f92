"""Chains with the smallest real model: what grammars and checks promise holds for what it writes."""

from __future__ import annotations

from typing import Any

import pytest

import smidgen
from smidgen.errors import SmidgenError
from smidgen.models.library import Library
from smidgen.patterns.chain import Chain, Check, Density, Step
from smidgen.patterns.chain.fidelity import Source, problems
from smidgen.patterns.chain.sentences import word_count

MODEL = "smollm2-135m"
TEXT = (
    "The common swift spends most of its life in the air. It eats, drinks, mates and even sleeps while it flies. Young "
    "swifts leave the nest after about 42 days and may not land again for two or three years. They catch insects and "
    "small spiders that drift with the wind. In August most swifts leave Europe and fly to Africa south of the Sahara, "
    "where they spend the winter. They return in May to the same nest, often under the roof of an old house."
)


@pytest.fixture(autouse=True)
def model_is_here() -> None:
    try:
        Library().resolve(MODEL)
    except SmidgenError:
        pytest.skip(f"{MODEL} isn't on this computer: smidgen models pull {MODEL}")


async def test_each_value_is_in_its_grammar():
    values: dict[str, Any] = {}
    schema = {"type": "object", "properties": {"bird": {"type": "string", "maxLength": 20}}, "required": ["bird"]}
    chain = Chain(
        steps=(
            Step(name="mood", prompt="{request}\n\nGood or bad?", one_of=("good", "bad", "C++ (x|y)")),
            Step(name="table", prompt="{request}\n\nWhich bird?", schema=schema, key="bird", max_tokens=60),
            Step(name="number", prompt="{request}\n\nHow many?", regex="[0-9]{1,3}", extract="number"),
            Step(name="squared", code="number ** 2"),
            Step(name="many", code=lambda mood, number: [mood, str(number)]),
            Step(name="chosen", each="many", prompt="{item}", one_of="many", check=Check(characters=(1, 20))),
        ),
        answer_as="{mood} {table} {squared} {chosen}",
        watch=values.__setitem__,
    )
    async with smidgen.Runtime(model=MODEL) as runtime:
        await smidgen.Agent(runtime=runtime, pattern=chain).arun("I saw a swift.")
    assert values["mood"] in ("good", "bad", "C++ (x|y)")
    assert isinstance(values["table"], str)
    assert 0 <= values["number"] <= 999
    assert values["squared"] == values["number"] ** 2
    assert len(values["chosen"]) == 2
    assert set(values["chosen"]) <= set(values["many"])


@pytest.mark.parametrize("part_tokens", [0, 90])
async def test_a_short_version_holds_nothing_that_the_text_does_not_say(part_tokens: int):
    density = Density(words=30, rounds=1, samples=2, part_tokens=part_tokens)
    async with smidgen.Runtime(model=MODEL) as runtime:
        answer = await smidgen.Agent(runtime=runtime, pattern=density).arun(TEXT)
    assert 3 <= word_count(answer.text) <= 30
    assert problems(answer.text, Source(TEXT), words=30) == ()
