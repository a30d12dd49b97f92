"""Micro-agents through an agent of a runtime, with scripted models and the real sandbox."""

from __future__ import annotations

import ast
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import InvalidRequest, NoAnswer
from smidgen.events import AgentEvent, FellBack, Finished, StepStarted, TextDelta, Verified
from smidgen.messages import GenerateRequest
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro import CodeWriter, Completer, DocWriter, ErrorExplainer, MicroAgent, TestWriter
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

Answers = Iterable[str] | Callable[[GenerateRequest], str]


class Ran:
    def __init__(self, events: list[AgentEvent], engine: ScriptedEngine) -> None:
        self.events, self.engine = events, engine

    @property
    def end(self) -> Finished:
        end = self.events[-1]
        assert isinstance(end, Finished), end
        assert "".join(event.text for event in self.events if isinstance(event, TextDelta)) == end.text
        return end

    @property
    def steps(self) -> list[str]:
        return [event.action for event in self.events if isinstance(event, StepStarted)]

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Verified) and not event.ok]


async def run(pattern: Any, request: str, answers: Answers) -> Ran:
    engine = ScriptedEngine(answers, name="tiny", context=8192)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=pattern).astream(request)]
    return Ran(events, engine)


async def refused(pattern: Any, request: str, answers: Answers) -> NoAnswer:
    engine = ScriptedEngine(answers, name="tiny", context=8192)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(NoAnswer) as caught:
            await Agent(runtime=runtime, pattern=pattern).arun(request)
    return caught.value


# --- writing code -----------------------------------------------------------------------------------------------------

STUB = '''def double(n: int) -> int:
    """Twice the number.

    >>> double(4)
    8
    """
'''
RIGHT, WRONG = "    return n * 2\n", "    return n + 2\n"


async def test_two_drafts_that_pass_and_agree_are_enough():
    ran = await run(CodeWriter(), STUB, [RIGHT, "    return 2 * n\n```\nThat's it."])
    assert ran.end.text == STUB + RIGHT
    assert ran.steps == ["draft"]
    assert ran.end.strategy == "write-code: continued, 1 of 1 examples"
    continued, asked = map(prompt_text, ran.engine.generated)
    assert continued == STUB
    assert asked.endswith(f"assistant: ```python\n{STUB}")
    assert not ran.engine.generated[0].prompt[-1].special
    assert {request.sampling.repeat_penalty for request in ran.engine.generated} == {1.0}


def script(first: str, sampled: str, mended: str = "") -> Callable[[GenerateRequest], str]:
    def answer(request: GenerateRequest) -> str:
        text = prompt_text(request)
        if "is wrong" in text:
            return mended
        if text.endswith("assert double("):
            return "3) == 6\nassert double(0) == 0"
        return sampled if request.sampling.temperature else first

    return answer


async def test_samples_are_drawn_when_the_likeliest_fail_and_the_example_decides():
    ran = await run(CodeWriter(), STUB, script(WRONG, RIGHT))
    assert ran.end.text == STUB + RIGHT
    assert ran.steps == ["draft", "sample"]
    assert ran.end.strategy == "write-code: sampled, 1 of 1 examples, agreement 100% of 6 drafts"
    seeds = [request.sampling.seed for request in ran.engine.generated if request.sampling.temperature]
    assert len(set(seeds)) == len(seeds) == 6


async def test_what_fails_an_example_is_mended_with_the_reason():
    ran = await run(CodeWriter(samples=2), STUB, script(WRONG, WRONG, RIGHT))
    assert ran.end.text == STUB + RIGHT
    assert ran.steps == ["draft", "sample", "mend"]
    mending = next(text for request in ran.engine.generated if "is wrong" in (text := prompt_text(request)))
    assert "`double(4)` should return 8, but it returned 6" in mending
    assert WRONG.strip() in mending


async def test_what_never_passes_is_refused_with_what_was_tried_or_told():
    error = await refused(CodeWriter(samples=2), STUB, script(WRONG, WRONG, WRONG))
    assert "`double(4)` should return 8, but it returned 6" in error.message
    assert "8 drafts, 1 times mended" in error.hint
    assert error.details["best"] == STUB + WRONG
    ran = await run(CodeWriter(samples=2, strict=False), STUB, script(WRONG, WRONG, WRONG))
    assert ran.end.text == STUB + WRONG
    assert "should return 8" in ran.end.warnings[0]


