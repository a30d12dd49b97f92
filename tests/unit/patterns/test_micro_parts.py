"""The pure parts of micro-agents: stubs, examples, calls, mutants, docstrings, choices, suites, places."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from smidgen.errors import ConfigError, InvalidRequest
from smidgen.patterns.files import load_pattern
from smidgen.patterns.micro import CodeWriter, MicroAgent
from smidgen.patterns.micro.answers import python_in
from smidgen.patterns.micro.choosing import Candidate, weighed
from smidgen.patterns.micro.completing import GAP, fitting, place_in
from smidgen.patterns.micro.docstrings import problem_of, same_code, text_of, undocumented, with_docstrings
from smidgen.patterns.micro.examples import Example, examples_of
from smidgen.patterns.micro.inputs import arguments_of, calls_for
from smidgen.patterns.micro.mutants import mutants_of
from smidgen.patterns.micro.stubs import body_of, read_stub
from smidgen.patterns.micro.suites import Case, chosen, file_of, is_writable, notices, suite_of
from smidgen.patterns.micro.trials import Outcome, Trial
from smidgen.patterns.micro.writing import asserts_in

STUB = '''from typing import List


def above(values: List[int], least: int = 0) -> List[int]:
    """Those that are more than `least`.

    >>> above([1, 5], 3)
    [5]
    """
'''


def stub_with(docstring: str, signature: str = "def f(x)"):
    return read_stub(f'{signature}:\n    """{docstring}"""\n')


# --- stubs ------------------------------------------------------------------------------------------------------------


def test_a_stub_is_the_text_up_to_the_body():
    stub = read_stub(STUB)
    assert (stub.name, stub.parameters, stub.hints) == ("above", ("values", "least"), ("List[int]", "int"))
    assert stub.before == STUB
    assert stub.program("    return []") == STUB + "    return []\n"


def test_the_function_without_a_body_is_meant_and_what_follows_stays():
    text = 'def f():\n    return 1\n\n\ndef g(a):\n    """G."""\n    raise NotImplementedError\n\n\nprint(f())\n'
    stub = read_stub(text)
    assert stub.name == "g"
    assert stub.program("    return a") == text.replace("raise NotImplementedError", "return a")
    assert read_stub(text, "f").name == "f"


def test_a_signature_alone_and_code_in_a_fence_are_stubs_too():
    assert read_stub("def f(a, b):").before == "def f(a, b):\n"
    assert read_stub("Please write it:\n```python\ndef f(a):\n    pass\n```\n").before == "def f(a):\n"


def test_a_fence_in_a_docstring_of_a_file_is_no_fence_around_it():
    text = 'def f():\n    """So:\n\n    ```python\n    f()\n    ```\n    """\n    return 1\n'
    assert python_in(text) == text


@pytest.mark.parametrize("text", ["x = 1\n", "def (:\n", "def f(): return 1\n", "class A:\n    def f(self): ...\n"])
def test_what_holds_no_function_to_write_is_refused(text: str):
    with pytest.raises(InvalidRequest):
        read_stub(text)


def test_the_body_ends_where_the_function_does():
    stub = read_stub(STUB)
    written = "    return [v for v in values if v > least]\n\n\nprint(above([1], 0))\n"
    assert body_of(written, stub) == "    return [v for v in values if v > least]"
    assert body_of("    return 1\n    for x in", stub) == "    return 1", "what was cut off is left out"
    assert body_of("I can't do that.", stub) == body_of("    pass", stub) == ""


# --- examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("docstring", "told"),
    [
        (">>> f(1)\n    2\n    ", ["f(1) == 2"]),
        (">>> f(1)\n    [1,\n     2]\n    Some words.", ["f(1) == [1,\n2]"]),
        (">>> f(-1)\n    Traceback (most recent call last):\n    ValueError: no\n    ", ["f(-1) raises ValueError"]),
        (">>> y = 3\n    >>> f(y)\n    4\n    ", ["f(y) == 4"]),
        (">>> f(1) == 2\n    True\n    ", ["f(1) == 2 == True"]),
        ("For example f(1) == 2, and f(2) => 3.", ["f(1) == 2", "f(2) == 3"]),
        ("f([1, (2)]) should return 'a, b'.", ["f([1, (2)]) == 'a, b'"]),
        ("f(3) returns True if it is odd", ["f(3) == True"]),
        ("f(1) ➞ 2\n    f(2) -> [1, 2]", ["f(1) == 2", "f(2) == [1, 2]"]),
        ("Examples:\n    [1, 2] => 3\n    [] ==> 0\n    ", ["f([1, 2]) == 3", "f([]) == 0"]),
        ("Input: x = 5\n    Output: 25\n    ", ["f(5) == 25"]),
        ("Give f(x) for all x. It returns 3 at most.", []),
        ("The sum f(a) + f(b) is 3.", []),
    ],
)
def test_examples_are_read_where_docstrings_show_them(docstring: str, told: list[str]):
    assert [one.told for one in examples_of(stub_with(docstring))] == told


def test_values_without_a_call_need_as_many_as_there_are_parameters():
    signature = "def f(a, b)"
    assert [one.call for one in examples_of(stub_with("1, 2 => 3", signature))] == ["f(1, 2)"]
    assert examples_of(stub_with("[1, 2] => 3", signature)) == ()


def test_calls_are_near_those_that_are_known_and_the_same_every_time():
    stub = read_stub(STUB)
    calls = calls_for(stub, examples_of(stub), most=20)
    assert len(calls) == len(set(calls)) > 12 and calls == calls_for(stub, examples_of(stub), most=20)
    assert "above([1, 5], 3)" not in calls
    for call in calls:
        values = arguments_of(call, "above")
        assert values is not None and isinstance(values[0], list) and isinstance(values[1], int)


def test_calls_have_as_many_values_as_the_function_takes():
    stub = read_stub("def f(a: int, b: int = 2): ...")
    also = ["f(1)", "f(1, 2)", "f(1, 2, 3)"]
    found = calls_for(stub, (), also, most=20)
    assert {len(arguments_of(call, "f") or ()) for call in found if call not in also} <= {1, 2}
    assert [one.call for one in asserts_in(["1) == 1\nassert f(1, 2, 3) == 1"], stub, ())] == ["f(1)"]
    assert read_stub("def f(*a): ...").takes(5)


def test_without_examples_annotations_give_calls_and_without_those_there_are_none():
    assert calls_for(read_stub("def f(n: int, s: str): ..."), (), most=8)
    assert calls_for(read_stub("def f(n): ..."), ()) == []


def test_asserts_of_a_model_are_read_with_the_value_that_most_of_them_give():
    stub = read_stub("def f(x): ...".replace(": ...", ":\n    ..."))
    texts = ["1) == 2\nassert f(2) == 3\nassert f(4) > 3", "1) == 2\nassert f(2) == 4, 'no'", "1) == 5\nnot code"]
    assert [one.told for one in asserts_in(texts, stub, [Example(call="f(9)")])] == ["f(1) == 2", "f(2) == 3"]


# --- choosing ---------------------------------------------------------------------------------------------------------


def candidate(body: str, shown: str, *, ok: bool = True, count: int = 1) -> Candidate:
    outcomes = (Outcome(kind="value", shown="", ok=ok), *(Outcome(kind="value", shown=one) for one in shown))
    return Candidate(body=body, way="sampled", trial=Trial(outcomes=outcomes), count=count)


def test_examples_come_first_and_then_what_most_drafts_do():
    found = weighed(
        [candidate("a", "12"), candidate("b", "13"), candidate("c", "13"), candidate("d", "99", ok=False, count=9)],
        1,
        0,
    )
    assert [one.candidate.body for one in found] == ["b", "c", "a", "d"]
    assert found[0].agreement == pytest.approx((1 + 2 / 3) / 2)


def test_calls_that_most_drafts_cannot_deal_with_count_for_nothing():
    failing = Candidate(
        body="f",
        way="sampled",
        trial=Trial(outcomes=(Outcome(kind="value", ok=True), Outcome(kind="raised", shown="E"))),
    )
    found = weighed([failing, msgspec_copy(failing, "g"), candidate("h", "1")], 1, 0)
    assert {one.agreement for one in found} == {0.0}


def msgspec_copy(one: Candidate, body: str) -> Candidate:
    return Candidate(body=body, way=one.way, trial=one.trial, count=one.count)


# --- mutants and suites -----------------------------------------------------------------------------------------------

GRADE = """def grade(points: int) -> str:
    if points >= 90 and points <= 100:
        return "A"
    return "B" if points + 1 > 50 else "C"
