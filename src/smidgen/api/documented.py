"""What `/openapi.json` says beside what FastAPI reads from the routes: answers, their content types, and errors.

A route says by `documented` what it answers. Errors are in the table here, in the shape of each family of clients;
`Documented` adds to every operation those that any request can get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any, cast

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response

from smidgen.api.manners.shapes import Family, family
from smidgen.api.service import Told
from smidgen.events import AgentEvent
from smidgen.sessions import Run, Session, SessionInfo

Schema = dict[str, Any]
"""JSON Schema. Objects are open: clients must bear new fields."""

JSON = "application/json"
EVENTS = "text/event-stream"
LINES = "application/x-ndjson"

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
REFERENCES = "#/components/schemas/{name}"

# --- errors ---------------------------------------------------------------------------------------------------------

STATUSES: Mapping[int, str] = {
    400: "The request can't be used; the message says what of it, and what to do.",
    401: "No API key, or a wrong one.",
    403: "The Host or the Origin isn't allowed here, or the license of a model isn't accepted.",
    404: "There is nothing of that name: a model, an agent, a session, a run or an answer.",
    408: "The body didn't arrive in time.",
    409: "Not now: the session answers something else, or no approval is waited for.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    431: "The headers are too large.",
    500: "Something went wrong inside.",
    501: "This can't be had here, or not with this model.",
    502: "The model gave no answer that could be used, or a download failed.",
    503: "Too many wait, a model is still loading or has no room, or what is kept can't be reached. Come back later.",
    504: "It took longer than it may.",
    507: "The disk is full.",
}
ALWAYS = (400, 401, 403, 431, 500)
WITH_BODY = (408, 413, 415)
"""Also for methods whose body nobody reads: it is checked before any route sees it."""

ANSWERING = (404, 502, 503, 504)
"""Of whatever asks a model."""

KEEPING = (404, 503, 507)
"""Of whatever reads or writes sessions and runs."""


# --- schemas --------------------------------------------------------------------------------------------------------


def fields(optional: Mapping[str, Schema] | None = None, /, **required: Schema) -> Schema:
    """An object with at least these fields."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def always(value: str) -> Schema:
    return {"const": value}


def reference(name: str) -> Schema:
    """To one of `COMPONENTS`."""
    return {"$ref": REFERENCES.format(name=name)}


def limited(schema: Schema, **more: Any) -> Schema:
    return {**schema, **more}


def either_of(one: str, other: str, *, both: bool = True) -> Schema:
    """One of two fields is there and not null; or both, unless that isn't allowed."""
    given = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in (one, other)]
    return {"anyOf" if both else "oneOf": given}


ERRORS: Mapping[Family, tuple[str, Schema]] = {
    "openai": (
        "OpenAIError",
        fields(error=fields(message=TEXT, type=TEXT, param=nullable(TEXT), code=nullable(TEXT))),
    ),
    "anthropic": (
        "AnthropicError",
        fields(type=always("error"), error=fields(type=TEXT, message=TEXT), request_id=nullable(TEXT)),
    ),
    "ollama": ("OllamaError", fields(error=TEXT)),
    "llama": ("LlamaServerError", fields(error=fields(code=INTEGER, message=TEXT, type=TEXT))),
}
"""As `smidgen.api.manners.shapes` writes them: by name, for each family."""

TOLD = reference("Told")
WARNED = fields(warnings=list_of(TEXT))


PIECES: Mapping[str, Schema] = {
    EVENTS: fields({"event": TEXT, "id": TEXT}, data=limited(TEXT, description="JSON, or [DONE] at the end.")),
    LINES: OBJECT,
    "text/html": TEXT,
}
"""Of streams: one server-sent event, one line."""


def _components() -> dict[str, Schema]:
    types = (Told, Run, Session, SessionInfo, AgentEvent)
    tops, found = msgspec.json.schema_components(types, ref_template=REFERENCES)
    for schema in found.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    return {**found, "AgentEvent": tops[-1], **dict(ERRORS.values())}


# --- routes ---------------------------------------------------------------------------------------------------------


