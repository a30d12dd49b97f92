// Where the time of an answer went: a bar in proportion, and the same in words.

import { h } from "./dom.js";
import { seconds } from "./numbers.js";

const LEAST_SHARE = 0.004;

/** Parts of an exchange that is over, in order, as {name, label, s}. What nothing accounts for is "rest". */
export function parts(exchange) {
  const { queue_s: queue = 0, prefill_s: prefill = 0, decode_s: decode = 0 } = exchange.finished?.timings ?? {};
  const sum = (calls) => calls.reduce((total, entry) => total + (entry.seconds ?? 0), 0);
  const asked = sum(exchange.calls.filter((entry) => entry.event)); // with the time that the person took
  const waited = exchange.watch ? Math.min(asked, exchange.watch.waited) : asked;
  const tools = sum(exchange.calls) - waited;
  const checks = exchange.watch?.checked ?? 0;
  const known = queue + prefill + decode + tools + checks + waited;
  const total = Math.max(exchange.tookS || exchange.watch?.total || 0, known);
  return [
    { name: "queue", label: "Queue", s: queue },
    { name: "prefill", label: "Prefill", s: prefill },
    { name: "decode", label: "Decode", s: decode },
    { name: "tools", label: "Tools", s: tools },
    { name: "verify", label: "Verify", s: checks },
    { name: "you", label: "You", s: waited },
    { name: "rest", label: "Rest", s: total - known },
  ];
}

export const took = (exchange) => parts(exchange).reduce((sum, part) => sum + part.s, 0);

const MEANING = {
  queue: "waiting for a turn",
  prefill: "reading prompts",
  decode: "writing tokens",
  tools: "running tools",
  verify: "checking calls",
  you: "waiting for your yes or no, and what was then done",
  rest: "choosing tools, loading, sending",
};

export function timelineBar(exchange) {
  const all = parts(exchange);
  const total = all.reduce((sum, part) => sum + part.s, 0) || 1;
  const said = all.filter((part) => part.s > 0).map((part) => `${part.label} ${seconds(part.s)}`);
  const bar = h("div", { class: "bar-of timeline-bar", role: "img", "aria-label": `Timeline: ${said.join(", ") || "nothing measurable"}` });
  for (const part of all) {
    if (part.s / total < LEAST_SHARE) continue;
    const segment = h("span", { class: `part part-${part.name}`, title: `${part.label}: ${seconds(part.s)}` });
    segment.style.flexGrow = String(part.s / total);
    bar.append(segment);
  }
  return bar;
}

export function timelineLegend(exchange) {
  const always = ["queue", "prefill", "decode", "tools", "verify"];
  const shown = parts(exchange).filter((part) => part.s > 0.0005 || always.includes(part.name));
  return h(
    "dl",
    { class: "legend" },
    shown.map((part) =>
      h("div", { title: MEANING[part.name] }, h("dt", {}, h("i", { class: `part-${part.name}` }), part.label), h("dd", {}, seconds(part.s))),
    ),
  );
}
