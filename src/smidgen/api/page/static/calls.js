// Calls of tools within an answer: what was called with what, what came of it, and whether it waits for a yes.

import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { seconds } from "./numbers.js";

export function readable(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Draws an exchange's calls into `root` and keeps them up to date. review: called with a call that waits. */
export class CallsView {
  constructor(root, review) {
    this.root = root;
    this.review = review;
    this.views = [];
  }

  show(exchange) {
    for (const [at, entry] of exchange.calls.entries()) {
      if (!this.views[at]) {
        this.views[at] = this.#make(entry);
        this.root.append(this.views[at].root);
      }
      update(this.views[at], entry);
    }
  }

  #make(entry) {
    const state = h("span", { class: "call-state" });
    const brief = h("code", { class: "call-brief" });
    const result = h("pre", { class: "call-text", tabIndex: 0 });
    const resultHead = h("span", { class: "call-label" }, "Result");
    const review = h("button", { class: "button small", type: "button", on: { click: () => this.review(entry) } }, "Look and decide");
    const root = h(
      "div",
      { class: "call" },
      h(
        "details",
        {},
        h("summary", {}, icon("chevron"), h("b", {}, entry.call.name), brief, state),
        h("div", { class: "call-body" }, h("span", { class: "call-label" }, "Arguments"), h("pre", { class: "call-text", tabIndex: 0 }, readable(entry.call.arguments)), resultHead, result),
      ),
      review,
    );
    return { root, state, brief, result, resultHead, review };
  }
}

function update(view, entry) {
  const told = brief(entry.call.arguments);
  say(view.brief, told);
  view.root.dataset.state = entry.state === "over" ? (entry.ok ? "ok" : "failed") : entry.state;
  view.review.hidden = entry.state !== "asked";
  view.result.hidden = view.resultHead.hidden = entry.state !== "over";
  if (entry.state === "asked") say(view.state, "waits for you");
  else if (entry.state === "made") say(view.state, "running");
  else {
    say(view.state, entry.ok ? seconds(entry.seconds) : wasRefused(entry) ? "refused" : "failed");
    say(view.result, readable(entry.result));
  }
}

/** By a person: whoever said no in another window is known by the result alone. */
function wasRefused(entry) {
  return Boolean(entry.event) && (entry.refused || /did not approve/.test(readable(entry.result)));
}

function brief(values) {
  const told = Object.entries(values).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  return told.join(", ").replace(/\s+/g, " ").slice(0, 160);
}
