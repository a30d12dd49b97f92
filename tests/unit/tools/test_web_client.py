"""Nothing but the public internet is reached, whatever the URL, the names and the servers try; and not for long."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.tools.web import ForbiddenAddress, Limits, Page, Unreachable
from smidgen.tools.web.addresses import BadURL

Reply = Callable[..., bytes]
PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"
SHORT = Limits(seconds=0.3)


async def test_a_page_is_got_with_nothing_of_the_users(
    internet: Any, answer: Reply, leads_to: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    internet.answers["/"] = leads_to("/page?q=1", "Set-Cookie: a=b")
    internet.answers["/page"] = answer("hello", kind='Text/HTML; charset="UTF-8"')
    page = await internet.client(tls=None).get("http://Example.test#top")
    assert page == Page(
        url="http://example.test/page?q=1", status=200, kind="text/html", charset="utf-8", data=b"hello",
        redirects=("http://example.test/",),
    )  # fmt: skip
    assert [request.splitlines()[0] for request in internet.requests] == ["GET / HTTP/1.1", "GET /page?q=1 HTTP/1.1"]
    for request in internet.requests:
        headers = {line.partition(":")[0].lower() for line in request.splitlines()[1:] if line}
        assert headers == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert "Host: example.test\r\n" in request and "User-Agent: smidgen/" in request


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://localhost/", "http://localhost./", "http://[::1]/", "http://10.0.0.1/x", "https://127.0.0.1/",
     "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/"],
)  # fmt: skip
async def test_what_is_not_public_is_not_reached(internet: Any, leads_to: Reply, url: str) -> None:
    with pytest.raises(ForbiddenAddress, match="leads to an address of this computer or its network"):
        await internet.client().get(url)
    internet.answers["/"] = leads_to(url)
    with pytest.raises(ForbiddenAddress):
        await internet.client().get("http://example.test/")
    assert internet.trapped == 0


@pytest.mark.parametrize(
    "location",
    ["http://2130706433/", "http://0x7f.1/", "//127.1/", "file:///etc/passwd", "gopher://example.test/", "http://a@example.test/",
     "http://example.test\\@127.0.0.1/", "http://127.0.0.1%00.example.test/"],
)  # fmt: skip
async def test_redirects_that_no_two_parsers_read_alike_are_not_followed(
    internet: Any, leads_to: Reply, location: str
) -> None:
    internet.answers["/"] = leads_to(location)
    with pytest.raises(ToolFailed, match="redirects to what can't be fetched") as caught:
        await internet.client().get("http://example.test/")
    assert not isinstance(caught.value, BadURL)  # the page's fault, not that of the arguments
    assert internet.trapped == 0 and len(internet.requests) == 1


async def test_redirects_end(internet: Any, answer: Reply, leads_to: Reply) -> None:
    internet.answers["/"] = leads_to("/")
    with pytest.raises(ToolFailed, match="more than 5 times"):
        await internet.client().get("http://example.test/")
    assert len(internet.requests) == 6
    internet.answers["/lost"] = answer("", status="302 Found")
    assert (await internet.client().get("http://example.test/lost")).status == 302


async def test_a_name_is_looked_up_once_and_what_it_leads_to_later_does_not_matter(
    internet: Any, answer: Reply, leads_to: Reply
) -> None:
    turns = iter([PUBLIC, "127.0.0.1", PUBLIC, "127.0.0.1"])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [next(turns)]

    internet.answers["/"] = answer("public")
    client = internet.client(resolve=rebinding)
    assert (await client.get("http://rebind.test/")).data == b"public"
    assert asked == ["rebind.test"]
    with pytest.raises(ForbiddenAddress):
        await client.get("http://rebind.test/")
    internet.answers["/again"] = leads_to("http://rebind.test/")
    with pytest.raises(ForbiddenAddress):
        await client.get("http://rebind.test/again")
    assert internet.trapped == 0 and len(internet.requests) == 2


@pytest.mark.parametrize("others", [["127.0.0.1"], ["10.0.0.1"], ["::1"], ["fe80::1%eth0"], ["64:ff9b::a9fe:a9fe"]])
async def test_one_address_that_is_not_public_is_enough(internet: Any, others: list[str]) -> None:
    for ips in ([PUBLIC, *others], [*others, PUBLIC]):
        internet.names["mixed.test"] = ips
        with pytest.raises(ForbiddenAddress):
            await internet.client().get("http://mixed.test/")
    assert internet.trapped == 0 and internet.requests == []


async def test_an_address_that_is_down_is_followed_by_the_next(internet: Any, answer: Reply) -> None:
    unused = await asyncio.start_server(internet.trap, "127.0.0.1", 0)
    internet.connect_to["93.184.216.40", 80] = unused.sockets[0].getsockname()
    unused.close()
    internet.answers["/"] = answer("up")
    internet.names["both.test"] = ["93.184.216.40", PUBLIC]
    assert (await internet.client().get("http://both.test/")).data == b"up"
    internet.names["down.test"] = ["93.184.216.40"]
    with pytest.raises(Unreachable, match=r"down\.test can't be reached"):
        await internet.client().get("http://down.test/")
    with pytest.raises(Unreachable, match="no host called"):
        await internet.client().get("http://unknown.test/")


async def test_hosts_of_the_users_own_are_reached_but_nothing_leads_there(
    internet: Any, answer: Reply, leads_to: Reply
) -> None:
    server = internet.connect_to[PUBLIC, 80]
    internet.connect_to["127.0.0.1", 8888] = server
    client = internet.client(allow_hosts={"LocalHost"})
    internet.answers["/"] = answer("mine")
    assert (await client.get("http://localhost:8888/")).data == b"mine"
    for host in ("127.0.0.1", "10.0.0.1", "[::1]"):
        internet.answers["/away"] = leads_to(f"http://{host}/")
        for url in (f"http://{host}/", "http://localhost:8888/away"):
            with pytest.raises(ForbiddenAddress):
                await client.get(url)
    internet.answers["/in"] = leads_to("http://localhost:8888/")
    with pytest.raises(ForbiddenAddress):
        await client.get("http://example.test/in")
    internet.answers["/out"] = leads_to("http://example.test/in")
    with pytest.raises(ForbiddenAddress):
        await client.get("http://localhost:8888/out")
    assert internet.trapped == 0
    with pytest.raises(InvalidRequest):
        internet.client(allow_hosts={"http://localhost"})


async def test_headers_for_one_origin_are_not_sent_to_another(internet: Any, answer: Reply, leads_to: Reply) -> None:
    internet.answers["/"] = leads_to("/2")
    internet.answers["/2"] = leads_to("http://other.test/3")
    internet.answers["/3"] = leads_to("http://example.test/4")
    internet.answers["/4"] = answer("done")
    await internet.client().get("http://example.test/", headers={"X-Key": "secret"})
    assert ["X-Key" in request for request in internet.requests] == [True, True, False, False]


async def test_a_small_body_that_unpacks_into_a_huge_one_is_cut(internet: Any, answer: Reply) -> None:
    bomb = gzip.compress(bytes(100_000_000), 9)
    internet.answers["/bomb"] = answer(bomb, "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        page = await internet.client().get("http://example.test/bomb")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert page.cut and len(page.data) == Limits().bytes and peak < 5 * Limits().bytes
    internet.answers["/nested"] = answer(gzip.compress(bomb), "Content-Encoding: gzip, gzip")
    internet.answers["/other"] = answer(b"x", "Content-Encoding: br")
    internet.answers["/damaged"] = answer(b"no gzip at all", "Content-Encoding: gzip")
    for path, said in (("/nested", "wasn't asked for"), ("/other", "wasn't asked for"), ("/damaged", "damaged")):
        with pytest.raises(ToolFailed, match=said):
            await internet.client().get(f"http://example.test{path}")
    internet.answers["/fine"] = answer(gzip.compress(b"fine"), "Content-Encoding: gzip")
    page = await internet.client().get("http://example.test/fine")
    assert (page.data, page.cut) == (b"fine", False)
    internet.answers["/half"] = answer(gzip.compress(bytes(range(256)) * 9)[:-9], "Content-Encoding: gzip")
    assert (await internet.client().get("http://example.test/half")).cut


async def test_a_body_is_cut_at_so_many_bytes(internet: Any, answer: Reply) -> None:
    internet.answers["/"] = answer("0123456789")
    for limit, data, cut in ((9, b"012345678", True), (10, b"0123456789", False)):
        page = await internet.client(limits=Limits(bytes=limit)).get("http://example.test/")
        assert (page.data, page.cut) == (data, cut)


async def test_slow_servers_and_names_are_given_up_in_time(internet: Any, leads_to: Reply) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"more ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        await asyncio.sleep(5)

    async def headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def turning(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(leads_to("/turning"))
        await writer.drain()

    internet.answers.update({"/endless": endless, "/silent": silent, "/headers": headers, "/turning": turning})
    began = time.monotonic()
    page = await internet.client(limits=SHORT).get("http://example.test/endless")
    assert page.cut and page.data.startswith(b"more more")
    for path in ("/silent", "/headers", "/turning"):
        with pytest.raises(Unreachable, match=r"more than 0\.3 seconds"):
            await internet.client(limits=SHORT).get(f"http://example.test{path}")

    def slow(host: str, port: int) -> list[str]:
        time.sleep(1)
        return [PUBLIC]

    with pytest.raises(Unreachable, match=r"more than 0\.3 seconds"):
        await internet.client(limits=SHORT, resolve=slow).get("http://example.test/")
    assert time.monotonic() - began < 5 * SHORT.seconds + 1.5


async def test_headers_are_bounded(internet: Any, answer: Reply) -> None:
    internet.answers["/one"] = answer("x", "X: " + "y" * 200_000)
    internet.answers["/many"] = answer("x", *(f"X-{number}: {'y' * 100}" for number in range(700)))
    for path in ("/one", "/many"):
        with pytest.raises(ToolFailed, match="headers"):
            await internet.client().get(f"http://example.test{path}")


async def test_only_text_is_read(internet: Any, answer: Reply) -> None:
    for kind in (
        "image/png",
        "application/octet-stream",
        "application/pdf",
        "video/mp4",
        "multipart/form-data",
        "text/",
    ):
        internet.answers["/"] = answer("data", kind=kind)
        with pytest.raises(ToolFailed, match="not text"):
            await internet.client().get("http://example.test/")
        internet.answers["/"] = answer("data", kind=kind, status="404 Not Found")
        page = await internet.client().get("http://example.test/")
        assert (page.status, page.data) == (404, b"")
    for kind in ("text/csv", "application/json", "application/ld+json", "application/xhtml+xml", "application/rss+xml"):
        internet.answers["/"] = answer("data", kind=kind)
        assert (await internet.client().get("http://example.test/")).kind == kind
    for data, kind in (("<p>x", "text/html"), ("x", "text/plain")):
        internet.answers["/"] = answer(data, kind="")
        assert (await internet.client().get("http://example.test/")).kind == kind
    internet.answers["/"] = answer(b"x\0y", kind="")
    with pytest.raises(ToolFailed, match="isn't text"):
        await internet.client().get("http://example.test/")


async def test_what_is_no_http_and_what_breaks_off_is_told(internet: Any) -> None:
    internet.answers["/ssh"] = b"SSH-2.0-OpenSSH_9.9\r\n"
    internet.answers["/none"] = b""
    internet.answers["/half"] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf"
    for path in ("/ssh", "/none"):
        with pytest.raises(ToolFailed, match="HTTP"):
            await internet.client().get(f"http://example.test{path}")
    page = await internet.client().get("http://example.test/half")
    assert (page.data, page.cut) == (b"half", True)


async def test_a_certificate_has_to_be_for_the_name_and_not_for_the_address(
    secure: Any, answer: Reply, leads_to: Reply
) -> None:
    secure.answers["/"] = answer("safe")
    assert (await secure.client().get("https://secure.test/")).data == b"safe"
    assert secure.server_names == ["secure.test"] and "Host: secure.test\r\n" in secure.requests[0]
    for url in ("https://example.test/", f"https://{PUBLIC}/"):
        with pytest.raises(Unreachable, match="can't prove that it is"):
            await secure.client().get(url)
    with pytest.raises(Unreachable, match="can't prove that it is"):
        await secure.client(tls=ssl.create_default_context()).get("https://secure.test/")
    assert len(secure.requests) == 1
    secure.answers["/down"] = leads_to("http://example.test/")
    with pytest.raises(ToolFailed, match="from https to http"):
        await secure.client().get("https://secure.test/down")
    secure.answers["/up"] = leads_to("https://secure.test/")
    assert (await secure.client().get("http://example.test/up")).url == "https://secure.test/"
