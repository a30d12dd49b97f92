"""A Python function as a tool: the schema from its type hints, the words from its docstring."""

from __future__ import annotations

import contextlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast, overload

from smidgen.errors import InvalidRequest, SmidgenError, ToolFailed
from smidgen.messages import ToolSpec
from smidgen.tools import Effect, Fault, ToolOutcome, Use
from smidgen.tools.docstring import read_docstring
from smidgen.tools.schema import flatten
from smidgen.tools.threads import in_daemon_thread

Answer = str | Callable[[Any, Mapping[str, Any]], str]
"""A format string over the arguments and `value`, or a function of (value, arguments): the result said to the user."""

Uses = Callable[[Mapping[str, Any]], "Sequence[Use]"]
"""What a call would do, from its arguments, which may be of any type and may be missing."""

Preview = Callable[[Mapping[str, Any]], str]
"""What a call would do, in words for an approval, from such arguments; "" to show the call as it stands."""

_LONGEST_ERROR = 500


class FunctionTool:
    """Arguments are validated and converted by pydantic; what the function raises becomes an outcome that failed.

    A plain function runs in a thread of its own, so that the event loop goes on; such a thread can't be interrupted,
    but doesn't keep the process from exiting. The function itself stays callable through the tool.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        effect: Effect = "read",
        answer: Answer = "",
        uses: Uses | None = None,
        preview: Preview | None = None,
    ) -> None:
        self.function = function
        self._name = name or function.__name__
        if not self._name.isidentifier():
            raise InvalidRequest(f"{self._name!r} can't be a tool's name.", hint="Use letters, digits and underscores.")
        self._description = description
        self._effect: Effect = effect
        self._answer = answer
        self._uses = uses
        self._preview = preview

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"FunctionTool({self._name})"

    @property
    def effect(self) -> Effect:
        return self._effect

    @property
    def spec(self) -> ToolSpec:
        """Raises InvalidRequest for a signature that has no JSON Schema."""
        return self._spec

    @cached_property
    def _spec(self) -> ToolSpec:
        summary = read_docstring(self.function.__doc__)[0]
        return ToolSpec(
            name=self._name,
            description=self._description or summary or self._name.replace("_", " "),
            parameters=flatten(self._model.model_json_schema()),
        )

    @cached_property
    def _model(self) -> Any:
        import pydantic

        described = read_docstring(self.function.__doc__)[1]
        hints = _type_hints(self.function)
        fields: dict[str, Any] = {}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise InvalidRequest(
                    f"Parameter {name!r} of tool {self._name!r} can't be passed by name.",
                    hint="Tools take named parameters only.",
                )
            hint = hints.get(name, str)
            said = described.get(name) or _annotated_text(hint)
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hint, pydantic.Field(default, description=said or None))
        try:
            return pydantic.create_model(
                self._name, __config__=pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields
            )
        except pydantic.errors.PydanticUserError as error:
            raise InvalidRequest(f"Tool {self._name!r} has no JSON Schema: {str(error).splitlines()[0]}") from error

    def preview(self, arguments: Mapping[str, Any]) -> str:
        if self._preview:
            with contextlib.suppress(Exception):  # the call as it stands is shown instead
                if told := self._preview(arguments):
                    return told
        shown = ", ".join(
            f"{key}={_shorten(json.dumps(value, ensure_ascii=False, default=str))}" for key, value in arguments.items()
        )
        return f"{self._name}({shown})"

    def uses(self, arguments: Mapping[str, Any]) -> tuple[Use, ...]:
        try:
            told = tuple(self._uses(arguments)) if self._uses else ()
        except Exception:
            return (Use(verb="write"),)  # what it would do isn't known
        return told or (Use(verb=self._effect),)

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        import pydantic

        try:
            checked = self._model.model_validate(dict(arguments))
        except pydantic.ValidationError as error:
            return failure(_validation_message(error.errors()), "arguments")
        values: dict[str, Any] = {name: getattr(checked, name) for name in self._model.model_fields}
        try:
            if inspect.iscoroutinefunction(self.function):
                value = await self.function(**values)
            else:
                value = await in_daemon_thread(self.function, **values)
                if inspect.isawaitable(value):
                    value = await value
        except BadArguments as error:
            return failure(str(error), "arguments")
        except SmidgenError as error:
            return failure(str(error))
        except Exception as error:
            return failure(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        if isinstance(value, ToolOutcome):
            return value
        return self._outcome(value, values)

    def _outcome(self, value: Any, arguments: Mapping[str, Any]) -> ToolOutcome:
        from pydantic_core import PydanticSerializationError, to_jsonable_python

        try:
            plain = to_jsonable_python(value, inf_nan_mode="strings")
            text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
            said = self._answer
            answer = said(value, arguments) if callable(said) else said.format(value=value, **arguments)
        except PydanticSerializationError as error:
            return failure(f"The result can't be written as JSON: {error}")
        except Exception as error:
            return failure(f"The result can't be said: {type(error).__name__}: {error}")
        return ToolOutcome(ok=True, value=plain, text=text, answer=answer)


class BadArguments(ToolFailed):
    """Raised inside a tool: the arguments make no sense, others might. The agent may try again."""

    code = "bad_arguments"


def failure(message: str, fault: Fault = "world") -> ToolOutcome:
    """A failed outcome with a short message, as data for the model."""
    said = _shorten(message, _LONGEST_ERROR)
    return ToolOutcome(ok=False, value=said, text=said, fault=fault)


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    effect: Effect = "read",
    answer: Answer = "",
    uses: Uses | None = None,
    preview: Preview | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    effect: Effect = "read",
    answer: Answer = "",
    uses: Uses | None = None,
    preview: Preview | None = None,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a function, sync or async, a tool.

    name, description: default to the function's name and its docstring's first paragraph.
    effect: "write" if a call changes something outside; such calls ask for approval.
    answer: a format string over the arguments and `value`, or a function of (value, arguments); when given, the result
    is said to the user without the model.
    uses: a function of the arguments that tells what a call would read, write, run or fetch; `effect` if left out.
    preview: a function of the arguments that says it in words for an approval; the call as it stands if left out.
    """

    def decorate(target: Callable[..., Any]) -> FunctionTool:
        return FunctionTool(
            target, name=name, description=description, effect=effect, answer=answer, uses=uses, preview=preview
        )

    return decorate if function is None else decorate(function)


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    closure: Mapping[str, Any] = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    try:
        return typing.get_type_hints(function, localns=dict(closure), include_extras=True)
    except NameError as error:
        raise InvalidRequest(
            f"A type of {function.__name__!r} can't be found: {error}.", hint="Define it at the module's top level."
        ) from error


def _annotated_text(hint: Any) -> str:
    metadata = cast(tuple[Any, ...], getattr(hint, "__metadata__", ()))
    return next((part for part in metadata if isinstance(part, str)), "")


def _validation_message(errors: list[Any]) -> str:
    parts: list[str] = []
    for error in errors[:3]:
        where = ".".join(str(part) for part in error["loc"])
        kind = error["type"]
        if kind == "missing":
            parts.append(f"{where} is missing")
        elif kind == "extra_forbidden":
            parts.append(f"there is no parameter {where}")
        else:
            parts.append(f"{where}: {error['msg']}")
    return "Wrong arguments: " + "; ".join(parts) + "."


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


__all__ = ["Answer", "BadArguments", "FunctionTool", "Preview", "Uses", "failure", "tool"]