def documented(
    summary: str,
    answer: Schema | None = None,
    *,
    status: int = 200,
    kind: str = JSON,
    stream: str = "",
    refused: Sequence[int] = (),
    also: Mapping[int, Schema | None] | None = None,
) -> dict[str, Any]:
    """Keywords for a route's decorator. answer: what is in the body, None for nothing. kind: its content type. stream:
    the content type of the same in pieces, where a request can ask for that. refused: statuses of errors, beside those
    of every request. also: answers in JSON of other statuses, None for nothing in the body."""
    responses: dict[int | str, Any] = {code: {} for code in refused}
    for code, schema in {status: answer, **(also or {})}.items():
        content = {} if schema is None else {kind: {"schema": PIECES.get(kind, schema)}}
        if stream and code == status:
            content[stream] = {"schema": PIECES[stream]}
        responses[code] = {"description": summary, "content": content} if content else {"description": summary}
    return {"summary": summary, "status_code": status, "response_class": Response, "responses": responses}


def refusing(summary: str, status: int) -> dict[str, Any]:
    """Keywords for the decorator of a route that never answers otherwise."""
    return {"summary": summary, "status_code": status, "response_class": Response, "responses": {status: {}}}


# --- the document ---------------------------------------------------------------------------------------------------

TAGS = (
    ("Models", "What could be pulled."),
    ("OpenAI", "For clients of OpenAI."),
    ("llama-server", "For clients of llama-server, and editors."),
    ("Anthropic", "For clients of Anthropic."),
    ("Ollama", "For clients of Ollama."),
    ("Agents", "Agents with tools, their runs and sessions: smidgen's own."),
)
ABOUT = """Agents on small language models, for clients of OpenAI, Anthropic, Ollama and llama-server.

Bodies are JSON. Unknown fields are let through, but for those of the agents API; numbers and truth values may come as
text. What of a request has no effect is told in the answer's `smidgen.warnings`.

`/mcp` speaks the Model Context Protocol by streamable HTTP, and isn't described here: its clients ask it what it has.
"""

REQUEST_ID = {"description": "The request's id, which is in the server's log too.", "schema": TEXT}
RETRY_AFTER = {"description": "Seconds after which to come back.", "schema": INTEGER}
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Needed where the server has keys."},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same, in another header."},
}


class Documented(FastAPI):
    """Its `/openapi.json` has the errors and what else all operations share."""

    def openapi(self) -> dict[str, Any]:
        """Kept once made."""
        if not self.openapi_schema or "Told" not in self.openapi_schema["components"]["schemas"]:
            complete(super().openapi())
        return super().openapi()


def complete(document: dict[str, Any]) -> None:
    """Adds to an OpenAPI document, in place, what FastAPI doesn't know."""
    components = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for name, schema in _components().items():
        assert name not in schemas, f"two schemas are called {name}"
        schemas[name] = schema
    components["securitySchemes"] = KEYS
    components["headers"] = {"RequestId": REQUEST_ID, "RetryAfter": RETRY_AFTER}
    components["responses"] = {
        f"{name}{status}": _error(name, status) for name, _ in ERRORS.values() for status in STATUSES
    }
    document["security"] = [{}, *({name: []} for name in KEYS)]
    for path, item in cast("dict[str, dict[str, Any]]", document["paths"]).items():
        for method, operation in item.items():
            _completed(operation["responses"], ERRORS[family(path)][0], method)


def _completed(responses: dict[str, Any], error: str, method: str) -> None:
    responses.pop("422", None)
    refused = [code for code in STATUSES if not responses.get(str(code), {"content": ...}).get("content")]
    usual = (*ALWAYS, *(() if method == "get" else WITH_BODY))
    for code in {*refused, *usual}:
        responses[str(code)] = {"$ref": f"#/components/responses/{error}{code}"}
    told = sorted(responses.items())
    responses.clear()
    responses.update(told)
    for response in responses.values():
        if "$ref" not in response:
            response["headers"] = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}


def _error(name: str, status: int) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if status == 503:
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    return {"description": STATUSES[status], "content": {JSON: {"schema": reference(name)}}, "headers": headers}
