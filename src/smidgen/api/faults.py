"""Which HTTP status a typed error has. What a model writes is an answer or a refusal in words, never a 5xx."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.errors import ErrorInfo

BY_CODE: Mapping[str, int] = {
    "license_not_accepted": 403,
    "unknown_model": 404,
    "model_not_pulled": 404,
    "unknown_agent": 404,
    "unknown_session": 404,
    "unknown_run": 404,
    "unknown_response": 404,
    "session_busy": 409,
    "nothing_to_approve": 409,
    "deadline_exceeded": 504,
    "cancelled": 499,
    "out_of_memory": 503,
    "engine_busy": 503,
    "engine_unavailable": 503,
    "sessions_unavailable": 503,
    "disk_full": 507,
    "download": 502,
    "no_answer": 502,
}
BY_FAULT: Mapping[str, int] = {"caller": 400, "model": 500, "system": 500, "bug": 500}

LOADING_RETRY_S = 5


def status_of(error: ErrorInfo) -> int:
    return BY_CODE.get(error.code, BY_FAULT[error.fault])


def retry_after(error: ErrorInfo) -> int:
    """Seconds, for the header of that name; 0 for none."""
    if status_of(error) != 503:
        return 0
    return int(error.details.get("retry_after_s", LOADING_RETRY_S))


def told(error: ErrorInfo) -> str:
    """For a client: what was wrong, then what to do."""
    return f"{error.message} {error.hint}".strip()
