"""What goes back to OpenAI's clients, as JSON Schema for `/openapi.json`."""

from __future__ import annotations

from smidgen.api.documented import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    TEXT,
    TOLD,
    WARNED,
    always,
    fields,
    list_of,
    nullable,
)

USAGE = fields(prompt_tokens=INTEGER, completion_tokens=INTEGER, total_tokens=INTEGER, prompt_tokens_details=OBJECT)
FINISH = {"enum": ["stop", "length", "tool_calls", "function_call"]}
FUNCTION = fields(name=TEXT, arguments=TEXT)
CALL = fields(id=TEXT, type=always("function"), function=FUNCTION)

CHAT = fields(
    id=TEXT,
    object=always("chat.completion"),
    created=INTEGER,
    model=TEXT,
    choices=list_of(
        fields(
            index=INTEGER,
            message=fields(
                {"tool_calls": list_of(CALL), "function_call": FUNCTION},
                role=always("assistant"),
                content=nullable(TEXT),
            ),
            finish_reason=FINISH,
            logprobs=nullable(fields(content=list_of(OBJECT))),
        )
    ),
    usage=USAGE,
    timings=OBJECT,
    smidgen=TOLD,
)
COMPLETION = fields(
    id=TEXT,
    object=always("text_completion"),
    created=INTEGER,
    model=TEXT,
    choices=list_of(fields(text=TEXT, index=INTEGER, logprobs=nullable(OBJECT), finish_reason=FINISH)),
    usage=USAGE,
    timings=OBJECT,
    smidgen=TOLD,
)
VECTORS = fields(
    object=always("list"),
    data=list_of(
        fields(object=always("embedding"), index=INTEGER, embedding={"anyOf": [list_of(NUMBER), {"type": "string"}]})
    ),
    model=TEXT,
    usage=fields(prompt_tokens=INTEGER, total_tokens=INTEGER),
    smidgen=WARNED,
)
MODEL = fields(
    id=TEXT,
    object=always("model"),
    created=INTEGER,
    owned_by=TEXT,
    meta=nullable(OBJECT),
    smidgen=fields(kind=nullable(TEXT), default=BOOLEAN),
)
MODELS = fields(object=always("list"), data=list_of(MODEL))
RESPONSE = fields(
    {"smidgen": TOLD},
    id=TEXT,
    object=always("response"),
    created_at=INTEGER,
    status={"enum": ["in_progress", "completed", "incomplete", "failed"]},
    error=nullable(OBJECT),
    model=TEXT,
    output=list_of(fields(id=TEXT, type=TEXT, status=TEXT)),
    tools=list_of(OBJECT),
    usage=nullable(fields(input_tokens=INTEGER, output_tokens=INTEGER, total_tokens=INTEGER)),
    metadata=OBJECT,
)
FORGOTTEN = fields(id=TEXT, object=always("response"), deleted=BOOLEAN)
CATALOGUE = fields(
    models=list_of(
        fields(name=TEXT, bytes=INTEGER, license=TEXT, kind=TEXT, context=INTEGER, quantization=TEXT, installed=BOOLEAN)
    )
)
