from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smidgen.supervise import plan
from smidgen.supervise.plan import (
    Abort,
    Blamed,
    Exited,
    Garbled,
    GiveUp,
    Kill,
    Limits,
    Lost,
    Opened,
    Ping,
    Refused,
    RestartAfter,
    Start,
    State,
    Tick,
    WaitUntil,
    Wanted,
    Work,
    decide,
)

LIMITS = Limits()


class Clocked:
    """A plan with a clock, which performs actions by writing them down."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.now = 1000.0
        self.state = State()
        self.actions: list[plan.Action] = []
        self.wake: float | None = None

    def tell(self, event: plan.Event) -> list[plan.Action]:
        did: list[plan.Action] = []
        self.state, action = decide(self.state, event, self.now, self.limits)
        while not isinstance(action, WaitUntil):
            did.append(action)
            assert len(did) < 10, "the plan doesn't settle"
            self.state, action = decide(self.state, Tick(), self.now, self.limits)
        self.wake = action.at
        self.actions += did
        return did

    def hear(self) -> None:
        self.state = plan.heard(self.state, self.now)

    def run(self, seconds: float) -> list[plan.Action]:
        """Let time pass, waking when asked to."""
        end, did = self.now + seconds, list[plan.Action]()
        while self.wake is not None and self.wake <= end:
            self.now = max(self.now, self.wake)
            did += self.tell(Tick())
        self.now = end
        return did

    def open(self) -> None:
        self.tell(Wanted())
        self.tell(Opened(self.limits.progress_limit_s))

    def crash(self) -> list[plan.Action]:
        return self.tell(Exited())


def test_starts_when_wanted_and_only_once():
    clock = Clocked()
    assert clock.tell(Wanted()) == [Start()]
    assert clock.tell(Wanted()) == []
    assert clock.state.phase == "loading"


def test_silent_load_is_aborted_then_killed_then_killed_again():
    clock = Clocked()
    clock.tell(Wanted())
    assert clock.run(LIMITS.load_limit_s - 1) == []
    assert clock.run(2) == [Abort(LIMITS.load_limit_s)]
    assert clock.run(LIMITS.abort_grace_s - 1) == [Kill()]
    assert clock.run(2.5) == [Kill(), Kill()]


def test_load_that_makes_progress_may_take_longer_than_its_limit():
    clock = Clocked()
    clock.tell(Wanted())
    for _ in range(10):
        assert clock.run(LIMITS.load_limit_s / 2) == []
        clock.hear()
    assert clock.state.phase == "loading"


def test_silence_with_work_in_hand_is_a_hang():
    clock = Clocked()
    clock.open()
    clock.tell(Work(3))
    assert clock.run(LIMITS.progress_limit_s - 0.1) == []
    clock.hear()
    assert clock.run(LIMITS.progress_limit_s - 0.1) == []
    assert clock.run(0.2) == [Abort(LIMITS.progress_limit_s)]
    assert clock.crash() == [RestartAfter(0.0), Start()]


def test_silence_is_measured_from_when_the_work_came():
    clock = Clocked()
    clock.open()
    clock.run(LIMITS.ping_every_s - 1)
    clock.tell(Work(1))
    assert clock.run(LIMITS.progress_limit_s - 0.1) == []


def test_idle_worker_is_pinged_and_an_unanswered_ping_is_a_hang():
    clock = Clocked()
    clock.open()
    assert clock.run(LIMITS.ping_every_s) == [Ping()]
    clock.hear()
    assert clock.run(LIMITS.ping_every_s) == [Ping()]
    did = clock.run(LIMITS.progress_limit_s + 0.1)
    assert [type(action) for action in did] == [Abort]


def test_late_tick_means_that_we_slept_and_is_not_held_against_the_worker():
    clock = Clocked()
    clock.open()
    clock.tell(Work(1))
    clock.now += 3600
    assert clock.tell(Tick()) == []
    assert clock.run(LIMITS.progress_limit_s) == [Abort(LIMITS.progress_limit_s)]


def test_end_of_the_socket_gives_the_process_a_moment_to_exit_by_itself():
    clock = Clocked()
    clock.open()
    assert clock.tell(Lost()) == []
    assert clock.run(LIMITS.exit_grace_s) == [Kill()]


def test_garbage_kills_at_once():
    clock = Clocked()
    clock.open()
    assert clock.tell(Garbled()) == [Kill()]
    assert clock.tell(Garbled()) == []


def test_refusal_is_no_crash_and_a_later_wish_tries_again():
    clock = Clocked()
    clock.tell(Wanted())
    clock.tell(Refused())
    assert clock.run(LIMITS.exit_grace_s) == [Kill()]
    assert clock.crash() == []
    assert clock.state.phase == "idle"
    assert clock.state.crashes == ()
    assert clock.tell(Wanted()) == [Start()]


def test_restarts_back_off_from_zero_and_are_capped():
    clock = Clocked()
    clock.open()
    delays: list[float] = []
    for _ in range(LIMITS.restarts):
        did = clock.crash()
        assert isinstance(did[0], RestartAfter)
        delays.append(did[0].delay)
        clock.run(did[0].delay)
        clock.tell(Opened(1.0))
    assert delays == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert [type(action) for action in clock.crash()] == [GiveUp]
    assert clock.wake is None


def test_given_up_answers_every_wish_until_the_cool_down_is_over():
    limits = Limits(restarts=0)
    clock = Clocked(limits)
    clock.open()
    clock.crash()
    assert [type(action) for action in clock.tell(Wanted())] == [GiveUp]
    clock.run(limits.cool_down_s)
    assert clock.tell(Wanted()) == [Start()]
    assert clock.state.crashes == ()


def test_crashes_outside_the_window_do_not_count():
    clock = Clocked()
    clock.open()
    for _ in range(50):
        assert clock.crash() == [RestartAfter(0.0), Start()]
        clock.tell(Opened(1000.0))
        clock.tell(Work(1))
        clock.run(LIMITS.window_s + 1)


def test_slow_load_that_always_crashes_is_given_up_though_it_outlasts_the_window():
    clock = Clocked()
    clock.tell(Wanted())
    starts = 1
    while clock.state.phase != "given_up":
        for _ in range(3):
            clock.run(LIMITS.load_limit_s / 2)
            clock.hear()
        did = clock.crash() + clock.run(1)
        starts += did.count(Start())
        assert starts < 10
    assert starts == 1 + LIMITS.load_restarts


def test_found_culprit_clears_the_record():
    clock = Clocked()
    clock.open()
    for _ in range(LIMITS.restarts):
        clock.run(clock.crash()[0].delay)  # type: ignore[union-attr]
        clock.tell(Opened(1.0))
    clock.tell(Blamed())
    assert clock.crash() == [RestartAfter(0.0), Start()]


@pytest.mark.parametrize("crashes", [1, 2, 5, 100, 10_000])
def test_delay_is_never_over_its_limit(crashes):
    assert 0.0 <= plan.restart_delay(crashes, LIMITS) <= LIMITS.max_backoff_s


def test_limit_grows_with_the_model():
    assert plan.slowest_step(1000, 512, LIMITS) == LIMITS.progress_limit_s
    assert plan.slowest_step(7_000_000_000, 512, LIMITS) == pytest.approx(716.8)


class AnyHistory(RuleBasedStateMachine):
    """Any worker behaviour in any order: one process at a time, restarts within the cap, always a way on."""

    @initialize(restarts=st.integers(0, 4), load_restarts=st.integers(0, 3))
    def begin(self, restarts: int, load_restarts: int) -> None:
        self.clock = Clocked(Limits(restarts=restarts, load_restarts=load_restarts))
        self.process = False
        self.starts: list[float] = []
        self.gave_up = 0

    def perform(self, actions: list[plan.Action]) -> None:
        for action in actions:
            match action:
                case Start():
                    assert not self.process, "two processes"
                    self.process = True
                    self.starts.append(self.clock.now)
                case Abort() | Kill() | Ping():
                    assert self.process, "a signal to nobody"
                case GiveUp():
                    assert not self.process
                    self.gave_up += 1

    @rule()
    def want(self) -> None:
        given_up = self.clock.state.phase == "given_up"
        before = self.gave_up
        self.perform(self.clock.tell(Wanted()))
        assert self.process or self.clock.state.phase == "waiting" or (given_up and self.gave_up == before + 1)

    @rule(seconds=st.floats(0.0, 200.0))
    def wait(self, seconds: float) -> None:
        self.perform(self.clock.run(seconds))

    @rule()
    def hear(self) -> None:
        self.clock.hear()

    @rule(event=st.sampled_from([Opened(30.0), Refused(), Lost(), Garbled(), Blamed()]))
    def happen(self, event: plan.Event) -> None:
        self.perform(self.clock.tell(event))

    @rule(count=st.integers(0, 3))
    def work(self, count: int) -> None:
        self.perform(self.clock.tell(Work(count)))

    @precondition(lambda self: self.process)
    @rule()
    def exit(self) -> None:
        self.process = False
        self.perform(self.clock.tell(Exited()))

    @invariant()
    def process_and_phase_agree(self) -> None:
        assert self.process == self.clock.state.running

    @invariant()
    def somebody_wakes_us_while_there_is_a_process(self) -> None:
        if self.process or self.clock.state.phase == "waiting":
            assert self.clock.wake is not None

    @invariant()
    def restarts_are_capped(self) -> None:
        limits = self.clock.limits
        assert len(self.clock.state.crashes) <= limits.restarts + 1

    @invariant()
    def state_is_plain_data(self) -> None:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(self.clock.state), type=State) == self.clock.state


AnyHistory.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase
