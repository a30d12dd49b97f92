"""`fetch` gives the text of a page, `web_search` short results; whatever fails is told as data."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from smidgen.errors import InvalidRequest
from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import FunctionTool
from smidgen.tools.web import Hit, Limits, Page
from smidgen.tools.web.fetch import MAX_CHARACTERS, fetch_tool
from smidgen.tools.web.providers import Brave, DuckDuckGo, SearXNG, provider
from smidgen.tools.web.search import search_tool
from smidgen.tools.web.text import decoded, one_line, without_controls

Reply = Callable[..., bytes]
URL = "http://example.test/"

ARTICLE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>The  harbour &amp; its cranes</title>
<style>p { color: red }</style><script>var secret = "script text";</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About this site</a></li></ul></nav>
<article><h1>The harbour &amp; its cranes</h1>
<p>The first crane was built in 1887, when the harbour was still a village of forty houses and one church.</p>
<p>Its arm reached over eleven metres of water, and four men were needed to turn it by hand on windy days.</p>
<p>Nobody knows why it was painted green: the records of that year burned in the fire of the customs house.</p>
<table><tr><th>Year</th><th>Cranes</th></tr><tr><td>1887</td><td>1</td></tr></table></article>
<footer>Copyright of nobody. All cookies are eaten.</footer></body></html>"""


async def fetched(internet: Any, page: bytes, **limits: Any) -> ToolOutcome:
    internet.answers["/"] = page
    return await fetch_tool(internet.client(limits=Limits(**limits))).call({"url": URL})


async def test_a_page_comes_as_its_title_and_main_text(internet: Any, answer: Reply) -> None:
    outcome = await fetched(internet, answer(ARTICLE, kind="text/html; charset=utf-8"))
    assert outcome.ok and outcome.text == outcome.value and outcome.text.startswith("The harbour & its cranes\n")
    for there in ("built in 1887", "eleven metres", "painted green", "| 1887 | 1 |"):
        assert there in outcome.text
    for away in ("script text", "color: red", "About this site", "cookies", "<p>"):
        assert away not in outcome.text


async def test_a_page_without_main_text_comes_whole_and_that_is_said(internet: Any, answer: Reply) -> None:
    page = "<form><button>Go</button><br><select><option>a</select></form><script>x</script>"
    outcome = await fetched(internet, answer(page, kind="text/html"))
    assert outcome.value == "Go"
    assert "couldn't be told apart" in outcome.text
    for empty in ("", " ", "<html></html>", "<script>x</script>", "<div>" * 100_000):
        outcome = await fetched(internet, answer(empty, kind="text/html"))
        assert not outcome.ok and "has no text" in outcome.text and "scripts" in outcome.text


async def test_text_and_json_come_as_they_are(internet: Any, answer: Reply) -> None:
    for kind, text in (
        ("text/plain", "a  b\n\tc <p>"),
        ("application/json", '{"a": [1, 2]}'),
        ("text/xml", "<a>b</a>"),
    ):
        outcome = await fetched(internet, answer(text, kind=kind))
        assert outcome.ok and outcome.value == outcome.text == text


async def test_cuts_and_redirects_are_told(internet: Any, answer: Reply, leads_to: Reply) -> None:
    outcome = await fetched(internet, answer("x" * (MAX_CHARACTERS + 5)))
    assert len(outcome.value) == MAX_CHARACTERS and f"first {MAX_CHARACTERS} of {MAX_CHARACTERS + 5}" in outcome.text
    outcome = await fetched(internet, answer("0123456789"), bytes=4)
    assert outcome.value == "0123" and "[cut: only the first 4 bytes" in outcome.text
    internet.answers["/there"] = answer("text")
    outcome = await fetched(internet, leads_to("http://other.test/there"))
    assert outcome.text == "text\n[redirected to http://other.test/there]"


