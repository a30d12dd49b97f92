// What an empty conversation shows: what can be asked here.

import { h } from "./dom.js";

const EXAMPLES = [
  ["What is 17.5% of 2,340?", "answered by a rule, no model is asked"],
  ["How many days are there from 2026-01-15 to 2026-03-01?", "a tool for dates"],
  ["Write three short lines about rain.", "the model's own words"],
];

/** ask: called with the example that was chosen. */
export function welcome(ask) {
  return h(
    "section",
    { class: "welcome" },
    h("h2", {}, "What would you like to know?"),
    h("p", { class: "lead" }, "A small model answers, on this computer. It gets facts wrong; each answer shows how it came about."),
    h("ul", { class: "examples" }, EXAMPLES.map(([text, told]) => h("li", {}, h("button", { type: "button", on: { click: () => ask(text) } }, h("span", {}, text), h("small", {}, told))))),
  );
}
