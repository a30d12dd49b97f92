"""`smidgen do`: arguments, files and exit statuses, with scripted models and the real sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.messages import GenerateRequest
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels

Run = Callable[..., Any]
AREA = "def area(width, height):\n    return width * height\n"
DESCRIBED = (
    "Computes how large a rectangle is.\n\n"
    "    Args:\n        width: from left to right\n        height: from top to bottom\n\n"
    '    Returns:\n        the product of both\n    """'
)
STUB = '''def double(n: int) -> int:
    """Twice the number.

    >>> double(4)
    8
    """
'''


class Model:
    """What the model says next; `act` happens while it does."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.act: Callable[[], Any] = lambda: None

    def answer(self, request: GenerateRequest) -> str:
        self.act()
        return self.answers.pop(0)


@pytest.fixture
def model(script: Any, monkeypatch: pytest.MonkeyPatch) -> Model:
    said = Model()

    def runtime(config: Config) -> Runtime:
        engine = ScriptedEngine(said.answer, name="tiny", context=8192)
        return Runtime(config, models=ScriptedModels({"tiny": engine}))

    monkeypatch.setattr("smidgen.runtime.runtime.Runtime", runtime)
    monkeypatch.setenv("SMIDGEN_AUDIT", "off")
    return said


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(AREA)
    return path


def test_the_list_names_every_task(smidgen: Run) -> None:
    done = smidgen("do", "list")
    assert done.status == 0
    for name in ("explain-error", "write-tests", "document", "complete", "write-code"):
        assert name in done.out


def test_what_is_piped_in_is_worked_on(smidgen: Run, model: Model) -> None:
    model.answers = ["    return n * 2\n"] * 2
    done = smidgen("do", "write-code", stdin=STUB)
    assert (done.status, done.out, done.err) == (0, STUB + "    return n * 2\n", "")


def test_docstrings_come_as_a_patch_and_change_nothing(smidgen: Run, model: Model, shop: Path) -> None:
    model.answers = [DESCRIBED]
    done = smidgen("do", "document", str(shop), "--trace")
    assert done.out.startswith(
        '--- a/shop.py\n+++ b/shop.py\n@@ -1,2 +1,11 @@\n def area(width, height):\n+    """Computes'
    )
    assert shop.read_text() == AREA
    assert "check: docstring of area passed" in done.err


def test_with_write_the_file_is_changed_and_keeps_its_rights_and_line_ends(
    smidgen: Run, model: Model, shop: Path
) -> None:
    shop.write_bytes(AREA.replace("\n", "\r\n").encode())
    shop.chmod(0o640)
    model.answers = [DESCRIBED]
    done = smidgen("do", "document", str(shop), "--write")
    assert (done.status, done.out) == (0, "")
    assert "wrote" in done.err
    assert b'    """Computes how large a rectangle is.\r\n\r\n    Args:\r\n' in shop.read_bytes()
    assert b"\n" not in shop.read_bytes().replace(b"\r\n", b"")
    assert shop.stat().st_mode & 0o777 == 0o640


def test_a_file_that_changed_meanwhile_is_left_alone(smidgen: Run, model: Model, shop: Path) -> None:
    model.answers = [DESCRIBED]
    model.act = lambda: shop.write_text("x = 1\n")
    done = smidgen("do", "document", str(shop), "--write")
    assert done.status == 2
    assert "has changed meanwhile" in done.err
    assert shop.read_text() == "x = 1\n"


def test_what_fails_its_checks_is_not_written(smidgen: Run, model: Model, shop: Path) -> None:
    model.answers = ["Wrong."] * 3
    done = smidgen("do", "document", str(shop), "--write")
    assert (done.status, done.out) == (1, "")
    assert "No docstring was right" in done.err
    assert shop.read_text() == AREA


def test_tests_become_a_file_beside_but_never_over_another(smidgen: Run, model: Model, shop: Path) -> None:
    model.answers = ["2, 3) == 6\nassert area(1, 5) == 5"] * 2
    assert smidgen("do", "write-tests", str(shop), "--function", "area", "--write").status == 0
    tests = shop.with_name("test_shop.py")
    assert "from shop import area" in tests.read_text()
    tests.write_text("mine")
    model.answers = ["2, 3) == 6\nassert area(1, 5) == 5"] * 2
    done = smidgen("do", "write-tests", str(shop), "--write")
    assert done.status == 2
    assert "is there already" in done.err
    assert tests.read_text() == "mine"


