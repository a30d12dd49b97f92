// A conversation: asks, follows what comes of it to the end even while another one is looked at, and draws itself.

import { announce } from "./announce.js";
import { AnswerView } from "./answer.js";
import { ApiError, get, patch, post } from "./api.js";
import { h } from "./dom.js";
import { Exchange } from "./exchange.js";
import { follow } from "./follow.js";
import { GOING_ON, load } from "./history.js";

const TITLE_LENGTH = 80; // as the server cuts those that it makes
const ANSWERED_MS = 1500;
const SETTLE_MS = 120; // while events are replayed, calls that were decided long ago look as if they waited

/**
 * id: "" until the first question. host: {wanted(): fields of a request, doings: for views, changed(conversation),
 * asks(entry, exchange, conversation), link(state), created(conversation)}.
 */
export class Conversation {
  constructor(host, { id = "", agent = "assistant", title = "" } = {}) {
    Object.assign(this, { host, id, agent, title });
    this.exchanges = [];
    this.views = [];
    this.root = h("div", { class: "exchanges" });
    this.left = new AbortController();
    this.loaded = !id;
  }

  get running() {
    return this.exchanges.find((exchange) => !exchange.over) ?? null;
  }

  get last() {
    return this.exchanges.at(-1) ?? null;
  }

  /** Reads it from the server, once. Raises ApiError. */
  open() {
    this.opening ??= this.#open().finally(() => (this.opening = null));
    return this.opening;
  }

