"""What logs of several tools say went wrong, read by code."""

from __future__ import annotations

import pytest

from smidgen.patterns.micro.explaining import report, wrong_with
from smidgen.patterns.micro.problems import Problem, problem_in

PYTHON = """INFO starting
Traceback (most recent call last):
  File "/srv/app/main.py", line 31, in <module>
    main()
  File "/srv/app/orders.py", line 12, in total
    return sum(prices[name] for name in order)
               ~~~~~~^^^^^^
  File "/usr/lib/python3.11/collections/__init__.py", line 1010, in __missing__
    raise KeyError(key)
KeyError: 'plum'
"""
CHAINED = """Traceback (most recent call last):
  File "a.py", line 3, in load
    return json.loads(text)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 9, in <module>
    load("")
  File "a.py", line 5, in load
    raise RuntimeError("no settings")
RuntimeError: no settings
"""
SYNTAX = """  File "bad.py", line 2
    if x = 3:
       ^^^^^
SyntaxError: invalid syntax. Maybe you meant '==' or ':=' instead of '='?
"""
PYTEST = """=================================== FAILURES ===================================
_________________________________ test_total __________________________________

    def test_total():
>       assert total([1, 2]) == 4
E       assert 3 == 4
E        +  where 3 = total([1, 2])

tests/test_orders.py:8: AssertionError
=========================== short test summary info ============================
FAILED tests/test_orders.py::test_total - assert 3 == 4
FAILED tests/test_orders.py::test_none - TypeError: 'NoneType' object is not iterable
"""
GCC = """main.c: In function 'main':
main.c:7:18: error: 'coutn' undeclared (first use in this function); did you mean 'count'?
    7 |     printf("%d", coutn);
      |                  ^~~~~
main.c:9:1: warning: control reaches end of non-void function [-Wreturn-type]
"""
LINKER = """/usr/bin/ld: /tmp/ccx1.o: in function `main':
main.c:(.text+0x9): undefined reference to `area'
collect2: error: ld returned 1 exit status
"""
RUST = """error[E0382]: borrow of moved value: `names`
 --> src/main.rs:5:20
  |
5 |     println!("{}", names.len());
  |                    ^^^^^ value borrowed here after move

error: aborting due to previous error
"""
PANIC = """thread 'main' panicked at src/main.rs:14:31:
called `Option::unwrap()` on a `None` value
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
NODE = """/srv/app/index.js:4
  return user.name.toUpperCase();
              ^

TypeError: Cannot read properties of undefined (reading 'name')
    at greet (/srv/app/index.js:4:15)
    at Object.<anonymous> (/srv/app/index.js:7:1)
    at Module._compile (node:internal/modules/cjs/loader:1254:14)
