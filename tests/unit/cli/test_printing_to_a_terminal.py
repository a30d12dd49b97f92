"""What a tool or a model writes is text, and no command to the terminal."""

from __future__ import annotations

import pytest

from smidgen.cli.printing import Printer
from smidgen.events import TextDelta
from smidgen.tools.visible import without_commands

HOSTILE = "hi \033[2J\033]0;evil\007\r\x9b8m\u202e!"


def test_terminals_get_no_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Printer().feed(TextDelta(text=HOSTILE))
    written = capsys.readouterr().out
    assert not set(written) & set("\033\007\r\x9b\u202e")
    assert written.startswith("hi \\x1b[2J")


def test_a_pipe_gets_the_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().feed(TextDelta(text=HOSTILE))
    assert capsys.readouterr().out == HOSTILE


def test_what_is_only_unusual_stays() -> None:
    text = "Zeile\n\tTab é 你好 👩‍👩‍👧 \u00a0 \ufeff नमस्ते"
    assert without_commands(text) == text
