"""OpenAI's clients: chat completions, completions, embeddings, models, responses.

requests     what clients send, as pydantic models; what isn't acted on is told, not ignored
translate    requests into messages, tools and options of an agent
chat         /v1/chat/completions, whole and as a stream
shapes       what goes back: choices, usage, ids, finish reasons
"""
