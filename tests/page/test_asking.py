"""Asking in a browser: answers that stream, how they came about, and what can be done with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from playwright.sync_api import Route, expect

Open = Callable[..., Any]
PERCENT = "What is 17.5% of 2,340?"
SHORT = {"tools": [], "temperature": 0, "max_tokens": 24}

WATCH_GROWTH = """() => {
    window.lengths = [];
    new MutationObserver(() => {
        const shown = document.querySelector('.exchange:last-child .md')?.textContent ?? '';
        if (shown && window.lengths.at(-1) !== shown.length) window.lengths.push(shown.length);
    }).observe(document.getElementById('exchanges'), {subtree: true, childList: true, characterData: true});
}"""


def test_an_answer_streams_and_is_the_one_that_the_server_keeps(open_page: Open) -> None:
    reader = open_page(**SHORT)
    reader.page.evaluate(WATCH_GROWTH)
    reader.ask("Name three rivers, one a line.")
    text = reader.answer()
    lengths = reader.page.evaluate("window.lengths")
    assert sum(later > sooner for sooner, later in pairwise(lengths)) > 3
    kept = reader.page.evaluate(
        "() => fetch('/v1/agents/sessions/' + location.hash.slice(1)).then((answer) => answer.json())"
    )
    assert kept["messages"][-1]["role"] == "assistant"
    assert re.findall(r"[^\W\d]+", kept["messages"][-1]["content"]) == re.findall(r"[^\W\d]+", text)
    expect(reader.latest.locator(".figures")).to_contain_text("tokens/s")


def test_it_tells_that_a_rule_answered_and_why(open_page: Open) -> None:
    reader = open_page()
    reader.ask(PERCENT)
    assert "409.5" in reader.answer()
    expect(reader.latest.locator(".strategy")).to_have_text("Answered by a rule")
    call = reader.latest.locator(".call")
    call.locator("summary").click()
    expect(call.locator(".call-text").first).to_contain_text('"expression": "17.5% of 2,340"')
    expect(call.locator(".call-text").last).to_have_text("409.5")
    details = reader.explain()
    expect(details.locator(".story")).to_contain_text("Chose rules: plainly calculator.")
    expect(details.locator(".story")).to_contain_text("The call passed its checks.")
    expect(details).to_contain_text("No model was asked")
    expect(reader.latest.locator(".timeline-bar")).to_have_attribute("aria-label", re.compile("Tools"))


def test_the_context_is_shown_in_figures_that_add_up(open_page: Open) -> None:
    reader = open_page(**SHORT)
    reader.ask("Say hello to a friend.")
    reader.answer()
    details = reader.explain()
    names = ("Cached", "Prefilled", "Answer", "Free", "Context")
    shown = dict(
        zip(
            details.locator(".legend dt").all_inner_texts(),
            details.locator(".legend dd").all_inner_texts(),
            strict=True,
        )
    )
    cached, prefilled, answer, free, context = (int(shown[name].replace(",", "")) for name in names)
    assert cached + prefilled + answer + free == context > 1000
    assert prefilled > 0 and 0 < answer <= SHORT["max_tokens"]
    assert details.locator(".bar-of .part-free").bounding_box()["width"] > 0
    assert {"Queue", "Prefill", "Decode", "Tools", "Verify"} <= set(shown)


def test_a_conversation_is_there_after_a_reload(open_page: Open) -> None:
    reader = open_page()
    reader.ask(PERCENT)
    first = reader.answer()
    reader.page.reload()
    expect(reader.page.locator(".exchange .question")).to_have_text(PERCENT)
    assert reader.answer() == first
    expect(reader.latest.locator(".strategy")).to_have_text("Answered by a rule")
    expect(reader.page.locator(".session[aria-current]")).to_have_text(PERCENT)
    reader.ask("What is 2 + 2?")
    assert "4" in reader.answer()
    expect(reader.page.locator(".exchange")).to_have_count(2)


def test_escape_stops_an_answer_which_is_then_not_remembered(open_page: Open) -> None:
    reader = open_page(tools=[], max_tokens=2000)
    reader.ask("Count from 1 to 500, one number a line.")
    reader.latest.locator(".md p, .md ol").first.wait_for()
    reader.page.keyboard.press("Escape")
    reader.answer()
    assert "Stopped." in reader.told()
    expect(reader.page.get_by_role("button", name="Send")).to_be_visible()
    reader.page.reload()
    expect(reader.latest.locator(".question")).to_have_text("Count from 1 to 500, one number a line.")
    expect(reader.latest.locator(".notes")).to_contain_text("Stopped.")


def test_the_stop_button_does_the_same(open_page: Open) -> None:
    reader = open_page(tools=[], max_tokens=2000)
    reader.ask("Count from 1 to 500, one number a line.")
    reader.page.get_by_role("button", name="Stop the answer").click()
    reader.answer()
    assert "Stopped." in reader.told()


def test_an_answer_is_made_again_in_the_place_of_the_first(open_page: Open) -> None:
    reader = open_page(**SHORT)
    reader.ask("Say hello.")
    reader.answer()
    reader.page.get_by_role("button", name="Answer again").click()
    expect(reader.latest.locator(".receipt")).to_be_hidden()
    reader.answer()
    expect(reader.page.locator(".exchange")).to_have_count(1)
    reader.page.reload()
    reader.answer()
    expect(reader.page.locator(".exchange")).to_have_count(1)


def test_the_last_question_can_be_changed(open_page: Open) -> None:
    reader = open_page()
    reader.ask("What is 2 + 2?")
    reader.answer()
    reader.page.get_by_role("button", name="Change this question").click()
    expect(reader.page.get_by_label("Your question")).to_have_value("What is 2 + 2?")
    reader.ask("What is 20 + 20?")
    assert "40" in reader.answer()
    expect(reader.page.locator(".question")).to_have_text(["What is 20 + 20?"])
    kept = reader.page.evaluate(
        "() => fetch('/v1/agents/sessions/' + location.hash.slice(1)).then((answer) => answer.json())"
    )
    assert [each["content"] for each in kept["messages"] if each["role"] == "user"] == ["What is 20 + 20?"]


def test_an_answer_is_copied_as_it_was_written(open_page: Open) -> None:
    reader = open_page()
    reader.ask(PERCENT)
    reader.answer()
    reader.page.get_by_role("button", name="Copy the answer").click()
    expect(reader.page.locator("#announcer")).to_have_text("Copied.")
    assert reader.page.evaluate("navigator.clipboard.readText()") == "17.5% of 2,340 = 409.5"


def test_settings_are_sent_and_kept(open_page: Open) -> None:
    reader = open_page()
    page = reader.page
    page.get_by_role("button", name="Tools and settings", exact=True).click()
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Tokens at most").fill("12")
    page.get_by_label("Instructions").fill("Be brief.")
    page.get_by_role("button", name="Close tools and settings").click()
    with page.expect_request("**/v1/agents/assistant/runs") as sent:
        reader.ask(PERCENT)
    body = json.loads(sent.value.post_data)
    assert (body["temperature"], body["max_tokens"], body["system"]) == (0.3, 12, "Be brief.")
    reader.answer()
    page.reload()
    expect(page.locator("#max-tokens")).to_have_value("12")


def test_tokens_tell_how_likely_they_were_to_hover_and_keys(open_page: Open) -> None:
    reader = open_page(**SHORT, logprobs=True)
    page = reader.page
    reader.ask("Say hello to a friend.")
    text = reader.answer()
    page.get_by_role("button", name="Show token probabilities").click()
    tokens = reader.latest.locator(".tokens .token")
    written = "".join(tokens.all_text_contents()).replace("↵", "")
    assert re.findall(r"[^\W\d]+", written) == re.findall(r"[^\W\d]+", text)
    tokens.nth(1).hover()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip .chosen")).to_contain_text("%")
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(tokens.nth(2)).to_be_focused()
    assert "%" in tokens.nth(2).get_attribute("aria-label")


def test_conversations_are_listed_renamed_and_deleted(open_page: Open) -> None:
    reader = open_page()
    page = reader.page
    reader.ask("What is 3 + 4?")
    reader.answer()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".welcome")).to_be_visible()
    reader.ask("What is 5 + 6?")
    assert "11" in reader.answer()
    row = page.locator("#sessions li").filter(has_text="What is 3 + 4?")
    row.hover()
    row.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("Sums")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.locator(".session", has_text="Sums").click()
    expect(page.locator("#title")).to_have_text("Sums")
    expect(page.locator(".question")).to_have_text("What is 3 + 4?")
    row = page.locator("#sessions li").filter(has_text="Sums")
    row.hover()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".session", has_text="Sums")).to_have_count(0)
    expect(page.locator(".welcome")).to_be_visible()


def test_an_example_asks(open_page: Open) -> None:
    reader = open_page()
    reader.page.locator(".examples button").first.click()
    assert "409.5" in reader.answer()


def test_a_full_queue_is_told_with_a_count_down(open_page: Open, watched: Any) -> None:
    reader = open_page()
    told = {"error": {"message": "64 requests are being answered.", "type": "server_error", "code": "engine_busy"}}

    def full(route: Route) -> None:
        headers = {"retry-after": "2", "content-type": "application/json"}
        route.fulfill(status=503, headers=headers, body=json.dumps(told))

    reader.page.route("**/v1/agents/assistant/runs", full, times=1)
    reader.ask(PERCENT)
    expect(reader.latest.locator(".note.bad")).to_contain_text("64 requests are being answered.")
    again = reader.latest.get_by_role("button", name="Try again")
    expect(again).to_be_disabled()
    expect(again).to_be_enabled()
    again.click()
    assert "409.5" in reader.answer()
    expect(reader.page.locator(".exchange")).to_have_count(1)
    watched.errors.clear()  # the browser itself tells of the 503


def test_a_key_is_asked_for_and_kept_until_the_tab_is_closed(open_page: Open, watched: Any) -> None:
    reader = open_page()
    page = reader.page

    def guarded(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer open-sesame":
            route.continue_()
        else:
            told = {"error": {"message": "This server needs an API key.", "code": "invalid_api_key"}}
            route.fulfill(status=401, content_type="application/json", body=json.dumps(told))

    page.route("**/v1/**", guarded)
    page.reload()
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-text")).to_contain_text("not right")
    page.get_by_label("API key").fill("open-sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_hidden()
    reader.ask(PERCENT)
    assert "409.5" in reader.answer()
    assert page.evaluate("sessionStorage.getItem('smidgen.key')") == "open-sesame"
    assert "open-sesame" not in page.evaluate("JSON.stringify(localStorage)")
    watched.errors.clear()  # the browser itself tells of each 401
