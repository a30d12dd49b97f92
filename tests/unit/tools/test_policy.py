"""Rules, and what they say of a call: the strictest that speaks of it wins."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import ConfigError, InvalidRequest
from smidgen.tools import Use, Verb
from smidgen.tools.permissions import Decision, hidden
from smidgen.tools.permissions.hidden import hidden_paths
from smidgen.tools.permissions.policy import STRICTNESS, Policy, Rule, is_below, may_hold
from smidgen.tools.permissions.policy_file import read_policy

READ, WRITE = Use(verb="read", path="private/key.txt"), Use(verb="write", path="private/key.txt")
PYTHON = Use(verb="run", path=".", command="python")


def decided(use: Use, *rules: Rule, tool: str = "some_tool", otherwise: dict[Verb, Decision] | None = None) -> str:
    return Policy(rules=rules, otherwise=otherwise or {}).ruling(tool, (use,)).decision


@pytest.mark.parametrize(
    ("use", "decision"),
    [
        (Use(verb="read", path="a"), "allow"),
        (Use(verb="read"), "allow"),
        (PYTHON, "allow"),
        (Use(verb="fetch", host="example.com"), "allow"),
        (Use(verb="write", path="a"), "ask"),
        (Use(verb="write"), "ask"),
    ],
)
def test_what_no_rule_speaks_of(use: Use, decision: str) -> None:
    assert decided(use) == decision


def test_the_strictest_rule_wins_in_any_order() -> None:
    allow, ask, deny = (Rule(decision=decision, tool="t") for decision in get_args(Decision))
    assert decided(READ, allow, ask, deny, tool="t") == decided(READ, deny, ask, allow, tool="t") == "deny"
    assert decided(READ, allow, ask, tool="t") == decided(READ, ask, allow, tool="t") == "ask"
    assert decided(WRITE, allow, tool="t") == "allow"
    assert decided(WRITE, allow, tool="other") == "ask"


def test_a_call_is_ruled_by_the_strictest_of_what_it_does() -> None:
    policy = Policy(rules=(Rule(decision="deny", host="evil.example"),))
    uses = (Use(verb="read", path="a"), Use(verb="fetch", host="evil.example"))
    ruling = policy.ruling("t", uses)
    assert (ruling.decision, ruling.by, ruling.reason) == ("deny", "rule", "the rule says: deny host evil.example")
    assert policy.ruling("t", ()).decision == "ask"


def test_otherwise_replaces_the_defaults_it_names_and_says_why() -> None:
    policy = Policy(otherwise={"read": "deny", "write": "allow"})
    assert policy.ruling("t", (Use(verb="write", path="a"),)).decision == "allow"
    assert policy.ruling("t", (READ,)).reason == "it reads"
    # A program reads whatever it likes.
    assert policy.ruling("t", (PYTHON,)).decision == "deny"
    assert policy.ruling("t", (Use(verb="fetch", host="a.example"),)).decision == "allow"
    assert {Policy(otherwise={verb: "ask"}).ruling("t", (Use(verb=verb),)).reason for verb in get_args(Verb)} == {
        *("it reads", "it changes something", "it runs a program", "it asks another computer")
    }


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("private", "private", True),
        ("private", "private/deep/key", True),
        ("private", "private2/key", False),
        ("private/**", "private", True),
        ("private/**", "private/deep/key", True),
        ("private/*", "private/deep/key", True),
        ("private/*", "private", False),
        ("**/.env", ".env", True),
        ("**/.env", "a/b/.env", True),
        ("**/.env", "a/b/.env/c", True),
        ("**/.env", "a/b/.envs", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "x/a/b", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "a/b.txt", False),
        ("**/*.txt", "a/b.txt", True),
        ("note?.[tm]*", "note1.md", True),
        ("./private//", "private/key", True),
        (".", "anything/at/all", True),
        ("**", "anything", True),
    ],
)
def test_patterns_of_paths(pattern: str, path: str, fits: bool) -> None:
    assert is_below(pattern, path.split("/"), True) is fits
    for use in (Use(verb="read", path=path), Use(verb="write", path=path)):
        assert (decided(use, Rule(decision="deny", path=pattern)) == "deny") is fits
        assert (decided(use, Rule(decision="allow", verb="write", path=pattern)) == "allow") is (
            fits or use.verb == "read"
        )


def test_a_rule_that_allows_minds_capitals_and_the_others_do_not() -> None:
    use = Use(verb="write", path="Notes/a.txt")
    assert decided(use, Rule(decision="allow", path="notes/**")) == "ask"
    assert decided(use, Rule(decision="allow", path="Notes/**")) == "allow"
    assert decided(use, Rule(decision="deny", path="NOTES/**")) == "deny"
    assert decided(Use(verb="write", path="cafe\u0301"), Rule(decision="deny", path="caf\u00e9")) == "deny"
    assert decided(use, Rule(decision="allow", tool="Write_File"), tool="write_file") == "ask"
    assert decided(use, Rule(decision="deny", tool="Write_File"), tool="write_file") == "deny"
    fetch = Use(verb="fetch", host="example.com")
    allow = Rule(decision="allow", host="*.Example.com")
    assert decided(Use(verb="fetch", host="a.example.com"), allow, otherwise={"fetch": "deny"}) == "allow"
    assert decided(fetch, allow, otherwise={"fetch": "deny"}) == "deny"


@pytest.mark.parametrize("path", ["src/../private/key", "src/./../private/key", "./private/key", "private//key"])
def test_a_path_is_the_same_however_it_is_written(path: str) -> None:
    use = Use(verb="write", path=path)
    assert decided(use, Rule(decision="deny", path="private/**")) == "deny"
    assert decided(use, Rule(decision="allow", path="src/**")) == "ask"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "~/x"])
def test_no_rule_allows_what_lies_elsewhere(path: str) -> None:
    assert decided(Use(verb="write", path=path), Rule(decision="allow", path="**")) == "ask"


@pytest.mark.timeout(30)
def test_a_path_of_any_length_is_decided() -> None:
    use = Use(verb="read", path="a/" * 50_000)
    assert decided(use, Rule(decision="deny", path="**/**/**/**/**/b/**/.env")) in ("allow", "deny")


# --- calls over whole folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["private/**", "**/.env", "a/*.key", "."])
def test_a_call_over_everything_is_over_what_a_rule_names(pattern: str) -> None:
    everything = Use(verb="read", path=".")
    assert decided(everything, Rule(decision="deny", verb="read", path=pattern)) == "deny"
    assert decided(everything, Rule(decision="ask", path=pattern)) == "ask"


def test_a_call_over_everything_is_allowed_where_files_are_hidden_from_all() -> None:
    for rule in (Rule(decision="deny", path="private/**"), Rule(decision="deny", tool="*", path="private/**")):
        assert rule.hides
        assert decided(Use(verb="read", path="."), rule) == "allow"
        assert decided(READ, rule) == "deny"
    for more in ({"tool": "read_file"}, {"verb": "read"}, {"command": "rm *"}, {"host": "*.example"}):
        assert not Rule(decision="deny", path="private/**", **more).hides  # type: ignore[arg-type]
    assert not Rule(decision="ask", path="private/**").hides


def test_a_call_over_a_folder_is_over_what_a_rule_names_in_it() -> None:
    rule = Rule(decision="ask", path="docs/*/plans/**")
    assert decided(Use(verb="read", path="docs"), rule) == "ask"
    assert decided(Use(verb="read", path="docs/old"), rule) == "ask"
    assert decided(Use(verb="read", path="src"), rule) == "allow"
    assert decided(Use(verb="read", path="docs/v1.2/"), rule) == "ask"


def test_a_rule_for_files_anywhere_leaves_other_files_alone() -> None:
    rule = Rule(decision="deny", verb="read", path="**/.env")
    assert decided(Use(verb="read", path="notes.txt"), rule) == "allow"
    assert decided(Use(verb="read", path="a/notes.txt"), rule) == "allow"
    assert decided(Use(verb="read", path="a"), rule) == "deny"
    assert decided(Use(verb="read", path="a.b/"), rule) == "deny"
    assert may_hold(["a"], "**/.env") and not may_hold(["b"], "a/**/.env")


def test_a_rule_that_allows_a_folder_allows_no_call_over_everything() -> None:
    allow = Rule(decision="allow", path="src/**")
    assert decided(Use(verb="write", path="."), allow) == "ask"
    assert decided(Use(verb="write", path="."), Rule(decision="allow", path="**")) == "allow"


# --- programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "write"])
def test_a_program_reads_and_one_that_may_write_does_all(verb: Verb) -> None:
    use = Use(verb=verb, path=".", command="python")
    assert decided(use, Rule(decision="deny", verb="read", path="private/**")) == "deny"
    assert decided(use, Rule(decision="deny", verb="run")) == "deny"
    denied = decided(use, Rule(decision="deny", verb="write", path="private/**"))
    assert (denied == "deny") is (verb == "write")
    assert decided(use, Rule(decision="allow", verb="read"), otherwise={"run": "deny"}) == "deny"


LINES = ["git status; rm -rf .", "git log | sh", "git `x`", "git $(x)", "git a > b", "git a\nrm b", "git 'unclosed"]


@pytest.mark.parametrize("line", LINES)
def test_a_line_for_a_shell_is_allowed_only_as_it_stands(line: str) -> None:
    use = Use(verb="write", path=".", command=line)
    assert decided(use, Rule(decision="allow", command="git *")) == "ask"
    assert decided(use, Rule(decision="allow", command=line)) == "allow"
    assert decided(use, Rule(decision="allow", command="*")) == "allow"


def test_words_fit_what_allows_them() -> None:
    for command in ("git log --oneline", "git commit -m 'two words'", "git log -n 1"):
        assert decided(Use(verb="write", path=".", command=command), Rule(decision="allow", command="git *")) == "allow"


@pytest.mark.parametrize(
    "line",
    ["rm -rf .", "/bin/rm x", "true; rm x", "true && /bin/RM x", "x | rm y", "echo $(rm x)", "a\nrm x", "`rm x`"],
)
def test_each_command_of_a_line_is_denied(line: str) -> None:
    assert decided(Use(verb="write", path=".", command=line), Rule(decision="deny", command="rm *")) == "deny"


@pytest.mark.parametrize(
    "line",
    [
        "sh -c 'git push; ls'", "sh -c 'git push'", "bash -lc 'git push'", "/bin/bash -o pipefail -c 'git push'",
        "timeout 5 sh -c 'git push'", "bash-5.2 -c -- 'git\tpush'",
        "sh -c 'A=1 git push'", "git>f push", "'git'>f push", "sh -c '>f git push'",
        "ls;git<x push", "sh -c 'sh -c \"git push\"'",
        "A=1 git push", "A=1 B='x' git push", "A='x y' git push", "A='x;y' git push", "A=$(x y) git push",
        "! git push",
        "if true; then git push; fi", "if git push; then ls; fi", "while x; do git push; done", "x || { git push; }",
        ">f git push", "> f git push", ">'a b' git push", "2>&1 git push", ">&2 git push", ">|f git push",
        "git >f push",
        "'git' push; ls", "ls; g'i't push", "ls; \\git push", "ls;\tgit push", "ls;git  \t push", "{ git push; }",
        "( git push )", "$(git push)", "`git push`", "echo `git push`", "echo \"$(git push)\"", "ls\ngit push",
        "ls; gi\\\nt push", "# x \\\ngit push", "eval 'git push'", "command -p git push", "ls & A=1 /usr/bin/GIT push",
    ],
)  # fmt: skip
@pytest.mark.parametrize("decision", ["ask", "deny"])
def test_a_command_is_found_wherever_a_shell_would_find_it(line: str, decision: Decision) -> None:
    use = Use(verb="run", path=".", command=line)
    assert decided(use, Rule(decision=decision, command="git *")) == decision


@pytest.mark.parametrize(
    "line",
    [
        "$X push", "g${e}it push", "$(echo git) push", "`echo git` push", "{git,push}",
        "{{git,x},y}", "/usr/bin/gi? push", "a ` b",
        "sh -c '$X push'", "> 'a b' x", "! " * 200 + "x", "$'git' push", "$X push sh -c ls",
    ],
)  # fmt: skip
def test_a_line_that_nobody_can_read_fits_what_denies_a_command(line: str) -> None:
    use = Use(verb="run", path=".", command=line)
    assert decided(use, Rule(decision="deny", command="git *")) == "deny"
    assert decided(use, Rule(decision="allow", command="git *")) == "allow"  # as without it
    assert decided(use, Rule(decision="deny", path="private/**")) == "allow"


@pytest.mark.parametrize(
    "line",
    [
        "ls; echo git push", "sh -c 'ls; wc x' git", "echo git", "grep 'a|b*' x", "grep '$x (y)' x", "awk '{$1=2}' f",
        "ls *.txt | wc -l", "echo `date`", "echo x > 'my file'", "A=1 make >log 2>&1", "ls $HOME", "digit push",
        "for x in a b; do echo $x; done", "[ -f x ] && wc x", "[[ $a == b ]] && ls", "case $x in a*) ls;; esac",
    ],
)  # fmt: skip
def test_other_lines_are_left_alone(line: str) -> None:
    assert decided(Use(verb="run", path=".", command=line), Rule(decision="deny", command="git *")) == "allow"


def test_a_pattern_may_have_quotes() -> None:
    rule = Rule(decision="deny", command="git commit -m 'x y'")
    for line in ("git commit -m 'x y'", "A=1 git commit -m 'x y'", "git  commit -m x\\ y"):
        assert decided(Use(verb="run", path=".", command=line), rule) == "deny"


@pytest.mark.timeout(30)
def test_a_line_of_any_length_is_decided() -> None:
    signs = ("`", "a;", ">", "{", "A=", "a>", "'", "{a", "\\\n", "1", "! ", "sh -c ", "-c sh ", "a 'b", "$(", "({")
    for line in (*(sign * 30_001 for sign in signs), " " * 99_999 + "{"):
        decided(Use(verb="run", path=".", command=line), Rule(decision="deny", command="git *"))


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "~/x", ".."])
@pytest.mark.parametrize("pattern", [".", "**", "./", "**/*", "*"])
def test_a_rule_that_forbids_everything_speaks_of_what_lies_elsewhere(path: str, pattern: str) -> None:
    use = Use(verb="read", path=path)
    assert decided(use, Rule(decision="deny", path=pattern)) == "deny"
    assert decided(use, Rule(decision="ask", path=pattern)) == "ask"
    assert decided(use, Rule(decision="deny", path="**/*.key")) == "allow"
    assert decided(use, Rule(decision="allow", path=pattern), otherwise={"read": "ask"}) == "ask"


def test_a_rule_that_names_a_host_speaks_of_it() -> None:
    use = Use(verb="fetch", host="docs.example.com")
    allows = Policy(rules=(Rule(decision="allow", host="*.example.com"),))
    assert allows.allows_host("fetch", use)
    assert not Policy().allows_host("fetch", use)
    assert not Policy(rules=(Rule(decision="allow", tool="*"),)).allows_host("fetch", use)
    assert not Policy(rules=(Rule(decision="allow", host="*"),)).allows_host("fetch", use)
    assert not allows.with_rules(Rule(decision="ask", tool="fetch")).allows_host("fetch", use)


# --- properties -----------------------------------------------------------------------------------------------------

texts = st.sampled_from(["", "*", "a", "A", "b*", "a/**", "**/b", "a b", "a; b"])
names = st.sampled_from(["a", "A", "b", "bb", "c.txt", ".env"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
rules = st.builds(
    Rule,
    decision=st.sampled_from(get_args(Decision)),
    tool=texts,
    verb=st.sampled_from([None, *get_args(Verb)]),
    path=st.one_of(texts, paths),
    host=texts,
    command=texts,
)
uses = st.builds(
    Use,
    verb=st.sampled_from(get_args(Verb)),
    path=st.one_of(st.sampled_from(["", "."]), paths),
    host=st.sampled_from(["", "a", "b.c"]),
    command=st.sampled_from(["", "a b", "a; b", "python"]),
)
policies = st.builds(
    Policy,
    rules=st.lists(rules, max_size=5).map(tuple),
    otherwise=st.dictionaries(st.sampled_from(get_args(Verb)), st.sampled_from(get_args(Decision))),
)


def strictness(policy: Policy, use: Use) -> int:
    return STRICTNESS[policy.ruling("a", (use,)).decision]


@given(policies, rules, uses)
def test_one_more_rule_that_denies_never_loosens(policy: Policy, rule: Rule, use: Use) -> None:
    denied = Rule(
        decision="deny", **{name: getattr(rule, name) for name in ("tool", "verb", "path", "host", "command")}
    )
    assert strictness(policy.with_rules(denied), use) >= strictness(policy, use)


@given(policies, paths, paths, st.sampled_from(["read", "write"]))
def test_a_path_in_a_hidden_folder_is_never_allowed(policy: Policy, folder: str, path: str, verb: Verb) -> None:
    hiding = policy.with_rules(Rule(decision="deny", path=folder))
    for inside in (folder, f"{folder}/{path}", f"./{folder}//{path}", f"{folder.swapcase()}/{path}"):
        assert hiding.ruling("a", (Use(verb=verb, path=inside),)).decision == "deny"
        assert hiding.hides(inside.replace("./", "").replace("//", "/").split("/"))


# --- files out of sight ---------------------------------------------------------------------------------------------


def test_hidden_paths_are_the_outermost_and_links_are_not_followed(tmp_path: Path) -> None:
    for path in ("private/deep/key", "src/.ENV", "src/a.py", "Private2/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "src")
    (tmp_path / "round").symlink_to(tmp_path)
    policy = Policy(rules=(Rule(decision="deny", path="private/**"), Rule(decision="deny", path="**/.env")))
    assert sorted(hidden_paths(tmp_path, policy)) == ["private", "src/.ENV"]
    assert hidden_paths(tmp_path, Policy(rules=(Rule(decision="ask", path="**"),))) == ()
    assert hidden_paths(tmp_path / "absent", policy) == ()


def test_too_many_files_to_hide_some_of_them_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "MOST_ENTRIES", 3)
    for number in range(4):
        (tmp_path / f"{number}").touch()
    with pytest.raises(InvalidRequest, match="more than 3 files"):
        hidden_paths(tmp_path, Policy(rules=(Rule(decision="deny", path="x"),)))


# --- the file -------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "permissions.toml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path)


def test_a_file_with_everything(tmp_path: Path) -> None:
    policy = read(
        tmp_path,
        """
        [[allow]]
        tool = "write_file"
        verb = "write"
        path = "notes/**"

        [[ask]]
        command = "git *"

        [[deny]]
        host = "*.bücher.example."

        [[deny]]
        path = "private"

        [otherwise]
        fetch = "ask"
        """,
    )
    assert policy == Policy(
        rules=(
            Rule(decision="allow", tool="write_file", verb="write", path="notes/**"),
            Rule(decision="ask", command="git *"),
            Rule(decision="deny", host="*.xn--bcher-kva.example"),
            Rule(decision="deny", path="private"),
        ),
        otherwise={"fetch": "ask"},
    )
    assert read(tmp_path, "") == Policy()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[[allow]\n", "isn't valid TOML", "docs/permissions.md"),
        ('[[alow]]\ntool = "a"', "there is no section 'alow'", "Did you mean allow?"),
        ('[[zzz]]\ntool = "a"', "there is no section 'zzz'", "There are: allow, ask, deny, otherwise."),
        ('[allow]\ntool = "a"', "allow is a list of rules", "Write [[allow]] with two brackets."),
        ("allow = [1]", "allow is a list of rules", "two brackets"),
        ('[[deny]]\ntol = "a"', "[[deny]] number 1: a rule has no 'tol'", "Did you mean tool?"),
        ('[[deny]]\ndecision = "allow"', "a rule has no 'decision'", "There are: tool, verb, path, host, command."),
        ("[[deny]]\n[[deny]]", "[[deny]] number 1 doesn't say what it speaks of", 'Write tool = "*"'),
        ('[[ask]]\ntool = "a"\n[[ask]]\nverb = "eat"', "[[ask]] number 2 can't be used", "read, write, run, fetch"),
        ("[[ask]]\npath = 3", "[[ask]] number 1 can't be used", "All are texts"),
        ('[[ask]]\ntool = " "', "an empty text fits nothing", 'write "*" for anything'),
        ('[[deny]]\npath = "/etc"', "relative to the workspace", 'As in path = "private/**".'),
        ('[[deny]]\npath = "~/x"', "relative to the workspace", "private"),
        ('[[deny]]\npath = "a\\\\b"', "relative to the workspace", "private"),
        ('[[deny]]\npath = "a/../b"', "relative to the workspace", "private"),
        ('[[deny]]\nhost = "https://a.example/"', "a host is a name alone", 'As in host = "*.example.com".'),
        ('[[deny]]\nhost = "a.example:80"', "without a port", "example.com"),
        ('[[deny]]\nhost = "bü*.example"', "can't be the name of a host", "in ASCII"),
        ('[otherwise]\nwrite = "maybe"', "[otherwise] can't be used", "one of allow, ask, deny"),
        ('[otherwise]\nwrote = "ask"', "[otherwise] can't be used", "for read, write, run, fetch"),
        ("otherwise = 3", "[otherwise] can't be used", 'As in write = "ask"'),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_what_to_write(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message and "permissions.toml" in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read_is_no_file_without_rules(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_policy(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        read_policy(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="can't be read"):
        read_policy(tmp_path / "latin.toml")
