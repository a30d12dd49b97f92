"""Tools in a browser: which are given, and calls that a person allows or refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

Open = Callable[..., Any]
WRITE = {"tools": ["write_file"]}


def test_a_call_that_is_allowed_runs(open_page: Open, server: Any) -> None:
    reader = open_page(**WRITE)
    page = reader.page
    reader.ask("Write 'buy milk' to allowed.txt")
    dialog = page.get_by_role("dialog", name="Allow write_file?")
    expect(dialog).to_be_visible()
    expect(page.locator("#approval-title")).to_be_focused()
    expect(page.locator("#approval-preview")).to_contain_text("+buy milk")
    expect(page.locator("#approval-reason")).to_contain_text("it changes something")
    expect(page.locator(".session .dot")).to_be_visible()
    assert not (server.workspace / "allowed.txt").exists()
    dialog.get_by_role("button", name="Allow once").click()
    reader.answer()
    assert (server.workspace / "allowed.txt").read_text().strip() == "buy milk"
    expect(reader.latest.locator(".call")).to_have_attribute("data-state", "ok")
    expect(reader.explain().locator(".story")).to_contain_text("Asked for your yes or no: it changes something.")


def test_escape_refuses_and_nothing_is_written(open_page: Open, server: Any) -> None:
    reader = open_page(**WRITE)
    reader.ask("Write 'buy milk' to refused.txt")
    expect(reader.page.locator("#approval")).to_be_visible()
    reader.page.keyboard.press("Enter")  # a key that was typed by chance decides nothing
    expect(reader.page.locator("#approval")).to_be_visible()
    reader.page.keyboard.press("Escape")
    expect(reader.page.locator("#approval")).to_be_hidden()
    assert "not approve" in reader.answer()
    assert not (server.workspace / "refused.txt").exists()
    expect(reader.latest.locator(".call-state")).to_have_text("refused")


def test_a_second_window_that_was_quicker_is_told_of(open_page: Open, server: Any) -> None:
    reader = open_page(**WRITE)
    reader.ask("Write 'buy milk' to elsewhere.txt")
    expect(reader.page.locator("#approval")).to_be_visible()
    other = open_page(address=f"/{reader.page.evaluate('location.hash')}")
    expect(other.page.locator("#approval")).to_be_visible()
    other.page.get_by_role("button", name="Refuse", exact=True).click()
    expect(reader.page.locator("#approval")).to_be_hidden()
    reader.answer()
    assert "answered elsewhere" in reader.told()
    assert "elsewhere" not in other.told()
    assert not (server.workspace / "elsewhere.txt").exists()


def test_a_call_still_waits_after_a_reload(open_page: Open, server: Any) -> None:
    reader = open_page(**WRITE)
    reader.ask("Write 'buy milk' to later.txt")
    expect(reader.page.locator("#approval")).to_be_visible()
    reader.page.reload()
    expect(reader.page.locator("#approval-preview")).to_contain_text("+buy milk")
    reader.page.get_by_role("button", name="Allow once").click()
    reader.answer()
    assert (server.workspace / "later.txt").exists()


def test_in_a_dry_run_nobody_is_asked_and_nothing_changes(open_page: Open, server: Any) -> None:
    reader = open_page(**WRITE)
    page = reader.page
    page.get_by_role("button", name="Choose tools.").click()
    page.get_by_role("switch", name="Dry run").check()
    page.get_by_role("button", name="Close tools and settings").click()
    reader.ask("Write 'buy milk' to dry.txt")
    assert "Dry run" in reader.answer()
    assert not (server.workspace / "dry.txt").exists()
    page.locator("#dry-chip").click()
    expect(page.locator("#dry-chip")).to_be_hidden()


def test_tools_are_given_one_by_one_or_in_groups(open_page: Open) -> None:
    reader = open_page()
    page = reader.page
    expect(page.locator("#tools-chip")).to_have_text("5 tools")
    page.get_by_role("button", name="Choose tools.").click()
    files = page.locator(".group", has_text="Files of the workspace.")
    files.locator("summary").click()
    expect(files.locator("li", has_text="write_file")).to_contain_text("changes things")
    expect(files.locator("li", has_text="read_file")).to_contain_text("reads")
    files.get_by_label("All of Files").check()
    expect(page.locator("#tools-chip")).to_have_text("12 tools")
    files.locator("li", has_text="undo_write").locator("input").uncheck()
    assert files.get_by_label("All of Files").evaluate("box => box.indeterminate")
    page.get_by_label("All of General").uncheck()
    page.get_by_label("All of Dates").uncheck()
    with page.expect_request("**/v1/agents/assistant/runs") as sent:
        reader.ask("Is there a file called nothing.txt?")
    tools = json.loads(sent.value.post_data)["tools"]
    assert sorted(tools) == ["edit_file", "list_files", "look_up", "read_file", "search_files", "write_file"]
    page.get_by_role("button", name="Stop the answer").click()
    page.get_by_role("button", name="Back to the agent's own").click()
    expect(page.locator("#tools-chip")).to_have_text("5 tools")
    reader.answer()
