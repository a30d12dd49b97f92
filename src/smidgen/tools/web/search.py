"""The tool `web_search`: short numbered results with their addresses, ready for `fetch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import BadArguments, FunctionTool, tool
from smidgen.tools.web import Hit
from smidgen.tools.web.addresses import BadURL, parse
from smidgen.tools.web.providers import Provider
from smidgen.tools.web.text import one_line

MAX_RESULTS = 10
MAX_QUERY = 400
MAX_SNIPPET = 200
MAX_TITLE = 120


def search_tool(provider: Provider) -> FunctionTool:
    def uses(_: Mapping[str, Any]) -> tuple[Use, ...]:
        return (Use(verb="fetch", host=provider.host),)

    @tool(uses=uses)
    async def web_search(query: str, results: int = 5) -> ToolOutcome:
        """Search the web.

        Args:
            query: what to look for, for example "weather in Oslo"
            results: how many results, from 1 to 10
        """
        wanted = " ".join(query.split())
        if not wanted:
            raise BadArguments("Say what to search for.")
        if len(wanted) > MAX_QUERY:
            raise BadArguments(f"A search has at most {MAX_QUERY} characters.")
        count = min(max(results, 1), MAX_RESULTS)
        found, left_out = _usable(await provider.search(wanted, count))
        lines = [_shown(number, result) for number, result in enumerate(found[:count], 1)]
        lines = lines or [f"There are no results for {wanted!r}."]
        if left_out:
            said = "1 result was" if left_out == 1 else f"{left_out} results were"
            lines.append(f"[{said} left out: no address that can be fetched]")
        text = "\n".join(lines)
        return ToolOutcome(ok=True, value=found[:count], text=text, material=True)

    return web_search


def _usable(hits: Sequence[Hit]) -> tuple[list[dict[str, str]], int]:
    """(results to be shown, each address once; how many have none that can be fetched)"""
    found: dict[str, dict[str, str]] = {}
    left_out = 0
    for hit in hits:
        try:
            address = parse(hit.url)
        except BadURL:
            left_out += 1
            continue
        title, snippet = one_line(hit.title, MAX_TITLE), one_line(hit.snippet, MAX_SNIPPET)
        found.setdefault(
            address.url, {"title": title or address.host, "host": address.host, "url": address.url, "snippet": snippet}
        )
    return list(found.values()), left_out


def _shown(number: int, result: Mapping[str, str]) -> str:
    parts = [f"{number}. {result['title']} ({result['host']})", result["snippet"], result["url"]]
    return "\n   ".join(part for part in parts if part)
