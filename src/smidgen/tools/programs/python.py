"""The tool `run_python`: code in, what it writes and what its last line comes to out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from smidgen.errors import InvalidRequest
from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import BadArguments, FunctionTool, failure, tool
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import check_code
from smidgen.tools.programs.sessions import Sessions

LOST = "[a new session: what was defined before is gone]"
_STOPPED = {
    "time": "The code took too long and was interrupted.",
    "cpu": "The code used up the processor time that a session may take.",
    "memory": "The code took more memory than it may.",
    "processes": "The code started more processes than it may.",
    "output": "The code wrote far more than can be kept.",
    "exit": "The code ended its Python.",
    "garbled": "The code disturbed its Python.",
}

Code = Annotated[str, pydantic.Field(json_schema_extra={"format": "python"})]


def python_tool(sessions: Sessions, *, writable: bool = False) -> FunctionTool:
    """writable: may code change files of the workspace? Then every call counts as a change."""

    async def run_python(code: Code) -> ToolOutcome:
        """Run Python code and get what it prints.

        Args:
            code: for example "print(sum(range(10)))"
        """
        try:
            check_code(code)
        except InvalidRequest as error:
            raise BadArguments(error.message) from error
        executed, lost = await sessions.execute(_bare(code))
        return outcome(executed, lost)

    def uses(arguments: Mapping[str, Any]) -> tuple[Use, ...]:
        return (Use(verb="write" if writable else "run", path=".", command="python"),)

    def preview(arguments: Mapping[str, Any]) -> str:
        return f"run Python{', which may change files here' if writable else ''}:\n{arguments.get('code', '')}"

    return tool(name="run_python", effect="write" if writable else "read", uses=uses, preview=preview)(run_python)


def outcome(executed: Executed, lost: bool = False) -> ToolOutcome:
    """How a model reads it. An exception is a failure whose arguments were wrong: other code may do."""
    parts = [executed.output.rstrip("\n"), executed.value]
    told = "\n".join(part for part in parts if part)
    if not executed.ok:
        why = _STOPPED[executed.stopped] if executed.stopped else ""
        why += " What was defined is gone." if executed.gone else ""
        problem = "\n".join(part for part in (told, executed.error, why.strip(), LOST if lost else "") if part)
        return _failed(problem, executed)
    text = told or "(nothing was printed)"
    text = f"{LOST}\n{text}" if lost else text
    return ToolOutcome(ok=True, value=text, text=text, tier=executed.tier)


def _failed(problem: str, executed: Executed) -> ToolOutcome:
    kept = problem if len(problem) <= 500 else f"{problem[:150]}\n…\n{problem[-345:]}"
    failed = failure(kept, "arguments" if executed.error and not executed.stopped else "world")
    return ToolOutcome(ok=False, value=failed.value, text=failed.text, fault=failed.fault, tier=executed.tier)


def _bare(code: str) -> str:
    """Without the fence of Markdown that models put around code, and now and then forget to close."""
    stripped = code.strip()
    if stripped.startswith("```") and "\n" in stripped:
        return stripped.split("\n", 1)[1].removesuffix("```")
    return code


__all__ = ["python_tool"]
