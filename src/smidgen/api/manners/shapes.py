"""Refusals in the shape that the client reads. Each family of clients has its paths. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Family = Literal["ollama", "anthropic", "openai", "llama"]

ANTHROPIC: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Other statuses: invalid_request_error below 500, else api_error."""

LLAMA: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
"""As llama-server names them. Other statuses: invalid_request_error below 500, else server_error."""

_encode = msgspec.json.Encoder().encode


def family(path: str) -> Family:
    """Whose path it is. /v1/health is llama-server's, and so is what nobody else claims."""
    if path == "/api" or path.startswith("/api/"):
        return "ollama"
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return "anthropic"
    if path.startswith("/v1/") and path != "/v1/health":
        return "openai"
    return "llama"


def refusal(
    path: str,
    status: int,
    message: str,
    hint: str = "",
    *,
    code: str = "",
    retry_after: int = 0,
    request_id: str = "",
    param: str = "",
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of an error, as the clients of this path expect it.

    code: stable, for programs; it is told where the shape has room for it. retry_after: seconds, 0 for none.
    request_id, param (the field that is wrong): told in the body where the shape has room. Content-Length is left to
    whoever sends it."""
    headers = {"content-type": "application/json"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if retry_after > 0:
        headers["retry-after"] = str(retry_after)
    told = f"{message} {hint}".strip()
    return status, headers, _encode(_shape(family(path), status, told, code, request_id, param))


def _shape(whose: Family, status: int, told: str, code: str, request_id: str, param: str) -> dict[str, Any]:
    if whose == "ollama":
        return {"error": told}
    if whose == "anthropic":
        kind = ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
        error: dict[str, Any] = {"type": kind, "message": told}
        if code:
            error["details"] = {"error_code": code}
        return {"type": "error", "error": error, "request_id": request_id or None}
    if whose == "openai":
        return {"error": {"message": told, "type": _openai_type(status), "param": param or None, "code": code or None}}
    kind = LLAMA.get(status, "invalid_request_error" if status < 500 else "server_error")
    if code == "context_overflow":
        kind = "exceed_context_size_error"
    return {"error": {"code": status, "message": told, "type": kind}}


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
