import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.cli.prompting import joined
from smidgen.errors import NoAnswer

Run = Callable[..., Any]


def test_each_piped_line_is_a_message_and_the_conversation_is_remembered(smidgen: Run, script: Any) -> None:
    done = smidgen("chat", stdin="One?\n\nTwo?\n")
    assert (done.status, done.out) == (0, "Forty-two.\nForty-two.\n")
    assert [message.content for message in script.seen[1].history] == ["One?", "Forty-two.", "Two?"]


def test_the_last_line_needs_no_end(smidgen: Run, script: Any) -> None:
    smidgen("chat", stdin="One?\r\nTwo?")
    assert [seen.history[-1].content for seen in script.seen] == ["One?", "Two?"]


def test_clear_forgets(smidgen: Run, script: Any) -> None:
    smidgen("chat", stdin="One?\n/clear\nTwo?\n")
    assert [message.content for message in script.seen[1].history] == ["Two?"]


def test_quit_leaves_at_once(smidgen: Run, script: Any) -> None:
    smidgen("chat", stdin="/quit\nOne?\n")
    assert script.seen == []
    assert script.closed


def test_model_tools_and_system_can_be_changed_and_shown(smidgen: Run, script: Any) -> None:
    done = smidgen(
        "chat", stdin="One?\n/model other\n/tools weekday\n/system Be short.\nTwo?\n/tools none\n/system none\nThree?\n"
    )
    first, second, third = script.seen
    assert (second.model, second.tools, second.settings.system) == ("other", ["weekday"], "Be short.")
    assert len(second.history) == len(first.history) + 2
    assert (third.tools, third.settings.system) == ([], "")
    assert "weekday" in done.err
    assert "no tools" in done.err


def test_what_cannot_be_had_leaves_things_as_they_were(smidgen: Run, script: Any) -> None:
    done = smidgen("chat", "--tools", "weekday", stdin="/tools weekdy\nOne?\n")
    assert "Did you mean weekday?" in done.err
    assert script.seen[0].tools == ["weekday"]


def test_saving_writes_markdown_or_json(smidgen: Run, script: Any, tmp_path: Path) -> None:
    text, data = tmp_path / "talk.md", tmp_path / "talk.json"
    done = smidgen("chat", stdin=f"One?\n/save {text}\n/save {data}\n/save\n/save {tmp_path}/absent/talk.md\n")
    assert text.read_text(encoding="utf-8") == "**user**\n\nOne?\n\n**assistant**\n\nForty-two.\n"
    assert json.loads(data.read_text(encoding="utf-8"))[0] == {"role": "user", "content": "One?"}
    assert "no file was named" in done.err
    assert "No such file" in done.err


def test_statistics_help_and_unknown_commands(smidgen: Run, script: Any) -> None:
    done = smidgen("chat", stdin="/stats\nOne?\n/stats\n/help\n/hlep\n")
    assert "Nothing was answered yet." in done.err
    assert "3 new" in done.err
    assert "/save FILE" in done.err
    assert "there is no command /hlep" in done.err


def test_a_failed_answer_does_not_end_the_conversation_but_the_status_says_so(smidgen: Run, script: Any) -> None:
    script.error = NoAnswer("Nothing worked.")
    done = smidgen("chat", stdin="One?\nTwo?\n")
    assert done.err.count("error: Nothing worked.") == 2
    assert done.status == 1


def test_quoted_text_and_backslashes_join_lines(smidgen: Run, script: Any) -> None:
    smidgen("chat", stdin='"""\none\n\ntwo\n"""\nthree\\\nfour\n')
    assert [seen.history[-1].content for seen in script.seen] == ["one\n\ntwo", "three\nfour"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a"], "a"),
        (["a\\"], None),
        (["a\\", "b"], "a\nb"),
        (['"""a'], None),
        (['"""a"""'], "a"),
        (['"""a', 'b"""'], "a\nb"),
        (['"""'], None),
        (['"""', "a\\", '"""'], "a\\"),
    ],
)
def test_joining(lines: list[str], message: str | None) -> None:
    assert joined(lines) == message


@given(st.lists(st.text(st.characters(exclude_characters='\n\r"\\')), min_size=1))
def test_quoted_lines_come_back_as_they_were(lines: list[str]) -> None:
    inside = "\n".join(lines)
    assert joined(['"""', *lines, '"""']) == inside.strip("\n")
