"""What goes back to Anthropic's clients, as JSON Schema for `/openapi.json`."""

from __future__ import annotations

from smidgen.api.documented import INTEGER, OBJECT, TEXT, TOLD, always, fields, limited, list_of, nullable

BLOCK = {
    "anyOf": [
        fields(type=always("text"), text=TEXT),
        fields(type=always("tool_use"), id=TEXT, name=TEXT, input=OBJECT),
    ]
}
MESSAGE = fields(
    id=TEXT,
    type=always("message"),
    role=always("assistant"),
    model=TEXT,
    content=list_of(BLOCK),
    stop_reason={"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]},
    stop_sequence=nullable(TEXT),
    usage=fields(
        input_tokens=INTEGER,
        output_tokens=INTEGER,
        cache_read_input_tokens=INTEGER,
        cache_creation_input_tokens=INTEGER,
    ),
    smidgen=TOLD,
)
COUNTED = fields(input_tokens=limited(INTEGER, minimum=0), smidgen=fields(context_tokens=INTEGER))
