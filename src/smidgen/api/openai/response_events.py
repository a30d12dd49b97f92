"""Events as the responses API streams them: items are added, filled piece by piece, and done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from smidgen.api.delivery import comment, sse
from smidgen.api.openai import response_shapes as shaped
from smidgen.api.openai import shapes
from smidgen.api.openai.response_shapes import Frame
from smidgen.api.openai.translate import Translated
from smidgen.api.service import new_id
from smidgen.errors import ErrorInfo
from smidgen.events import AgentEvent, Failed, Finished, TextDelta, TokenLogprob, ToolCalled
from smidgen.messages import Message, ToolCall

Keep = Callable[[dict[str, Any], Message], None]
"""Told of the whole response and of the assistant's turn in it, once it is complete."""


class ResponseWriter:
    """The answer's text is one message; each call of a tool is an item of its own.

    It also puts the answer together for clients that want it whole: `feed` the events, then read `body`."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, frame: Frame, wanted: Translated, keep: Keep) -> None:
        self._frame = frame
        self._wanted = wanted
        self._keep = keep
        self._names = {tool.spec.name for tool in wanted.tools}
        self._output: list[dict[str, Any]] = []
        self._calls: list[ToolCall] = []
        self._noted: list[AgentEvent] = []
        self._message = ""
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._number = 0
        self.body = shaped.response(frame)

    def begin(self) -> bytes:
        return self._tell("response.created", response=self.body) + self._tell(
            "response.in_progress", response=self.body
        )

    def feed(self, events: Sequence[AgentEvent]) -> bytes:
        self._noted += [event for event in events if isinstance(event, shapes.NOTED)]
        return b"".join(self._said(event) for event in events)

    def _said(self, event: AgentEvent) -> bytes:
        match event:
            case TextDelta():
                return self._opened() + self._delta(event)
            case ToolCalled() if event.call.name in self._names:
                return self._closed() + self._called(event.call)
            case Finished():
                return self._ended(event)
            case Failed():
                return self._failed(event.error)
            case _:
                return b""

    # --- the message --------------------------------------------------------------------------------------------------

    def _opened(self) -> bytes:
        if self._message:
            return b""
        self._message = new_id("msg_")
        added = self._item_told("added", shaped.message(self._message, [], "in_progress"))
        return added + self._part("response.content_part.added", part=shaped.text_part(""))

    def _delta(self, event: TextDelta) -> bytes:
        self._text.append(event.text)
        self._tokens += event.logprobs
        told = shaped.logprobs(event.logprobs, self._frame.request)
        return self._part("response.output_text.delta", delta=event.text, logprobs=told)

    def _closed(self, status: str = "completed") -> bytes:
        if not self._message:
            return b""
        text, told = "".join(self._text), shaped.logprobs(self._tokens, self._frame.request)
        part = shaped.text_part(text, told)
        item = shaped.message(self._message, [part], status)
        written = (
            self._part("response.output_text.done", text=text, logprobs=told)
            + self._part("response.content_part.done", part=part)
            + self._item_told("done", item)
        )
        self._output.append(item)
        self._message = ""
        return written

    # --- calls --------------------------------------------------------------------------------------------------------

    def _called(self, call: ToolCall) -> bytes:
        identifier, call_id = new_id("fc_"), new_id("call_")
        item = shaped.call_item(call, identifier, call_id)
        place = {"item_id": identifier, "output_index": len(self._output)}
        written = (
            self._item_told("added", shaped.call_item(call, identifier, call_id, begun=True))
            + self._tell("response.function_call_arguments.delta", **place, delta=item["arguments"])
            + self._tell("response.function_call_arguments.done", **place, name=call.name, arguments=item["arguments"])
            + self._item_told("done", item)
        )
        self._output.append(item)
        self._calls.append(msgspec.structs.replace(call, id=call_id))
        return written

    # --- the end ------------------------------------------------------------------------------------------------------

    def _ended(self, end: Finished) -> bytes:
        status = shaped.status_of(end)
        written = b"" if self._calls else self._opened()
        written += self._closed(status)
        told = shapes.told_of(
            [end],
            self._noted,
            self._wanted.ignored,
            logprobs=self._frame.request.logprobs,
            constrained="constraint" in self._wanted.options,
        )
        self.body = shaped.response(self._frame, self._output, status=status, usage=end.usage, told=told)
        self._keep(self.body, shaped.turn("".join(self._text), self._calls))
        return written + self._tell(f"response.{status}", response=self.body)

    def _failed(self, info: ErrorInfo) -> bytes:
        error = {"code": "server_error", "message": shapes.error(info)["error"]["message"]}
        written = self._closed("incomplete")
        self.body = shaped.response(self._frame, self._output, status="failed", error=error)
        return written + self._tell("response.failed", response=self.body)

    def quiet(self) -> bytes:
        return comment("still working")

    def crashed(self, error: BaseException) -> bytes:
        return self._failed(shapes.crash(error))

    def end(self) -> bytes:
        return b""

    # --- numbered -----------------------------------------------------------------------------------------------------

    def _item_told(self, what: str, item: dict[str, Any]) -> bytes:
        return self._tell(f"response.output_item.{what}", output_index=len(self._output), item=item)

    def _part(self, kind: str, **fields: Any) -> bytes:
        return self._tell(kind, item_id=self._message, output_index=len(self._output), content_index=0, **fields)

    def _tell(self, kind: str, **fields: Any) -> bytes:
        number = self._number
        self._number += 1
        return sse({"type": kind, "sequence_number": number, **fields}, kind)
