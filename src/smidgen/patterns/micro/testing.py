"""`TestWriter`: tests of functions, which pass on them and fail once a mistake is put in."""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import AsyncGenerator, Sequence

import msgspec

from smidgen.errors import InvalidRequest, NoAnswer
from smidgen.events import AgentEvent, FellBack, Notice, StepStarted, TextDelta, Verified
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.answers import parsed, python_in
from smidgen.patterns.micro.drafting import Drafting, drafts
from smidgen.patterns.micro.examples import Example, examples_of
from smidgen.patterns.micro.inputs import calls_at_bounds, calls_for
from smidgen.patterns.micro.mutants import mutants_of
from smidgen.patterns.micro.stubs import FunctionNode, is_empty, read_stub
from smidgen.patterns.micro.suites import Case, Origin, chosen, file_of, is_writable, notices, suite_of
from smidgen.patterns.micro.trials import Outcome, Trial, trials
from smidgen.patterns.micro.writing import ASSERT_ENDS, asserts_in
from smidgen.patterns.run import Run, guarded

CALLS = 40
RUNS = 8
"""Of a function, to see whether a call gives the same each time: interpreters differ in the order of sets."""
LEAST_NOTICED = 0.5
"""Of the mistakes that were put in, the share that a suite must notice to be given."""


class TestWriter(msgspec.Struct, frozen=True, kw_only=True):
    """The task's request is Python text; the answer is a file of tests for pytest.

    function: the one to test, "" for all at the top of the text whose name begins with no underscore. module: what the
    tests import them from. drafts: lists of asserts that the model writes."""

    __test__ = False

    name: str = "write-tests"
    model: str = ""
    function: str = ""
    module: str = "module"
    drafts: int = 2
    max_tokens: int = 120

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        source = python_in(task.request)
        suites: dict[str, str] = {}
        told: list[str] = []
        refused: list[str] = []
        names = testable(source, self.function)
        for number, name in enumerate(names, start=1):
            yield StepStarted(number=number, action="test", detail=name)
            suite = await _Suite(self, run, source, name).written()
            yield Verified(check=f"tests of {name}", ok=bool(suite.text), reason=suite.verdict)
            for notice in suite.notices:
                run.warn(notice)
                yield Notice(code="function_and_expectation", message=notice)
            if suite.text:
                suites[name] = suite.text
                told.append(f"{name} {suite.noticed} of {suite.mutants}")
            else:
                refused.append(f"{name}: {suite.verdict}")
        if not suites:
            raise NoAnswer(
                f"No tests came of it: {'; '.join(refused)}.",
                hint="Tried: the docstring's calls, a model's asserts, calls like these. Add an example or types.",
                tried=refused,
            )
        for one in refused:
            run.warn(f"No tests of {one}.")
            yield FellBack(from_strategy="tests", to_strategy="none", reason=one)
        text = file_of(self.module, suites)
        problem = await ran(resources, source, self.module, text)
        yield Verified(check="the file of tests", ok=not problem, reason=problem)
        if problem:
            raise NoAnswer(
                f"The tests don't pass as a file: {problem}.", hint="Do the functions depend on one another?"
            )
        yield TextDelta(text=text)
        yield run.finished(text, f"{self.name}: mistakes noticed: {', '.join(told)}")


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """text: "" if there is none, and then `verdict` says why. noticed: of so many mutants. notices: where a function
    doesn't do what somebody expected."""

    text: str = ""
    verdict: str = ""
    noticed: int = 0
    mutants: int = 0
    notices: tuple[str, ...] = ()


