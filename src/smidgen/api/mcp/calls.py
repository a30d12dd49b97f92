"""One call, of an agent or of a tool, as a result of the protocol. What goes wrong in it is such a result too, so that
whoever called can read it and do better."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from mcp_types import CallToolResult, TextContent

from smidgen.agent import AgentSettings
from smidgen.agent.calling import outcome_of
from smidgen.agent.conformity import schema_problems
from smidgen.agent.deadline import Deadline
from smidgen.api import faults
from smidgen.api.agents.named import Choices, agent_for
from smidgen.api.mcp.pending import Pending
from smidgen.api.mcp.progress import words
from smidgen.api.service import Service, seed_for, told
from smidgen.errors import SmidgenError
from smidgen.events import AgentEvent, ApprovalNeeded, Failed, Finished
from smidgen.messages import ToolCall
from smidgen.tools import Tool
from smidgen.tools.conversation import conversation
from smidgen.tools.permissions.guard import Guard
from smidgen.tools.permissions.provenance import Said

_CUT = {
    "deadline": "The time was up before the answer was complete.",
    "length": "The answer was cut at its length limit.",
}


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are treated. yes: to whatever would be asked about is said yes beforehand. dry_run: what would change
    something only says so. to_allow: what a user can do so that a call runs which nobody could be asked about."""

    yes: bool = False
    dry_run: bool = False
    to_allow: str = "Allow it by a rule in the file of rules for tools."


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of an agent."""

    request: str
    model: str | None = None


Work = Callable[[Pending], Awaitable[CallToolResult]]


def of_agent(service: Service, name: str, arguments: dict[str, Any], manner: Manner, *, asks: bool) -> Work:
    """A run of an agent. asks: whether the client can ask its user."""

    async def work(pending: Pending) -> CallToolResult:
        try:
            asked = msgspec.convert(arguments, Asked)
        except msgspec.ValidationError as error:
            return failed(f"The arguments can't be used: {error}.")
        if not asked.request.strip():
            return failed("The request is empty.")
        approve = True if manner.yes else pending.ask if asks else None
        try:
            agent = agent_for(service, name, Choices(model=asked.model, dry_run=manner.dry_run), approve)
        except SmidgenError as error:
            return failed(faults.told(error.info()))
        seed = seed_for(agent.pattern, None)
        stream = service.stream("mcp", agent.model, lambda: agent.astream(asked.request, seed=seed))
        seen: list[AgentEvent] = []
        try:
            while events := await stream.take():
                seen += events
                for said in filter(None, map(words, events)):
                    pending.tell(said)
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
        last = seen[-1]
        if isinstance(last, Finished):
            alone = approve is None and any(isinstance(event, ApprovalNeeded) for event in seen)
            return answered(last, seen, manner.to_allow if alone else "")
        assert isinstance(last, Failed)
        return failed(faults.told(last.error))

    return work


def answered(finished: Finished, events: list[AgentEvent], hint: str = "") -> CallToolResult:
    """hint: one more warning."""
    warnings = (*told(finished, events).warnings, _CUT.get(finished.finish_reason, ""), hint)
    structured = {
        "text": finished.text,
        "model": finished.model,
        "strategy": finished.strategy,
        "finish_reason": finished.finish_reason,
        "warnings": [warning for warning in warnings if warning],
        "tool_calls": [msgspec.to_builtins(record) for record in finished.tool_calls],
    }
    return CallToolResult(content=[TextContent(text=finished.text)], structured_content=structured)


def of_tool(
    service: Service, tool: Tool, arguments: dict[str, Any], manner: Manner, number: int, *, asks: bool
) -> Work:
    """A call of a tool. number: of the conversation that it belongs to."""

    async def work(pending: Pending) -> CallToolResult:
        toolbox = service.runtime.toolbox
        ask = pending.ask if asks else None
        guard = Guard(toolbox.policy, ask, toolbox.audit, yes=manner.yes, dry_run=manner.dry_run)
        call = ToolCall(name=tool.spec.name, arguments=arguments)
        # No grammar held whoever wrote them, and nobody should be asked about a call that can't be made.
        if problems := list(schema_problems(arguments, tool.spec.parameters, "")):
            return failed(f"The arguments can't be used: {'; '.join(problems)}.")
        with conversation(number):
            # What the client's user said isn't known here; what a text from a tool asks for is for the client to tell.
            ruling = guard.ruling(tool, arguments, Said())
        deadline, settings = Deadline(service.serve.answer_s or None), AgentSettings(conversation=number)
        try:
            async with service.admission.turn():
                outcome = await outcome_of(tool, call, settings, guard, ruling, deadline)
        except SmidgenError as error:
            return failed(faults.told(error.info()))
        if not outcome.ok:
            alone = ruling.decision == "ask" and ask is None and outcome.fault == "denied"
            return failed(f"{outcome.text} {manner.to_allow}" if alone else outcome.text)
        content = [TextContent(text=text) for text in (outcome.text, *guard.notes)]
        return CallToolResult(content=list(content), structured_content={"value": msgspec.to_builtins(outcome.value)})

    return work


def failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)
