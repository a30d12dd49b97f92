// One exchange on the page: the question, the calls, the answer, and its receipt. Drawn at most once a frame.

import { budgetView } from "./budget.js";
import { CallsView } from "./calls.js";
import { copyButton } from "./copying.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { Markdown } from "./markdown.js";
import { count, percent, seconds } from "./numbers.js";
import { storyView, strategyLabel } from "./story.js";
import { timelineBar, timelineLegend, took } from "./timeline.js";
import { hideTip, tokensView } from "./tokens.js";

const action = (name, label, run) => h("button", { class: "icon-button small", type: "button", "aria-label": label, title: label, on: { click: run } }, icon(name));

/**
 * doings: {again(exchange), edit(exchange), review(entry, exchange), models(), context(model), drawn()}: what the
 * person can do with an exchange, and what it needs to know.
 */
export class AnswerView {
  constructor(exchange, doings) {
    this.exchange = exchange;
    this.doings = doings;
    this.planned = 0;
    this.settled = false;
    this.details = null;
    this.question = h("p", { class: "question" }, exchange.question);
    this.edit = action("edit", "Change this question", () => doings.edit(exchange));
    this.calls = new CallsView(h("div", { class: "calls" }), (entry) => doings.review(entry, exchange));
    this.text = h("div", { class: "md" });
    this.markdown = new Markdown(this.text);
    this.tokens = h("div", { hidden: true });
    this.phase = h("p", { class: "phase" }, h("i"), h("span"));
    this.loadingBar = h("progress", { class: "phase-bar", hidden: true, "aria-label": "The model is being loaded" });
    this.notes = h("div", { class: "notes" });
    this.receipt = h("footer", { class: "receipt", hidden: true });
    this.root = h(
      "article",
      { class: "exchange", "aria-label": exchange.question.slice(0, 80) },
      h("header", { class: "asked" }, this.question, this.edit),
      this.calls.root,
      this.text,
      this.tokens,
      this.phase,
      this.loadingBar,
      this.notes,
      this.receipt,
    );
    this.draw();
  }

  /** Draws soon: many events may come in one frame. */
  changed() {
    this.planned ||= requestAnimationFrame(() => {
      this.planned = 0;
      this.draw();
      this.doings.drawn();
    });
  }

  /** Whether it is the last one, whose question can be changed and answer made again. */
  set latest(yes) {
    this.root.classList.toggle("latest", yes);
    this.edit.hidden = !yes || !this.exchange.over;
  }

  /** The model is being loaded for this answer. share: of it, from 0 to 1, null once it is there; s: seconds so far. */
  loading(share, s) {
    this.loadingBar.hidden = share === null || this.exchange.over;
    if (share) this.loadingBar.value = share;
    else this.loadingBar.removeAttribute("value");
    this.loadingText = share === null ? "" : `Loading ${this.exchange.model || "the model"}, ${Math.round(s)} s so far`;
    this.changed();
  }

  draw() {
    const { exchange } = this;
    this.root.dataset.status = exchange.status;
    this.root.setAttribute("aria-busy", String(!exchange.over));
    this.calls.show(exchange);
    this.markdown.show(exchange.text);
    this.text.classList.toggle("writing", !exchange.over && exchange.text !== "");
    this.phase.hidden = exchange.over || (exchange.text !== "" && exchange.status !== "waiting" && !exchange.link);
    say(this.phase.lastChild, exchange.link === "lost" ? "Connection lost, reconnecting" : this.loadingText || exchange.phase);
    if (exchange.over) this.loadingBar.hidden = true;
    this.#notes();
    if (exchange.over && !this.settled) this.#settle();
  }

  #notes() {
    const { exchange } = this;
    const told = [];
    if (exchange.wasLost && exchange.link !== "lost") told.push(["quiet", "Reconnected. Nothing was lost or repeated."]);
    for (const text of exchange.asks) if (text !== exchange.text) told.push(["", text]);
    for (const text of exchange.notices) told.push(["warn", text]);
    if (exchange.finished?.finish_reason === "length") told.push(["warn", "The answer was cut at the limit of tokens."]);
    if (exchange.finished?.finish_reason === "deadline") told.push(["warn", "The answer was cut: its time was over."]);
    if (exchange.status === "cancelled") told.push(["quiet", "Stopped. This answer is not part of what the model remembers."]);
    if (exchange.status === "interrupted") told.push(["warn", "The server was stopped while it answered. The answer is not part of what the model remembers."]);
    if (exchange.status === "lost") told.push(["warn", "The server no longer knows this answer."]);
    const key = JSON.stringify(told) + (exchange.error?.message ?? "");
    if (key === this.noted) return;
    this.noted = key;
    this.notes.replaceChildren(...told.map(([tone, text]) => h("p", { class: `note ${tone}` }, text)));
    if (exchange.status === "failed") this.notes.append(this.#trouble(exchange.error ?? {}));
  }

