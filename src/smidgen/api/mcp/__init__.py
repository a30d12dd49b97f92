"""smidgen as a server of the Model Context Protocol: its agents and its tools, for programs that speak it.

offered   what there is to call: a tool for each agent, and tools themselves, as the protocol lists them
calls     one call, of an agent or of a tool, as a result of the protocol
pending   a call that goes on by itself: what it tells meanwhile, what it asks, and where it waits for an answer
conversations   whose call it is, for tools that keep something between calls
asking    pure: whether a client can ask its user, and how
progress  pure: an agent's steps in words
server    the protocol's requests, answered by the above
stdio     one client, on standard input and output: `smidgen mcp`
http      many clients, at /mcp of `smidgen serve`

Two revisions of the protocol differ in how a user is asked. Until 2025-11-25 the server sends the client a request, and
waits. From 2026-07-28 on a call ends with a question, and goes on when the client calls again with the answer.

Only `http` is imported by a server that nobody has asked yet: the protocol's own library takes a second to load.
"""
