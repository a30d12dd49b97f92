"""Who is asked for search results: a SearXNG of one's own, Brave's API, or DuckDuckGo's page through the ddgs package.

A provider that fails raises ToolFailed, which says whose fault it is and what to do.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.web import Hit, Page, Unreachable
from smidgen.tools.web.addresses import BadURL, parse
from smidgen.tools.web.client import Client

NAMES = ("searxng", "brave", "ddgs")
BRAVE = "https://api.search.brave.com/res/v1/web/search"
BRAVE_MOST = 20
DDGS_S = 8
_JSON = {"Accept": "application/json"}

_Answer = TypeVar("_Answer")


class Provider(Protocol):
    @property
    def host(self) -> str:
        """Which host a search is sent to."""
        ...

    async def search(self, query: str, count: int) -> list[Hit]:
        """About `count` results, the best first; [] if there are none. Raises ToolFailed."""
        ...


def provider(name: str, url: str = "", key: str = "") -> Provider:
    """By configuration: "searxng" needs `url`, "brave" needs `key`, "ddgs" nothing. Raises InvalidRequest.

    Only a SearXNG that is named here may be on this computer or its network, and only searches can reach it there.
    """
    if name == "searxng":
        if not url:
            raise InvalidRequest("The search provider searxng needs a url.", hint='As in "http://localhost:8888".')
        try:
            return SearXNG(url, Client(allow_hosts={parse(url).host}))
        except BadURL as error:
            raise InvalidRequest(f"The url of searxng can't be used. {error.message}", hint=error.hint) from error
    if name == "brave":
        if not key:
            raise InvalidRequest("The search provider brave needs a key.", hint="Brave gives keys for its Search API.")
        return Brave(key, Client())
    if name == "ddgs":
        return DuckDuckGo()
    from smidgen.tools.registry import near_names

    near = near_names(name, NAMES)
    raise InvalidRequest(
        f"There is no search provider {name!r}.",
        hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(NAMES)}.",
        near=list(near),
    )


class SearXNG:
    """base_url: where it runs, with the path if it has one. Its settings have to allow the format json.
    https://docs.searxng.org/dev/search_api.html. Raises BadURL."""

    def __init__(self, base_url: str, client: Client) -> None:
        address = parse(base_url)
        self._url = f"{address.scheme}://{address.authority}{address.target.partition('?')[0].rstrip('/')}/search"
        self._host = address.host
        self._client = client

    @property
    def host(self) -> str:
        return self._host

    async def search(self, query: str, count: int) -> list[Hit]:
        page = await self._client.get(f"{self._url}?{urlencode({'q': query, 'format': 'json'})}", headers=_JSON)
        if page.status == 403:
            raise ToolFailed(
                f"The SearXNG at {self._host} doesn't give JSON.",
                hint='Add json to "formats" under "search" in its settings.yml.',
            )
        _refuse(page, f"The SearXNG at {self._host}")
        answer = _read(page, _SearXNGAnswer, f"The SearXNG at {self._host}")
        return [_hit(found.title, found.url, found.content) for found in answer.results[:count]]


class Brave:
    """key: for Brave's Search API. https://api-dashboard.search.brave.com/app/documentation"""

    host = parse(BRAVE).host

    def __init__(self, key: str, client: Client) -> None:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidRequest("The key for Brave can't be one: it has spaces or other characters that keys don't.")
        self._key = key
        self._client = client

    async def search(self, query: str, count: int) -> list[Hit]:
        asked = urlencode({"q": query, "count": min(count, BRAVE_MOST)})
        page = await self._client.get(f"{BRAVE}?{asked}", headers={**_JSON, "X-Subscription-Token": self._key})
        if page.status in (401, 403) or (page.status == 422 and b"SUBSCRIPTION_TOKEN" in page.data):
            raise ToolFailed("Brave doesn't accept the key.", hint="Check the key for its Search API.")
        _refuse(page, "Brave")
        answer = _read(page, _BraveAnswer, "Brave")
        found = answer.web.results if answer.web else []
        return [_hit(result.title, result.url, result.description) for result in found[:count]]


class DuckDuckGo:
    """Its page for browsers without scripts, read by the ddgs package, which makes its own connections: to this one
    host, not through `Client`."""

    host = "html.duckduckgo.com"

    async def search(self, query: str, count: int) -> list[Hit]:
        try:
            async with asyncio.timeout(DDGS_S + 2):
                found: list[dict[str, Any]] = await in_daemon_thread(_ddgs, query=query, count=count)
        except TimeoutError:
            raise Unreachable("DuckDuckGo took too long.", hint="Try later.", host=self.host) from None
        return [_hit(result.get("title"), result.get("href"), result.get("body")) for result in found[:count]]


def _ddgs(query: str, count: int) -> list[dict[str, Any]]:
    import ddgs
    from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

    package: Any = ddgs
    try:
        return package.DDGS(timeout=DDGS_S).text(query, region="wt-wt", max_results=count, backend="duckduckgo")
    except RatelimitException:
        raise ToolFailed("DuckDuckGo was asked too often.", hint="Try later, or use another provider.") from None
    except TimeoutException:
        raise Unreachable("DuckDuckGo took too long.", hint="Try later.", host=DuckDuckGo.host) from None
    except DDGSException as error:
        if "No results" in str(error):
            # The package says the same whether there are none or the search was turned away.
            raise ToolFailed(
                "DuckDuckGo gave no results; it also does that when it was asked too often.",
                hint="Try other words, or later.",
            ) from None
        raise Unreachable(
            "DuckDuckGo can't be reached.", hint="Check whether this computer is online.", host=DuckDuckGo.host
        ) from None


class _Found(msgspec.Struct, frozen=True):
    title: str | None = None
    url: str | None = None
    content: str | None = None
    description: str | None = None


class _SearXNGAnswer(msgspec.Struct, frozen=True):
    results: list[_Found]


class _BraveWeb(msgspec.Struct, frozen=True):
    results: list[_Found] = []


class _BraveAnswer(msgspec.Struct, frozen=True):
    web: _BraveWeb | None = None


def _hit(title: Any, url: Any, snippet: Any) -> Hit:
    return Hit(title=str(title or ""), url=str(url or ""), snippet=str(snippet or ""))


def _refuse(page: Page, who: str) -> None:
    """Raises ToolFailed for an answer that isn't a result."""
    if 200 <= page.status < 300:
        return
    hints = {
        401: "It needs a login, which isn't possible here.",
        404: "Check its url.",
        429: "It was asked too often; try later.",
    }
    hint = hints.get(page.status, "It has trouble of its own; try later." if page.status >= 500 else "")
    raise ToolFailed(f"{who} answered {page.status}.", hint=hint)


def _read(page: Page, kind: type[_Answer], who: str) -> _Answer:
    if page.cut:
        raise ToolFailed(f"The answer of {who.removeprefix('The ')} was cut after {len(page.data)} bytes.")
    try:
        return msgspec.json.decode(page.data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ToolFailed(f"{who} answered with something else than results.", hint="Check its url.") from None
