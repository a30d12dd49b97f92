"""A text is a program's words only where a shell would take it for just these; what a shell would do more with is its
own line, and nothing is split on the quiet."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smidgen.tools.function import BadArguments
from smidgen.tools.permissions.policy import Policy, Rule
from smidgen.tools.programs.command import Line, command_tool, parsed

OPERATORS = ("|", "||", "&", "&&", ";", ";;", "<", ">", ">>", "<<", "<<<", "(", ")", "$", "`", "\\", "\n", "*", "?")
PIECES = [
    *OPERATORS, "'", '"', "''", '""', " ", "  ", "\t", "\r", "\v", "\f", "\xa0", "\u2028", "\x85", "\0", "\ud800",
    "\x1b", "a", "ls", "-l", "--key=2", "X=1", "=", "%", "%1", "~", "~root", "[a]", "{a,b}", "{", "}", "#", "# x", "!",
    "!!", "^", "é", "e\u0301", "😀", "$HOME", "$(id)", "${x}", "`id`", "a'b", 'a"b', "'a b'", '"a b"', "it's", "\\'",
    "-", "--", ".", "..", "/", "a/b", ",", ":", "@", "+", "_", "x" * 300,
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)


def found(command: object) -> list[str] | Line | None:
    """None for what is refused."""
    try:
        return parsed(command)
    except BadArguments:
        return None


def posix_words(text: str) -> list[str]:
    """By the standard library, whose blanks are told to be those of a shell. Raises ValueError."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace, reader.whitespace_split, reader.commenters = " \t\n", True, ""
    return list(reader)


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example("a\rb")
@example("'X=1' ls")
@example("a ''")
@example("''a\"\"")
def test_words_are_those_of_a_shell(text: str) -> None:
    result = found(text)
    if isinstance(result, Line):
        assert result == text and result.strip()
        return
    if result is None:
        unsayable = "\0" in text or not all(ord(sign) not in range(0xD800, 0xE000) for sign in text)
        assert unsayable or not (posix_words(text) or [""])[0].strip()
        return
    assert result == posix_words(text)
    assert "=" not in result[0]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(OPERATORS), TEXTS)
def test_no_operator_is_split_silently(before: str, operator: str, after: str) -> None:
    assert not isinstance(found(before + operator + after), list) or (before + operator + after) == ""


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=4) | st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner)))
def test_a_list_is_taken_as_it_is_or_refused(command: object) -> None:
    result = found(command)
    assert isinstance(command, str) or result is None or result == command


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_a_real_shell_agrees() -> None:
    """A few hundred texts in one: each in a line of its own, its words told apart by zero bytes."""
    texts: list[str] = []

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(TEXTS)
    def collect(text: str) -> None:
        if isinstance(found(text), list):
            texts.append(text)

    collect()
    texts += [
        "a\rb",
        "ls --key=2 x=1",
        "wc -l 'a b' \"c d\"",
        "a'b c'd",
        'e""',
        "f ''",
        "%1 ^ , @ é",
        "a\xa0b",
        "a\fb\vc",
    ]
    assert len(texts) > 40
    script = "".join(f"printf '%s\\0' {text}\nprintf '\\001\\0'\n" for text in texts)
    done = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True, timeout=60)
    told = done.stdout.decode().split("\1\0")
    assert [[*one.split("\0")[:-1]] for one in told[:-1]] == [found(text) for text in texts]
    assert not done.stderr


@pytest.mark.timeout(30)
def test_long_texts_are_not_gone_through_again_and_again() -> None:
    for text in ("a" * 10**6, "'" * 10**6, "a'b" * 100_001, "a " * 100_000, "'a'" * 100_000, '"' + " " * 10**6):
        found(text)


SHELLS = [
    ["sh", "-c", "x"], ["/bin/bash", "x"], ["env", "ls"], ["busybox", "ls"], ["timeout", "5", "sh", "-c", "x"],
    ["bash-5.2", "x"], ["ksh93", "x"], ["nice", "/usr/bin/dash"], ["./sh"], ["eval", "x"], ["pwsh", "-c", "x"],
]  # fmt: skip


def test_what_a_call_would_do_is_told() -> None:
    async def boxes() -> object:
        raise AssertionError

    tool = command_tool(boxes, None)  # type: ignore[arg-type]
    writing = command_tool(boxes, None, writable=True)  # type: ignore[arg-type]

    def use(command: object) -> tuple[str, str]:
        (told,) = tool.uses({"command": command})
        return told.verb, told.command

    assert use(["wc", "-l", "my notes.txt"]) == use("wc -l 'my notes.txt'") == ("run", "wc -l 'my notes.txt'")
    assert use("sort --key=2 a") == ("run", "sort --key=2 a")
    for line in (
        "ls | wc -l",
        "cd x && ls",
        "echo $HOME",
        "rm *",
        "X=1 ls",
        "a 'b",
        "ls > out",
        "ls\nrm x",
        "sh -c ls",
    ):
        assert use(line) == ("write", line)
    for words in SHELLS:
        assert use(words)[0] == "write", words
    for words in (["ls", "env"], ["cat", "fish"], ["python3", "env/x.py"], ["ls", ".sh"], ["cat", "run.sh"]):
        assert use(words)[0] == "run", words
    for nonsense in ("", "  ", [], [""], None, 5, {"a": 1}, ["ls", 5], "a\0b"):
        assert [use.verb for use in tool.uses({"command": nonsense})] == ["read"]
    assert tool.preview({"command": "ls -l"}) == "run ls -l"
    assert writing.preview({"command": ["ls"]}) == "run ls (it may change files here)"
    assert (tool.effect, writing.effect) == ("read", "write")
    assert writing.uses({"command": ["ls"]})[0].verb == "write"
    assert tool.spec.parameters["properties"]["command"]["type"] == "array"


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "git push; ls"], ["bash", "-lc", "cd x && git push"], "sh -c 'git push'", "ls; git push",
        ["sh", "-c", "sh -c 'git push'"], ["sh", "-c", "echo 'x'\ngit\tpush"], ["env", "A=1", "sh", "-c", "'git' push"],
        ["timeout", "5", "sh", "-ec", "x=1 git push"], "A=1 git push", "> log git push", ["/usr/bin/git", "push"],
        ["sh", "-c", "$X push"],
    ],
)  # fmt: skip
def test_a_rule_that_denies_a_command_sees_into_a_shell(command: object) -> None:
    async def boxes() -> object:
        raise AssertionError

    uses = command_tool(boxes, None).uses({"command": command})  # type: ignore[arg-type]
    for decision in ("ask", "deny"):
        policy = Policy(rules=(Rule(decision=decision, command="git *"),), otherwise={"write": "allow"})
        assert policy.ruling("run_command", uses).decision == decision
    assert Policy(otherwise={"write": "allow"}).ruling("run_command", uses).decision == "allow"
