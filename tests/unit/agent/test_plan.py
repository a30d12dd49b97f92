"""The planner, on random worlds: it ends, never repeats a failing call, and never goes beyond its limits."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent import Strategy
from smidgen.agent.plan import Ask, CallTool, Escalate, Finish, Generate, Retry, Route, Verify, WriteCall, plan
from smidgen.agent.state import Attempt, Choice, State, Verdict, after_attempt, after_escalation, after_retry
from smidgen.messages import ToolCall
from smidgen.tools import Fault

STRATEGIES: tuple[Strategy, ...] = ("rules", "constrained", "simplified", "plain")
CALLS = tuple(ToolCall(name=name, arguments={"x": x}) for name in "ab" for x in (1, 2))

replace = msgspec.structs.replace


def start(strategies: tuple[Strategy, ...] = STRATEGIES, max_steps: int = 3) -> State:
    return State(strategies=strategies, max_steps=max_steps)


@given(st.data(), st.lists(st.sampled_from(STRATEGIES), max_size=5), st.integers(0, 4))
def test_every_run_ends_and_never_repeats_a_failing_call(
    data: st.DataObject, strategies: list[Strategy], max_steps: int
) -> None:
    state = start(tuple(strategies), max_steps)
    made: list[ToolCall] = []
    for _ in range(100):
        action = plan(state)
        match action:
            case Route():
                tool = data.draw(st.sampled_from(["", "a", "b"]))
                ready = data.draw(st.sampled_from(CALLS)) if tool and action.strategy == "rules" else None
                choice = Choice(tool=tool, calls=(ready,) if ready else (), direct=data.draw(st.booleans()))
                state = replace(state, choice=choice, draft=ready)
            case WriteCall():
                written = data.draw(st.sampled_from([*CALLS, None]))
                state = (
                    after_retry(state, "no call") if written is None else replace(state, draft=written, verdict=None)
                )
            case Verify():
                missing = data.draw(st.sampled_from([(), ("x",)]))
                state = replace(state, verdict=Verdict(ok=data.draw(st.booleans()), missing=missing))
            case CallTool():
                assert state.verdict is not None and state.verdict.ok
                made.append(action.call)
                ok = data.draw(st.booleans())
                fault: Fault = "" if ok else data.draw(st.sampled_from(["", "arguments", "world", "denied"]))
                answer = data.draw(st.sampled_from(["", "It is so."]))
                state = after_attempt(
                    state, Attempt(call=action.call, ok=ok, text="result", answer=answer, fault=fault)
                )
            case Retry():
                state = after_retry(state, action.reason)
            case Escalate():
                before = state.strategies
                state = after_escalation(state, action.reason)
                assert len(state.strategies) < len(before)
            case Generate():
                state = replace(state, text=data.draw(st.sampled_from(["words", " "])))
                if not (state.text or "").strip() and not action.attempts:
                    state = after_escalation(state, "empty")
            case Finish():
                assert action.text or (state.text or "").strip()
                break
            case Ask():
                break
    else:
        raise AssertionError(f"no end in sight: {state}")
    assert len(made) == len({(call.name, call.arguments["x"]) for call in made}) <= max_steps


def test_without_tools_the_answer_is_generated_at_once() -> None:
    assert plan(start(("plain",))) == Generate()


def test_a_rule_that_does_not_apply_moves_on_quietly() -> None:
    state = replace(start(), choice=Choice(tool=""))
    assert isinstance(plan(state), Escalate)
    assert after_escalation(state, "").strategy == "constrained"


def test_where_no_tool_is_needed_the_simplified_prompt_is_skipped() -> None:
    state = replace(start(STRATEGIES[1:]), choice=Choice(tool="", reason="no tool is needed"))
    assert after_escalation(state, "no tool is needed").strategies == ("plain",)


def test_where_no_tool_could_be_chosen_the_simplified_prompt_is_tried() -> None:
    state = replace(start(STRATEGIES[1:]), choice=Choice(tool="", reason="too long", failed=True))
    assert plan(state) == Escalate(reason="too long")
    assert after_escalation(state, "too long").strategies == ("simplified", "plain")


def test_an_answer_template_ends_it_without_the_model() -> None:
    done = Attempt(call=CALLS[0], ok=True, text="4", answer="2 + 2 = 4")
    assert plan(after_attempt(start(), done)) == Finish(text="2 + 2 = 4")


def test_the_tool_whose_call_failed_is_written_again_not_the_one_that_followed() -> None:
    failed = Attempt(call=CALLS[0], ok=False, text="There is no such place", fault="arguments")
    followed = Choice(tool="b", focus=(20, 40))
    state = replace(start(STRATEGIES[1:]), choice=followed, accepted=(CALLS[0],), complete=True)
    assert plan(after_attempt(state, failed)) == WriteCall(tool=CALLS[0].name, hint="There is no such place")


def test_where_more_is_asked_than_calls_answer_the_rest_is_said_in_words() -> None:
    done = Attempt(call=CALLS[0], ok=True, text="4", answer="2 + 2 = 4")
    state = after_attempt(start(), done)
    assert plan(replace(state, asked=2)) == Generate(attempts=(done,))
    assert plan(replace(state, asked=1)) == Finish(text="2 + 2 = 4")
    assert plan(replace(state, asked=2, choice=Choice(tool="a", direct=True))) == Finish(text="2 + 2 = 4")
    assert after_escalation(replace(start(), asked=2), "why").asked == 2


def test_a_result_without_a_template_is_put_into_words() -> None:
    done = Attempt(call=CALLS[0], ok=True, text="long text")
    assert plan(after_attempt(start(), done)) == Generate(attempts=(done,))


def test_a_silent_model_is_replaced_by_the_result() -> None:
    done = Attempt(call=CALLS[0], ok=True, text="the result")
    assert plan(replace(after_attempt(start(), done), text="  ")) == Finish(text="the result")


def test_what_failed_in_the_world_is_told_instead_of_guessed_around() -> None:
    failed = Attempt(call=CALLS[0], ok=False, text="There is no such file.", fault="world")
    action = plan(after_attempt(start(), failed))
    assert isinstance(action, Finish) and action.refused and "no such file" in action.text


def test_bad_arguments_are_retried_once_with_the_reason_as_a_hint() -> None:
    failed = Attempt(call=CALLS[0], ok=False, text="Division by zero", fault="arguments")
    state = replace(start(STRATEGIES[1:]), choice=Choice(tool="a"), draft=CALLS[0], verdict=Verdict(ok=True))
    state = after_attempt(state, failed)
    assert plan(state) == WriteCall(tool="a", hint="Division by zero")
    assert isinstance(plan(replace(state, draft=CALLS[0])), Escalate)
    again = after_attempt(replace(state, draft=CALLS[1]), replace(failed, call=CALLS[1]))
    assert isinstance(plan(again), Escalate)


def test_when_nothing_is_left_the_refusal_says_what_was_tried() -> None:
    state = after_escalation(start(("constrained",)), "the call was wrong")
    action = plan(state)
    assert isinstance(action, Finish) and action.refused
    assert "constrained: the call was wrong" in action.text