  async #open() {
    if (this.loaded) return;
    const session = await load(this.id, this.left.signal);
    this.loaded = true;
    this.title = session.title;
    this.agent = session.agent;
    for (const exchange of session.exchanges) this.#add(exchange);
    const going = session.exchanges.filter((exchange) => GOING_ON.includes(exchange.kept) && !exchange.over);
    for (const exchange of going) void this.#follow(exchange);
  }

  /** Stops following. The server goes on with what it does. */
  leave() {
    this.left.abort();
  }

  /** replacing: the exchange whose place the new one takes, the last one; or null. */
  async ask(question, replacing = null) {
    const exchange = new Exchange(question);
    exchange.watched();
    const replaces = replacing?.status === "lost" ? "" : (replacing?.run ?? "");
    if (replacing && !replaces) this.#drop(replacing); // the server has nothing to take back
    this.#add(exchange);
    try {
      if (!this.id) await this.#create(question);
      const body = { input: question, session: this.id, background: true, ...this.host.wanted() };
      if (replaces) body.replaces = replaces;
      const { run } = await post(`/v1/agents/${encodeURIComponent(this.agent)}/runs`, body);
      if (replaces) this.#drop(replacing);
      exchange.run = run.id;
      exchange.model = run.model;
      if (exchange.stopped) void this.stop();
    } catch (error) {
      this.#failed(exchange, error);
      return;
    }
    this.host.changed(this);
    await this.#follow(exchange);
  }

  async stop() {
    const exchange = this.running;
    if (!exchange) return;
    exchange.stopped = true;
    if (!exchange.run) return; // then as soon as it has one
    try {
      await post(`/v1/agents/runs/${exchange.run}/cancel`, {});
    } catch (error) {
      announce(error.message);
    }
  }

  /** Tells the server a yes or no. Somebody else may have been quicker, which is told in the answer. */
  async decide(entry, exchange, yes) {
    entry.decided = true;
    try {
      await post(`/v1/agents/runs/${exchange.run}/approval`, { approve: yes, event: entry.event });
      entry.refused = !yes;
      exchange.decided(entry);
      this.#viewOf(exchange)?.changed();
      this.host.changed(this);
      announce(yes ? `${entry.call.name} is allowed.` : `${entry.call.name} is refused.`);
    } catch (error) {
      entry.decided = false;
      const gone = error instanceof ApiError && error.status >= 400 && error.status < 500;
      const told = gone ? `Somebody else had answered before you whether ${entry.call.name} may run, or it no longer waits.` : error.message;
      if (gone) exchange.decided(entry);
      exchange.notices.push(told);
      announce(told);
      this.#viewOf(exchange)?.changed();
    }
  }

  async rename(title) {
    if (this.id) await patch(`/v1/agents/sessions/${this.id}`, { title });
    this.title = title;
  }

  async #create(question) {
    const line = question.trim().replace(/\s+/g, " ");
    const title = line.length <= TITLE_LENGTH ? line : `${line.slice(0, TITLE_LENGTH - 1)}…`;
    const session = await post("/v1/agents/sessions", { agent: this.agent, title });
    this.id = session.id;
    this.title = session.title;
    this.host.created(this);
  }

  #add(exchange) {
    const view = new AnswerView(exchange, this.host.doings(this));
    this.exchanges.push(exchange);
    this.views.push(view);
    this.root.append(view.root);
    this.#mark();
  }

  #drop(exchange) {
    const at = this.exchanges.indexOf(exchange);
    if (at < 0) return;
    this.views[at].root.remove();
    this.exchanges.splice(at, 1);
    this.views.splice(at, 1);
  }

  #viewOf(exchange) {
    return this.views[this.exchanges.indexOf(exchange)];
  }

  #mark() {
    for (const view of this.views) view.latest = view === this.views.at(-1) && !this.running;
    this.host.changed(this);
  }

  #failed(exchange, error) {
    if (error.name === "AbortError") return;
    exchange.failed(error);
    this.#viewOf(exchange)?.changed();
    this.#mark();
    announce(`It failed: ${error.message}`);
  }

  async #follow(exchange) {
    const watch = this.#watchLoading(exchange);
    try {
      const status = await follow(exchange.run, {
        after: exchange.last,
        signal: this.left.signal,
        heard: (event, number) => this.#heard(exchange, event, number),
        link: (state) => this.#link(exchange, state),
      });
      if (status === "left") return;
      if (status) exchange.ended(status);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) exchange.ended("lost");
      else exchange.failed(error);
    } finally {
      clearInterval(watch);
    }
    this.#viewOf(exchange)?.changed();
    this.#mark();
    void this.host.models.refresh();
    if (exchange.status === "finished") announce(exchange.text);
    else announce(exchange.error?.message ?? "The answer was stopped.");
  }

  #heard(exchange, event, number) {
    const first = !exchange.text;
    exchange.apply(event, number);
    this.#viewOf(exchange)?.changed();
    if (event.type === "text" && first) announce("The answer begins.");
    if (event.type === "notice" || event.type === "fallback") announce(event.message ?? event.reason);
    if (event.type === "approval") setTimeout(() => this.#asks(exchange, number), SETTLE_MS);
    if (event.type !== "text") this.host.changed(this, exchange);
  }

  #asks(exchange, number) {
    const entry = exchange.pending;
    if (entry?.event !== number || entry.decided) return;
    this.host.asks(entry, exchange, this);
    this.#watchAnswer(entry, exchange);
  }

  /** Somebody else may say yes or no, which no event tells before the call has run. */
  #watchAnswer(entry, exchange) {
    const watch = setInterval(async () => {
      if (exchange.pending !== entry || entry.decided || this.left.signal.aborted) {
        clearInterval(watch);
        return;
      }
      const run = await get(`/v1/agents/runs/${exchange.run}`).catch(() => null);
      if (!run || run.status === "waiting" || entry.decided) return;
      exchange.decided(entry);
      this.#viewOf(exchange)?.changed();
      this.host.changed(this);
    }, ANSWERED_MS);
  }

  #link(exchange, state) {
    exchange.link = state;
    if (state === "back") exchange.wasLost = true;
    this.host.link(state);
    this.#viewOf(exchange)?.changed();
  }

  /** Tells how long the model has been loading, which only happens before the first text. */
  #watchLoading(exchange) {
    const began = performance.now();
    return setInterval(async () => {
      const view = this.#viewOf(exchange);
      if (!view || exchange.over || exchange.text || exchange.status === "waiting") {
        view?.loading(null, 0);
        return;
      }
      await this.host.models.refresh();
      view.loading(this.host.models.loading(exchange.model), (performance.now() - began) / 1000);
    }, 1000);
  }
}

