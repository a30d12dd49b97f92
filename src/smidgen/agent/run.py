"""The loop: asks the planner for the next action, performs it, tells what happened as events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from smidgen.agent import AgentModel, AgentSettings, Approve
from smidgen.errors import SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, Generated
from smidgen.messages import GenerateRequest, Message
from smidgen.tools import Tool


async def run(
    model: AgentModel,
    tools: Sequence[Tool],
    history: Sequence[Message],
    settings: AgentSettings | None = None,
    approve: Approve | None = None,
) -> AsyncIterator[AgentEvent]:
    """Answer the last user message of `history`. Never raises typed errors: the stream ends in exactly one `Finished`
    or `Failed`. Only the answer's own text comes as `TextDelta`. Without `approve`, tools with side effects are denied.
    """
    settings = settings or AgentSettings()
    prompt = model.template.render(history)
    request = GenerateRequest(
        prompt=prompt,
        sampling=settings.sampling or model.profile.sampling,
        max_tokens=settings.max_tokens,
        stop=model.profile.stop + settings.stop,
        timeout_s=settings.timeout_s,
    )
    try:
        async for event in model.engine.generate(request):
            if isinstance(event, Generated):
                yield Finished(
                    text=event.text,
                    model=model.name,
                    finish_reason=event.finish_reason,
                    tool_calls=(),
                    usage=event.usage,
                    timings=event.timings,
                    warnings=(),
                    strategy="plain",
                )
                return
            yield event
    except SmidgenError as error:
        yield Failed(error=error.info())
