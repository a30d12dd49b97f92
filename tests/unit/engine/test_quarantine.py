from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.engine.quarantine import CLEARED_AFTER, Quarantine


class Service:
    """A worker that dies of certain requests at certain tokens, and an engine that follows the quarantine."""

    def __init__(self, lengths: dict[int, int], poison: dict[int, int]) -> None:
        self.quarantine = Quarantine()
        self.left = dict(lengths)
        self.done_tokens = dict.fromkeys(lengths, 0)
        self.poison = poison
        self.failed: set[int] = set()
        self.finished: set[int] = set()
        self.crashes = 0

    def run(self) -> None:
        waiting, running, since = list(self.left), set[int](), dict[int, int]()
        for _ in range(100_000):
            for request in self.quarantine.admit(tuple(waiting), running):
                waiting.remove(request)
                running.add(request)
                since[request] = 0
            if not running:
                assert not waiting, "somebody waits for ever"
                return
            killers = [r for r in running if r in self.poison and self.done_tokens[r] >= self.poison[r]]
            if killers:
                self.crashes += 1
                culprit = self.quarantine.crashed(sorted(running))
                waiting, running = sorted({*waiting, *running}), set()
                if culprit is not None:
                    self.failed.add(culprit)
                    waiting.remove(culprit)
                    self.quarantine.forget(culprit)
                continue
            for request in sorted(running):
                self.done_tokens[request] += 1
                since[request] += 1
                if self.done_tokens[request] >= self.left[request]:
                    running.discard(request)
                    self.finished.add(request)
                    self.quarantine.forget(request)
                elif self.quarantine.advanced(request, since[request]) and self.quarantine.suspects:
                    running.discard(request)
                    waiting.append(request)
        raise AssertionError("it doesn't come to an end")


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.data())
def test_only_killers_fail_and_everybody_else_finishes(lengths, data):
    requests = dict(enumerate(lengths))
    killers = data.draw(st.dictionaries(st.sampled_from(sorted(requests)), st.integers(0, 70), max_size=4))
    service = Service(requests, killers)
    service.run()
    deadly = {request for request, token in killers.items() if token < requests[request]}
    assert service.failed == deadly
    assert service.finished == set(requests) - deadly
    assert service.crashes <= 2 + 3 * len(deadly)


def test_one_killer_among_eight_costs_three_crashes():
    service = Service(dict.fromkeys(range(9), 50), {4: 20})
    service.run()
    assert (service.failed, service.crashes) == ({4}, 3)


def test_crash_that_does_not_come_back_costs_nobody_anything():
    quarantine = Quarantine()
    assert quarantine.crashed([1, 2, 3]) is None
    assert quarantine.admit((1, 2, 3), ()) == (1, 2, 3)


def test_alone_at_two_crashes_is_the_culprit():
    quarantine = Quarantine()
    assert quarantine.crashed([1]) is None
    assert quarantine.crashed([1]) == 1


def test_suspects_run_alone_and_newcomers_wait():
    quarantine = Quarantine()
    quarantine.crashed([1, 2])
    quarantine.crashed([1, 2])
    assert quarantine.admit((1, 2, 3), ()) == (1,)
    assert quarantine.admit((2, 3), (1,)) == ()
    assert not quarantine.advanced(1, CLEARED_AFTER - 1)
    assert quarantine.advanced(1, CLEARED_AFTER)
    assert quarantine.admit((1, 2, 3), ()) == (2,)
    quarantine.forget(2)
    assert quarantine.admit((1, 3), ()) == (1, 3)


def test_long_stream_alone_meets_any_number_of_crashes_if_it_gets_on_in_between():
    quarantine = Quarantine()
    for _ in range(5):
        assert quarantine.crashed([1]) is None
        assert not quarantine.advanced(1, CLEARED_AFTER - 1)
        assert not quarantine.advanced(1, CLEARED_AFTER), "it wasn't a suspect: nobody waits for it"
        assert not quarantine.watching
    quarantine.crashed([1])
    quarantine.advanced(1, CLEARED_AFTER - 1)
    assert quarantine.crashed([1]) == 1


def test_cleared_suspect_starts_again_at_no_crashes():
    quarantine = Quarantine()
    quarantine.crashed([1, 2])
    quarantine.crashed([1, 2])
    assert quarantine.advanced(1, CLEARED_AFTER)
    assert quarantine.crashes(1) == 0
    assert quarantine.crashed([1]) is None
