"""The protocol's requests, answered: what there is to call, and calls."""

from __future__ import annotations

import logging

import mcp_types as types
from mcp.server import Server
from mcp.shared.exceptions import MCPError

from smidgen.api import faults
from smidgen.api.mcp.asking import APPROVAL, Context, calls_again, can_be_asked, is_yes, question
from smidgen.api.mcp.calls import Manner, Work, of_agent, of_tool
from smidgen.api.mcp.conversations import Conversations
from smidgen.api.mcp.offered import Offered
from smidgen.api.mcp.pending import Parked, Pending, Question, Told
from smidgen.api.service import Service
from smidgen.errors import SmidgenError, ToolFailed, UnknownTool

log = logging.getLogger("smidgen.api")

INSTRUCTIONS = "Agents on small language models, and their tools, on the computer where this server runs."

Answer = types.CallToolResult | types.InputRequiredResult


class Serving:
    """`protocol` is what the library's transports take. Close it with `aclose`, which cancels what waits."""

    def __init__(self, service: Service, offered: Offered, manner: Manner) -> None:
        from smidgen import __version__

        self._service = service
        self._offered = offered
        self._manner = manner
        self._parked = Parked()
        self._conversations = Conversations(service.runtime.toolbox)
        self.protocol = Server(
            "smidgen",
            version=__version__,
            title="smidgen",
            instructions=INSTRUCTIONS,
            # No argument of ours travels as a header.
            get_tool_input_schema=lambda _: None,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def aclose(self) -> None:
        await self._parked.aclose()
        await self._conversations.aclose()

    async def _list(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        try:
            return types.ListToolsResult(tools=await self._offered.listed())
        except SmidgenError as error:
            raise MCPError(types.INTERNAL_ERROR, faults.told(error.info())) from error

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        try:
            return await self._called(context, params)
        except MCPError:
            raise
        except SmidgenError as error:
            code = types.INVALID_PARAMS if isinstance(error, UnknownTool) else types.INTERNAL_ERROR
            raise MCPError(code, faults.told(error.info())) from error
        except Exception as error:
            log.error("a call of %s failed", params.name, exc_info=error)
            raise MCPError(types.INTERNAL_ERROR, "Something went wrong inside smidgen. Its log says what.") from error

    async def _called(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        name, arguments = params.name, params.arguments or {}
        if params.request_state is not None:
            pending = self._parked.take(params.request_state, name, arguments)
            if pending is None:
                raise MCPError(types.INVALID_PARAMS, f"No call of {name} waits for this answer, or not any more.")
            said = (params.input_responses or {}).get(APPROVAL)
            if isinstance(said, types.ElicitResult):
                pending.answer(is_yes(said))
            return await self._seen_through(context, params, pending)
        asks = can_be_asked(context)
        if agent := self._offered.agent(name):
            return await self._begun(
                context, params, of_agent(self._service, agent, arguments, self._manner, asks=asks)
            )
        tool = await self._offered.tool(name)
        number, once = await self._conversations.number(context)
        work = of_tool(self._service, tool, arguments, self._manner, number, asks=asks)

        async def only_call(pending: Pending) -> types.CallToolResult:
            try:
                return await work(pending)
            finally:
                await self._conversations.forget(number)

        return await self._begun(context, params, only_call if once else work)

    async def _begun(self, context: Context, params: types.CallToolRequestParams, work: Work) -> Answer:
        return await self._seen_through(context, params, Pending(work))

    async def _seen_through(self, context: Context, params: types.CallToolRequestParams, pending: Pending) -> Answer:
        """To the end, or to a question that only another request can answer. A client that goes away, or says that it
        doesn't want it any more, cancels this, and with it the call."""
        steps = 0
        try:
            while not isinstance(step := await pending.step(), types.CallToolResult):
                if isinstance(step, Told):
                    steps += 1
                    await context.session.report_progress(float(steps), message=step.text)
                elif calls_again(context):
                    key = self._parked.park(pending, params.name, params.arguments or {})
                    return types.InputRequiredResult(input_requests={APPROVAL: question(step.text)}, request_state=key)
                else:
                    await _put(context, step, pending)
        except BaseException:
            await pending.aclose()
            raise
        return step


async def _put(context: Context, step: Question, pending: Pending) -> None:
    """Ask the client's user now."""
    asked = question(step.text).params
    assert isinstance(asked, types.ElicitRequestFormParams)
    try:
        said = await context.session.elicit_form(asked.message, asked.requested_schema, context.request_id)
    except (MCPError, ValueError) as error:  # pydantic's, for an answer that can't be read
        pending.refuse(ToolFailed(f"Its user could not be asked: {error}."))
    else:
        pending.answer(is_yes(said))