async def test_without_examples_the_drafts_must_agree():
    stub = "def double(n: int) -> int:\n"
    ran = await run(CodeWriter(), stub, script(RIGHT, RIGHT))
    assert ran.end.text == stub + RIGHT
    bodies = (f"    return n + {number}\n" for number in range(99))
    error = await refused(CodeWriter(), stub, lambda request: next(bodies))
    assert "don't agree" in error.message


async def test_a_draft_that_never_ends_or_ends_everything_is_only_a_bad_draft():
    bodies = iter(["    while True: pass\n", "    import os\n    os._exit(0)\n"])
    answer = script(WRONG, RIGHT)
    ran = await run(CodeWriter(), STUB, lambda request: next(bodies, None) or answer(request))
    assert ran.end.text == STUB + RIGHT


# --- writing tests ----------------------------------------------------------------------------------------------------

GRADE = '''def grade(points: int) -> str:
    """The grade for so many points.

    >>> grade(95)
    'A'
    """
    if points < 0:
        raise ValueError("points are 0 or more")
    if points >= 90:
        return "A"
    return "B" if points > 50 else "C"
'''


async def test_tests_pass_on_the_function_and_notice_mistakes():
    ran = await run(
        TestWriter(module="marks"), GRADE, ["95) == 'A'\nassert grade(50) == 'C'\nassert grade(60) == 'A'"] * 3
    )
    text = ran.end.text
    assert text.startswith("import pytest\n\nfrom marks import grade\n")
    assert "def test_grade_as_documented() -> None:\n    assert grade(95) == 'A'" in text
    assert "assert grade(50) == 'C'" in text
    assert "grade(60) == 'A'" not in text, "what the model expected wrongly is no test"
    names: dict[str, Any] = {"__name__": "tests"}
    exec(GRADE, names)
    tests = ast.unparse([node for node in ast.parse(text).body if not isinstance(node, ast.ImportFrom)])  # type: ignore[arg-type]
    exec(tests, names)
    for name in [name for name in names if name.startswith("test_")]:
        names[name]()
    exec(GRADE.replace(">= 90", "> 95"), names)
    with pytest.raises(AssertionError):
        for name in [name for name in names if name.startswith("test_")]:
            names[name]()


async def test_a_docstring_that_is_wrong_is_told_and_is_no_test():
    ran = await run(TestWriter(), GRADE.replace("    'A'\n", "    'B'\n"), ["0) == 'C'\nassert grade(91) == 'A'"] * 3)
    assert ran.end.warnings == ("The docstring shows grade(95) == 'B', but it returned 'A'.",)
    assert "as_documented" not in ran.end.text


async def test_a_function_that_gives_something_else_each_time_gets_no_tests():
    error = await refused(
        TestWriter(), "import time\n\n\ndef now(a: int):\n    return time.time_ns()\n", ["1) == 5"] * 3
    )
    assert "no call of it gave the same twice" in error.message


async def test_a_function_without_any_arguments_known_is_refused():
    error = await refused(TestWriter(), "def f(a):\n    return a.b\n", ["nothing"] * 3)
    assert "nothing is known of its arguments" in error.message


async def test_only_a_function_at_the_top_can_be_named():
    with pytest.raises(InvalidRequest, match="There are: grade"):
        engine = ScriptedEngine([], name="tiny")
        async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
            await Agent(runtime=runtime, pattern=TestWriter(function="mark")).arun(GRADE)


# --- documenting ------------------------------------------------------------------------------------------------------

PLAIN = "def area(width, height):\n    return width * height\n"
DESCRIBED = (
    "Computes how large a rectangle is.\n\nArgs:\n    width: from left to right\n    height: from top to bottom\n\n"
    "Returns:\n    the product of both"
)


async def test_docstrings_are_put_in_and_nothing_else_changes():
    ran = await run(DocWriter(), PLAIN, [DESCRIBED])
    assert ran.end.text.startswith('def area(width, height):\n    """Computes how large a rectangle is.\n\n    Args:\n')
    assert ran.end.text.endswith('    """\n    return width * height\n')
    assert ran.engine.generated[0].constraint is not None
    assert 'def area(width, height):\n    """' in prompt_text(ran.engine.generated[0])


