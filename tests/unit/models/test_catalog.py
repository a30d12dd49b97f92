"""The catalogue that is shipped, and finding names in it."""

from __future__ import annotations

import re

import pytest

from smidgen.models.catalog import builtin, ordered
from smidgen.models.sources import FileSource, HttpsSource, HubSource, WheelPart, WheelSource


def test_every_entry_can_be_checked_and_fetched() -> None:
    for entry in builtin().models:
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.bytes > 0 and entry.context > 0 and entry.sources and entry.license
        assert entry.file.endswith(".gguf")


def test_no_name_or_alias_stands_for_two_models() -> None:
    names = [name for entry in builtin().models for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


def test_parts_of_wheels_are_all_there_and_in_order() -> None:
    for entry in builtin().models:
        for source in entry.sources:
            if isinstance(source, WheelSource) and len(source.parts) > 1:
                numbers = [int(re.findall(r"\d+", part.distribution)[-1]) for part in source.parts]
                assert numbers == list(range(1, len(numbers) + 1))


def test_the_default_is_in_the_catalogue() -> None:
    assert builtin().find(builtin().default) is not None
    assert builtin().default == "qwen2.5-coder-0.5b"


def test_only_models_under_their_makers_own_terms_ask_for_consent() -> None:
    asking = {entry.name for entry in builtin().models if entry.terms}
    assert asking == {"gemma-3-270m"}


@pytest.mark.parametrize("name", ["smollm2-135m", "smollm2", "SmolLM2", " smollm2:135m "])
def test_a_model_is_found_by_name_and_alias_in_any_case(name: str) -> None:
    entry = builtin().find(name)
    assert entry is not None and entry.name == "smollm2-135m"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("smolm2", "smollm2-135m"), ("qwen2.5-coder-0.5", "qwen2.5-coder-0.5b"), ("gemma", "gemma-3-270m")],
)
def test_a_misspelt_name_is_answered_with_the_near_one(typed: str, meant: str) -> None:
    assert builtin().find(typed) is None
    assert builtin().near(typed)[0] == meant


def test_nothing_is_near_to_nonsense_and_pulled_names_count() -> None:
    assert builtin().near("zzzzzzzz") == []
    assert builtin().near("my-own-modle", ["my-own-model"]) == ["my-own-model"]


def test_preferred_kinds_of_sources_come_first_and_none_is_lost() -> None:
    hub = HubSource(repo="a/b", file="c.gguf")
    wheel = WheelSource(parts=(WheelPart(distribution="d", version="1", member="m"),))
    page, file = HttpsSource(url="https://x/y.gguf"), FileSource(path="/z.gguf")
    given = (hub, page, wheel, file)
    assert ordered(given, ()) == given
    assert ordered(given, ("pypi", "file")) == (wheel, file, hub, page)
