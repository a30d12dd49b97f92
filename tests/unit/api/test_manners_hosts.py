"""Who may call the server by which name, and from which page."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from smidgen.api.manners import stack
from smidgen.api.manners.authority import Authority, is_loopback, origin, parsed
from smidgen.config import Serve

LAN = Serve(host="192.168.1.5", keys=("k",))
WILD = Serve(host="0.0.0.0", keys=("k",), hosts=("box.lan", "Other.example:9000"))
NAMED = Serve(origins=("https://app.example", "vscode-webview://abc", "null"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept")]})
    await send({"type": "http.response.body", "body": b"secret", "more_body": False})


async def asked(serve: Serve, headers: Any, method: str = "GET", path: str = "/v1/models") -> httpx2.Response:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if serve.keys:
        pairs = [*pairs, ("authorization", f"Bearer {serve.keys[0]}")]
    transport = httpx2.ASGITransport(app=stack(app, serve))
    async with httpx2.AsyncClient(transport=transport, base_url="http://unused") as client:
        return await client.request(method, path, headers=pairs)


@pytest.mark.parametrize(
    ("serve", "host", "status"),
    [
        (Serve(), "localhost", 200),
        (Serve(), "localhost:8012", 200),
        (Serve(), "LocalHost.:8012", 200),
        (Serve(), "page.localhost:8012", 200),
        (Serve(), "127.0.0.1:8012", 200),
        (Serve(), "127.9.8.7", 200),
        (Serve(), "[::1]:8012", 200),
        (Serve(), "[0:0:0:0:0:0:0:1]", 200),
        (Serve(), "[::ffff:127.0.0.1]", 200),
        (Serve(), "evil.com", 403),
        (Serve(), "evil.com:8012", 403),
        (Serve(), "localhost.evil.com", 403),
        (Serve(), "notlocalhost", 403),
        (Serve(), "127.0.0.1.evil.com", 403),
        (Serve(), "127.1", 403),
        (Serve(), "192.168.1.5", 403),
        (Serve(), "0.0.0.0", 403),
        (Serve(), "127.0.0.1:8012@evil", 400),
        (Serve(), "evil@127.0.0.1", 400),
        (Serve(), "", 400),
        (Serve(), ":8012", 400),
        (Serve(), "localhost:99999", 400),
        (Serve(), "localhost:80x", 400),
        (Serve(), "localhost/evil", 400),
        (Serve(), "localhost, evil.com", 400),
        (Serve(), "[::1", 400),
        (Serve(), "[::zz]", 400),
        (Serve(), "::1", 400),
        (Serve(), "." * 5000, 400),
        (LAN, "192.168.1.5:8012", 200),
        (LAN, "10.0.0.1", 200),
        (LAN, "localhost", 200),
        (LAN, "evil.com", 403),
        (WILD, "192.168.1.5", 200),
        (WILD, "[fe80::1]:8012", 200),
        (WILD, "box.lan:8012", 200),
        (WILD, "other.EXAMPLE", 200),
        (WILD, "sub.box.lan", 403),
        (Serve(host="mybox.lan", keys=("k",)), "mybox.lan:8012", 200),
    ],
)
async def test_hosts(serve: Serve, host: str, status: int) -> None:
    answer = await asked(serve, {"host": host})
    assert answer.status_code == status
    assert ("secret" in answer.text) == (status == 200)


async def test_a_host_outside_ascii_is_refused() -> None:
    assert (await asked(Serve(), [(b"host", "löcalhost".encode())])).status_code == 400
    assert (await asked(Serve(), [(b"host", "١٢٧.0.0.1".encode())])).status_code == 400


async def test_two_hosts_are_refused_even_if_both_are_fine() -> None:
    answer = await asked(Serve(), [("host", "localhost"), ("host", "localhost")])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_host"


async def test_no_host_is_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/api/tags", "headers": [], "query_string": b""}
    await stack(app, Serve())(scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("http://localhost:8012", 200),
        ("http://LOCALHOST:8012", 200),
        ("https://localhost:8012", 403),
        ("http://localhost:3000", 403),
        ("http://localhost", 403),
        ("http://evil.com", 403),
        ("http://localhost:8012.evil.com", 403),
        ("http://localhost:8012@evil.com", 403),
        ("http://localhost:8012/", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("chrome-extension://abc", 403),
    ],
)
async def test_origins_when_none_is_named(sent: str, status: int, method: str) -> None:
    answer = await asked(Serve(), {"host": "localhost:8012", "origin": sent}, method)
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_usual_port_need_not_be_said() -> None:
    assert (await asked(Serve(), {"host": "localhost", "origin": "http://localhost"})).status_code == 200
    assert (await asked(Serve(), {"host": "localhost:80", "origin": "http://localhost"})).status_code == 200


async def test_two_origins_are_refused_even_if_one_is_fine() -> None:
    pairs = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.com")]
    assert (await asked(Serve(), pairs)).status_code == 403


@pytest.mark.parametrize(
    ("method", "site", "status"),
    [("POST", "cross-site", 403), ("DELETE", "cross-site", 403), ("GET", "cross-site", 200), ("POST", "none", 200)],
)
async def test_cross_site_requests_without_an_origin(method: str, site: str, status: int) -> None:
    headers = {"host": "localhost", "sec-fetch-site": site}
    assert (await asked(Serve(), headers, method)).status_code == status
    allowed = {**headers, "origin": "https://app.example"}
    assert (await asked(NAMED, allowed, method)).status_code == 200


@pytest.mark.parametrize(
    "sent", ["https://app.example", "https://APP.example:443", "vscode-webview://abc", "null", "http://localhost"]
)
async def test_named_origins_may_call(sent: str) -> None:
    assert (await asked(NAMED, {"host": "localhost", "origin": sent}, "POST")).status_code == 200


async def test_named_origins_may_read() -> None:
    answer = await asked(NAMED, {"host": "localhost", "origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers.get_list("vary", split_commas=True) == ["Accept", "Origin"]


@pytest.mark.parametrize("sent", ["http://app.example", "https://app.example:8443", "https://sub.app.example"])
async def test_others_than_the_named_may_not(sent: str) -> None:
    answer = await asked(NAMED, {"host": "localhost", "origin": sent})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_caches_are_told_that_the_answer_depends_on_the_origin() -> None:
    answer = await asked(NAMED, {"host": "localhost"})
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in answer.headers


async def test_everyone_may_call_but_without_credentials() -> None:
    answer = await asked(Serve(origins=("*",)), {"host": "localhost", "origin": "http://any.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_everyone_still_needs_a_right_host() -> None:
    answer = await asked(Serve(origins=("*",)), {"host": "evil.com", "origin": "http://evil.com"})
    assert answer.status_code == 403


PREFLIGHT = {
    "host": "localhost",
    "origin": "https://app.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type",
}


async def test_a_preflight_is_answered_without_a_key() -> None:
    transport = httpx2.ASGITransport(app=stack(app, Serve(origins=("https://app.example",), keys=("k",))))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.options("/v1/chat/completions", headers=PREFLIGHT)
        refused = await client.post("/v1/chat/completions", headers={"origin": "https://app.example"})
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-private-network" not in answer.headers
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_preflight_may_ask_for_a_private_network() -> None:
    asking = {**PREFLIGHT, "access-control-request-private-network": "true"}
    assert (await asked(NAMED, asking, "OPTIONS")).headers["access-control-allow-private-network"] == "true"


async def test_a_preflight_of_another_page_is_refused() -> None:
    answer = await asked(NAMED, {**PREFLIGHT, "origin": "http://evil.com"}, "OPTIONS")
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("asking", ["x" * 3000, "a b", "a;b", "é"])
async def test_what_a_preflight_asks_for_is_not_echoed_blindly(asking: str) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in PREFLIGHT.items()]
    pairs[-1] = (pairs[-1][0], asking.encode())
    answer = await asked(NAMED, pairs, "OPTIONS")
    assert answer.status_code == 400
    assert "access-control-allow-headers" not in answer.headers


async def test_options_without_a_preflight_go_to_the_routes() -> None:
    answer = await asked(NAMED, {"host": "localhost", "origin": "https://app.example"}, "OPTIONS")
    assert answer.text == "secret"


async def test_a_refusal_has_the_shape_of_its_path() -> None:
    answer = await asked(Serve(), {"host": "evil.com"}, path="/api/tags")
    assert "evil.com" in answer.json()["error"]
    assert "--allow-host" in answer.json()["error"]


def test_authorities() -> None:
    assert parsed("Example.com.:80") == Authority("example.com", 80)
    assert parsed("[::FFFF:10.0.0.1]") == Authority("10.0.0.1")
    assert parsed("a\n") is None
    assert origin("HTTPS://a") == ("https", Authority("a", 443))
    assert origin("null") is None


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "", "192.168.0.1", "example.com", "localhost.example.com"])
def test_what_is_not_this_computer(name: str) -> None:
    assert not is_loopback(name)
