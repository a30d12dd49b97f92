"""Whether a client can ask its user, and how. Pure."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

APPROVAL = "approval"
"""The key of the one question that a call may end with."""

NOTHING_TO_FILL_IN: dict[str, Any] = {"type": "object", "properties": {}}

Context = ServerRequestContext[Any, Any]


def calls_again(context: Context) -> bool:
    """Does this client take a question as the end of a call, and call again with the answer?"""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def can_be_asked(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # Before there were two kinds of questions, clients named none.
    by_form = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return by_form and (calls_again(context) or context.session.can_send_request)


def question(text: str) -> types.ElicitRequest:
    """Yes by accepting it, no by anything else."""
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=f"Allow {text}?", requested_schema=NOTHING_TO_FILL_IN)
    )


def is_yes(answer: types.ElicitResult) -> bool:
    return answer.action == "accept"
