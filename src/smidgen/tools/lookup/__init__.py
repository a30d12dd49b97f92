"""FINDS: what the text files of a workspace say of a question. No model is needed to ask: the question is the query.

passages  pure: a file's text in pieces that can be read alone
index     pure: the pieces that hold most of a question's words
look_up   the tool
"""

from __future__ import annotations

import msgspec


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """path: relative to the workspace. line: its first, from 1. heading: what it stands under, "" if nothing."""

    path: str
    line: int
    text: str
    heading: str = ""
