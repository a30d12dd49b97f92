"""The tool `fetch`: the main text of a page, its title first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from smidgen.errors import ToolFailed
from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import FunctionTool, tool
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.web import Page
from smidgen.tools.web.addresses import BadURL, parse
from smidgen.tools.web.client import Client
from smidgen.tools.web.text import decoded, one_line, without_controls

MAX_CHARACTERS = 200_000
MAX_TITLE = 300
EXTRACTION_S = 10.0
_HTML = ("text/html", "application/xhtml+xml")
_UNSEEN = ("script", "style", "noscript", "template", "svg", "head", "iframe", "object", "select", "textarea")
_BLOCKS = (
    *(
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "figure",
        "footer",
        "form",
    ),
    *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary"),
    *("table", "td", "th", "tr", "ul"),
)

_ADVICE = {
    401: "The page needs a login.",
    403: "The page needs a login, or its server turns programs away.",
    404: "Check the address.",
    410: "The page was removed.",
    429: "The server was asked too often; try later.",
}


def fetch_tool(client: Client, *, extraction_s: float = EXTRACTION_S) -> FunctionTool:
    """extraction_s: how long finding the main text of a page may take; then the call fails."""

    @tool(uses=_uses)
    async def fetch(url: str) -> ToolOutcome:
        """Read a web page.

        Args:
            url: the whole address, for example "https://example.com/page"
        """
        page = await client.get(url)
        if not 200 <= page.status < 300:
            later = "Try later." if page.status >= 500 else ""
            raise ToolFailed(f"{page.url[:200]} answered {page.status}.", hint=_ADVICE.get(page.status, later))
        try:
            async with asyncio.timeout(extraction_s):
                text, note = await in_daemon_thread(readable, page=page)
        except TimeoutError:
            raise ToolFailed(
                f"The text of {page.url[:200]} couldn't be found within {extraction_s:g} seconds."
            ) from None
        if not text:
            raise ToolFailed(
                f"{page.url[:200]} has no text.", hint="A browser may build it with scripts, which aren't run here."
            )
        notes = [*_notes(page, len(text)), *([note] if note else [])]
        text = text[:MAX_CHARACTERS]
        return ToolOutcome(ok=True, value=text, text="\n".join([text, *(f"[{note}]" for note in notes)]), material=True)

    return fetch


def _uses(arguments: Mapping[str, Any]) -> tuple[Use, ...]:
    url = arguments.get("url")
    try:
        return (Use(verb="fetch", host=parse(url).host if isinstance(url, str) else ""),)
    except BadURL:
        return (Use(verb="fetch", host=""),)


def _notes(page: Page, characters: int) -> list[str]:
    notes: list[str] = []
    if page.redirects:
        notes.append(f"redirected to {page.url[:200]}")
    if page.cut:
        notes.append(f"cut: only the first {len(page.data)} bytes of the page were read")
    if characters > MAX_CHARACTERS:
        notes.append(f"cut: the first {MAX_CHARACTERS} of {characters} characters")
    return notes


def readable(page: Page) -> tuple[str, str]:
    """(title and main text, what has to be said of them); "" if there is none. Text that isn't HTML is as it was."""
    markup = page.kind in _HTML
    written = decoded(page.data, page.charset, markup=markup or page.kind.endswith("xml"))
    if not markup:
        return without_controls(written), ""
    import trafilatura

    written = written.replace("\0", "")  # where the parser would stop
    tree: Any = trafilatura.load_html(written)
    if tree is None:
        return "", ""
    title = one_line(str(tree.findtext("head/title") or ""), MAX_TITLE)
    text, note = without_controls(trafilatura.extract(tree, include_comments=False, url=page.url) or ""), ""
    if not text and (text := _all_visible(trafilatura.load_html(written))):
        note = "the main text couldn't be told apart: this is all the text of the page"
    if title and not text.startswith(title):
        text = f"{title}\n\n{text}".strip()
    return text, note


def _all_visible(tree: Any) -> str:
    """All text of a page but what a browser never shows, a line for each block."""
    for element in list(tree.iter(*_UNSEEN)):
        element.drop_tree()
    for element in tree.iter(*_BLOCKS):
        element.text = f"\n{element.text or ''}"
        element.tail = f"\n{element.tail or ''}"
    lines = (" ".join(line.split()) for line in "".join(tree.itertext()).split("\n"))
    return without_controls("\n".join(line for line in lines if line))
