"""What a user may type, and how it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import InvalidRequest
from smidgen.models.catalog import builtin
from smidgen.models.sources import FileSource, HttpsSource, HubSource, WheelPart, WheelSource, file, hf, https, pypi
from smidgen.models.sources.http import check_url, redacted
from smidgen.models.spec import is_path, read, slug

SHA = "ab" * 32


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ("hf:o/r/f.gguf", HubSource(repo="o/r", file="f.gguf")),
        ("hf:o/r/a/b.GGUF@v1.0", HubSource(repo="o/r", file="a/b.GGUF", revision="v1.0")),
        ("hf:o/r/f.gguf@refs/pr/3", HubSource(repo="o/r", file="f.gguf", revision="refs/pr/3")),
        (
            "pypi:my-dist==1.2.post1/a/b.bin",
            WheelSource(parts=(WheelPart(distribution="my-dist", version="1.2.post1", member="a/b.bin"),)),
        ),
        ("https://h/x.gguf", HttpsSource(url="https://h/x.gguf")),
        (f"https://h/x.gguf?a=1#sha256={SHA}", HttpsSource(url="https://h/x.gguf?a=1", sha256=SHA)),
        ("file:///tmp/a%20b.gguf", FileSource(path="/tmp/a b.gguf")),
        ("/tmp/a b.gguf", FileSource(path="/tmp/a b.gguf")),
    ],
)
def test_a_spec_is_read_into_its_source(spec: str, source: object) -> None:
    wanted = read(spec, builtin())
    assert wanted is not None and wanted.sources == (source,)


@pytest.mark.parametrize(
    "spec",
    [
        "hf:owner",
        "hf:o/r/file.bin",
        "hf:o/r/../../x.gguf",
        "pypi:dist/member",
        "pypi:--index-url==1/x",
        "pypi:dist==1.0 --pre/x",
        "http://example.org/x.gguf",
        "https:///x.gguf",
        f"https://h/x.gguf#sha256={SHA[:-1]}",
        "file://elsewhere/x.gguf",
    ],
)
def test_a_malformed_spec_is_refused_with_a_reason(spec: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(spec, builtin())
    assert caught.value.message


def test_every_spelling_of_one_thing_has_the_same_key() -> None:
    catalog = builtin()
    for one, other in [
        ("hf:o/r/f.gguf", "hf:o/r/f.gguf@main"),
        ("smollm2", "SMOLLM2-135M"),
        ("file:///tmp/x.gguf", "/tmp/x.gguf"),
    ]:
        first, second = read(one, catalog), read(other, catalog)
        assert first is not None and second is not None
        assert (first.key, first.spec) == (second.key, second.spec)


def test_a_relative_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert file.parse("./x.gguf").path == str(tmp_path / "x.gguf")


@pytest.mark.parametrize("spec", ["./x", "a/b", "~/m", "x.gguf", "C:\\m\\x"])
def test_what_looks_like_a_path_is_one(spec: str) -> None:
    assert is_path(spec)


def test_a_bare_word_is_a_name() -> None:
    assert not is_path("smollm2") and read("no-such-model", builtin()) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:80/x", "https://h/x"])
def test_https_and_this_computer_are_allowed(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.evil.org/x", "http://10.0.0.1/x", "ftp://h/x", "http://2130706433/x"]
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url)


def test_messages_leave_out_what_may_be_secret() -> None:
    assert redacted("https://user:pass@h:1/p?sig=1#f") == "https://h:1/p"
    assert "sig" not in str(HttpsSource(url="https://u:p@h/p?sig=1"))


@given(st.text(max_size=60))
def test_a_slug_is_always_a_possible_name(text: str) -> None:
    name = slug(text)
    assert name and len(name) <= 100 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert name[0] not in ".-_"


@given(st.sampled_from(["hf:", "pypi:", "https://", "http://", "file:", "file://", ""]), st.text(max_size=40))
def test_no_text_is_read_with_anything_but_a_result_or_a_typed_error(scheme: str, text: str) -> None:
    try:
        wanted = read(scheme + text, builtin())
    except InvalidRequest:
        return
    assert wanted is None or wanted.sources


def test_each_kind_of_source_says_what_it_is() -> None:
    assert str(hf.parse("hf:o/r/f.gguf@v1")) == "hf:o/r/f.gguf@v1"
    assert str(pypi.parse("pypi:d==1/m")) == "pypi:d==1/m"
    assert str(https.parse("https://h/x.gguf")) == "https://h/x.gguf"