async def test_a_page_that_takes_too_long_to_read_is_given_up(internet: Any, answer: Reply) -> None:
    internet.answers["/"] = answer("<p>x y</p>" * 20_000, kind="text/html")
    outcome = await fetch_tool(internet.client(), extraction_s=0.01).call({"url": URL})
    assert not outcome.ok and "within 0.01 seconds" in outcome.text


@pytest.mark.parametrize(
    ("url", "fault", "said"),
    [
        ("example.test", "arguments", "in full"),
        ("file:///etc/passwd", "arguments", "Only http and https"),
        ("http://127.1/", "arguments", "usual form"),
        ("http://localhost/", "world", "this computer or its network"),
        ("http://unknown.test/", "world", "no host called"),
        ("http://example.test/missing", "world", "answered 404. Check the address."),
        ("http://example.test/error", "world", "answered 503. Try later."),
        ("http://example.test/image", "world", "image/png, not text"),
    ],
)
async def test_failures_say_whose_fault_it_is(internet: Any, answer: Reply, url: str, fault: str, said: str) -> None:
    internet.answers["/error"] = answer("", status="503 Service Unavailable")
    internet.answers["/image"] = answer("", kind="image/png")
    outcome = await fetch_tool(internet.client()).call({"url": url})
    assert not outcome.ok and outcome.fault == fault and said in outcome.text
    assert internet.trapped == 0


def test_the_tools_say_whom_they_ask(internet: Any) -> None:
    fetch = fetch_tool(internet.client())
    assert fetch.uses({"url": "https://Example.com.:444/x"}) == (Use(verb="fetch", host="example.com"),)
    for arguments in ({}, {"url": "nonsense"}, {"url": 5}, {"url": None}, {"other": "x"}, {"url": "http://u@e.com"}):
        assert fetch.uses(arguments) == (Use(verb="fetch", host=""),)
    for asked, host in (
        (SearXNG("http://localhost:8888/searx/", internet.client()), "localhost"),
        (Brave("key", internet.client()), "api.search.brave.com"),
        (DuckDuckGo(), "html.duckduckgo.com"),
    ):
        assert search_tool(asked).uses({}) == (Use(verb="fetch", host=host),)
    for tool, name in ((fetch, "fetch"), (search_tool(DuckDuckGo()), "web_search")):
        assert tool.spec.name == name and len(tool.spec.description) < 40 and tool.effect == "read"


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("é".encode(), "", "é"),
        ("é".encode("latin-1"), "iso-8859-1", "é"),
        (b"\x80", "iso-8859-1", "€"),
        (b'<meta charset="windows-1251">\xcf', "", "П"),
        (b"<meta http-equiv=x content='text/html; charset=shift_jis'>\x83\x65", "", "テ"),
        (b'<meta charset="windows-1251">\xc3\xa9', "utf-8", "é"),
        (b"\xef\xbb\xbf\xc3\xa9", "iso-8859-1", "é"),
        ("é".encode("utf-16"), "", "é"),
        (b"<meta charset=utf-16>\xc3\xa9", "", "é"),
        (b"a\xffb", "", "a\ufffdb"),
        (b"caf\xe9", "no-such-thing", "caf\ufffd"),
        *(
            (b"x+AGE-", label, "x+AGE-")
            for label in ("utf-7", "punycode", "idna", "unicode_escape", "rot13", "zip", "hex")
        ),
    ],
)
def test_bytes_become_text_by_mark_header_meta_or_utf_8(data: bytes, charset: str, text: str) -> None:
    assert decoded(data, charset).rpartition(">")[2] == text


def test_what_cannot_be_seen_is_left_out() -> None:
    assert (
        without_controls("a\x00b\x1b[1mc\u202ed\U000e0041e\r\nf\u200dg\ufeff\n\n \n\nh\t ") == "ab[1mcde\nf\u200dg\n\nh"
    )
    assert one_line("<b>1 &lt; 2</b> &amp;\n a<b && c>d <!-- x -->&#8203;&nbsp;e", 99) == "1 < 2 & ad e"
    assert one_line("x" * 300, 200) == "x" * 199 + "…"
    one_line("<a" * 500_000 + "<!--" * 500_000, 9)


