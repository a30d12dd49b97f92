import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import (
    ChecksumMismatch,
    ContextOverflow,
    DeadlineExceeded,
    DownloadError,
    EngineCrashed,
    NoAnswer,
    OutOfMemory,
    SmidgenError,
    UnknownModel,
)
from smidgen.events import FellBack, Notice, Resumed, Routed, TextDelta, ToolCalled, ToolRecord, ToolReturned
from smidgen.messages import ToolCall
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.permissions import Ruling

Run = Callable[..., Any]


def test_the_answer_goes_to_stdout_and_nothing_else_does(smidgen: Run, script: Any) -> None:
    script.notices = (Notice(code="x", message="A smaller context."),)
    done = smidgen("run", "What", "is", "it?")
    assert (done.status, done.out, done.err) == (0, "Forty-two.\n", "note: A smaller context.\n")
    assert script.seen[0].history[0].content == "What is it?"
    assert script.closed


def test_quiet_says_nothing_but_the_answer(smidgen: Run, script: Any) -> None:
    script.notices = (Notice(code="x", message="A smaller context."),)
    script.finish = {"warnings": ("squeezed",), "finish_reason": "length"}
    done = smidgen("run", "-q", "Hi")
    assert (done.out, done.err) == ("Forty-two.\n", "")


def test_json_is_one_object_with_the_documented_fields(smidgen: Run, script: Any) -> None:
    record = ToolRecord(name="calculator", arguments={"expression": "6*7"}, result=42, ok=True)
    script.finish = {"tool_calls": (record,), "warnings": ("squeezed",)}
    script.notices = (Notice(code="x", message="A smaller context."),)
    done = smidgen("run", "--json", "Hi")
    assert json.loads(done.out) == {
        "text": "Forty-two.",
        "model": "tiny",
        "finish_reason": "stop",
        "tool_calls": [{"name": "calculator", "arguments": {"expression": "6*7"}, "result": 42, "ok": True}],
        "usage": {"prompt_tokens": 5, "cached_tokens": 2, "completion_tokens": 3, "forced_tokens": 0},
        "timings": {"queue_s": 0.0, "prefill_s": 0.0, "decode_s": 0.5},
        "warnings": ["A smaller context.", "squeezed"],
        "strategy": "plain",
    }


def test_options_reach_the_configuration_and_the_agent(smidgen: Run, script: Any) -> None:
    smidgen(
        *(
            "run",
            "Hi",
            "--model",
            "other",
            "--max-tokens",
            "7",
            "--temperature",
            "0.5",
            "--seed",
            "3",
            "--timeout",
            "9",
        ),
        *("--context", "512", "--threads", "2", "--system", "Be short.", "--tools", "calculator,weekday"),
    )
    seen = script.seen[0]
    assert (seen.model, seen.tools) == ("other", ["calculator", "weekday"])
    settings = seen.settings
    assert (settings.max_tokens, settings.temperature, settings.seed, settings.timeout_s) == (7, 0.5, 3, 9)
    assert (settings.system, script.config.context, script.config.threads) == ("Be short.", 512, 2)


def test_tools_by_default_only_read(smidgen: Run, script: Any) -> None:
    smidgen("run", "Hi")
    smidgen("run", "Hi", "--no-tools")
    smidgen("run", "Hi", "--tools", "all")
    default, none, all_tools = (seen.tools for seen in script.seen)
    assert "calculator" in default
    assert "write_file" not in default
    assert none == []
    assert "write_file" in all_tools


def test_piped_text_is_the_request_or_stands_where_the_dash_is(smidgen: Run, script: Any) -> None:
    smidgen("run", stdin="from the pipe\n")
    smidgen("run", "-", stdin="from the pipe")
    smidgen("run", "Explain:", "-", stdin="from the pipe")
    smidgen("run", "-", "Explain that.", stdin="from the pipe")
    assert [seen.history[0].content for seen in script.seen] == [
        "from the pipe",
        "from the pipe",
        "Explain:\n\nfrom the pipe",
        "from the pipe\n\nExplain that.",
    ]


def test_piped_text_that_is_not_read_is_said_not_to_be(smidgen: Run, script: Any) -> None:
    done = smidgen("run", "Hi", stdin="unread")
    assert "standard input was not read" in done.err
    assert "standard input" not in smidgen("run", "Hi").err


@pytest.mark.parametrize("stdin", ["", "  \n\n"])
def test_an_empty_request_is_a_usage_error(smidgen: Run, script: Any, stdin: str) -> None:
    done = smidgen("run", stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert "empty" in done.err
    assert "hint:" in done.err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoAnswer("Nothing worked."), 1),
        (ContextOverflow("Too long."), 2),
        (UnknownModel("No such model.", hint="Did you mean tiny?"), 3),
        (DownloadError("Offline."), 3),
        (ChecksumMismatch("Broken."), 3),
        (EngineCrashed("Twice."), 4),
        (OutOfMemory("Too big."), 4),
        (DeadlineExceeded("Too slow."), 5),
        (SmidgenError("Odd."), 70),
    ],
)
def test_every_kind_of_failure_has_its_status_and_no_traceback(
    smidgen: Run, script: Any, error: SmidgenError, status: int
) -> None:
    script.error = error
    done = smidgen("run", "Hi")
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"error: {error.message}\n")
    assert ("hint:" in done.err) == bool(error.hint)
    assert "Traceback" not in done.err


