"""The page for everybody: by keyboard alone, in a narrow window, in both themes, with models that are not here yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

Open = Callable[..., Any]

CONTRAST = """() => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (node) => {
        for (let each = node; each; each = each.parentElement) {
            const colour = rgba(getComputedStyle(each).backgroundColor);
            if (colour[3] > 250) return colour;
        }
        return rgba(getComputedStyle(document.body).backgroundColor);
    };
    const poor = [];
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.closest('.unseen, .skip, :disabled, noscript')) continue;
        const [a, b] = [light(rgba(getComputedStyle(node).color)), light(ground(node))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push([node.className || node.tagName, node.textContent.slice(0, 30), ratio.toFixed(2)]);
    }
    return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_enough(open_page: Open, scheme: str) -> None:
    reader = open_page(scheme=scheme, tools=["calculator", "write_file"], dry=True)
    page = reader.page
    assert page.evaluate(CONTRAST) == []
    reader.ask("What is 17.5% of 2,340?")
    reader.answer()
    reader.explain()
    reader.latest.locator(".call summary").click()
    page.get_by_role("button", name="Choose tools.").click()
    page.locator(".group summary").first.click()
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("Control+k")
    page.locator(".choice").first.wait_for()
    assert page.evaluate(CONTRAST) == []


def test_the_theme_follows_the_system_until_one_is_chosen(open_page: Open) -> None:
    page = open_page(scheme="dark").page

    def expect_ground(colour: str) -> None:
        expect(page.locator("body")).to_have_css("background-color", colour)

    dark, light = "rgb(19, 21, 20)", "rgb(255, 255, 255)"
    expect_ground(dark)
    page.emulate_media(color_scheme="light")
    expect_ground(light)
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect_ground(dark)
    page.reload()
    expect_ground(dark)
    page.get_by_role("button", name="Theme: dark").click()
    expect_ground(light)


@pytest.mark.parametrize("width", [320, 375, 768, 1280, 1920])
def test_nothing_has_to_be_scrolled_sideways(open_page: Open, width: int) -> None:
    reader = open_page(width, 640)
    page = reader.page
    fits = "document.documentElement.scrollWidth <= innerWidth && scroller.scrollWidth <= scroller.clientWidth"
    assert page.evaluate(fits)
    reader.ask("What is 17.5% of 2,340?")
    reader.answer()
    reader.explain()
    assert page.evaluate(fits)
    page.get_by_role("button", name="Choose tools.").click()
    expect(page.locator("#setup")).to_be_visible()
    assert page.evaluate(fits)
    box = page.locator("#setup").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width + 0.5


def test_side_panels_are_drawers_where_there_is_no_room(open_page: Open) -> None:
    page = open_page(375, 700).page
    expect(page.locator("#side")).to_be_hidden()
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.locator("#side")).to_be_visible()
    assert page.locator("#stage").evaluate("stage => stage.inert")
    page.keyboard.press("Escape")
    expect(page.locator("#side")).to_be_hidden()
    expect(page.get_by_role("button", name="Conversations", exact=True)).to_be_focused()
    assert not page.locator("#stage").evaluate("stage => stage.inert")


def test_everything_can_be_done_by_keyboard(open_page: Open) -> None:
    reader = open_page()
    page = reader.page
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("What is")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("2 + 3?")
    expect(page.get_by_label("Your question")).to_have_value("What is\n2 + 3?")
    page.keyboard.press("Enter")
    assert "5" in reader.answer()
    page.keyboard.press("Control+k")
    chosen = page.get_by_role("radio", checked=True)
    expect(chosen).to_be_focused()
    name = chosen.locator(".choice-name").inner_text()
    page.keyboard.press("ArrowDown")
    expect(chosen).not_to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#models")).to_be_hidden()
    expect(page.locator("#model .pill-text")).to_have_text(name)
    page.locator("#new").focus()
    page.keyboard.press("/")
    expect(page.get_by_label("Your question")).to_be_focused()
    page.locator(".skip").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#new")).to_be_focused()
    page.keyboard.press("/")
    seen: set[str] = set()
    for _ in range(16):
        page.keyboard.press("Shift+Tab")
        where = page.evaluate(
            """() => {
                const at = document.activeElement;
                return [at.id || at.className, getComputedStyle(at).outlineStyle];
            }"""
        )
        if where[0] in ("", "scroller") or where[0] in seen:
            continue
        seen.add(where[0])
        assert where[1] != "none" or where[0] == "question", where
    assert {"model", "setup-open", "side-open", "theme", "strategy"} <= {each.split()[0] for each in seen}


def test_a_reader_who_looked_up_is_left_there(open_page: Open) -> None:
    reader = open_page(1280, 300, tools=[], max_tokens=90)
    page = reader.page
    reader.ask("Count from 1 to 100, one number a line, as a list.")
    page.wait_for_function("() => scroller.scrollHeight > scroller.clientHeight + 100")
    page.locator("#scroller").evaluate("scroller => scroller.scrollTo(0, 0)")
    expect(page.get_by_role("button", name="Latest")).to_be_visible()
    reader.answer()
    assert page.locator("#scroller").evaluate("scroller => scroller.scrollTop") == 0
    page.get_by_role("button", name="Latest").click()
    page.wait_for_function("() => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60")
    expect(page.get_by_role("button", name="Latest")).to_be_hidden()


CATALOG = {
    "models": [
        {
            "name": "tiny-with-terms",
            "bytes": 253_000_000,
            "license": "Some Terms of Use",
            "terms": "https://example.org/terms",
            "publisher": "Somebody",
            "kind": "chat",
            "context": 8192,
            "quantization": "Q4_1",
            "installed": False,
        }
    ]
}


def test_a_model_is_fetched_after_its_terms_were_shown(open_page: Open) -> None:
    reader = open_page()
    page = reader.page
    lines = [
        {"status": "pulling manifest"},
        {"status": "pulling", "total": 253_000_000, "completed": 1_000_000},
        {"status": "success"},
    ]
    page.route("**/v1/models/catalog", lambda route: route.fulfill(json=CATALOG))

    def pulled(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or ""))
        route.fulfill(content_type="application/x-ndjson", body="".join(json.dumps(line) + "\n" for line in lines))

    asked: list[Any] = []
    page.route("**/api/pull", pulled)
    page.keyboard.press("Control+k")
    offer = page.locator(".offer", has_text="tiny-with-terms")
    expect(offer).to_contain_text("253 MB")
    offer.get_by_role("button", name="Fetch tiny-with-terms").click()
    expect(page.locator("#confirm-text")).to_contain_text("https://example.org/terms")
    page.get_by_role("button", name="Cancel").click()
    assert asked == []
    offer.get_by_role("button", name="Fetch tiny-with-terms").click()
    page.get_by_role("button", name="Accept and fetch").click()
    expect(page.locator("#announcer")).to_have_text("tiny-with-terms is here.")
    assert asked == [{"model": "tiny-with-terms", "stream": True, "accept_license": True}]


def test_a_transfer_can_be_cancelled(open_page: Open) -> None:
    page = open_page().page
    page.route(
        "**/v1/models/catalog", lambda route: route.fulfill(json={"models": [{**CATALOG["models"][0], "terms": ""}]})
    )
    page.route("**/api/pull", lambda route: None)  # it never answers
    page.keyboard.press("Control+k")
    page.get_by_role("button", name="Fetch tiny-with-terms").click()
    expect(page.get_by_role("progressbar", name="Fetching tiny-with-terms")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".offer")).to_contain_text("Cancelled.")
    page.unroute_all(behavior="ignoreErrors")