"""


def test_mutants_are_valid_programs_that_differ_in_one_place():
    found = mutants_of(GRADE, "grade")
    assert len({one.program for one in found}) == len(found) > 12
    kinds = {one.what.partition(": ")[2] for one in found}
    assert {"a comparison", "and/or", "an operator", "a condition", "what is returned", "90"} <= kinds
    for one in found:
        ast.parse(one.program)


def test_few_mutants_are_spread_over_the_function():
    lines = {one.what.partition(":")[0] for one in mutants_of(GRADE, "grade", most=4)}
    assert len(lines) > 1


def test_a_docstring_is_no_part_of_what_is_changed():
    assert mutants_of('def f():\n    """There are 3."""\n    pass\n', "f") == ()


def case(call: str, shown: str, kills: set[int], origin: str = "recorded", kind: str = "value") -> Case:
    outcome = Outcome(kind=kind, shown=shown)
    return Case(call=call, outcome=outcome, origin=origin, kills=frozenset(kills))  # type: ignore[arg-type]


def test_a_suite_keeps_what_notices_something_new():
    cases = [case("f(1)", "1", {0, 1}), case("f(2)", "2", {1}), case("f(3)", "3", {2}), case("f(4)", "4", set())]
    assert [one.call for one in chosen(cases)] == ["f(1)", "f(3)"]
    assert chosen([case("f(0)", "0", set(), "documented"), *cases])[0].call == "f(0)"


def test_a_suite_is_text_that_says_where_its_values_come_from():
    cases = [
        case("f(1)", "2", {0}, "documented"),
        case("f(2)", "0.5", {0}, "expected"),
        case("f(3)", "None", {0}),
        case("f('')", "ValueError", {0}, kind="raised"),
    ]
    text = file_of("shop.prices", {"f": suite_of("f", cases)})
    assert text.startswith("import pytest\n\nfrom shop.prices import f\n")
    assert "def test_f_as_documented() -> None:\n    assert f(1) == 2\n" in text
    assert "    assert f(2) == pytest.approx(0.5)\n" in text
    assert '"""What f gives today; nobody has said that it is right."""\n    assert f(3) is None\n' in text
    assert "    with pytest.raises(ValueError):\n        f('')\n" in text
    ast.parse(text)


@pytest.mark.parametrize(
    ("shown", "can"),
    [
        ("3", True),
        ("<object at 0x1>", False),
        ("nan", False),
        ("[1.5, 2]", True),
        ("[[1.5]]", False),
        ("x" * 200, False),
    ],
)
def test_only_what_can_be_written_down_becomes_a_test(shown: str, can: bool):
    assert is_writable(Outcome(kind="value", shown=shown)) is can


# --- docstrings -------------------------------------------------------------------------------------------------------

SHOP = '''class Basket:
    def add(self, item, *, count=1):
        # many at once
        if count < 1:
            raise ValueError("too few")
        self.items[item] = count

    def total(self): return 1


def words(text: str) -> list[str]:
    return text.split()


def quiet():
    """Does nothing."""
'''
ADD = """Puts an item into the basket.

