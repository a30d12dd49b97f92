import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.cli.fetching import Lines, asker, in_thread
from smidgen.errors import Cancelled
from smidgen.models import hardware
from smidgen.models.sources import Progress
from smidgen.testing import tiny_bert, tiny_llama

Run = Callable[..., Any]


def test_the_list_has_the_catalogue_and_marks_the_default(smidgen: Run, script: Any) -> None:
    done = smidgen("models", "list")
    assert done.status == 0
    assert "not pulled" in done.out
    assert any(line.startswith("*  qwen2.5-coder-0.5b") for line in done.out.splitlines())
    listed = json.loads(smidgen("models", "list", "--json").out)
    assert listed["models"] == []
    assert {entry["name"] for entry in listed["catalog"]} >= {"smollm2-135m"}


def test_the_default_can_be_set_and_is_kept(smidgen: Run, script: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("", encoding="utf-8")
    assert smidgen("models", "default", "smollm2-135m").out == "smollm2-135m\n"
    assert smidgen("models", "default").out == "smollm2-135m\n"


def test_a_default_that_the_configuration_overrules_is_said_to_be(smidgen: Run, script: Any) -> None:
    done = smidgen("models", "default", "smollm2-135m")
    assert done.out == "tiny\n"
    assert "goes before" in done.err


def test_unknown_models_are_refused_with_near_names(smidgen: Run, script: Any) -> None:
    for action in ("pull", "show", "verify", "rm", "default"):
        done = smidgen("models", action, "smolm2-135m")
        assert done.status == 3, action
        assert "smollm2-135m" in done.err, action


def test_a_model_that_is_not_here_says_how_to_get_it(smidgen: Run, script: Any) -> None:
    done = smidgen("models", "show", "smollm2-135m")
    assert done.status == 3
    assert "smidgen models pull smollm2-135m" in done.err


def test_a_file_that_is_no_model_is_not_pulled(smidgen: Run, script: Any, tmp_path: Path) -> None:
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"<html>not found</html>" * 100)
    done = smidgen("models", "pull", str(junk))
    assert done.status == 3
    assert "error: " in done.err
    assert "Traceback" not in done.err


def test_a_folder_of_weights_becomes_a_model(smidgen: Run, script: Any, tmp_path: Path) -> None:
    tiny_bert.write(tmp_path / "tiny")
    out = tmp_path / "out.gguf"
    done = smidgen("models", "convert", str(tmp_path / "tiny"), "--out", str(out), "--json")
    assert done.status == 0, done.err
    model = json.loads(done.out)
    assert Path(model["path"]).read_bytes() == out.read_bytes()
    assert json.loads(smidgen("models", "show", "tiny", "--json").out)["kind"] == "embeddings"
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"not weights")
    done = smidgen("models", "convert", str(tmp_path / "tiny"))
    assert done.status == 3
    assert "safetensors" in done.err and "Traceback" not in done.err


@pytest.fixture
def few_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small computer with a processor for which weights are laid out, whatever this one is."""
    small = msgspec.structs.replace(
        hardware.probe(), simd=("avx2",), physical_cores=2, cpu_quota=0.0, gpus=(), available_bytes=4 << 30
    )
    monkeypatch.setattr("smidgen.models.hardware.probe", lambda: small)


def test_a_pull_makes_the_copy_that_the_other_actions_show_and_remove(
    smidgen: Run, script: Any, tmp_path: Path, few_cores: None
) -> None:
    done = smidgen("models", "pull", str(tiny_llama.write(tmp_path / "tiny.gguf")))
    assert done.status == 0
    assert "arranging the weights" in done.err and "A copy of tiny was made" in done.err
    assert "here already" in (again := smidgen("models", "pull", "tiny").err) and "arranging" not in again
    assert "here, and a copy of" in (listed := smidgen("models", "list")).out and listed.err == ""
    (model,) = json.loads(smidgen("models", "list", "--json").out)["models"]
    shown = json.loads(smidgen("models", "show", "tiny", "--json").out)
    assert shown["layout"] == "copy" and shown["copy_bytes"] == model["copy_bytes"] > model["bytes"]
    assert smidgen("models", "verify").out == f"tiny: good, sha256 {model['sha256']}\n"
    removed = json.loads(smidgen("models", "rm", "tiny", "--json").out)
    assert removed == [{"name": "tiny", "freed_bytes": model["bytes"] + model["copy_bytes"]}]
    assert not list(tmp_path.rglob(f"*{model['sha256']}*"))


def test_no_copy_is_made_where_the_configuration_says_so(
    smidgen: Run, script: Any, tmp_path: Path, few_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_LAYOUT", "file")
    done = smidgen("models", "pull", str(tiny_llama.write(tmp_path / "tiny.gguf")))
    assert done.status == 0 and "arranging" not in done.err
    assert "a copy of" not in smidgen("models", "list").out
    assert json.loads(smidgen("models", "show", "tiny", "--json").out)["layout"] == "file"


def test_verifying_tells_of_a_damaged_copy(smidgen: Run, script: Any, tmp_path: Path, few_cores: None) -> None:
    smidgen("models", "pull", str(tiny_llama.write(tmp_path / "tiny.gguf")))
    (copy,) = tmp_path.rglob("layouts/*.gguf")
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    done = smidgen("models", "verify", "tiny")
    assert done.status == 0 and "tiny: good" in done.out and "was damaged" in done.err
    assert not copy.exists()


async def test_a_cancelled_pull_ends_at_its_next_report_and_is_waited_for() -> None:
    ended: list[type[BaseException]] = []

    reported = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Told:
        def show(self, progress: Progress) -> None:
            loop.call_soon_threadsafe(reported.set)

    def work(report: Callable[[Progress], None]) -> None:
        try:
            while True:
                report(Progress(phase="downloading", done_bytes=1, total_bytes=2, source=""))
                time.sleep(0.01)
        except Cancelled as error:
            ended.append(type(error))
            raise

    task = asyncio.create_task(in_thread(work, Told()))
    await reported.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [Cancelled]


def test_without_a_terminal_progress_is_a_line_per_phase_and_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(lambda: now[0])
    for done in range(0, 100, 10):
        lines.show(Progress(phase="downloading", done_bytes=done * 1000, total_bytes=100_000, source=""))
        now[0] += 3.0
    lines.show(Progress(phase="hashing", done_bytes=0, total_bytes=100_000, source=""))
    assert capsys.readouterr().err.splitlines() == [
        "downloading 0 B of 100 kB",
        "downloading 40 kB of 100 kB",
        "downloading 80 kB of 100 kB",
        "checking 100 kB",
    ]


def test_terms_are_accepted_by_the_option_and_never_silently(smidgen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.cli.terminal.confirm", lambda question: False)
    assert asker(True)("gemma-3-270m", "terms") is True
    assert asker(False)("gemma-3-270m", "terms") is False


def test_the_doctor_reports_what_is_missing(smidgen: Run, script: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "smollm2-135m"\n', encoding="utf-8")
    told = json.loads(smidgen("doctor", "--json").out)
    checks = {check["name"]: check for check in told["checks"]}
    assert {"program", "configuration", "machine", "native library", "GPU", "models", "worker"} <= set(checks)
    assert checks["worker"]["status"] == "note"
    assert "smidgen models pull smollm2-135m" in checks["worker"]["hint"]
