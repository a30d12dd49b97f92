// What stands in a line of Markdown, as nodes: code, bold, italics, strike, links. Anything else is text.

import { h } from "./dom.js";

const SAFE = /^https?:\/\//i;
const DEEPEST = 6;
const MARKS = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "s"],
  ["*", "em"],
  ["_", "em"],
];

/** Nodes for a piece of text. Links go to http and https only; others stay the text that they are. */
export function inline(text, depth = 0) {
  const nodes = [];
  let plain = "";
  let at = 0;
  const put = (node, length) => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(node);
    at += length;
  };
  while (at < text.length) {
    const sign = text[at];
    if (sign === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const found = depth < DEEPEST ? special(text, at, sign, depth) : null;
    if (found) put(...found);
    else {
      plain += sign;
      at += 1;
    }
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

function special(text, at, sign, depth) {
  if (sign === "`") return code(text, at);
  if (sign === "[") return link(text, at, depth);
  if (sign === "\n") return [h("br"), 1];
  if (sign === "<") {
    const match = /^<(https?:\/\/[^\s<>]+)>/i.exec(text.slice(at, at + 2000));
    return match ? [anchor(match[1], [match[1]]), match[0].length] : null;
  }
  if (sign === "h" && !/\w/.test(text[at - 1] ?? "")) return bare(text, at);
  for (const [mark, tag] of MARKS) if (text.startsWith(mark, at)) return marked(text, at, mark, tag, depth);
  return null;
}

function code(text, at) {
  const ticks = /^`+/.exec(text.slice(at))[0];
  let end = at + ticks.length;
  for (;;) {
    end = text.indexOf(ticks, end);
    if (end < 0) return null;
    if (text[end + ticks.length] !== "`" && text[end - 1] !== "`") break;
    end += 1;
  }
  const inner = text.slice(at + ticks.length, end).replace(/\n/g, " ");
  const trimmed = /^ .*[^ ].* $/.test(inner) ? inner.slice(1, -1) : inner;
  return [h("code", {}, trimmed), end + ticks.length - at];
}

function marked(text, at, mark, tag, depth) {
  const begin = at + mark.length;
  if (!text[begin] || /\s/.test(text[begin])) return null;
  if (mark.includes("_") && /\w/.test(text[at - 1] ?? "")) return null;
  for (let end = text.indexOf(mark, begin); end >= 0; end = text.indexOf(mark, end + 1)) {
    if (end === begin || /[\s\\]/.test(text[end - 1])) continue;
    if (mark.length === 2 && text[end + 2] === mark[0]) continue; // the last of them close
    if (mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark)) continue;
    if (mark.includes("_") && /\w/.test(text[end + mark.length] ?? "")) continue;
    return [h(tag, {}, inline(text.slice(begin, end), depth + 1)), end + mark.length - at];
  }
  return null;
}

function link(text, at, depth) {
  const match = /^\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/.exec(
    text.slice(at, at + 4000),
  );
  if (!match || !SAFE.test(match[2])) return null;
  return [anchor(match[2], inline(match[1], depth + 1)), match[0].length];
}

function bare(text, at) {
  const match = /^https?:\/\/[^\s<>"'`]+/i.exec(text.slice(at, at + 2000));
  if (!match) return null;
  let address = match[0].replace(/[.,;:!?*_~]+$/, "");
  while (address.endsWith(")") && address.split("(").length < address.split(")").length) address = address.slice(0, -1);
  return [anchor(address, [address]), address.length];
}

function anchor(address, children) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return document.createTextNode(address);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return document.createTextNode(address);
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, children);
}