class _Suite:
    """The tests of one function while they are made."""

    def __init__(self, writer: TestWriter, run: Run, source: str, name: str) -> None:
        self._writer, self._run, self._source, self._name = writer, run, source, name
        self._stub = read_stub(source, name)
        self._classes = frozenset(node.name for node in parsed(source).body if isinstance(node, ast.ClassDef))
        shown = examples_of(self._stub)
        self._documented = tuple(one for one in shown if not one.setup and stands_alone(one.call, name))
        self._left = tuple(one for one in shown if one not in self._documented)

    async def written(self) -> Suite:
        expected = await self._expected()
        told = (*self._documented, *expected)
        bounds = calls_at_bounds(self._stub, self._source, told)
        calls = [call for call in calls_for(self._stub, told, bounds, CALLS) if call not in {one.call for one in told}]
        known = told
        if not known and not calls:
            return Suite(verdict="nothing is known of its arguments")
        first, *others = await trials(self._run.resources, [self._source] * RUNS, known, calls)
        if first.error:
            return Suite(verdict=f"it can't be run: {first.error}")
        every = [*[one.call for one in known], *calls]
        notices = [f"The docstring's {one.call} needs more than {self._name}, and is no test." for one in self._left]
        cases: list[Case] = []
        for place, (call, outcome) in enumerate(zip(every, first.outcomes, strict=True)):
            origin: Origin = "recorded"
            if place < len(known):
                documented = place < len(self._documented)
                if not outcome.ok:
                    if documented:
                        notices.append(f"The docstring shows {known[place].told}, but {outcome.told}.")
                        continue
                else:
                    origin = "documented" if documented else "expected"
            same = all(_plain(one.outcomes[place]) == _plain(outcome) for one in others)
            if same and is_writable(outcome, self._classes):
                cases.append(Case(call=call, outcome=_plain(outcome), origin=origin))
        return await self._told(cases, notices)

    async def _told(self, cases: Sequence[Case], notices: Sequence[str]) -> Suite:
        if not cases:
            return Suite(verdict="no call of it gave the same twice that can be written down", notices=tuple(notices))
        mutants = mutants_of(self._source, self._name)
        calls = [case.call for case in cases]
        tried = await trials(self._run.resources, [mutant.program for mutant in mutants], (), calls)
        found = [_noticed(one, cases) for one in tried]
        killed = [
            msgspec.structs.replace(
                case, kills=frozenset(number for number, places in enumerate(found) if place in places)
            )
            for place, case in enumerate(cases)
        ]
        kept = chosen(killed)
        noticed = len(frozenset[int]().union(*(case.kills for case in kept)))
        if mutants and noticed < LEAST_NOTICED * len(mutants):
            verdict = f"they notice only {noticed} of {len(mutants)} mistakes that were put in"
            return Suite(verdict=verdict, notices=tuple(notices))
        text = suite_of(self._name, kept or killed[:1])
        verdict = f"{len(kept)} calls, {noticed} of {len(mutants)} mistakes noticed"
        return Suite(text=text, verdict=verdict, noticed=noticed, mutants=len(mutants), notices=tuple(notices))

    async def _expected(self) -> tuple[Example, ...]:
        """What the model expects of calls that it makes up."""
        how = Drafting(
            temperature=0.6, seed=300, stop=ASSERT_ENDS, max_tokens=self._writer.max_tokens, model=self._writer.model
        )
        begun = f"{_alone(self._source, self._name)}\n\n# check that {self._name} is correct\nassert {self._name}("
        texts = await drafts(self._run, (), begun, how, self._writer.drafts)
        found = asserts_in(texts, self._stub, (*self._documented, *self._left))
        return tuple(one for one in found if stands_alone(one.call, self._name))


def _noticed(mutant: Trial, cases: Sequence[Case]) -> set[int]:
    """The calls whose test fails. What a mutant never came to after others took too long is none."""
    return {
        place
        for place, (case, outcome) in enumerate(zip(cases, mutant.outcomes, strict=True))
        if mutant.error or (outcome.kind != "lost" and notices(case, outcome))
    }


def stands_alone(call: str, name: str) -> bool:
    """Whether a file of tests that imports only that function can make the call."""
    names = {node.id for node in ast.walk(ast.parse(call.strip(), mode="eval")) if isinstance(node, ast.Name)}
    return all(one == name or hasattr(builtins, one) for one in names)


def testable(source: str, function: str) -> tuple[str, ...]:
    """Names of functions. Raises InvalidRequest if there are none."""
    tree = parsed(source)
    found = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not is_empty(node) and (not node.name.startswith("_") or function)
    ]
    if function and function not in found:
        hint = f"There are: {', '.join(found) or 'none'}. Only functions at the top of a file can be tested."
        raise InvalidRequest(f"There is no function {function} to test.", hint=hint)
    if not found:
        raise InvalidRequest("There is no function to test.", hint="Only functions at the top of a file can be tested.")
    return (function,) if function else tuple(dict.fromkeys(found))


async def ran(resources: Resources, source: str, module: str, tests: str) -> str:
    """What goes wrong when a file of tests is run beside the module, "" if nothing does."""
    data = json.dumps({"source": source, "module": module, "tests": tests})
    executed = await resources.python(f"import json\n_data = json.loads({data!r})\n{_RUNNER}", 10.0)
    if executed.ok:
        return ""
    return executed.error.strip().splitlines()[-1] if executed.error else f"stopped: {executed.stopped}"


def _plain(outcome: Outcome) -> Outcome:
    return Outcome(kind=outcome.kind, shown=outcome.shown)


def _alone(source: str, name: str) -> str:
    """Imports and the function itself: a small model needs no more to write calls of it."""
    tree = ast.parse(source)
    wanted = [
        node
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (isinstance(node, FunctionNode) and node.name == name)
    ]
    return "\n".join(ast.unparse(node) for node in wanted) + "\n"


_RUNNER = r"""
import sys, types, math
def _close(value, wanted):
    if isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(_close(value[one], wanted[one]) for one in wanted)
    if isinstance(wanted, (list, tuple)): return len(value) == len(wanted) and all(map(_close, value, wanted))
    return math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-12)
class _Approx:
    def __init__(self, wanted): self.wanted = wanted
    def __eq__(self, value): return _close(value, self.wanted)
class _Raises:
    def __init__(self, kind): self.kind = kind
    def __enter__(self): return self
    def __exit__(self, kind, value, trace):
        assert kind is not None, "nothing was raised"
        return issubclass(kind, self.kind)
_pytest = types.ModuleType("pytest")
_pytest.approx, _pytest.raises = _Approx, _Raises
_module = types.ModuleType(_data["module"])
sys.modules.update({"pytest": _pytest})
_place = ""
for _part in _data["module"].split("."):
    _place = f"{_place}.{_part}".lstrip(".")
    sys.modules[_place] = types.ModuleType(_place)
sys.modules[_data["module"]] = _module
exec(compile(_data["source"], "module.py", "exec"), _module.__dict__)
_tests = {"__name__": "tests"}
exec(compile(_data["tests"], "tests.py", "exec"), _tests)
for _name, _one in list(_tests.items()):
    if _name.startswith("test_"): _one()
"""
