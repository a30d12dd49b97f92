"""Answers in Markdown: drawn as they should be, and nothing in them acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]

DRAW = """async ([pieces]) => {
    const { Markdown } = await import('/page/markdown.js');
    const root = document.createElement('div');
    root.className = 'md';
    document.body.append(root);
    const drawn = new Markdown(root);
    let text = '';
    for (const piece of pieces) drawn.show((text += piece));
    const html = root.innerHTML;
    root.remove();
    return html;
}"""

PLAIN = [
    ("Two *words* and **more** of `it`.", "<p>Two <em>words</em> and <strong>more</strong> of <code>it</code>.</p>"),
    ("2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"),
    ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>"),
    ("***both***", "<p><strong><em>both</em></strong></p>"),
    ("~~gone~~ \\*kept\\*", "<p><s>gone</s> *kept*</p>"),
    ("# One\n## Two", '<h3 class="md-h1">One</h3><h4 class="md-h2">Two</h4>'),
    ("> said\n> twice", "<blockquote><p>said<br>twice</p></blockquote>"),
    ("---", "<hr>"),
    (
        "- a\n  - b\n- c",
        '<ul><li><span class="tight">a</span><ul><li><span class="tight">b</span></li></ul></li>'
        '<li><span class="tight">c</span></li></ul>',
    ),
    ("3. a\n4. b", '<ol start="3"><li><span class="tight">a</span></li><li><span class="tight">b</span></li></ol>'),
    (
        "| a | b |\n|---|--:|\n| 1 | 2\\|3 |",
        '<div class="table" tabindex="0" role="region" aria-label="Table"><table><thead><tr><th class="to-left">a</th>'
        '<th class="to-right">b</th></tr></thead><tbody><tr><td class="to-left">1</td>'
        '<td class="to-right">2|3</td></tr></tbody></table></div>',
    ),
    (
        "[here](https://example.org/a_(b)) and https://example.org/x.",
        '<p><a href="https://example.org/a_(b)" target="_blank" rel="noopener noreferrer">here</a> and '
        '<a href="https://example.org/x" target="_blank" rel="noopener noreferrer">https://example.org/x</a>.</p>',
    ),
]

TRICKS = [
    "<img src=x onerror=window.acted=1>",
    "<script>window.acted = 1</script>",
    "<svg><animate onbegin=window.acted=1></svg>",
    "[a](javascript:window.acted=1)",
    "[a](JaVaScRiPt:window.acted=1)",
    "[a](data:text/html,<script>window.acted=1</script>)",
    '[a](https://x.example/"onmouseover=window.acted=1)',
    "<javascript:window.acted=1>",
    "![a](https://elsewhere.example/track.png)",
    "`<img src=x onerror=window.acted=1>`",
    "```html\n<img src=x onerror=window.acted=1>\n```",
    '```"><img src=x onerror=window.acted=1>\ncode\n```',
    "| <img src=x onerror=window.acted=1> |\n|---|\n| <iframe src=https://elsewhere.example> |",
    "# <style>*{background:url(https://elsewhere.example)}</style>",
    "<a href='https://elsewhere.example' ping='https://elsewhere.example'>x</a>",
    "&lt;img src=x onerror=window.acted=1&gt;",
]


def test_it_is_drawn_at_once_and_sign_by_sign(open_page: Open) -> None:
    page = open_page().page
    for text, html in PLAIN:
        assert page.evaluate(DRAW, [[text]]) == html
        assert page.evaluate(DRAW, [list(text)]) == html


def test_code_is_kept_as_it_is_and_open_fences_are_code_already(open_page: Open) -> None:
    page = open_page().page
    html = page.evaluate(DRAW, [["Look:\n```python\nif a < b:\n    print('*')\n"]])
    assert "<code>if a &lt; b:\n    print('*')\n</code>" in html and ">python<" in html


def test_nothing_in_an_answer_acts(open_page: Open, watched: Any) -> None:
    page = open_page().page
    for trick in TRICKS:
        html = page.evaluate(DRAW, [[trick]])
        tags = page.evaluate(
            """(html) => [...new DOMParser().parseFromString(html, 'text/html').body.querySelectorAll('*')]
                .map((node) => [node.tagName, ...[...node.attributes].map((each) => each.name)])""",
            html,
        )
        used = {tag[0] for tag in tags}
        assert not used & {"IMG", "SCRIPT", "STYLE", "IFRAME", "ANIMATE"}, (trick, html)
        names = {name for tag in tags for name in tag[1:]}
        assert not any(name.startswith("on") or name in ("src", "style", "ping") for name in names), (trick, html)
        assert "javascript:" not in html.lower() or "<a " not in html, (trick, html)
    assert page.evaluate("window.acted") is None
    assert watched.elsewhere == []


def test_the_policy_holds_even_against_what_is_put_into_the_page(open_page: Open, watched: Any) -> None:
    page = open_page().page
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.acted=1><p style=color:red>')"
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.acted=1'}))"
    )
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://elsewhere.example/x.png'}))")
    page.wait_for_timeout(200)
    assert page.evaluate("window.acted") is None
    assert any("Content Security Policy" in error for error in watched.errors)
    watched.errors.clear()
    watched.elsewhere.clear()  # it was asked for, and the browser kept it from going out


def test_what_is_finished_is_not_drawn_again(open_page: Open) -> None:
    page = open_page().page
    same = page.evaluate(
        """async () => {
            const { Markdown } = await import('/page/markdown.js');
            const root = document.createElement('div');
            const drawn = new Markdown(root);
            drawn.show('First.\\n\\n- a\\n- b\\n\\nThi');
            const kept = [...root.children].slice(0, 2);
            drawn.show('First.\\n\\n- a\\n- b\\n\\nThird.\\n\\n```\\ncode');
            const code = root.lastChild;
            drawn.show('First.\\n\\n- a\\n- b\\n\\nThird.\\n\\n```\\ncode\\nmore');
            return kept[0] === root.children[0] && kept[1] === root.children[1] && code === root.lastChild;
        }"""
    )
    assert same


def test_much_is_drawn_quickly_enough_and_nothing_hangs(open_page: Open) -> None:
    page = open_page().page
    for text in (
        "*" * 3000,
        "[" * 3000,
        "> " * 400 + "x",
        "`" * 2999 + " a",
        "- " * 300 + "x",
        "|" * 2000 + "\n|-|",
        "_a" * 3000,
    ):
        page.evaluate(DRAW, [[text]])
