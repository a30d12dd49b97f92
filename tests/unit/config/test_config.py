from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import Config, config_path, load_config, parse_size
from smidgen.errors import ConfigError


def written(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return {"SMIDGEN_CONFIG": str(path)}


def test_without_file_and_variables_all_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.config.config_path", lambda environ: tmp_path / "absent.toml")
    assert load_config({}) == Config()


def test_the_file_is_read_with_its_sections(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path, 'model = "smollm2-135m"\nmemory = "2GB"\n[supervision]\nprogress_limit_s = 5\n')
    )
    assert (config.model, config.memory, config.supervision.progress_limit_s) == ("smollm2-135m", 2_000_000_000, 5.0)


def test_variables_win_over_the_file_and_arguments_over_both(tmp_path: Path) -> None:
    environ = written(tmp_path, 'model = "a"\nthreads = 1\ncontext = 1000\n')
    environ |= {"SMIDGEN_MODEL": "b", "SMIDGEN_THREADS": "2", "SMIDGEN_SUPERVISION_RESTARTS": "7"}
    config = load_config(environ, model="c", threads=None)
    assert (config.model, config.threads, config.context) == ("c", 2, 1000)
    assert config.supervision.restarts == 7


def test_the_layout_can_be_set_like_any_key(tmp_path: Path) -> None:
    environ = written(tmp_path, 'layout = "file"')
    assert load_config(environ).layout == "file"
    assert load_config(environ | {"SMIDGEN_LAYOUT": "auto"}).layout == "auto"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "threads = 3") | {"SMIDGEN_THREADS": ""}).threads == 3


@pytest.mark.parametrize(
    ("text", "line", "named", "hint"),
    [
        ('home = "x"\nmodle = "a"\n', 2, "modle", "model"),
        ("[supervision]\nrestart = 3\n", 2, "restart", "restarts"),
        ("\n[supervison]\nrestarts = 3\n", 2, "supervison", "supervision"),
        ("nothing_like_it = 1\n", 1, "nothing_like_it", "workspace"),
    ],
)
def test_unknown_keys_are_refused_with_line_and_near_names(
    tmp_path: Path, text: str, line: int, named: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert f"config.toml:{line}" in caught.value.message
    assert named in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_variable_is_refused_with_near_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SMIDGEN_THREAD is not") as caught:
        load_config(written(tmp_path, "") | {"SMIDGEN_THREAD": "2"})
    assert "SMIDGEN_THREADS" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        'threads = "two"',
        "threads = -1",
        "threads = 1.5",
        "threads = true",
        "threads =",
        'memory = "lots"',
        'gpu = "maybe"',
        'layout = "fast"',
        "timeout_s = nan",
        "timeout_s = inf",
        "supervision = 3",
        "model = 3",
    ],
)
def test_values_that_cannot_be_used_are_refused_with_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_config(written(tmp_path, text))


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable SMIDGEN_CONTEXT"):
        load_config(written(tmp_path, "") | {"SMIDGEN_CONTEXT": "many"})


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="doesn't exist"):
        load_config({"SMIDGEN_CONFIG": str(tmp_path / "absent.toml")})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config({"SMIDGEN_CONFIG": str(path)})


def test_the_named_path_wins(tmp_path: Path) -> None:
    assert config_path({"SMIDGEN_CONFIG": str(tmp_path / "c.toml")}) == tmp_path / "c.toml"


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512MB", 512_000_000), ("1.5 GB", 1_500_000_000), ("4GiB", 4 << 30), ("2k", 2000), (7, 7), ("9 b", 9)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@given(st.text(max_size=12))
def test_a_size_is_a_whole_number_or_a_value_error(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except ValueError:
        pass
