// Which model answers: those on this computer, and those that can be fetched.

import { announce } from "./announce.js";
import { get } from "./api.js";
import { confirm } from "./confirm.js";
import { byId, h, say } from "./dom.js";
import { icon } from "./icons.js";
import { keep, kept } from "./kept.js";
import { bytes, count } from "./numbers.js";
import { Pulls } from "./pulls.js";

const KINDS = { chat: "chat", base: "continues text", embedding: "embeddings", embed: "embeddings" };

const LOADING_MS = 1500;

export class Models {
  /** chosen: called when another model is chosen. */
  constructor(pill, chosen) {
    this.pill = pill;
    this.chosen = chosen;
    this.dialog = byId("models");
    this.body = byId("models-body");
    this.here = [];
    this.catalog = [];
    this.contexts = new Map();
    this.name = kept("model", "");
    this.error = null;
    this.usual = ""; // the agent's, until the server has told all
    this.pulls = new Pulls((name, fetched) => this.#pulled(name, fetched));
    pill.addEventListener("click", () => this.open());
    this.dialog.querySelector("[data-close]").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => clearInterval(this.watch));
    this.#pill();
  }

  /** The model's name for a request; undefined leaves it to the server. */
  get wanted() {
    return this.name || undefined;
  }

  get current() {
    return this.here.find((model) => model.id === this.name) ?? this.here.find((model) => model.default) ?? null;
  }

  async refresh() {
    try {
      const [here, catalog] = await Promise.all([get("/v1/models"), get("/v1/models/catalog")]);
      const told = here.data.map((model) => ({ id: model.id, ...model.meta, ...(model.smidgen ?? {}) }));
      this.here = told.filter((model) => model.kind !== "agent"); // which other clients ask as if it were a model
      this.catalog = catalog.models;
      this.error = null;
      if (this.name && !this.here.some((model) => model.id === this.name)) this.#choose("", false);
    } catch (error) {
      this.error = error;
    }
    this.#pill();
    if (this.dialog.open) this.#draw();
    clearTimeout(this.soon);
    if (this.current?.loading) this.soon = setTimeout(() => this.refresh(), LOADING_MS);
  }

  /** The model that answers without a choice. */
  set usually(name) {
    this.usual = name;
    this.#pill();
  }

  /** Tokens that a model's context holds as it is opened here; 0 if that isn't known. */
  async context(name) {
    if (!this.contexts.has(name)) {
      try {
        const props = await get(`/props?model=${encodeURIComponent(name)}`);
        this.contexts.set(name, props.default_generation_settings?.n_ctx ?? 0);
      } catch {
        return 0;
      }
    }
    return this.contexts.get(name);
  }

  /** How much of a model is loaded while it is being loaded, from 0 to 1; null if it isn't. */
  loading(name) {
    const found = this.here.find((model) => model.loading && (!name || model.id === name));
    return found ? (found.loaded ?? 0) : null;
  }

  open() {
    if (this.dialog.open) return;
    this.#draw();
    this.dialog.showModal();
    (this.body.querySelector("[aria-checked=true]") ?? this.dialog).focus();
    void this.refresh();
    this.watch = setInterval(() => this.refresh(), 2000);
  }

