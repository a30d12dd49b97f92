"""Which files of a workspace its user's rules hide, for programs that would see them all."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen.errors import InvalidRequest
from smidgen.tools.permissions.policy import Policy

MOST_ENTRIES = 50_000


def hidden_paths(workspace: Path, policy: Policy) -> tuple[str, ...]:
    """Relative to the workspace, with / between folders; of a hidden folder only itself. Links aren't followed. Raises
    InvalidRequest where there are too many files to look at them all."""
    if not policy.hides_any:
        return ()
    found: list[str] = []
    pending: list[tuple[str, ...]] = [()]
    seen = 0
    while pending:
        parts = pending.pop()
        try:
            entries = list(os.scandir(workspace.joinpath(*parts)))
        except OSError:
            continue  # what can't be read here can't be read there
        for entry in entries:
            seen += 1
            path = (*parts, entry.name)
            if policy.hides(path):
                found.append("/".join(path))
            elif entry.is_dir(follow_symlinks=False):
                pending.append(path)
        if seen > MOST_ENTRIES:
            raise InvalidRequest(
                f"The workspace has more than {MOST_ENTRIES} files, too many to hide some of them from programs.",
                hint="Give a smaller folder as the workspace.",
            )
    return tuple(found)
