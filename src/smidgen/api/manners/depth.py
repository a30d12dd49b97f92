"""How deeply JSON is nested, found without parsing it: parsers recurse, and some end the process when too deep."""

from __future__ import annotations

import numpy as np

SLICE = 1 << 20
"""Bytes looked at at once, which bounds the memory that this takes."""

_KEPT = b'"[]{}'
_DROPPED = bytes(code for code in range(256) if code not in _KEPT)
_STEPS = np.zeros(256, dtype=np.int32)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1


def deeper_than(text: bytes, limit: int) -> bool:
    """Whether brackets outside of strings are ever open more than `limit` deep. Right for whatever a parser reads
    before it finds a fault, so for text that isn't JSON too."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    # Pairs of backslashes first: what is left of a run then escapes what follows it.
    kept = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _DROPPED).replace(b'""', b"")
    quotes = depth = 0
    for start in range(0, len(kept), SLICE):
        codes = np.frombuffer(kept, dtype=np.uint8, count=min(SLICE, len(kept) - start), offset=start)
        seen = quotes + np.cumsum(codes == ord('"'), dtype=np.int64)
        depths = depth + np.cumsum(np.where(seen % 2 == 1, 0, _STEPS[codes]), dtype=np.int64)
        if int(depths.max()) > limit:
            return True
        quotes, depth = int(seen[-1]) % 2, int(depths[-1])
    return False
