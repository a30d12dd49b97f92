"""Connections that break, and a server that is killed: the page goes on, without a gap and without repeating."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, expect

Open = Callable[..., Any]


def test_a_stream_that_breaks_off_goes_on_where_it_was(open_page: Open, server: Any) -> None:
    first = open_page(tools=[], temperature=0, max_tokens=40)
    first.ask("Name four rivers, one a line.")
    text = first.answer()
    asked: list[str] = []
    reader = open_page()

    def broken(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        whole = route.fetch().text()
        blocks = whole.split("\n\n")
        cut = "\n\n".join(blocks[: len(blocks) // 2]) + "\n\n" + blocks[len(blocks) // 2][:20]
        route.fulfill(status=200, content_type="text/event-stream", body=cut)

    going_on = json.dumps({"id": "", "session": "", "agent": "assistant", "model": "", "status": "running"})
    reader.page.route("**/events?after=*", broken)
    reader.page.route(
        "**/v1/agents/runs/*", lambda route: route.fulfill(content_type="application/json", body=going_on), times=1
    )
    reader.page.goto(f"{server.url}/{first.page.evaluate('location.hash')}")
    assert reader.answer() == text
    assert len(asked) == 2 and asked[0].endswith("after=0")
    last = int(asked[1].rpartition("=")[2])
    assert last > 3
    tokens = first.page.evaluate("() => document.querySelector('.exchange:last-child .md').textContent.length")
    assert tokens == reader.page.evaluate("() => document.querySelector('.exchange:last-child .md').textContent.length")


def test_a_killed_server_is_waited_for_and_then_used_again(open_page: Open, own_server: Any, watched: Any) -> None:
    reader = open_page(tools=[], max_tokens=2000)
    page = reader.page
    reader.ask("Count from 1 to 500, one number a line.")
    reader.latest.locator(".md > *").first.wait_for()
    own_server.stop(signal.SIGKILL)
    expect(page.locator("#link")).to_have_text("Reconnecting")
    expect(page.locator("#banner")).to_contain_text("goes on by itself")
    expect(reader.latest.locator(".phase")).to_contain_text("reconnecting")
    before = reader.latest.locator(".md").inner_text()
    own_server.start()
    expect(page.locator("#link")).to_have_text("Connected", timeout=20_000)
    expect(page.locator("#banner")).to_be_hidden()
    expect(reader.latest.locator(".notes")).to_contain_text("The server was stopped while it answered.", timeout=20_000)
    assert reader.latest.locator(".md").inner_text().startswith(before)
    page.get_by_label("Your question").fill("")
    page.evaluate("localStorage.removeItem('smidgen.tools')")
    page.reload()
    expect(reader.latest.locator(".question")).to_have_text("Count from 1 to 500, one number a line.")
    expect(reader.latest.locator(".notes")).to_contain_text("The server was stopped while it answered.")
    reader.ask("Say hello.")
    reader.answer()
    watched.errors.clear()  # the browser itself tells of connections that are refused
