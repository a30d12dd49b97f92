"""What a server says of a tool, as far as it can be used. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from smidgen.dialects.grammar import JSON_LINE, Grammar
from smidgen.errors import InvalidRequest
from smidgen.messages import JsonSchema
from smidgen.tools import Use
from smidgen.tools.schema import flatten
from smidgen.tools.visible import visible

if TYPE_CHECKING:
    from mcp_types import Tool as Listed


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """tool: as the server calls it. reads: the server says that a call changes nothing. open_world: a call may reach
    others than the server itself."""

    tool: str
    description: str
    parameters: JsonSchema
    reads: bool = False
    open_world: bool = True

    def uses(self, host: str) -> tuple[Use, ...]:
        """What a call does; host: of a server on another computer, else ""."""
        asked = (Use(verb="fetch", host=host),) if host or self.open_world else ()
        if not self.reads:
            return (Use(verb="write"), *asked)
        return asked or (Use(verb="read"),)


def offer_of(listed: Listed) -> Offer:
    """Raises InvalidRequest, with the reason, where no grammar can hold a model to the tool's schema."""
    told = listed.annotations
    return Offer(
        tool=listed.name,
        description=_plain(listed.description or listed.title or re.sub(r"[\W_]+", " ", listed.name)),
        parameters=_parameters(listed.input_schema),
        reads=told is not None and told.read_only_hint is True,
        open_world=told is None or told.open_world_hint is not False,
    )


def _parameters(schema: dict[str, Any]) -> JsonSchema:
    if schema.get("type", "object") != "object":
        raise InvalidRequest("its arguments aren't named")
    try:
        parameters = cast(JsonSchema, _described(flatten(schema)))
        Grammar(JSON_LINE).value(parameters)
    except InvalidRequest:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"its arguments have no schema that can be read ({type(error).__name__})") from error
    return parameters


def _described(node: Any, key: str = "") -> Any:
    """The same with descriptions that hold no control characters."""
    if isinstance(node, dict):
        entries = cast(dict[str, Any], node).items()
        # Under `properties` the keys are names of arguments, not words of the schema.
        return {name: _described(value, "" if key == "properties" else name) for name, value in entries}
    if isinstance(node, list):
        return [_described(value) for value in cast(list[Any], node)]
    return _plain(node) if key == "description" and isinstance(node, str) else node


def _plain(text: str) -> str:
    return visible(text.strip(), keep="\n\t")
