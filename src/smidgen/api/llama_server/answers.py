"""What goes back to llama-server's clients, as JSON Schema for `/openapi.json`."""

from __future__ import annotations

from smidgen.api.documented import BOOLEAN, INTEGER, NUMBER, OBJECT, TEXT, TOLD, always, fields, list_of

COMPLETION = {
    "type": "object",
    "properties": {
        "index": INTEGER,
        "content": TEXT,
        "tokens": list_of(INTEGER),
        "id_slot": INTEGER,
        "stop": BOOLEAN,
        "model": TEXT,
        "tokens_predicted": INTEGER,
        "tokens_evaluated": INTEGER,
        "tokens_cached": INTEGER,
        "generation_settings": OBJECT,
        "prompt": TEXT,
        "truncated": BOOLEAN,
        "stop_type": {"enum": ["eos", "word", "limit", "none"]},
        "stopping_word": TEXT,
        "timings": OBJECT,
        "completion_probabilities": list_of(OBJECT),
        "smidgen": TOLD,
    },
}
"""None is required: a request's `response_fields` may choose among them."""

COMPLETIONS = {"anyOf": [COMPLETION, list_of(COMPLETION)]}
"""A list where several were asked for."""

PIECE = fields(id=INTEGER, piece={"anyOf": [TEXT, list_of(INTEGER)]})
TOKENS = fields(tokens={"anyOf": [list_of(INTEGER), list_of(PIECE)]})
CONTENT = fields(content=TEXT)
PROMPT = fields(prompt=TEXT)
VECTORS = list_of(fields(index=INTEGER, embedding=list_of(list_of(NUMBER))))
HEALTH = fields(status=always("ok"))
PROPS = fields(
    default_generation_settings=fields(n_ctx=INTEGER, params=OBJECT),
    total_slots=INTEGER,
    model_alias=TEXT,
    model_path=TEXT,
    chat_template=TEXT,
    bos_token=TEXT,
    eos_token=TEXT,
    modalities=OBJECT,
    build_info=TEXT,
    smidgen=fields(infill=BOOLEAN),
)
SLOTS = list_of(fields(id=INTEGER, n_ctx=INTEGER, is_processing=BOOLEAN))
ADAPTERS = list_of(OBJECT)
DONE = fields(success=BOOLEAN)