  #choose(name, tell = true) {
    this.name = name;
    keep("model", name || undefined);
    this.#pill();
    if (!tell) return;
    announce(`${name} answers from now on.`);
    this.dialog.close();
    this.chosen(name);
  }

  #pill() {
    const { current } = this;
    say(this.pill.querySelector(".pill-text"), current?.id || this.name || this.usual || (this.error ? "no connection" : "…"));
    this.pill.dataset.state = current?.loading ? "loading" : current?.warm ? "warm" : "cold";
    this.pill.setAttribute("aria-label", `Model: ${current?.id || "not known"}${current?.warm ? ", in memory" : ""}. Choose another one.`);
  }

  #draw() {
    const focused = document.activeElement?.dataset?.key;
    const sizes = new Map(this.catalog.map((entry) => [entry.name, entry]));
    const missing = this.catalog.filter((entry) => !entry.installed);
    const answering = this.here.filter((model) => this.#kind(model, sizes) !== "embeddings");
    const others = this.here.filter((model) => !answering.includes(model));
    this.body.replaceChildren(
      ...(this.error ? [h("p", { class: "note bad" }, this.error.message)] : []),
      h("h3", {}, "On this computer"),
      h("div", { class: "choices", role: "radiogroup", "aria-label": "Model", on: { keydown: arrows } }, answering.map((model) => this.#choice(model, sizes.get(model.id)))),
      ...(answering.length ? [] : [h("p", { class: "hint" }, "There is none yet. Fetch one below.")]),
      ...others.map((model) => h("p", { class: "hint choice-note" }, `${model.id} is here too: it looks for what is near a request, and doesn't answer.`)),
      ...(missing.length ? [h("h3", {}, "To fetch"), h("div", { class: "choices" }, missing.map((entry) => this.#offer(entry)))] : []),
    );
    if (focused) this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #kind(model, sizes) {
    const kind = model.kind || sizes.get(model.id)?.kind || "chat";
    return KINDS[kind] ?? kind;
  }

  #choice(model, entry) {
    const current = this.current?.id === model.id;
    const state = model.loading ? `being loaded (${Math.round((model.loaded ?? 0) * 100)}%)` : model.warm ? `in memory${model.memory_bytes ? ` (${bytes(model.memory_bytes)})` : ""}` : "";
    const size = entry?.bytes ?? model.file_bytes;
    const facts = [KINDS[model.kind] ?? model.kind ?? "chat", size && bytes(size), entry?.quantization, state];
    return h(
      "button",
      { class: "choice", type: "button", role: "radio", "aria-checked": String(current), tabIndex: current ? 0 : -1, data: { key: model.id, state: model.loading ? "loading" : model.warm ? "warm" : "cold" }, on: { click: () => this.#choose(model.id) } },
      h("span", { class: "choice-name" }, h("i", { class: "dot" }), model.id),
      h("span", { class: "choice-facts" }, facts.filter(Boolean).join(" · ")),
      current && icon("check"),
    );
  }

  #offer(entry) {
    const pull = this.pulls.of(entry.name);
    const facts = [KINDS[entry.kind] ?? entry.kind, bytes(entry.bytes), entry.quantization, `${count(entry.context)} tokens`, entry.license];
    const row = h("div", { class: "choice offer" }, h("span", { class: "choice-name" }, entry.name, entry.publisher && h("small", {}, `by ${entry.publisher}`)), h("span", { class: "choice-facts" }, facts.filter(Boolean).join(" · ")));
    if (pull?.running) {
      const told = pull.total ? `${bytes(pull.completed)} of ${bytes(pull.total)}` : pull.status || "Begins";
      row.append(
        h("div", { class: "pull" }, h("progress", { max: pull.total || 1, ...(pull.total ? { value: pull.completed } : {}), "aria-label": `Fetching ${entry.name}` }), h("span", { class: "figures" }, told)),
        h("button", { class: "button small", type: "button", data: { key: `stop ${entry.name}` }, on: { click: () => this.pulls.stop(entry.name) } }, "Cancel"),
      );
    } else {
      row.append(h("button", { class: "button small", type: "button", "aria-label": `Fetch ${entry.name}`, data: { key: `pull ${entry.name}` }, on: { click: () => this.#fetch(entry) } }, "Fetch"));
      if (pull?.error) row.append(h("p", { class: "note bad" }, pull.error));
      else if (pull?.stopped) row.append(h("p", { class: "note quiet" }, "Cancelled. What was fetched is kept for the next try."));
    }
    return row;
  }

  async #fetch(entry) {
    if (entry.terms) {
      const text = `${entry.name} comes under the ${entry.license}: ${entry.terms}. By fetching it you accept them.`;
      if (!(await confirm({ title: "Accept the terms?", text, yes: "Accept and fetch" }))) return;
    }
    this.pulls.start(entry.name, Boolean(entry.terms));
    this.#draw();
  }

  #pulled(name, fetched) {
    if (fetched) {
      announce(`${name} is here.`);
      void this.refresh();
    } else if (this.dialog.open) this.#draw();
  }
}

function arrows(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...event.currentTarget.children];
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
}