  #trouble(error) {
    const retryAfter = error.retryAfter || error.details?.retry_after_s || 0;
    const again = h("button", { class: "button small", type: "button", on: { click: () => this.doings.again(this.exchange) } }, "Try again");
    const box = h("div", { class: "note bad", role: "alert" }, h("p", {}, `${error.message ?? "It failed."} ${error.hint ?? ""}`.trim()));
    if (["model_not_pulled", "unknown_model", "license_not_accepted"].includes(error.code)) {
      box.append(h("button", { class: "button small", type: "button", on: { click: () => this.doings.models() } }, "See the models"));
    } else box.append(again);
    if (retryAfter) countDown(again, retryAfter);
    return box;
  }

  #settle() {
    this.settled = true;
    const { exchange } = this;
    const actions = h("div", { class: "actions" });
    if (exchange.text) actions.append(copyButton(() => exchange.text, "Copy the answer"));
    const again = action("again", "Answer again", () => this.doings.again(exchange));
    again.classList.add("only-latest");
    actions.append(again);
    if (exchange.tokens.length) actions.append(this.#tokensButton());
    this.receipt.replaceChildren(...(exchange.finished ? [timelineBar(exchange), this.#figures(actions)] : [h("div", { class: "receipt-row" }, actions)]));
    this.receipt.hidden = false;
  }

  #figures(actions) {
    const { usage, timings, strategy } = this.exchange.finished;
    const figures = [seconds(took(this.exchange))];
    if (usage.completion_tokens && timings.decode_s) figures.push(`${count(usage.completion_tokens / timings.decode_s)} tokens/s`);
    if (usage.prompt_tokens) figures.push(`${percent(usage.cached_tokens / usage.prompt_tokens)} cached`);
    const panel = h("div", { class: "details", hidden: true });
    const button = h(
      "button",
      { class: "strategy", type: "button", "aria-expanded": "false", title: "What happened" },
      icon("chevron"),
      h("span", {}, strategyLabel(strategy)),
    );
    button.addEventListener("click", async () => {
      const opened = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(opened));
      panel.hidden = !opened;
      if (opened && !panel.childNodes.length) panel.append(...(await this.#explained()));
      if (opened) panel.scrollIntoView({ block: "nearest" });
    });
    return h("div", {}, h("div", { class: "receipt-row" }, button, h("span", { class: "figures" }, figures.join(" · ")), actions), panel);
  }

  async #explained() {
    const { exchange } = this;
    const { usage } = exchange.finished;
    const context = await this.doings.context(exchange.model);
    const tokens = [
      ["Model", exchange.model],
      ["Prompt tokens, all steps", count(usage.prompt_tokens)],
      ["of them cached", count(usage.cached_tokens)],
      ["Tokens written", count(usage.completion_tokens)],
      ["of them by the grammar", count(usage.forced_tokens)],
    ];
    return [
      h("section", {}, h("h4", {}, "What happened"), storyView(exchange)),
      h("section", {}, h("h4", {}, "Time"), timelineLegend(exchange)),
      h("section", {}, h("h4", {}, "Context"), budgetView(exchange, context)),
      usage.prompt_tokens > 0 && h("section", {}, h("h4", {}, "Figures"), h("dl", { class: "legend" }, tokens.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
    ].filter(Boolean);
  }

  #tokensButton() {
    const button = h("button", { class: "icon-button small", type: "button", "aria-pressed": "false", "aria-label": "Show token probabilities", title: "Show token probabilities" }, icon("tokens"));
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      if (!this.tokens.childNodes.length) this.tokens.append(tokensView(this.exchange.tokens), h("p", { class: "hint scale" }, "Likelihood ", ...["under 10%", "30%", "60%", "90%"].map((text, at) => h("span", { class: `token p${at}` }, text))));
      this.tokens.hidden = !shown;
      this.text.hidden = shown;
      if (!shown) hideTip();
    });
    return button;
  }
}

function countDown(button, from) {
  const ends = performance.now() + from * 1000;
  const tick = () => {
    const left = Math.ceil((ends - performance.now()) / 1000);
    button.disabled = left > 0;
    say(button, left > 0 ? `Try again in ${left} s` : "Try again");
    if (left > 0) setTimeout(() => button.isConnected && tick(), 250);
  };
  tick();
}
