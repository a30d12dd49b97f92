"""What goes back to Ollama's clients, as JSON Schema for `/openapi.json`."""

from __future__ import annotations

from smidgen.api.documented import BOOLEAN, INTEGER, NUMBER, OBJECT, TEXT, TOLD, WARNED, always, fields, list_of

_END = {
    "load_duration": INTEGER,
    "prompt_eval_count": INTEGER,
    "prompt_eval_duration": INTEGER,
    "eval_count": INTEGER,
    "eval_duration": INTEGER,
    "logprobs": list_of(OBJECT),
    "smidgen": TOLD,
}
_DONE = {
    "model": TEXT,
    "created_at": TEXT,
    "done": BOOLEAN,
    "done_reason": {"enum": ["stop", "length", "load", "unload"]},
    "total_duration": INTEGER,
}
CALL = fields({"id": TEXT}, function=fields(name=TEXT, arguments=OBJECT))
CHAT = fields(_END, **_DONE, message=fields({"tool_calls": list_of(CALL)}, role=always("assistant"), content=TEXT))
GENERATED = fields(_END, **_DONE, response=TEXT)
VECTORS = fields(
    model=TEXT,
    embeddings=list_of(list_of(NUMBER)),
    prompt_eval_count=INTEGER,
    total_duration=INTEGER,
    smidgen=WARNED,
)
VECTOR = fields(embedding=list_of(NUMBER), smidgen=WARNED)
VERSION = fields(version=TEXT, smidgen=TEXT)
TAGS = fields(
    models=list_of(fields(name=TEXT, model=TEXT, modified_at=TEXT, size=INTEGER, digest=TEXT, details=OBJECT))
)
SHOWN = fields(
    license=TEXT,
    modelfile=TEXT,
    parameters=TEXT,
    template=TEXT,
    details=OBJECT,
    model_info=OBJECT,
    capabilities=list_of(TEXT),
    modified_at=TEXT,
)
RUNNING = fields(
    models=list_of(
        fields(
            name=TEXT, model=TEXT, size=INTEGER, digest=TEXT, details=OBJECT, expires_at=TEXT, context_length=INTEGER
        )
    )
)
PULLED = fields({"smidgen": OBJECT}, status=TEXT)
