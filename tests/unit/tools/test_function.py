"""Functions as tools: schema from hints and docstring, arguments converted, failures as data."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import subprocess
import sys
from typing import Annotated, Any, Literal

import pydantic
import pytest

from smidgen.errors import InvalidRequest, ToolFailed, UnknownTool
from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.docstring import read_docstring
from smidgen.tools.function import BadArguments, tool
from smidgen.tools.registry import Registry
from smidgen.tools.wrappers import Prefixed, TimeLimited


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(pydantic.BaseModel):
    city: str
    country: str | None = None


class Node(pydantic.BaseModel):
    children: list[Node] = []


@tool
def paint(
    what: str, color: Color, times: int = 1, where: Place | None = None, mode: Literal["fast", "slow"] = "fast"
) -> str:
    """Paint a thing.

    More about it.

    Args:
        what: the thing,
            whole
        color (Color): its color
    """
    return f"{what} {color.value} {times} {where.city if where else ''} {mode}"


def test_the_schema_has_no_references_titles_or_nulls() -> None:
    spec = paint.spec
    assert spec.description == "Paint a thing."
    written = str(spec.parameters)
    assert "$ref" not in written and "title" not in written and "null" not in written
    properties = spec.parameters["properties"]
    assert properties["what"] == {"type": "string", "description": "the thing, whole"}
    assert properties["color"]["enum"] == ["red", "blue"]
    assert properties["times"] == {"type": "integer", "default": 1}
    assert properties["where"]["properties"]["city"] == {"type": "string"}
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert spec.parameters["required"] == ["what", "color"]


async def test_arguments_are_converted_and_wrong_ones_are_data() -> None:
    good = await paint.call({"what": "wall", "color": "red", "times": "2", "where": {"city": "Graz"}})
    assert good == ToolOutcome(ok=True, value="wall red 2 Graz fast", text="wall red 2 Graz fast")
    bad = await paint.call({"color": "green", "size": 3})
    assert (bad.ok, bad.fault) == (False, "arguments")
    assert "what is missing" in bad.text


def test_a_tool_is_still_a_function_and_a_tool() -> None:
    assert paint("a", Color.RED) == "a red 1  fast"
    assert isinstance(paint, Tool)


async def test_exceptions_become_short_messages() -> None:
    @tool
    async def broken() -> None:
        raise ValueError("x" * 5000)

    @tool
    def refused() -> None:
        raise ToolFailed("The printer is out of paper.")

    @tool
    def confused() -> None:
        raise BadArguments("That is no color.")

    long = await broken.call({})
    assert not long.ok and long.text.startswith("ValueError: xxx") and len(long.text) <= 500
    assert (await refused.call({})).fault == "world"
    assert (await confused.call({})).fault == "arguments"


async def test_a_result_that_is_no_json_is_a_failure() -> None:
    @tool
    def opaque() -> Any:
        return object()

    assert not (await opaque.call({})).ok


async def test_an_answer_template_says_the_result() -> None:
    @tool(answer="{a} plus {b} is {value}")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @tool(name="plus", description="Sum.", answer=lambda value, arguments: f"{value}!")
    def other(a: Annotated[int, "a number"]) -> int:
        return a

    assert (await add.call({"a": 1, "b": 2})).answer == "1 plus 2 is 3"
    assert (await other.call({"a": 1})).answer == "1!"
    assert other.spec.name == "plus" and other.spec.description == "Sum."
    assert other.spec.parameters["properties"]["a"]["description"] == "a number"


def test_signatures_without_a_schema_are_refused() -> None:
    def variadic(*args: int) -> None: ...

    def recursive(node: Node) -> None: ...

    for function in (variadic, recursive):
        with pytest.raises(InvalidRequest):
            _ = tool(function).spec


def test_local_types_are_found() -> None:
    class Local(pydantic.BaseModel):
        x: int

    @tool
    def use(value: Local) -> int:
        return value.x + (0 if Local else 1)

    assert use.spec.parameters["properties"]["value"]["properties"]["x"] == {"type": "integer"}


@pytest.mark.parametrize(
    "text",
    [
        "Do it.\n\nArgs:\n    a (int): first\n        more\n    b: second\n\nReturns:\n    c: not this",
        "Do it.\n\nParameters\n----------\na : int\n    first\n    more\nb\n    second\n\nReturns\n---\nc: not this",
        "Do it.\n\n:param int a: first\n    more\n:param b: second\n:returns: c",
    ],
)
def test_three_docstring_styles_say_the_same(text: str) -> None:
    assert read_docstring(text) == ("Do it.", {"a": "first more", "b": "second"})


# --- wrappers and registry -------------------------------------------------------------------------------------------


@tool(effect="write")
async def shout(text: str) -> str:
    """Shout."""
    await asyncio.sleep(0 if len(text) < 100 else 30)
    return text * 10


async def test_a_slow_call_is_given_up() -> None:
    outcome = await TimeLimited(shout, 0.05).call({"text": "a" * 100})
    assert not outcome.ok and "longer than 0.05 s" in outcome.text


GIVEN_UP = """
import asyncio, threading
from smidgen.tools.function import tool
from smidgen.tools.wrappers import TimeLimited

@tool
def hang() -> str:
    "Never come back."
    threading.Event().wait()
    return ""

print(asyncio.run(TimeLimited(hang, 0.05).call({})).text)
"""


def test_a_plain_function_that_was_given_up_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_UP], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "was given up" in done.stdout, done.stderr


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), StopIteration("x"), ValueError("x")])
async def test_a_plain_function_ends_nothing_but_its_call(ending: BaseException) -> None:
    def leave() -> None:
        """Leave."""
        raise ending

    outcome = await tool(leave).call({})
    assert not outcome.ok and type(ending).__name__ in outcome.text


async def test_a_plain_function_sees_the_context_of_its_caller() -> None:
    name = contextvars.ContextVar[str]("name")
    name.set("here")

    def read() -> str:
        """Read."""
        return name.get()

    assert (await tool(read).call({})).value == "here"


def test_names_are_unique_and_near_ones_are_offered() -> None:
    registry = Registry([shout, Prefixed(shout, "loud_")])
    assert [spec.name for spec in registry.specs] == ["shout", "loud_shout"]
    with pytest.raises(UnknownTool) as caught:
        registry.get("shuot")
    assert caught.value.details["near"] == ["shout"]
    with pytest.raises(InvalidRequest):
        Registry([shout, shout])