async def test_a_docstring_that_is_wrong_is_written_again_with_the_reason():
    ran = await run(DocWriter(), PLAIN, [DESCRIBED.replace("a rectangle", "`shape_of` a thing"), DESCRIBED])
    assert ran.reasons == ["it names shape_of, which the function doesn't"]
    assert "it names shape_of" in prompt_text(ran.engine.generated[1])


async def test_functions_whose_docstring_is_never_right_are_left_and_told():
    ran = await run(DocWriter(tries=1), PLAIN + "\n\ndef more():\n    return 1\n", [DESCRIBED, "Wrong"])
    assert "def more():\n    return 1\n" in ran.end.text
    assert ran.end.warnings[0].startswith("No docstring for more")
    error = await refused(DocWriter(tries=2), PLAIN, ["Wrong.", "Wrong."])
    assert error.details["tried"] == ["area: its sections must be: Args, Returns"]


# --- explaining -------------------------------------------------------------------------------------------------------

LOG = """Traceback (most recent call last):
  File "shop.py", line 4, in price
    return prices[name]
KeyError: 'plum'
"""
SAID = "The key plum isn't in prices, so looking it up fails."


async def test_an_explanation_that_fits_the_log_is_told_under_what_is_certain():
    ran = await run(ErrorExplainer(), LOG, [SAID])
    head, where, why, here, attempt = ran.end.text.splitlines()
    assert head == "KeyError: 'plum'"
    assert where == "Where: shop.py:4 in price: return prices[name]"
    assert why.startswith("Why: A key was looked up") and attempt.startswith("Try: Check")
    assert here == f"Here: {SAID}"
    assert len(prompt_text(ran.engine.generated[0])) < 600


async def test_a_rule_explains_when_the_model_makes_things_up():
    ran = await run(ErrorExplainer(), LOG, [SAID.replace("The key", "An IndexError in basket.py: the key")] * 2)
    assert "Why: A key was looked up that the mapping doesn't have." in ran.end.text
    assert ran.end.strategy == "explain-error: Python, rule"
    assert any(isinstance(event, FellBack) for event in ran.events)


# --- completing -------------------------------------------------------------------------------------------------------


async def test_a_completion_is_told_once_the_file_is_valid_with_it():
    text = "def area(w, h):\n    return <GAP>\n"
    ran = await run(Completer(), text, ["w * (", "w * h"])
    assert ran.end.text == "w * h"
    assert ran.reasons[0].startswith("the file isn't valid Python with it")
    assert "can't fill in" in ran.end.warnings[0], "the scripted model has no marks for a gap"
    assert prompt_text(ran.engine.generated[0]) == "def area(w, h):\n    return "


async def test_what_never_fits_is_refused():
    error = await refused(Completer(tries=2), "def f(:\n    <GAP>\n", ["pass", "return"])
    assert "isn't valid Python" in error.message and "the likeliest text and 1 others" in error.hint


# --- one's own --------------------------------------------------------------------------------------------------------


async def test_a_check_in_python_says_what_to_do_better():
    def short(answer: str) -> str | None:
        return "it has more than two words" if len(answer.split()) > 2 else None

    own = MicroAgent(name="title", prompt="A title for: {input}", check=short)
    ran = await run(own, "a tale", ["One two three", "One two"])
    assert (ran.end.text, ran.end.strategy) == ("One two", "title: 2. try")
    assert prompt_text(ran.engine.generated[1]).endswith(
        "user: A title for: a tale\n\nThe last answer was wrong: it has more than two words.\nassistant: "
    )


async def test_a_check_as_a_program_runs_in_the_sandbox():
    own = MicroAgent(name="sum", prompt="Add: {input}", check='assert int(answer) == eval(input), "it is wrong"')
    ran = await run(own, "2 + 3", ["6", "five", "5"])
    assert ran.end.text == "5"
    assert ran.reasons[0] == "it is wrong"
    assert "invalid literal" in ran.reasons[1]


def holds_input(answer: str, given: str) -> bool:
    return given in answer


def says_plum(answer: str) -> bool:
    return answer.index("plum") >= 0


