"""What is read of an answer: only text, at most so many bytes after decoding, and for so long.

Bodies are asked for and decoded in gzip alone, by this module, so that a small body that unpacks into a huge one is
stopped while it unpacks, however it is nested.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from smidgen.errors import ToolFailed

if TYPE_CHECKING:
    import httpx2

ENCODING = "gzip"
_TEXT = re.compile(
    r"text/.+|application/(?:.+\+)?(?:json|xml)|application/(?:xhtml\+xml|x-ndjson|javascript|yaml|x-yaml|toml)"
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_SNIFFED = 1024


def media_type(response: httpx2.Response) -> tuple[str, str]:
    """(media type, charset), each "" if the header doesn't say."""
    kind, _, parameters = response.headers.get("content-type", "").partition(";")
    charset = _CHARSET.search(parameters)
    return kind.strip().lower()[:100], charset[1].lower() if charset else ""


def is_text(kind: str) -> bool:
    return _TEXT.fullmatch(kind) is not None


def sniffed(data: bytes, host: str) -> str:
    """The media type of a body that came without one. Raises ToolFailed if it isn't text."""
    if b"\0" in data[:_SNIFFED]:
        raise ToolFailed(f"{host} doesn't say what it sends, and it isn't text.")
    return "text/html" if data.lstrip()[:1] == b"<" else "text/plain"


async def read(response: httpx2.Response, limit: int, deadline: float) -> tuple[bytes, bool]:
    """(the body, whether it was cut). What came before the connection broke or the time was over is kept.

    deadline: by the loop's clock. Raises ToolFailed for another encoding than gzip, and TimeoutError or
    httpx2.TransportError if nothing came at all.
    """
    import httpx2

    unpacker = _unpacker(response)
    data = bytearray()
    try:
        async with asyncio.timeout_at(deadline), aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                data += piece if unpacker is None else unpacker.decompress(piece, limit - len(data) + 1)
                if len(data) > limit:
                    return bytes(data[:limit]), True
                if unpacker is not None and unpacker.eof:
                    break
    except zlib.error:
        raise ToolFailed(f"{response.url.host} sent a damaged page.") from None
    except (TimeoutError, httpx2.TransportError):
        if not data:
            raise
        return bytes(data), True
    return bytes(data), unpacker is not None and bool(data) and not unpacker.eof


def _unpacker(response: httpx2.Response) -> zlib._Decompress | None:  # pyright: ignore[reportPrivateUsage]
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in (ENCODING, "x-gzip"):
        raise ToolFailed(f"The page is compressed in a way that wasn't asked for: {encoding[:40]}.")
    return zlib.decompressobj(zlib.MAX_WBITS | 16)
