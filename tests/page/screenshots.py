"""Takes the pictures of docs/page.md: `python tests/page/screenshots.py`. Needs Chromium and the default model."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from conftest import ARGUMENTS, CHROMIUM, Reader, serving
from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def reader(browser: Browser, url: str, width: int, height: int, *, dark: bool = False, **kept: object) -> Reader:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    for name, value in kept.items():
        page.add_init_script(f"localStorage['smidgen.{name}'] ??= {json.dumps(json.dumps(value))}")
    page.set_default_timeout(120_000)
    page.goto(url)
    page.locator("#model[data-state=warm]").wait_for()
    return Reader(page)


def shoot(one: Reader, name: str) -> None:
    one.page.mouse.move(0, 0)
    one.page.wait_for_timeout(300)
    one.page.screenshot(path=IMAGES / f"page-{name}.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        light = reader(browser, server.url, 1280, 900, tools=["calculator"], temperature=0, max_tokens=90)
        light.ask("What is 17.5% of 2,340?")
        light.answer()
        light.page.get_by_role("button", name="Choose tools.").click()
        light.page.get_by_label("All of General").uncheck()
        light.page.get_by_role("button", name="Close tools and settings").click()
        light.ask("Name three things to see in a forest, as a list.")
        light.answer()
        light.explain()
        light.page.locator("#scroller").evaluate("scroller => scroller.scrollTo(0, scroller.scrollHeight)")
        shoot(light, "light")

        dark = reader(browser, server.url, 1280, 800, dark=True, tools=[], temperature=0, max_tokens=90, logprobs=True)
        dark.ask("Write a haiku about rain.")
        dark.answer()
        dark.page.get_by_role("button", name="Show token probabilities").click()
        dark.latest.locator(".token").nth(3).focus()
        shoot(dark, "dark")

        narrow = reader(browser, server.url, 375, 740, tools=["calculator"])
        narrow.ask("What is 17.5% of 2,340?")
        narrow.answer()
        shoot(narrow, "narrow")

        (server.workspace / "list.txt").write_text("buy bread\n")
        approval = reader(browser, server.url, 1280, 720, tools=["write_file"])
        approval.ask("Write 'buy milk' to list.txt")
        approval.page.locator("#approval").wait_for()
        shoot(approval, "approval")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
