"""Keys: when they are needed, where they may stand, what is open without."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from smidgen.api.manners import require_keys, stack
from smidgen.config import Serve
from smidgen.errors import ConfigError

SERVE = Serve(keys=("first-key", "schlüssel-ключ", "naïve"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret", "more_body": False})


async def asked(serve: Serve, headers: Any = (), path: str = "/v1/models", method: str = "GET") -> httpx2.Response:
    pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    transport = httpx2.ASGITransport(app=stack(app, serve))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=pairs)


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer first-key")],
        [("authorization", "bearer   first-key ")],
        [("x-api-key", "first-key")],
        [("x-api-key", "schlüssel-ключ")],
        [("authorization", "Bearer naïve")],
        [("authorization", "Bearer naïve".encode("latin-1"))],
        [("authorization", "Bearer "), ("x-api-key", "first-key")],
        [("authorization", "Bearer other"), ("x-api-key", "first-key")],
    ],
)
async def test_a_right_key_lets_in(headers: Any) -> None:
    assert (await asked(SERVE, headers)).text == "secret"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer")],
        [("authorization", "")],
        [("authorization", "first-key")],
        [("authorization", "Basic first-key")],
        [("authorization", "Bearer first-ke")],
        [("authorization", "Bearer first-key2")],
        [("authorization", "Bearer FIRST-KEY")],
        [("authorization", "Bearer first-key, first-key")],
        [("x-api-key", "Bearer first-key")],
        [("x-api-key", "")],
        [("x-api-key", b"\xff\xfe")],
        [("authorization", "Bearer ключ")],
        [("cookie", "key=first-key")],
    ],
)
async def test_a_wrong_key_does_not(headers: Any) -> None:
    answer = await asked(SERVE, headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "first-key" not in answer.text


@pytest.mark.parametrize("headers", [[], [("authorization", "Bearer ")], [("authorization", "Bearer whatever")]])
async def test_without_keys_on_loopback_anything_is_accepted(headers: Any) -> None:
    assert (await asked(Serve(), headers)).status_code == 200


async def test_off_loopback_nobody_gets_in_without_a_key() -> None:
    assert (await asked(Serve(host="0.0.0.0"), [("authorization", "Bearer ")])).status_code == 401


async def test_an_empty_key_lets_nobody_in() -> None:
    assert (await asked(Serve(keys=("", " ")), [("authorization", "Bearer ")])).status_code == 401
    assert (await asked(Serve(keys=("", " ")), [("x-api-key", "")])).status_code == 401


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/deep/app.css", "/health", "/v1/health", "/health?a=b"])
async def test_what_holds_no_data_is_open(path: str) -> None:
    assert (await asked(SERVE, path=path)).status_code == 200
    assert (await asked(SERVE, path=path, method="HEAD")).status_code == 200
    assert (await asked(SERVE, path=path, method="POST")).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/page", "/pages", "/metrics", "/health/", "/slots", "/api/tags", "/page/%2e%2e/v1/models", "/%2fhealth", "/docs"],
)
async def test_all_else_is_not(path: str) -> None:
    assert (await asked(SERVE, path=path)).status_code == 401


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/messages", "authentication_error"),
        ("/v1/models", "invalid_request_error"),
        ("/props", "authentication_error"),
    ],
)
async def test_a_refusal_has_the_shape_of_its_path(path: str, kind: str) -> None:
    assert (await asked(SERVE, path=path)).json()["error"]["type"] == kind


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "box.lan"])
def test_the_server_must_not_start_open_to_others(host: str) -> None:
    with pytest.raises(ConfigError, match="no key") as caught:
        require_keys(Serve(host=host))
    assert "--key" in caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "0.0.0.0"])
def test_the_server_may_start(host: str) -> None:
    require_keys(Serve(host=host, keys=("k",)))
    if host != "0.0.0.0":
        require_keys(Serve(host=host))


@pytest.mark.parametrize("keys", [("",), ("good", "  ")])
def test_an_empty_key_is_a_mistake(keys: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="empty"):
        require_keys(Serve(keys=keys))