FOUND = [
    {
        "title": "Oslo <b>weather</b>",
        "url": "https://yr.test/oslo#now",
        "content": "Rain &amp; wind.\x00" + " more" * 99,
    },
    {"title": "The same", "url": "https://YR.test/oslo", "content": "again"},
    {"title": None, "url": "http://second.test/?q=ü", "content": None, "other": {"score": 1}},
    {"title": "Bad", "url": "javascript:alert(1)", "content": "x"},
]


async def searched(tool: FunctionTool, query: str = "weather in Oslo", **more: Any) -> ToolOutcome:
    return await tool.call({"query": query, **more})


@pytest.fixture
def searxng(internet: Any) -> FunctionTool:
    internet.connect_to["127.0.0.1", 8888] = internet.connect_to["93.184.216.34", 80]
    return search_tool(SearXNG("http://localhost:8888/searx/", internet.client(allow_hosts={"localhost"})))


async def test_results_are_short_numbered_and_plain(internet: Any, answer: Reply, searxng: FunctionTool) -> None:
    internet.answers["/searx/search"] = answer(json.dumps({"query": "x", "results": FOUND}), kind="application/json")
    outcome = await searched(searxng, "  weather\nin  Oslo&x ")
    assert internet.requests[0].startswith("GET /searx/search?q=weather+in+Oslo%26x&format=json HTTP")
    assert outcome.ok and [hit["url"] for hit in outcome.value] == [
        "https://yr.test/oslo",
        "http://second.test/?q=%C3%BC",
    ]
    lines = outcome.text.split("\n")
    assert (
        lines[0] == "1. Oslo weather (yr.test)" and lines[1].startswith("   Rain & wind. more") and len(lines[1]) <= 203
    )
    assert lines[2:] == [
        "   https://yr.test/oslo",
        "2. second.test (second.test)",
        "   http://second.test/?q=%C3%BC",
        "[1 result was left out: no address that can be fetched]",
    ]
    assert len((await searched(searxng, results=1)).value) == 1
    assert len((await searched(searxng, results=-5)).value) == 1
    internet.answers["/searx/search"] = answer('{"results": []}', kind="application/json")
    outcome = await searched(searxng)
    assert outcome.ok and outcome.value == [] and outcome.text == "There are no results for 'weather in Oslo'."
    for query in ("", " \n", "x" * 401):
        assert (await searched(searxng, query)).fault == "arguments"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("403 Forbidden", "", '"formats"'),
        ("429 Too Many Requests", "", "too often; try later"),
        ("500 Oops", "", "try later"),
        ("404 Not Found", "", "Check its url"),
        ("200 OK", "<html>", "something else than results"),
        ("200 OK", '{"results": 5}', "something else than results"),
        ("200 OK", "[" * 100_000, "something else than results"),
        ("200 OK", b'{"results": [{"title": "\xff"}]}', "something else than results"),
    ],
)
async def test_a_searxng_that_fails_says_what_to_do(
    internet: Any, answer: Reply, searxng: FunctionTool, status: str, body: Any, said: str
) -> None:
    internet.answers["/searx/search"] = answer(body, status=status, kind="application/json")
    outcome = await searched(searxng)
    assert not outcome.ok and outcome.fault == "world" and said in outcome.text and "localhost" in outcome.text