Args:
    item: what is bought
    count: how many of it

Raises:
    ValueError: if `count < 1`"""


def test_what_a_docstring_must_tell_is_found_in_the_code():
    add, words = undocumented(SHOP)
    assert (add.place, add.parameters, add.raises, add.returns) == (
        "Basket.add",
        ("item", "count"),
        (("ValueError", "if `count < 1`"),),
        False,
    )
    assert (words.place, words.parameters, words.returns) == ("words", ("text",), True)
    assert undocumented(SHOP, "words") == undocumented(SHOP)[1:]
    assert undocumented(SHOP, "quiet") == ()


def test_only_docstrings_are_put_in():
    add, words = undocumented(SHOP)
    after = with_docstrings(
        SHOP, [(add, ADD), (words, "Splits a text at its blanks.\n\nArgs:\n    text: any\n\nReturns:\n    its words")]
    )
    assert same_code(SHOP, after)
    assert ast.get_docstring(ast.parse(after).body[1]) is not None  # type: ignore[arg-type]
    assert '        """Puts an item into the basket.\n' in after and "        # many at once\n" in after
    assert not same_code(SHOP, after.replace("count < 1", "count < 2"))
    assert undocumented(after) == ()


def test_a_grammar_allows_what_is_right():
    import re

    add, words = undocumented(SHOP)
    written = ADD.replace("\n", "\n    ").replace("\n    \n", "\n\n") + '\n    """'
    assert re.fullmatch(add.grammar, written)
    assert not re.fullmatch(words.grammar, written)
    assert text_of(written) == ADD


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("", ""), ""),
        (("    count: how many of it\n", ""), "Args must tell of: item, count"),
        (("    count:", "    amount:"), "Args must tell of"),
        (("Raises:", "Returns:"), "sections must be"),
        (("basket.", "basket"), "it was cut"),
        (("what is bought", "one of 7 things"), "it names 7"),
        (("what is bought", "what is bought " * 9), "characters"),
        (("Puts an item into the basket.", "Add the basket."), "only repeats the name"),
        (("how many of it", "what is bought"), "the same thing twice"),
        (("what is bought", "what `find_item` gives"), "find_item"),
    ],
)
def test_a_docstring_is_checked_against_the_function(change: tuple[str, str], told: str):
    add = undocumented(SHOP)[0]
    found = problem_of(ADD.replace(*change), add)
    assert found == told if not told else told in found


