"""The `llm` command-line tool against a real server, as its user sets it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving.conftest import MODEL, Server

MODELS = """\
- model_id: tiny
  model_name: {model}
  api_base: "{url}/v1"
  supports_schema: true
  supports_tools: true
- model_id: tiny-text
  model_name: {model}
  api_base: "{url}/v1"
  completion: true
"""
TOOLS = '''
def get_weather(city: str) -> str:
    """The weather of a city now."""
    return "18 degrees and sunny"
'''


@pytest.fixture
def llm(server: Server, tmp_path: Path) -> Callable[..., str]:
    """Runs the tool with these arguments; gives what it printed."""
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(model=MODEL, url=server.url))
    (tmp_path / "tools.py").write_text(TOOLS)

    def run(*arguments: str) -> str:
        environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
        command = [sys.executable, "-m", "llm", *arguments]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, input=""
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_an_answer_is_streamed(llm: Callable[..., str]) -> None:
    assert llm("-m", "tiny", "Say hello.", "-o", "max_tokens", "8").strip()


def test_a_text_is_continued(llm: Callable[..., str]) -> None:
    assert "Paris" in llm("-m", "tiny-text", "The capital of France is", "-o", "max_tokens", "5")


def test_a_schema_holds(llm: Callable[..., str]) -> None:
    told = llm("-m", "tiny", "--schema", "name, age int", "Ada is 36 years old.", "-o", "max_tokens", "60")
    assert set(json.loads(told)) == {"name", "age"}


def test_a_function_is_called(llm: Callable[..., str]) -> None:
    told = llm("-m", "tiny", "--functions", "tools.py", "What's the weather in Paris?", "-o", "max_tokens", "60")
    assert "18" in told
