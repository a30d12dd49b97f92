"""What the agents API answers, as JSON Schema for `/openapi.json`."""

from __future__ import annotations

from smidgen.api.documented import BOOLEAN, OBJECT, TEXT, fields, list_of, nullable, reference

AGENTS = fields(
    agents=list_of(fields(name=TEXT, description=TEXT, model=TEXT, system=nullable(TEXT), tools=list_of(TEXT)))
)
TOOLS = fields(
    tools=list_of(fields(name=TEXT, description=TEXT, effect=TEXT, group=TEXT, parameters=OBJECT)), groups=OBJECT
)
SESSION = reference("Session")
SESSIONS = fields(sessions=list_of(reference("SessionInfo")), more=BOOLEAN)
RUN = reference("Run")
WITH_RUNS = {"allOf": [SESSION, fields(runs=list_of(RUN))]}
BEGUN = fields(run=RUN)
ANSWERED = fields(run=RUN, answer=reference("AgentEvent"))
