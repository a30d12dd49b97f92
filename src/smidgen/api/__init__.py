"""HTTP in, events out: `smidgen serve`. A folder for each family of clients; all go one way.

app        routes of all families over one service, and their errors
server     sockets, signals, drain
service    the one way: admitted, run by an agent or as a completion, counted
admission  how many at once, how many wait, who is refused
streams    a run's events, queued for a client; a client that goes away ends its run
delivery   answers on the wire: whole, server-sent events, lines of JSON
faults     which status a typed error has
documented what /openapi.json says of answers and errors; `answers` in each family has their schemas
metrics    figures for Prometheus
manners/   Host and Origin, keys, limits, request ids; errors in the shape of whoever asked
client_tools   tools that clients bring and run themselves
agents/    agents, their runs and sessions
mcp/       the Model Context Protocol, as a server
page/      the page in the browser
openai/    chat completions, completions, embeddings, models, responses
llama_server/ completions, code for editors, tokens, states, as llama-server has them
anthropic/ messages, and their tokens counted
ollama/    chat, generate, embed; models listed, shown, pulled, copied, deleted
"""