def test_with_json_a_failure_is_an_object_on_stdout(smidgen: Run, script: Any) -> None:
    script.load_error = UnknownModel("No such model.", hint="Did you mean tiny?", near=["tiny"])
    done = smidgen("run", "Hi", "--json")
    assert done.status == 3
    error = json.loads(done.out)["error"]
    assert (error["code"], error["details"]) == ("unknown_model", {"near": ["tiny"]})


def test_an_unexpected_exception_is_reported_as_a_bug(smidgen: Run, script: Any) -> None:
    script.crash = ZeroDivisionError("oh")
    done = smidgen("run", "Hi")
    assert done.status == 70
    assert "Unexpected ZeroDivisionError: oh" in done.err
    assert "SMIDGEN_DEBUG" in done.err
    assert "Traceback" not in done.err


def test_debugging_lets_the_traceback_through(smidgen: Run, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script.crash = ZeroDivisionError("oh")
    monkeypatch.setenv("SMIDGEN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        smidgen("run", "Hi")


def test_an_answer_cut_by_the_deadline_is_shown_and_ends_in_its_status(smidgen: Run, script: Any) -> None:
    script.finish = {"finish_reason": "deadline"}
    done = smidgen("run", "Hi")
    assert (done.status, done.out) == (5, "Forty-two.\n")
    assert "time was up" in done.err


def test_an_answer_cut_by_its_length_says_so(smidgen: Run, script: Any) -> None:
    script.finish = {"finish_reason": "length"}
    done = smidgen("run", "Hi")
    assert done.status == 0
    assert "--max-tokens" in done.err


def test_trace_shows_each_step_on_stderr(smidgen: Run, script: Any) -> None:
    call = ToolCall(name="calculator", arguments={"expression": "6*7"})
    script.events = [
        Routed(strategy="constrained", reason="a number is asked for"),
        ToolCalled(call=call),
        ToolReturned(call=call, ok=True, result=42, seconds=0.01),
        FellBack(from_strategy="constrained", to_strategy="plain", reason="no argument"),
        Resumed(cause="SIGSEGV", after_tokens=3),
    ]
    done = smidgen("run", "--trace", "Hi")
    assert done.out == "Forty-two.\n"
    for text in ("route: constrained", 'call: calculator(expression="6*7")', "result: 42", "fallback: ", "SIGSEGV"):
        assert text in done.err
    assert "route" not in smidgen("run", "Hi").err


def test_an_answer_that_was_not_streamed_is_written_once(smidgen: Run, script: Any) -> None:
    script.text = "Forty"
    script.finish = {"text": "Forty-two."}
    assert smidgen("run", "Hi").out == "Forty-two.\n"
    script.events, script.text, script.finish = [TextDelta(text="Draft. ")], "", {"text": "Answer."}
    assert smidgen("run", "Hi").out == "Draft. \nAnswer.\n"


def test_writes_are_denied_where_nobody_can_be_asked(
    smidgen: Run, script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    smidgen("run", "Hi", "--tools", "write_file")
    smidgen("run", "Hi", "--tools", "write_file", "--yes")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (write,) = builtin_tools(tmp_path, ("write_file",))
    call = ToolCall(name="write_file", arguments={"path": "a.txt", "content": "milk"})
    guards = [seen.guard for seen in script.seen]
    done = [asyncio.run(guard.call(write, call, Ruling(decision="ask"), guard.ask)).ok for guard in guards]
    assert done == [False, True]
    assert "--yes allows it: write a.txt" in capsys.readouterr().err


def test_an_unknown_tool_is_a_usage_error_with_near_names(smidgen: Run, script: Any) -> None:
    done = smidgen("run", "Hi", "--tools", "calculatr")
    assert done.status == 2
    assert "Did you mean calculator?" in done.err


def test_a_workspace_that_is_no_folder_is_a_usage_error(smidgen: Run, script: Any) -> None:
    done = smidgen("run", "Hi", "--workspace", "/nowhere/at/all")
    assert done.status == 2
    assert "/nowhere/at/all is not a folder" in done.err
    assert script.seen == []


def test_a_pattern_file_says_how_it_is_answered(smidgen: Run, script: Any, tmp_path: Path) -> None:
    pattern = tmp_path / "short.toml"
    pattern.write_text('kind = "agent"\nsystem = "Be short."\n')
    done = smidgen("run", "--pattern", str(pattern), "What is it?")
    assert (done.status, done.out) == (0, "Forty-two.\n")
    assert script.seen[0].tools == []
    assert script.seen[0].settings.system == "Be short."


def test_a_length_that_is_asked_for_holds_for_a_pattern_too(smidgen: Run, script: Any, tmp_path: Path) -> None:
    pattern = tmp_path / "short.toml"
    pattern.write_text('kind = "agent"\n')
    smidgen("run", "--pattern", str(pattern), "--max-tokens", "7", "What is it?")
    assert script.seen[0].settings.max_tokens == 7


def test_a_pattern_file_with_a_mistake_is_told_with_its_place(smidgen: Run, tmp_path: Path) -> None:
    pattern = tmp_path / "short.toml"
    pattern.write_text('kind = "agent"\nsistem = "Be short."\n')
    done = smidgen("run", "--pattern", str(pattern), "What is it?")
    assert done.status == 2
    assert f"error: {pattern}: there is no key 'sistem' in agent." in done.err
    assert "Did you mean system?" in done.err
