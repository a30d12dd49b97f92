// What happened on the way to an answer, in sentences: which strategy was chosen and why, what was checked, what failed.

import { h } from "./dom.js";
import { plural, seconds } from "./numbers.js";

export const STRATEGIES = {
  rules: "Answered by a rule",
  constrained: "A tool, called under a grammar",
  simplified: "A simpler way of calling",
  plain: "In the model's own words",
  refusal: "Not answered",
};

export const strategyLabel = (name) => STRATEGIES[name] ?? name;

const TELL = {
  step(event) {
    switch (event.action) {
      case "route":
        return ["route", event.detail === "rules" ? "Looked for a rule that answers this without a model." : `Looked for a tool (${event.detail}).`];
      case "escalate":
        return ["on", `Went on to the next way: ${sentence(event.detail)}`];
      case "generate":
        return ["write", /^the answer/.test(event.detail) ? "The model wrote the answer." : `The model wrote ${sentence(event.detail)}`];
      case "continue":
        return ["more", "Looked whether the request asks for more."];
      case "retry":
        return ["retry", `Had it written again: ${sentence(event.detail)}`];
      case "verify":
      case "call_tool":
        return null; // the event that follows tells more
      default:
        return [event.action, sentence(event.detail)];
    }
  },
  routed: (event) => ["strategy", `Chose ${event.strategy}: ${sentence(event.reason)}`, "strong"],
  prefilled: (event) => ["prompt", `Read a prompt of ${plural(event.prompt_tokens, "token")}, ${event.cached_tokens ? `${event.cached_tokens} of them from the cache` : "none from the cache"}.`],
  tool_call: (event) => ["call", `Called ${event.call.name}.`],
  approval: (event) => ["ask", `Asked for your yes or no: ${sentence(event.reason || "it changes something")}`],
  tool_result: (event) => ["result", `${event.call.name} ${event.ok ? "gave a result" : "failed"} after ${seconds(event.seconds)}${event.tier ? `, held by ${event.tier}` : ""}.`, event.ok ? "" : "bad"],
  verified: (event) => ["check", event.ok ? `The ${event.check} passed its checks.` : `The ${event.check} was not accepted: ${sentence(event.reason)}`, event.ok ? "good" : "bad"],
  fallback: (event) => ["fallback", `Left ${event.from_strategy} for ${event.to_strategy}: ${sentence(event.reason)}`, "bad"],
  resumed: (event) => ["resumed", `The engine ended (${event.cause}) and was replaced; the answer went on after ${plural(event.after_tokens, "token")}.`, "bad"],
  notice: (event) => ["notice", event.message, "bad"],
  question: (event) => ["asks", event.question],
};

function sentence(text) {
  const trimmed = (text || "no reason given").trim();
  return /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

export function storyView(exchange) {
  const told = exchange.story.map((event) => TELL[event.type]?.(event) ?? null).filter(Boolean);
  if (exchange.finished) told.push(["end", `${strategyLabel(exchange.finished.strategy)}${exchange.finished.finish_reason === "stop" ? "" : `; ended because of ${exchange.finished.finish_reason}`}.`, "strong"]);
  return h(
    "ol",
    { class: "story" },
    told.map(([label, text, tone = ""]) => h("li", { class: tone }, h("span", { class: "story-label" }, label), h("span", {}, text))),
  );
}
