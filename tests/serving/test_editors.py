"""Editors that complete code, against a real server: the requests are theirs, field by field; the files are smidgen's
own."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serving.conftest import Server

import smidgen

SOURCE = Path(smidgen.__file__).parent
VIM_FIELDS = [
    "content",
    "timings/prompt_n",
    "timings/prompt_ms",
    "timings/prompt_per_token_ms",
    "timings/prompt_per_second",
    "timings/predicted_n",
    "timings/predicted_ms",
    "timings/predicted_per_token_ms",
    "timings/predicted_per_second",
    "truncated",
    "tokens_cached",
]
CONTROL = ("<|file_sep|>", "<|fim_", "<|repo_name|>", "<|endoftext|>", "<|im_end|>")


@pytest.fixture
def editor(server: Server) -> Generator[httpx2.Client]:
    headers = {"Authorization": "Bearer", "Content-Type": "application/json"}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=120) as client:
        yield client


def until_idle(server: Server) -> None:
    """What is read ahead between two keystrokes has been read."""
    deadline = time.monotonic() + 60
    while any(slot["is_processing"] for slot in httpx2.get(f"{server.url}/slots").json()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def curled(server: Server, body: dict[str, Any]) -> str:
    """What /infill answers to vim, which sends a key even if it has none."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=120)
    with closing(connection):
        headers = {"Authorization": "Bearer ", "Content-Type": "application/json"}
        connection.request("POST", "/infill", json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
    assert response.status == 200, text
    return text


def lines_of(name: str) -> list[str]:
    return (SOURCE / name).read_text().splitlines(keepends=True)


def extra(*names: str) -> list[dict[str, Any]]:
    return [
        {"text": "".join(lines_of(name)[:20]), "time": 1.5 + number, "filename": name}
        for number, name in enumerate(names)
    ]


def vim(lines: list[str], row: int, typed: str, **more: Any) -> dict[str, Any]:
    """As llama.vim sends it from this row (from 0), whose text up to the cursor is `typed`."""
    return {
        "id_slot": 0,
        "input_prefix": "".join(lines[max(0, row - 256) : row]),
        "input_suffix": "\n" + "".join(lines[row + 1 : row + 65]),
        "input_extra": extra("messages.py", "events.py"),
        "prompt": typed,
        "n_predict": 16,
        "stop": [],
        "n_indent": len(typed) - len(typed.lstrip()),
        "top_k": 40,
        "top_p": 0.90,
        "samplers": ["top_k", "top_p", "infill"],
        "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 1000,
        "response_fields": VIM_FIELDS,
        "model": "",
        **more,
    }


def test_a_typing_session_of_vim_finds_more_and_more_in_the_cache(server: Server) -> None:
    lines = lines_of("worker/sequence.py")
    row = next(number for number, line in enumerate(lines) if "def pending" in line) + 1
    warm = vim(lines, row, "", input_prefix="", input_suffix="", n_predict=0, samplers=[], t_max_prompt_ms=1)
    warm |= {"temperature": 0.0, "t_max_predict_ms": 1, "response_fields": [""]}
    assert curled(server, warm) == "{}"
    until_idle(server)
    cached: list[int] = []
    typed = "        return len(self."
    for until in (12, 16, 20, len(typed)):
        text = curled(server, vim(lines, row, typed[:until]))
        assert text.startswith('{"content":"') and "\n" not in text
        answer = json.loads(text)
        assert set(answer) == set(VIM_FIELDS)
        assert not any(mark in answer["content"] for mark in CONTROL)
        cached.append(answer["tokens_cached"])
        until_idle(server)
    assert cached[-1] > cached[0]
    assert answer["timings/prompt_n"] < cached[-1] / 2


def test_the_model_stops_before_another_file(editor: httpx2.Client) -> None:
    """What ends a completion of Qwen2.5-Coder besides its end of text: marks of files, projects and gaps."""
    for before, after in (("def add(a, b):\n    return ", "\n"), ("x = ", ""), ("import os\n", "\n\nos.getcwd()\n")):
        body = {"input_prefix": before, "input_suffix": after, "n_predict": 24, "input_extra": extra("errors.py")}
        answer = editor.post("/infill", content=json.dumps(body)).json()
        assert not any(mark in answer["content"] for mark in CONTROL), answer["content"]
        assert answer["stop_type"] in ("eos", "limit")
        assert answer["tokens_predicted"] <= 24
    known = {"input_prefix": "def add(a, b):\n    return ", "input_suffix": "\n", "n_predict": 6}
    assert editor.post("/infill", json=known).json()["content"].startswith("a + b")


def test_vscode_reads_nested_timings_and_three_answers(editor: httpx2.Client) -> None:
    body = vim(lines_of("errors.py"), 60, "    def ", top_p=0.99, n_cmpl=3, lora=[], n_predict=8, input_extra=[])
    for name in ("response_fields", "t_max_prompt_ms", "t_max_predict_ms"):
        del body[name]
    answers = editor.post("/infill", content=json.dumps(body)).json()
    assert isinstance(answers, list) and len(answers) == 3
    for answer in answers:
        assert answer["timings"]["prompt_ms"] >= 0 and answer["timings"]["predicted_n"] <= 8
        assert isinstance(answer["content"], str) and answer["generation_settings"]["n_ctx"] > 1000
    one = editor.post("/infill", content=json.dumps(body | {"n_cmpl": 1})).json()
    assert one["content"] == answers[0]["content"], "the first is the likeliest"


def test_vscode_asks_for_everything_else_too(editor: httpx2.Client) -> None:
    until_ready(editor)
    props = editor.get("/props").json()
    assert props["default_generation_settings"]["n_ctx"] > 1000 and props["model_path"].endswith(".gguf")
    assert "im_start" in props["chat_template"] and "/" not in props["model_path"]
    assert editor.get("/v1/models").json()["data"][0]["id"]
    messages = [{"role": "user", "content": "Hello"}]
    prompt = editor.post("/apply-template", json={"messages": messages}).json()["prompt"]
    assert "Hello" in prompt and prompt.rstrip().endswith("assistant")
    tokens = editor.post("/tokenize", json={"content": "def f(🦊):<|im_end|>"}).json()["tokens"]
    assert editor.post("/detokenize", json={"tokens": tokens}).json()["content"] == "def f(🦊):<|im_end|>"
    pieces = editor.post("/tokenize", json={"content": "a b<|im_end|>", "with_pieces": True}).json()["tokens"]
    assert [piece["piece"] for piece in pieces] == ["a", " b", "<|im_end|>"]
    stream = chunks(editor, {"messages": messages, "stream": True, "max_tokens": 8})
    assert any(chunk["choices"] and chunk["choices"][0]["delta"].get("content") for chunk in stream)


def test_qtcreator_sends_fewer_fields_and_samplers_as_letters(editor: httpx2.Client) -> None:
    body = vim(lines_of("errors.py"), 40, "    ", n_predict=8)
    for name in ("id_slot", "n_indent", "response_fields"):
        del body[name]
    answer = editor.post("/infill", content=json.dumps(body)).json()
    assert isinstance(answer["content"], str) and answer["stop"] is True
    chat = {
        "messages": [{"role": "user", "content": "Say hello."}],
        "stream": True,
        "samplers": "edkypmxt",
        "reasoning_in_content": "false",
        "return_progress": True,
        "cache_prompt": True,
        "max_tokens": 8,
    }
    assert any(chunk["choices"] and chunk["choices"][0]["delta"].get("content") for chunk in chunks(editor, chat))


def test_a_completion_with_tokens_in_its_prompt(editor: httpx2.Client) -> None:
    tokens = editor.post("/tokenize", json={"content": "The capital of France"}).json()["tokens"]
    body = {"prompt": [*tokens, " is"], "n_predict": 4, "temperature": 0, "n_probs": 2}
    answer = editor.post("/completion", json=body).json()
    assert "Paris" in answer["content"] and answer["tokens_evaluated"] == len(tokens) + 1
    assert answer["completion_probabilities"][0]["top_logprobs"][0]["token"] == " Paris"


def chunks(editor: httpx2.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = editor.post("/v1/chat/completions", content=json.dumps(body))
    assert response.status_code == 200, response.text
    return list(_data(response.text.split("\n\n")))


def _data(parts: Iterable[str]) -> Iterable[dict[str, Any]]:
    for part in parts:
        if part.startswith("data: {"):
            yield json.loads(part.removeprefix("data: "))


def until_ready(editor: httpx2.Client) -> None:
    """The model is loaded since the server started: until then /health says so."""
    deadline = time.monotonic() + 60
    while (health := editor.get("/health")).status_code == 503:
        assert health.json()["error"]["message"] == "Loading model"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert health.json() == {"status": "ok"}
