// What of the model's context an answer took: from the cache, read anew, written, and what is left.

import { h } from "./dom.js";
import { count } from "./numbers.js";

/** Tokens as {cached, read, answer, free, context}, or null if no model was asked or the context isn't known. */
export function budget(exchange, context) {
  const { prefilled, finished } = exchange;
  if (!finished || !context) return null;
  const prompt = prefilled?.prompt_tokens ?? Math.min(finished.usage.prompt_tokens, context);
  if (!prompt) return null;
  const cached = Math.min(prompt, prefilled?.cached_tokens ?? finished.usage.cached_tokens);
  const answer = Math.min(finished.usage.completion_tokens, Math.max(0, context - prompt));
  return { cached, read: prompt - cached, answer, free: Math.max(0, context - prompt - answer), context };
}

/** Whether tokens of calls are among those written, which are counted together. */
const wroteCalls = (exchange) => exchange.story.some((event) => event.type === "step" && event.action === "generate" && !event.detail.startsWith("the answer"));

export function budgetView(exchange, context) {
  const found = budget(exchange, context);
  if (!found) {
    const why = exchange.finished && !exchange.finished.usage.prompt_tokens ? "No model was asked, so no context was used." : "The model's context is not known.";
    return h("p", { class: "hint" }, why);
  }
  const shown = [
    ["cached", "Cached", found.cached],
    ["read", "Prefilled", found.read],
    ["answer", wroteCalls(exchange) ? "Answer, at most" : "Answer", found.answer],
    ["free", "Free", found.free],
  ];
  const said = shown.map(([, label, tokens]) => `${label} ${count(tokens)}`).join(", ");
  const bar = h("div", { class: "bar-of", role: "img", "aria-label": `Context of ${count(found.context)} tokens: ${said}` });
  for (const [name, label, tokens] of shown) {
    if (!tokens) continue;
    const segment = h("span", { class: `part part-${name}`, title: `${label}: ${count(tokens)} tokens` });
    segment.style.flexGrow = String(tokens / found.context);
    bar.append(segment);
  }
  const legend = shown.map(([name, label, tokens]) => h("div", {}, h("dt", {}, h("i", { class: `part-${name}` }), label), h("dd", {}, count(tokens))));
  const several = exchange.prefilled ? null : h("p", { class: "hint" }, "The model wrote no answer, only calls: these are the prompts of all its steps together.");
  return h("div", {}, bar, several, h("dl", { class: "legend" }, legend, h("div", {}, h("dt", {}, "Context"), h("dd", {}, count(found.context)))));
}