@pytest.mark.parametrize("check", [holds_input, says_plum, "assert input in answer"])
async def test_what_is_never_right_is_refused_or_left_to_another(check: Any):
    own = MicroAgent(name="echo", prompt="Say:", check=check, retries=1)
    error = await refused(own, "pear", ["apple", "fig"])
    assert "It was tried 2 times" in error.hint
    with_other = MicroAgent(name="echo", prompt="Say:", check=check, retries=0, otherwise=Direct())
    ran = await run(with_other, "pear", ["apple", "fig"])
    assert (ran.end.text, ran.end.strategy) == ("fig", "echo: direct")
    assert "direct answers instead" in ran.end.warnings[0]


async def test_python_goes_in_and_comes_out_as_such():
    own = MicroAgent(name="tidy", prompt="Tidy:", input="python", output="python", retries=1)
    ran = await run(own, "x=1", ["```python\nx = (\n```", "```python\nx = 1\n```"])
    assert ran.end.text == "x = 1"
    engine = ScriptedEngine([], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(InvalidRequest, match="wants Python"):
            await Agent(runtime=runtime, pattern=own).arun("x = (")


async def test_an_answer_that_was_cut_is_not_right():
    own = MicroAgent(name="long", prompt="Say:", retries=0, max_tokens=3)
    error = await refused(own, "x", ["much too long"])
    assert "cut at its length limit" in error.message


async def test_a_check_that_is_itself_wrong_is_told_to_its_author():
    engine = ScriptedEngine(["x"], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(InvalidRequest, match="The check can't be run: NameError"):
            await Agent(runtime=runtime, pattern=MicroAgent(name="a", prompt="b", check="assert anser")).arun("c")


async def test_a_check_that_runs_the_answer_blames_the_answer_for_its_mistakes():
    check = "assert eval(answer) == eval(input), 'no\\nline 2: no'"
    own = MicroAgent(name="sum", prompt="Add: {input}", check=check, retries=3)
    ran = await run(own, "2 + 3", ["five plus", "foo", "4", "5"])
    assert ran.end.text == "5"
    assert ran.reasons[:2] == [
        "SyntaxError: invalid syntax (<string>, line 1)",
        "NameError: name 'foo' is not defined",
    ]
    assert ran.reasons[2:] == ["no\nline 2: no"]


async def test_what_answers_instead_is_closed_with_the_agent():
    closed: list[str] = []

    class Slow(msgspec.Struct, frozen=True):
        name: str = "slow"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            try:
                yield TextDelta(text="a")
                yield TextDelta(text="b")
            finally:
                closed.append(self.name)

    own = MicroAgent(name="echo", prompt="Say:", check="assert False", retries=0, otherwise=Slow())
    engine = ScriptedEngine(["x"], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        events = Agent(runtime=runtime, pattern=own).astream("x")
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()
        assert closed == ["slow"]


async def test_a_test_never_depends_on_files_nor_on_names_that_it_does_not_import():
    source = (
        "import math\n\n\nclass Odd(ValueError):\n    pass\n\n\n"
        "def half(n: int) -> int:\n    if n % 2:\n        raise Odd(n)\n    return n // 2\n\n\n"
        "def first(path: str) -> str:\n    return open(path).read()[0]\n"
    )
    asserts = ["math.floor(4.5)) == 2\nassert half(8) == 4", "6) == 3", "'/etc/hostname') == 'x'", "'a') == 'b'"]
    ran = await run(TestWriter(module="shop"), source, asserts)
    assert "from shop import Odd, half\n" in ran.end.text and "pytest.raises(Odd)" in ran.end.text
    assert "math" not in ran.end.text and "first" not in ran.end.text
    assert any(warning.startswith("No tests of first") for warning in ran.end.warnings)


async def test_what_depends_on_the_order_of_sets_is_no_test():
    source = "def mixed(text):\n    return ''.join(set(text + 'qrstuvwxyz'))\n"
    error = await refused(TestWriter(), source, ["'abcdefgh') == 'a'\nassert mixed('ijklmnop') == 'i'"] * 2)
    assert "no call of it gave the same twice" in error.message


@pytest.mark.parametrize("pattern", [DocWriter(), TestWriter(), CodeWriter()])
@pytest.mark.parametrize(
    "text", ["def f(a):\n    return a\0\n", "x = " + "-" * 100_000 + "1\ndef f(a):\n    return a\n"]
)
async def test_text_that_python_cannot_read_is_the_users_mistake(pattern: Any, text: str):
    engine = ScriptedEngine([], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises(InvalidRequest, match="isn't valid Python"):
            await Agent(runtime=runtime, pattern=pattern).arun(text)
