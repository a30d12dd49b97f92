"""The page's files: their types, what they may ask for, and how long they are kept."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import cast

import httpx2
import pytest
from fastapi import FastAPI

from smidgen.api.page import page_response, routes
from smidgen.api.page.assets import TYPES, Assets
from smidgen.api.service import Service


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    app = FastAPI()
    app.include_router(routes(cast(Service, None)))
    app.add_api_route("/", page_response)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_the_page_may_ask_nothing_of_others(client: httpx2.AsyncClient) -> None:
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=|//[a-z]", page.text)


async def test_everything_that_is_linked_and_imported_is_there_for_good(client: httpx2.AsyncClient) -> None:
    page = await client.get("/")
    waiting = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text))
    seen: set[str] = set()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        answer = await client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", address
        ending = address.partition("?")[0].rpartition(".")[2]
        assert answer.headers["content-type"] == TYPES[ending]
        if ending == "js":
            found = re.findall(r"""(?:from|import) ["']\./([^"']+)""", answer.text)
            waiting |= {f"/page/{name}" for name in found} - seen
    modules = {address.partition("?")[0].removeprefix("/page/") for address in seen}
    assert modules == {name for name in Assets()._sources if name != "index.html"}  # pyright: ignore[reportPrivateUsage]


async def test_another_version_is_asked_for_each_time(client: httpx2.AsyncClient) -> None:
    for address in ("/", "/page/main.js", "/page/main.js?v=0123456789abcdef"):
        answer = await client.get(address)
        assert answer.headers["cache-control"] == "no-cache", address
    known = (await client.get("/page/main.js")).headers["etag"]
    again = await client.get("/page/main.js", headers={"if-none-match": known})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2fassets.py", "%2e%2e/assets.py", "main.js%00"])
async def test_nothing_else_is_there(client: httpx2.AsyncClient, name: str) -> None:
    assert (await client.get(f"/page/{name}")).status_code == 404


async def test_heads_are_answered(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/page/base.css")).status_code == 200
