"""Settings of a run that can't be meant."""

from __future__ import annotations

import msgspec
import pytest

from smidgen.agent import STEPS, AgentSettings
from smidgen.errors import InvalidRequest


@pytest.mark.parametrize(("name", "hint", "near"), [("gates", "gate?", ["gate"]), ("xyz", ", ".join(STEPS), [])])
def test_an_unknown_step_is_refused_with_near_names(name: str, hint: str, near: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=name) as caught:
        AgentSettings(off=frozenset({"gate", name}))
    assert hint in caught.value.hint
    assert caught.value.details["near"] == near


def test_an_unknown_step_is_refused_wherever_settings_come_from() -> None:
    with pytest.raises(InvalidRequest):
        msgspec.convert({"off": ["gates"]}, AgentSettings)
    with pytest.raises(InvalidRequest):
        msgspec.structs.replace(AgentSettings(), off=frozenset({"gates"}))


def test_every_step_can_be_switched_off() -> None:
    assert AgentSettings(off=frozenset(STEPS)).off == set(STEPS)
