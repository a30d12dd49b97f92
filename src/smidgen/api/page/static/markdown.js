// An answer in Markdown as nodes. Finished blocks keep theirs while the rest still arrives, so nothing above moves.

import { blocks } from "./blocks.js";
import { copyButton } from "./copying.js";
import { h } from "./dom.js";
import { inline } from "./inline.js";

/** Draws Markdown into `root`, again and again as it grows. */
export class Markdown {
  constructor(root) {
    this.root = root;
    this.sources = [];
  }

  show(text) {
    const found = blocks(text);
    let same = 0;
    while (same < found.length && this.sources[same] === found[same].source) same += 1;
    while (this.root.childNodes.length > found.length) this.root.lastChild.remove();
    for (let at = same; at < found.length; at += 1) this.#put(at, found[at]);
    this.sources = found.map((block) => block.source);
  }

  #put(at, block) {
    const present = this.root.childNodes[at];
    if (present && block.kind === "code" && present.classList.contains("code")) return recode(present, block);
    const node = draw(block);
    if (present) present.replaceWith(node);
    else this.root.append(node);
    return undefined;
  }
}

function draw(block) {
  switch (block.kind) {
    case "code":
      return recode(
        h("div", { class: "code" }, h("div", { class: "code-head" }, h("span"), copyButton(() => block.text)), h("pre", { tabIndex: 0 }, h("code"))),
        block,
      );
    case "heading":
      return h(`h${Math.min(6, block.level + 2)}`, { class: `md-h${block.level}` }, inline(block.text));
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", {}, block.blocks.map(draw));
    case "list":
      return h(block.ordered ? "ol" : "ul", block.ordered ? { start: block.start } : {}, block.items.map(item));
    case "table":
      return h("div", { class: "table", tabIndex: 0, role: "region", "aria-label": "Table" }, table(block));
    default:
      return h("p", {}, inline(block.text));
  }
}

function recode(node, block) {
  node.querySelector(".code-head span").textContent = block.language || "text";
  const code = node.querySelector("code");
  const shown = code.textContent;
  if (block.text.startsWith(shown)) code.append(block.text.slice(shown.length));
  else code.textContent = block.text;
  node.querySelector(".copy").copied = () => block.text;
  return node;
}

function item(inner) {
  const tight = inner.length > 0 && inner.every((block) => block.kind === "paragraph" || block.kind === "list");
  return h("li", {}, inner.map((block) => (tight && block.kind === "paragraph" ? h("span", { class: "tight" }, inline(block.text)) : draw(block))));
}

function table({ head, aligned, rows }) {
  const cell = (tag) => (text, column) => h(tag, { class: `to-${aligned[column] ?? "left"}` }, inline(text));
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, head.map(cell("th")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td"))))),
  );
}