# --- completing -------------------------------------------------------------------------------------------------------


def test_places_are_lines_and_columns_from_one():
    text = "ab\ncd\n"
    assert [place_in(text, 1, 0), place_in(text, 2, 1), place_in(text, 3, 0)] == [2, 3, 6]
    assert place_in(f"x = {GAP}", 0, 0) == 4
    for line, column in ((5, 0), (1, 9), (0, 0)):
        with pytest.raises(InvalidRequest):
            place_in(text, line, column)


def test_lines_that_make_the_file_invalid_are_left_out():
    before, after = "def f(a):\n    ", "\n\n\ndef g():\n    pass\n"
    assert fitting("return a\n  oh no (", before, after, python=True, lines=9) == ("return a", "")
    assert fitting("return (", before, after, python=True, lines=9)[0] == ""
    assert fitting("return (", before, after, python=False, lines=9) == ("return (", "")
    assert "nothing" in fitting("  \n", before, after, python=True, lines=9)[1]


def test_a_completion_stays_in_its_block():
    before = "class A:\n    def f(self, a):\n        "
    assert fitting(
        "if a:\n            a += 1\n        return a\n    def g(self):\n        pass",
        before,
        "\n",
        python=True,
        lines=9,
    ) == (
        "if a:\n            a += 1\n        return a",
        "",
    )


def test_what_follows_anyway_is_not_written_twice():
    before, after = "def f(a):\n    x = a\n    ", "\n    return x * 2\n"
    assert fitting("x += 1\n    return x * 2", before, after, python=True, lines=9) == ("x += 1", "")
    assert fitting("1, 2)", "print(", ")\n", python=True, lines=9) == ("1, 2", "")


# --- files ------------------------------------------------------------------------------------------------------------