def test_a_file_that_nothing_can_import_gets_no_tests(smidgen: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "my-shop.py"
    path.write_text(AREA)
    done = smidgen("do", "write-tests", str(path))
    assert (done.status, "can't import my-shop" in done.err) == (2, True)


def test_a_place_is_completed(smidgen: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "gap.py"
    path.write_text("def area(w, h):\n    return \n")
    model.answers = ["w * h"]
    assert smidgen("do", "complete", f"{path}:2").out == "w * h\n"
    model.answers = ["w * h"]
    assert smidgen("do", "complete", f"{path}:2:12", "--write").status == 0
    assert path.read_text() == "def area(w, h):\n    return w * h\n"


def test_one_of_your_own_is_a_file(smidgen: Run, model: Model, tmp_path: Path) -> None:
    own = tmp_path / "title.toml"
    own.write_text(
        'kind = "micro"\nname = "title"\nprompt = "A title:"\ncheck = "assert answer.istitle(), \'no title\'"\n'
    )
    model.answers = ["a tale", "A Tale"]
    done = smidgen("do", str(own), "--json", stdin="Once upon a time")
    found = json.loads(done.out)
    assert (found["text"], found["strategy"]) == ("A Tale", "title: 2. try")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("wirte-tests",), "Did you mean write-tests"),
        (("explain-error", "--write"), "changes no file"),
        (("complete", "--function", "f"), "no use for --function"),
        (("document", "--write"), "Standard input can't be written to"),
        (("document", "nowhere.py"), "isn't there"),
        (("complete", "x.py:0"), "Lines count from 1"),
        (("document",), "nothing to work on"),
        (("nowhere.toml", "-"), "nothing to work on"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(smidgen: Run, model: Model, words: tuple[str, ...], told: str) -> None:
    done = smidgen("do", *words)
    assert (done.status, done.out) == (2, "")
    assert told in done.err


def test_a_place_that_is_not_there_and_text_that_is_no_python_are_usage_errors(
    smidgen: Run, model: Model, shop: Path
) -> None:
    done = smidgen("do", "complete", f"{shop}:9")
    assert (done.status, "There is no line 9" in done.err) == (2, True)
    done = smidgen("do", "document", stdin="def (")
    assert (done.status, "isn't valid Python" in done.err) == (2, True)


def test_mixed_line_ends_and_the_mark_of_an_encoding_stay_as_they_were(
    smidgen: Run, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    before = b"\xef\xbb\xbfX = 1\r\nY = 2\r\n\x0c\ndef area(width, height):\r\n    return width * height\n"
    path.write_bytes(before)
    model.answers = [DESCRIBED]
    assert smidgen("do", "document", str(path), "--write").status == 0
    after = path.read_bytes()
    assert after.startswith(before[:46]) and after.endswith(b'    """\r\n    return width * height\n')
    added = [line for line in after.split(b"\n") if line not in before.split(b"\n")]
    assert len(added) == 9 and all(line.endswith(b"\r") for line in added)


def test_a_patch_applies_where_it_was_made_whatever_the_line_ends(
    smidgen: Run, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "src" / "shop.py"
    path.parent.mkdir()
    path.write_bytes(b"\x0c\r\n" + AREA.replace("\n", "\r\n").encode())
    model.answers = [DESCRIBED]
    told = smidgen("do", "document", "src/shop.py").out
    assert told.startswith(
        "--- a/src/shop.py\n+++ b/src/shop.py\n@@ -1,3 +1,12 @@\n \x0c\r\n def area(width, height):\r\n"
    )
    assert "No newline" not in told


def test_a_file_is_never_replaced_by_code_that_stands_within_it(smidgen: Run, model: Model, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(AREA + 'def f():\n    """So:\n\n    ```python\n    f()\n    ```\n    """\n    return (\n')
    notes = tmp_path / "notes.md"
    notes.write_text(f"Write it:\n\n```python\n{STUB}```\n\nThanks.\n")
    for words in (("document", str(broken)), ("write-code", str(notes), "--write"), ("write-tests", str(broken))):
        done = smidgen("do", *words)
        assert (done.status, "isn't valid Python: line" in done.err) == (2, True)
    model.answers = ["    return n * 2\n"] * 2
    assert smidgen("do", "write-code", str(notes)).out == STUB + "    return n * 2\n"


def test_a_body_is_replaced_only_where_its_function_is_named(smidgen: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "double.py"
    path.write_text(STUB + "    return n + n\n")
    done = smidgen("do", "write-code", str(path), "--write")
    assert (done.status, "no function without a body" in done.err) == (2, True)
    model.answers = ["    return n * 2\n"] * 2
    assert smidgen("do", "write-code", str(path), "--write", "--function", "double").status == 0
    assert path.read_text() == STUB + "    return n * 2\n"


def test_a_file_only_for_reading_and_tests_that_are_there_are_told_before_any_work(
    smidgen: Run, model: Model, shop: Path
) -> None:
    shop.chmod(0o444)
    done = smidgen("do", "document", str(shop), "--write")
    assert (done.status, "only for reading" in done.err) == (2, True)
    shop.with_name("test_shop.py").symlink_to("nowhere")
    done = smidgen("do", "write-tests", str(shop), "--write")
    assert (done.status, "is there already" in done.err) == (2, True)


def test_a_file_that_is_gone_meanwhile_is_not_made_again(smidgen: Run, model: Model, shop: Path) -> None:
    model.answers = [DESCRIBED]
    model.act = shop.unlink
    done = smidgen("do", "document", str(shop), "--write")
    assert (done.status, "has changed meanwhile" in done.err, shop.exists()) == (2, True, False)


def test_a_link_stays_and_what_it_points_to_is_changed(smidgen: Run, model: Model, shop: Path) -> None:
    link = shop.with_name("link.py")
    link.symlink_to(shop)
    model.answers = [DESCRIBED]
    assert smidgen("do", "document", str(link), "--write").status == 0
    assert link.is_symlink() and '"""Computes' in shop.read_text()


def test_tests_import_a_module_of_a_package_by_its_whole_name(smidgen: Run, model: Model, tmp_path: Path) -> None:
    package = tmp_path / "stock" / "prices"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "shop.py").write_text(AREA)
    model.answers = ["2, 3) == 6\nassert area(1, 5) == 5"] * 2
    assert "from stock.prices.shop import area" in smidgen("do", "write-tests", str(package / "shop.py")).out
    (package / "class.py").write_text(AREA)
    assert "can't import class" in smidgen("do", "write-tests", str(package / "class.py")).err
