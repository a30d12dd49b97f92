"""The web for tools: one page, or a search. What is fetched is somebody else's text, and its address may be somebody
else's choice too, so nothing here reaches this computer or its network unless the user's configuration names the host.

addresses   what a URL is, and which IP addresses are public; pure
client      one GET: looked up once, every address checked, connected to a checked one, redirects checked anew, capped
body        what is read of an answer, and how much
text        bytes to text, and text to what can be shown
fetch       the tool `fetch`: the main text of a page
search      the tool `web_search`: short numbered results
providers   who is asked for them: SearXNG, Brave, DuckDuckGo
"""

from __future__ import annotations

import msgspec

from smidgen.errors import ToolFailed


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """bytes: of a body, decoded. seconds: for everything, from the name's look-up to the last byte, redirects included.
    header_bytes: of the names and values of an answer's headers."""

    bytes: int = 2 * 1024 * 1024
    seconds: float = 20.0
    redirects: int = 5
    header_bytes: int = 64 * 1024


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. url: where it came from in the end. kind: the media type in lower case. charset: as the header says
    it, "" if it doesn't. cut: data ends early, by size, by time, or because the connection broke. redirects: the URLs
    that led on, in order. An answer with an error status has empty data unless that is text."""

    url: str
    status: int
    kind: str
    charset: str
    data: bytes
    cut: bool = False
    redirects: tuple[str, ...] = ()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A search result as the provider gave it: tags, entities and all."""

    title: str
    url: str
    snippet: str = ""


class ForbiddenAddress(ToolFailed):
    """The host leads to an address that isn't public. details: host."""

    code = "forbidden_address"


class Unreachable(ToolFailed):
    """No answer: no such name, no connection, a certificate that isn't the host's, or too slow. details: host."""

    code, fault = "unreachable", "system"
    default_retryable = True
