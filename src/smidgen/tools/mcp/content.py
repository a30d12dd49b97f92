"""What a call returned, as an outcome. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from smidgen.tools import ToolOutcome
from smidgen.tools.visible import visible, without_commands

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock


def outcome_of(result: CallToolResult) -> ToolOutcome:
    """Texts are joined, a blank line between them; what is no text is named as left out. The value is the structured
    content where there is some, else the text, which is also what the model reads."""
    parts = [part for block in result.content if (part := _said(block))]
    structured = result.structured_content
    if not parts and structured is not None:
        parts = [json.dumps(structured, ensure_ascii=False)]
    text = without_commands("\n\n".join(parts))
    if result.is_error:
        said = text or "The tool failed and didn't say why."
        return ToolOutcome(ok=False, value=said, text=said, fault="world")
    text = text or "(nothing was returned)"
    return ToolOutcome(ok=True, value=text if structured is None else structured, text=text)


def noted(outcome: ToolOutcome, note: str) -> ToolOutcome:
    """The outcome, with a line for whoever reads it."""
    return msgspec.structs.replace(outcome, text=f"{outcome.text}\n{note}")


def _said(block: ContentBlock) -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"[{visible(block.name)}: {visible(str(block.uri))}]"
    if block.type == "resource":
        held, where = block.resource, visible(str(block.resource.uri))
        if hasattr(held, "text"):
            return f"[{where}]\n{held.text}"  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return _left_out(f"the file {where}", held.mime_type or "", held.blob)  # pyright: ignore
    what = "an image" if block.type == "image" else "a sound"
    return _left_out(what, block.mime_type, block.data)


def _left_out(what: str, kind: str, data: str) -> str:
    told = f"{visible(kind)}, " if kind else ""
    return f"[left out: {what} ({told}{len(data) * 3 // 4} bytes)]"