def test_own_and_ready_agents_are_read_from_files(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text(
        'kind = "micro"\nname = "title"\nprompt = "A title for: {input}"\nregex = "[A-Z].*"\nretries = 1\n'
        "check = '''\nassert len(answer) < 60, \"too long\"\n'''\n"
    )
    own = load_pattern(path)
    assert isinstance(own, MicroAgent)
    assert (own.name, own.retries, own.constraint is not None) == ("title", 1, True)
    path.write_text('kind = "micro"\ndoes = "write-code"\nsamples = 2\n')
    assert load_pattern(path) == CodeWriter(samples=2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "a"', "prompt is missing"),
        ('does = "write-poems"', "write-tests"),
        ('name = "a"\nprompt = "b"\ncheck = "assert ("', "check isn't valid Python"),
        ('name = "a"\nprompt = "b"\nregex = "a"\nlark = "b"', "both regex and lark"),
        ('name = "a"\nprompt = "b"\nretrys = 2', "Did you mean retries"),
        ('name = "a"\nprompt = "b"\ninput = "rust"', "input"),
    ],
)
def test_mistakes_in_files_are_told(tmp_path: Path, text: str, told: str):
    path = tmp_path / "own.toml"
    path.write_text(f'kind = "micro"\n{text}\n')
    with pytest.raises(ConfigError) as caught:
        load_pattern(path)
    assert told in str(caught.value)


# --- places and what a test notices -----------------------------------------------------------------------------------


def test_lines_are_those_that_python_counts():
    text = "import os\n\x0c\nX = '\u2028'\ndef f(a):\n    return a\n"
    (wanted,) = undocumented(text)
    after = with_docstrings(text, [(wanted, "Gives it back.")])
    assert after == text.replace("(a):\n", '(a):\n    """Gives it back."""\n')
    assert place_in(text, 5, 5) == text.index("return")
    stub = read_stub('\x0c\ndef f(a):\n    "Same."\n    pass\n')
    assert stub.program("    return a") == '\x0c\ndef f(a):\n    "Same."\n    return a\n'


@pytest.mark.parametrize(
    "source",
    [
        "def f(\n    a,\n): return a\n",
        "def f(a): \\\n    return a\n",
        "@overload\ndef f(a: int) -> int:\n    ...\n",
        "@typing.overload\ndef f(a: int) -> int:\n    ...\n",
    ],
)
def test_a_function_without_a_place_for_a_docstring_is_left_alone(source: str):
    assert undocumented(source) == ()


def test_what_the_code_told_is_not_held_against_a_docstring():
    source = "def f(n):\n    if n > 1_000:\n        raise ValueError\n    if n > 1_000:\n        raise TypeError\n"
    (wanted,) = undocumented(source)
    raised = "    ValueError: if `n > 1000`\n    TypeError: if `n > 1000`"
    text = f"Takes what is few.\n\nArgs:\n    n: how many\n\nRaises:\n{raised}"
    assert problem_of(text, wanted) == ""
    assert problem_of(text.replace("how many", "1000 of it"), wanted) == "it names 1000, which the function doesn't"


@pytest.mark.parametrize(
    ("shown", "given", "kind", "noticed"),
    [
        ("2.0", "2", "value", False),
        ("2.0", "2.1", "value", True),
        ("1", "True", "value", False),
        ("True", "1", "value", True),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", "value", False),
        ("[1.5]", "[1.5, 2]", "value", True),
        ("[1]", "set [1]", "value", True),
        ("1", "ValueError", "raised", True),
    ],
)
def test_a_mistake_is_noticed_only_if_the_test_fails_as_it_is_written(shown: str, given: str, kind: str, noticed: bool):
    assert notices(case("f()", shown, set()), Outcome(kind=kind, shown=given)) is noticed


@pytest.mark.parametrize(("given", "noticed"), [("UnicodeDecodeError", False), ("KeyError", True), ("Odd", False)])
def test_a_subclass_of_what_is_raised_is_not_noticed(given: str, noticed: bool):
    raising = case("f()", "ValueError", set(), kind="raised")
    assert notices(raising, Outcome(kind="raised", shown=given)) is noticed
    assert notices(raising, Outcome(kind="value", shown="1"))


@pytest.mark.parametrize(
    ("name", "can"), [("ValueError", True), ("FileNotFoundError", False), ("Odd", True), ("URLError", False)]
)
def test_only_exceptions_that_tell_of_the_function_become_tests(name: str, can: bool):
    assert is_writable(Outcome(kind="raised", shown=name), frozenset({"Odd"})) is can