async def test_brave_is_asked_with_its_key_and_nobody_else_gets_it(secure: Any, answer: Reply, leads_to: Reply) -> None:
    path = "/res/v1/web/search"
    tool = search_tool(Brave("KEY-1", secure.client()))
    found = [{"title": hit["title"], "url": hit["url"], "description": hit["content"]} for hit in FOUND]
    secure.answers[path] = answer(json.dumps({"web": {"results": found}}), kind="application/json")
    outcome = await searched(tool)
    assert outcome.ok and outcome.text.startswith("1. Oslo weather (yr.test)\n   Rain & wind.")
    assert secure.requests[0].startswith(f"GET {path}?q=weather+in+Oslo&count=5 HTTP")
    assert "X-Subscription-Token: KEY-1\r\n" in secure.requests[0]
    secure.answers[path] = answer('{"type": "search"}', kind="application/json")
    assert (await searched(tool)).value == []
    invalid = '{"error": {"code": "SUBSCRIPTION_TOKEN_INVALID"}}'
    for status, body, said in (
        ("401 Unauthorized", "", "the key"),
        ("403 Forbidden", "", "the key"),
        ("422 Unprocessable", invalid, "the key"),
        ("429 Too Many Requests", "", "try later"),
    ):
        secure.answers[path] = answer(body, status=status, kind="application/json")
        outcome = await searched(tool)
        assert not outcome.ok and said in outcome.text and "KEY-1" not in outcome.text
    secure.answers[path] = leads_to("https://secure.test/elsewhere")
    await searched(tool)
    assert "elsewhere" in secure.requests[-1] and "KEY-1" not in secure.requests[-1]
    secure.names["api.search.brave.com"] = []
    assert "is online" in (await searched(tool)).text


async def test_duckduckgo_is_asked_through_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import ddgs
    from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

    asked: list[Any] = []
    result: Any = [{"title": "T", "href": "https://t.test/", "body": "B"}]

    class Package:
        def __init__(self, **settings: Any) -> None:
            asked.append(settings)

        def text(self, query: str, **more: Any) -> Any:
            asked.append({"query": query, **more})
            if isinstance(result, Exception):
                raise result
            return result

    monkeypatch.setattr(ddgs, "DDGS", Package)
    tool = search_tool(DuckDuckGo())
    outcome = await searched(tool)
    assert outcome.text == "1. T (t.test)\n   B\n   https://t.test/"
    assert asked[1]["backend"] == "duckduckgo" and asked[1]["max_results"] == 5
    for error, said in (
        (DDGSException("No results found."), "asked too often"),
        (DDGSException("ConnectError: x"), "can't be reached"),
        (RatelimitException("x"), "Try later"),
        (TimeoutException("x"), "too long"),
        (ValueError("x"), "ValueError"),
    ):
        result = error
        outcome = await searched(tool)
        assert not outcome.ok and outcome.fault == "world" and said in outcome.text


def test_the_package_of_duckduckgo_is_called_as_it_is() -> None:
    """What is passed to it exists there: the stand-in above would take anything."""
    from ddgs.ddgs import DDGS
    from ddgs.engines import ENGINES

    engine = ENGINES["text"]["duckduckgo"]
    assert engine.search_url.split("/")[2] == DuckDuckGo.host
    inspect.signature(DDGS).bind(timeout=8)
    inspect.signature(DDGS.text).bind(None, "query", region="wt-wt", max_results=5, backend="duckduckgo")


def test_a_provider_is_chosen_by_name() -> None:
    assert isinstance(provider("searxng", url="http://localhost:8888"), SearXNG)
    assert isinstance(provider("brave", key="k"), Brave)
    assert isinstance(provider("ddgs"), DuckDuckGo)
    for wrong, said in (
        ({"name": "searxng"}, "needs a url"),
        ({"name": "searxng", "url": "localhost:8888"}, "in full"),
        ({"name": "brave"}, "needs a key"),
        ({"name": "brave", "key": "a\nb"}, "can't be one"),
        ({"name": "searx"}, "Did you mean searxng?"),
        ({"name": "google"}, "searxng, brave, ddgs"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            provider(**wrong)
        assert said in str(caught.value)


def test_the_data_is_what_it_says() -> None:
    assert Hit(title="t", url="u").snippet == ""
    assert Page(url="u", status=200, kind="text/plain", charset="", data=b"").redirects == ()
