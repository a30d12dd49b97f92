"""Chat templates: a conversation into the prompt text that the model was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from smidgen.errors import InvalidRequest
from smidgen.events import Notice
from smidgen.messages import Message, Prompt, Segment, ToolSpec
from smidgen.models.chat_formats import FORMATS
from smidgen.models.control_text import ControlTexts, Marks, broken

if TYPE_CHECKING:
    from smidgen.models.sandbox import TemplateSandbox


class ChatTemplate:
    """A model's chat template, rendered in a sandbox with limits on time and size.

    source: Jinja text from the model's file, "" if it has none. bos, eos: texts of these tokens, for templates that
    write them. control_texts: texts that the tokenizer would take for control tokens. fallback: Jinja text used where
    `source` is missing, broken or refuses the conversation; every use of it is in `notices`. system: "fold" puts the
    system message's text in front of the first user message, for models without such a role.

    BOS: the templates of Llama, Gemma and LFM write `bos_token` themselves, those of others don't. The prompt is
    returned as the template wrote it; the worker adds BOS, for models that want one, unless the prompt's first token
    is BOS already.
    """

    def __init__(
        self,
        source: str,
        *,
        bos: str = "",
        eos: str = "",
        control_texts: Sequence[str] = (),
        fallback: str = FORMATS["chatml"],
        system: Literal["role", "fold"] = "role",
    ) -> None:
        self._sources = [text for text in (source, fallback) if text.strip()]
        self._is_own = bool(source.strip())
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._controls = ControlTexts(control_texts)
        self._folds = system == "fold"
        self._notices: dict[str, Notice] = {}
        self._environment: TemplateSandbox | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What users must be told: that another format was used, and why. Each kind once."""
        return tuple(self._notices.values())

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        add_generation_prompt: bool = True,
        now: datetime | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """The prompt for a conversation.

        Contents that spell control tokens come back with those texts in segments of their own that aren't special; if
        there are none, the prompt is a single segment. `now` is what templates that ask for the date are told; `extra`
        are further variables (`enable_thinking`). Raises InvalidRequest if not even the fallback can render this.
        """
        if self._folds:
            messages = fold_system(messages)
        written = [_as_mapping(message) for message in messages]
        offered = [_as_function(tool) for tool in tools] if tools else None
        variables: dict[str, Any] = {**(extra or {}), **self._tokens, "add_generation_prompt": add_generation_prompt}
        strings = list(_strings([written, offered, variables]))
        marks = Marks("".join([*strings, *self._sources]))
        if marks.usable:
            shielded = self._shield(written, offered, marks.mark)
            text = self._render(*shielded, variables, now, sum(map(len, strings)))
            prompt = marks.restore(text) if marks.used else (Segment(text),) if text else ()
            if prompt is not None:
                return prompt
        self._tell(
            "control_text_altered",
            "The chat template cuts up what it is given; control tokens spelled in the conversation were altered.",
        )
        shielded = self._shield(written, offered, broken)
        text = self._render(*shielded, variables, now, sum(map(len, strings)))
        return (Segment(text),) if text else ()

    def _shield(self, messages: object, tools: object, replace: Callable[[str], str]) -> tuple[Any, Any]:
        def walk(value: Any) -> Any:
            if isinstance(value, str):
                return self._controls.replace(value, replace)
            if isinstance(value, dict):
                return {walk(key): walk(entry) for key, entry in value.items()}  # pyright: ignore[reportUnknownVariableType]
            if isinstance(value, (list, tuple)):
                return [walk(entry) for entry in value]  # pyright: ignore[reportUnknownVariableType]
            return value

        return walk(messages), walk(tools)

    def _render(self, messages: Any, tools: Any, variables: dict[str, Any], now: datetime | None, size: int) -> str:
        from smidgen.models.sandbox import TemplateSandbox, strftime

        if self._environment is None:
            self._environment = TemplateSandbox()
        given = {**variables, "messages": messages, "tools": tools, "documents": None}
        given["strftime_now"] = strftime(now or datetime.now())
        reason = ""
        for number, source in enumerate(self._sources):
            try:
                text = self._environment.render(source, given, input_characters=size)
            except Exception as error:  # a template's code can raise anything at all
                reason = f"{type(error).__name__}: {error}"[:300]
                continue
            if number == 1:
                self._tell(
                    "template_fallback", f"The model's own chat template failed ({reason}), its family's is used."
                )
            elif not self._is_own:
                self._tell("template_missing", "The model's file has no chat template; its family's is used.")
            return text
        raise InvalidRequest(
            f"This conversation can't be written in the model's chat format ({reason}).",
            hint="Check the order and the roles of its messages.",
        )

    def _tell(self, code: str, message: str) -> None:
        self._notices.setdefault(code, Notice(code=code, message=message))


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation without system messages: their text goes in front of the first user message, or becomes one."""
    texts = [message.content for message in messages if message.role == "system" and message.content]
    others = [message for message in messages if message.role != "system"]
    if not texts:
        return tuple(others)
    system = "\n\n".join(texts)
    for index, message in enumerate(others):
        if message.role == "user":
            others[index] = Message(role="user", content=f"{system}\n\n{message.content}", name=message.name)
            return tuple(others)
    return (Message(role="user", content=system), *others)


def _as_mapping(message: Message) -> dict[str, Any]:
    """A message as templates expect it: the dictionaries of transformers and the OpenAI API."""
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        written["tool_calls"] = [
            {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.call_id:
        written["tool_call_id"] = message.call_id
    if message.name:
        written["name"] = message.name
    return written


def _as_function(tool: ToolSpec) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": described}


def _strings(value: Any) -> list[str]:
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            waiting.extend(item.keys())  # pyright: ignore[reportUnknownArgumentType]
            waiting.extend(item.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)  # pyright: ignore[reportUnknownArgumentType]
    return found
