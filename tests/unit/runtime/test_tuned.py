"""A model that was tuned is run with what was found, wherever it is opened, unless that is switched off."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from smidgen.config import Config
from smidgen.models import tuned
from smidgen.models.library import ModelFile
from smidgen.models.tool_use import ToolUse
from smidgen.runtime.loading import describe, library_of, prepared
from smidgen.testing import tiny_llama


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=str(tmp_path / "home"))


@pytest.fixture
def file(config: Config, tmp_path: Path) -> ModelFile:
    return library_of(config).pull(str(tiny_llama.write(tmp_path / "tiny.gguf")))


def keep(config: Config, file: ModelFile) -> tuned.Tuned:
    found = tuned.Tuned(
        version=tuned.VERSION,
        smidgen="0",
        date="2026-11-26T00:00:00+00:00",
        model=file.name,
        sha256=file.sha256,
        dialect="flat_xml",
        tool_use=ToolUse(shortlist=2, choice=30.0),
    )
    tuned.keep(library_of(config).store, found)
    return found


def test_a_tuned_model_is_opened_with_its_profile(config: Config, file: ModelFile) -> None:
    assert describe(file, config)["profile"] == "written by hand for the family"
    found = keep(config, file)
    known, _ = prepared(file, config)
    assert (known.profile.dialect, known.profile.tool_use) == ("flat_xml", found.tool_use)
    told = describe(file, config)
    assert (told["dialect"], told["profile"]) == ("flat_xml", tuned.told(found))


def test_a_file_used_in_place_has_its_profile_too(config: Config, file: ModelFile, tmp_path: Path) -> None:
    keep(config, file)
    library = library_of(config)
    library.remove(file.name)
    in_place = library.resolve(str(tmp_path / "tiny.gguf"))
    assert in_place.sha256 == file.sha256
    keep(config, in_place)
    assert prepared(in_place, config)[0].profile.dialect == "flat_xml"
    assert library.remove(str(tmp_path / "tiny.gguf")) > 0
    assert prepared(in_place, config)[0].profile.dialect == "python_call"


def test_it_can_be_switched_off(config: Config, file: ModelFile) -> None:
    keep(config, file)
    off = msgspec.structs.replace(config, tuned="off")
    assert prepared(file, off)[0].profile.dialect == "python_call"
    assert describe(file, off)["profile"] == "written by hand for the family"


def test_a_damaged_profile_costs_a_notice(config: Config, file: ModelFile) -> None:
    library_of(config).store.write_profile(file.sha256, b"{")
    known, plan = prepared(file, config)
    assert known.profile.dialect == "python_call"
    assert "profile_ignored" in [notice.code for notice in plan.notices]