"""
PLAIN = """2026-01-02 10:00:01 INFO ready
2026-01-02 10:00:02 ERROR: connection refused by db:5432 (settings.yaml:14)
"""


@pytest.mark.parametrize(
    ("log", "error", "message", "place", "tool"),
    [
        (PYTHON, "KeyError", "'plum'", ("/srv/app/orders.py", 12, "total"), "Python"),
        (CHAINED, "RuntimeError", "no settings", ("a.py", 5, "load"), "Python"),
        (
            SYNTAX,
            "SyntaxError",
            "invalid syntax. Maybe you meant '==' or ':=' instead of '='?",
            ("bad.py", 2, ""),
            "Python",
        ),
        (PYTEST, "AssertionError", "assert 3 == 4", ("tests/test_orders.py", 8, "test_total"), "pytest"),
        (
            GCC,
            "error",
            "'coutn' undeclared (first use in this function); did you mean 'count'?",
            ("main.c", 7, "main"),
            "compiler",
        ),
        (LINKER, "linker error", "undefined reference to `area'", ("main.c", 0, "main"), "compiler"),
        (RUST, "E0382", "borrow of moved value: `names`", ("src/main.rs", 5, ""), "rustc"),
        (PANIC, "panic", "called `Option::unwrap()` on a `None` value", ("src/main.rs", 14, "main"), "rustc"),
        (
            NODE,
            "TypeError",
            "Cannot read properties of undefined (reading 'name')",
            ("/srv/app/index.js", 4, "greet"),
            "node",
        ),
        (PLAIN, "ERROR", "connection refused by db:5432 (settings.yaml:14)", ("settings.yaml", 14, ""), "log"),
    ],
    ids=["python", "chained", "syntax", "pytest", "gcc", "linker", "rust", "panic", "node", "plain"],
)
def test_the_error_and_its_place_are_found(
    log: str, error: str, message: str, place: tuple[str, int, str], tool: str
) -> None:
    found = problem_in(log)
    assert found is not None and found.place is not None
    assert (found.error, found.message, found.tool) == (error, message, tool)
    assert (found.place.file, found.place.line, found.place.function) == place


def test_colours_and_other_line_ends_change_nothing() -> None:
    coloured = PYTHON.replace("KeyError", "\x1b[31mKeyError\x1b[0m").replace("\n", "\r\n")
    assert problem_in(coloured) == problem_in(PYTHON)


def test_what_came_before_and_what_else_there_is_are_known() -> None:
    chained, several = problem_in(CHAINED), problem_in(PYTEST)
    assert chained is not None and chained.before.startswith("json.decoder.JSONDecodeError")
    assert several is not None and several.more == 1


@pytest.mark.parametrize(
    "log", ["", "all is well\n", "0 errors, 0 warnings", "passed: 5, failed: 0", "error handling is described below"]
)
def test_a_log_without_an_error_tells_none(log: str) -> None:
    assert problem_in(log) is None


def found(log: str) -> Problem:
    problem = problem_in(log)
    assert problem is not None
    return problem


GOOD = "The key `plum` isn't in `prices` when total adds the order up."


def test_a_good_explanation_passes() -> None:
    assert wrong_with(GOOD, found(PYTHON), PYTHON) == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("It failed.", "isn't a sentence"),
        (GOOD.replace("The key", "An IndexError: the key"), "IndexError"),
        (GOOD.replace("when total", "in basket.py when total"), "basket.py"),
        (GOOD.replace("when total", "on line 77 when total"), "line 77"),
        (GOOD.replace("`prices`", "`fetch_basket`"), "fetch_basket"),
        (GOOD.replace("isn't in", "isn't in " + "a " * 50), "isn't a sentence"),
        (GOOD.replace("isn't in `prices`", "is not defined"), "another error"),
        ("A file is missing on the disk.", "says nothing of plum"),
        ("The function call doesn't return any value.", "says nothing of plum"),
        (GOOD.replace("isn't in", "doesn't end with a ';' in"), "it quotes ;"),
        (GOOD.replace(" when total", ".Try: it again when total"), "isn't a sentence"),
    ],
)
def test_an_explanation_that_says_more_than_the_log_is_refused(said: str, told: str) -> None:
    assert told in wrong_with(said, found(PYTHON), PYTHON)


def test_the_report_tells_the_certain_first_and_a_rule_explains_without_a_model() -> None:
    text = report(found(PYTHON), "")
    assert text.startswith("KeyError: 'plum'\nWhere: /srv/app/orders.py:12 in total: return sum(")
    assert "Why: A key was looked up" in text
    assert f"\nHere: {GOOD}\nTry: Check that it is there" in report(found(PYTHON), GOOD)


def test_what_no_rule_knows_a_model_explains_alone() -> None:
    said = "The names were moved before.\nTry: Borrow them instead."
    assert wrong_with(said, found(RUST), RUST) == ""
    assert (
        wrong_with("The names were moved before.", found(RUST), RUST) == "it isn't a sentence with another after `Try:`"
    )
    assert report(found(RUST), said).endswith("\nWhy: The names were moved before.\nTry: Borrow them instead.\n")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "line",
    [
        "TypeError: x\n",
        "thread 'a' panicked at 'x', ",
        "error: x\n    \n",
        "\n",
        '  File "a.py", line 3\n',
        "a.py:",
        "E   x\n",
    ],
)
def test_a_long_log_of_the_same_is_read_without_going_over_it_again_and_again(line: str) -> None:
    log = f"KeyError: 'plum'\n{line * (200_000 // len(line))}"
    problem_in(log)


def test_a_message_of_node_goes_on_to_its_frames() -> None:
    log = NODE.replace("(reading 'name')", "(reading\n'name')")
    assert found(log).message == "Cannot read properties of undefined (reading 'name')"
    assert found("thread 'main' (77) panicked at src/main.rs:14:31:\ngone\n").message == "gone"
    assert found("thread 'main' panicked at 'gone: 1', src/main.rs:14:31\n").message == "gone: 1"
