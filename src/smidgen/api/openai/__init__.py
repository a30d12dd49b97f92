"""OpenAI's clients: chat completions, completions, embeddings, models, responses.

requests     what clients send, as pydantic models; what isn't acted on is told, not ignored
translate    requests into messages, tools and options of an agent
several      several answers to one request, each a run of its own
chat         /v1/chat/completions, whole and as a stream
completions  /v1/completions, whole and as a stream; prompts: what is to be continued
embeddings   /v1/embeddings
models       /v1/models; headers: what model files tell of themselves
responses    /v1/responses; response_requests, response_shapes, response_events, response_store: its parts
shapes       what goes back: choices, usage, ids, finish reasons; answers: its schemas
"""
