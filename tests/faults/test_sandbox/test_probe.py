"""The probe believes nothing that it hasn't tried."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import pytest

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Job, Tier
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import Probing, candidates, choose, probe


class Bare:
    """Holds nothing."""

    tier: Tier = "bubblewrap"
    root = handle = 0

    def __init__(self, job: Job) -> None:
        self.argv: Sequence[str] = job.argv
        self.variables: Mapping[str, str] = {**os.environ, "SMIDGEN_TEST_SEEN": "1"}
        self.folder = str(job.workspace)
        self.descriptors: Sequence[int] = ()

    def started(self, pid: int) -> None:
        pass

    def status(self, code: int) -> int:
        return code

    def close(self) -> None:
        pass


class Missing(Bare):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.argv = ("/no/such/program",)


async def test_what_holds_is_found_to_hold(sandbox: Sandbox) -> None:
    found = await probe(sandbox)
    assert found.problem == ""
    assert len(found.held) == 9 and all(found.held.values())


async def test_what_holds_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_TEST_SEEN", "1")
    found = await probe(Sandbox("bubblewrap", Bare))
    assert found.problem.startswith("not held: ")
    held = {name for name, is_held in found.held.items() if is_held}
    assert held <= {"files outside can't be removed"}, found.held


async def test_the_next_one_is_taken_and_the_reason_told() -> None:
    bare = Sandbox("bubblewrap", Bare)
    real = candidates()[-1]
    choice = await choose(lambda: [bare, real])
    assert choice.sandbox is real
    assert [bool(one.problem) for one in choice.probed] == [True, False]


async def test_where_nothing_holds_nothing_runs() -> None:
    for tiers in ([], [Sandbox("bubblewrap", Bare)], [Sandbox("bubblewrap", Missing)]):
        with pytest.raises(SandboxUnavailable, match="Nothing on this computer contains programs"):
            await Probing(lambda tiers=tiers: tiers).sandbox()


async def test_it_is_tried_once() -> None:
    asked: list[int] = []

    def tiers() -> list[Sandbox]:
        asked.append(1)
        return candidates()[:1]

    probing = Probing(tiers)
    assert await probing.sandbox() is await probing.sandbox()
    assert asked == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux'")
def test_linux_has_a_sandbox_here() -> None:
    assert candidates()
