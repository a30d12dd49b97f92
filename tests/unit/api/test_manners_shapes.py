"""Refusals as the official clients read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest

from smidgen.api.manners import refusal

PATHS = {
    "/api/chat": "ollama",
    "/api": "ollama",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    "/v1/messagesx": "openai",
    "/v1/chat/completions": "openai",
    "/v1/nothing": "openai",
    "/v1/health": "llama",
    "/health": "llama",
    "/infill": "llama",
    "/apis": "llama",
    "": "llama",
}


def shape_of(body: bytes) -> str:
    said = json.loads(body)
    if isinstance(said["error"], str):
        return "ollama"
    if said.get("type") == "error":
        return "anthropic"
    return "openai" if "param" in said["error"] else "llama"


@pytest.mark.parametrize(("path", "family"), PATHS.items())
def test_each_path_has_the_shape_of_its_family(path: str, family: str) -> None:
    status, headers, body = refusal(path, 400, "Wrong.", "Do it right.", code="invalid_request")
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert shape_of(body) == family
    assert b"Wrong. Do it right." in body


def test_llama_server_tells_the_status_as_a_number() -> None:
    _, _, body = refusal("/health", 503, "Loading model", code="engine_unavailable", retry_after=5)
    assert json.loads(body) == {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (415, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_has_a_type_for_each_status(status: int, kind: str) -> None:
    _, _, body = refusal("/v1/messages", status, "No.", code="why", request_id="req_1")
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "No.", "details": {"error_code": "why"}},
        "request_id": "req_1",
    }


def test_headers_tell_how_to_ask_again() -> None:
    assert refusal("/", 401, "No key.")[1]["www-authenticate"] == "Bearer"
    assert refusal("/", 503, "Busy.", retry_after=7)[1]["retry-after"] == "7"
    assert "retry-after" not in refusal("/", 503, "Busy.")[1]


def answering(status: int, headers: Mapping[str, str], body: bytes, kind: Any) -> Callable[[Any], Any]:
    return lambda _: kind(status, headers=dict(headers), content=body)


def test_the_official_openai_client_reads_it() -> None:
    answer = answering(
        *refusal("/v1/chat/completions", 404, "There is no model called 'x' here.", code="unknown_model"),
        kind=httpx2.Response,
    )
    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        openai.OpenAI(api_key="k", base_url="http://localhost/v1", http_client=http, max_retries=0) as client,
        pytest.raises(openai.NotFoundError) as caught,
    ):
        client.chat.completions.create(model="x", messages=[])
    assert caught.value.code == "unknown_model"
    assert caught.value.type == "invalid_request_error"
    assert "no model called 'x'" in str(caught.value)


def test_the_official_anthropic_client_reads_it() -> None:
    answer = answering(
        *refusal("/v1/messages", 429, "Too much.", code="engine_busy", request_id="req_1"), kind=httpx2.Response
    )
    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        anthropic.Anthropic(api_key="k", base_url="http://localhost", http_client=http, max_retries=0) as client,
        pytest.raises(anthropic.RateLimitError) as caught,
    ):
        client.messages.create(model="x", max_tokens=1, messages=[])
    assert caught.value.type == "rate_limit_error"
    assert caught.value.error_code == "engine_busy"
    assert caught.value.api_message == "Too much."


def test_the_official_ollama_client_reads_it() -> None:
    answer = answering(*refusal("/api/chat", 404, "There is no model called 'x' here."), kind=httpx.Response)
    client = ollama.Client(host="http://localhost", transport=httpx.MockTransport(answer))
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat(model="x", messages=[])
    client._client.close()
    assert caught.value.status_code == 404
    assert caught.value.error == "There is no model called 'x' here."
