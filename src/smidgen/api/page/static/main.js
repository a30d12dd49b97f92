// The page: puts its parts together, and knows which conversation is looked at.

import { announce } from "./announce.js";
import { get, keysFrom } from "./api.js";
import { ApprovalDialog } from "./approval.js";
import { Composer } from "./composer.js";
import { confirm } from "./confirm.js";
import { Conversation } from "./conversation.js";
import { byId, h, say } from "./dom.js";
import { Drawer } from "./drawer.js";
import { drawIcons } from "./icons.js";
import { keep, kept } from "./kept.js";
import { Link } from "./link.js";
import { Models } from "./models.js";
import { Sticking } from "./scrolling.js";
import { SessionList } from "./sessions.js";
import { Settings } from "./settings.js";
import { themeButton } from "./theme.js";
import { Tools } from "./tools.js";
import { welcome } from "./welcome.js";

class Page {
  constructor() {
    drawIcons();
    themeButton(byId("theme"));
    keysFrom((wrong) =>
      confirm({
        title: "This server wants a key",
        text: wrong ? "The last one was not right. It is kept until this tab is closed." : "It is kept until this tab is closed.",
        yes: "Use it",
        label: "API key",
        secret: true,
      }),
    );
    this.opened = new Map();
    this.settings = new Settings(() => this.#tools());
    this.tools = new Tools(byId("tools"), () => this.#chips());
    this.models = new Models(byId("model"), () => this.composer.focus());
    this.sticking = new Sticking(byId("scroller"), byId("jump"));
    this.link = new Link(() => this.#reload());
    this.approval = new ApprovalDialog((entry, exchange, yes) => this.#owner(exchange)?.decide(entry, exchange, yes));
    this.composer = new Composer({ send: (text, editing) => this.#send(text, editing), stop: () => this.conversation.stop() });
    this.list = new SessionList({
      open: (session) => this.show(session),
      rename: (id, title) => this.#rename(id, title),
      deleted: (id) => this.#deleted(id),
    });
    const [side, setup, stage, scrim] = [byId("side"), byId("setup"), byId("stage"), byId("scrim")];
    this.side = new Drawer({ panel: side, button: byId("side-open"), close: byId("side-close"), scrim, rest: [stage, setup], wide: "(min-width: 860px)", opened: kept("side", true), kept: (shown) => keep("side", shown) });
    this.setup = new Drawer({ panel: setup, button: byId("setup-open"), close: byId("setup-close"), scrim, rest: [stage, side], wide: "(min-width: 1180px)", opened: kept("setup", false), kept: (shown) => keep("setup", shown) });
    byId("new").addEventListener("click", () => this.show(null));
    byId("tools-chip").addEventListener("click", () => this.setup.set(true));
    byId("dry-chip").addEventListener("click", () => this.tools.setDry(false));
    document.addEventListener("keydown", (event) => this.#keys(event));
    window.addEventListener("hashchange", () => this.#fromAddress());
  }

  async start() {
    this.#chips();
    this.show(null, false);
    await this.#fromAddress();
    await this.#reload();
    this.composer.focus();
  }

  // --- which conversation ----------------------------------------------------------------------------------------

  /** session: {id, agent, title} as the server tells it; null for a new one. */
  show(session, address = true) {
    const conversation = session ? (this.opened.get(session.id) ?? this.#make(session)) : this.#make({ agent: this.settings.chosenAgent.name });
    this.conversation = conversation;
    if (address) history.replaceState(null, "", conversation.id ? `#${conversation.id}` : location.pathname);
    this.side?.dismiss();
    this.composer.leaveEdit();
    this.list.select(conversation.id);
    this.#draw();
    if (conversation.loaded) {
      this.#askAgain();
      this.composer.focus();
    } else void this.#load(conversation);
  }

  #make(session) {
    const conversation = new Conversation(this.#host(), session);
    if (conversation.id) this.opened.set(conversation.id, conversation);
    return conversation;
  }

  async #load(conversation) {
    try {
      await conversation.open();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.opened.delete(conversation.id);
      if (error.status === 404) {
        if (this.conversation === conversation) this.show(null);
        this.#banner("That conversation is no longer there.");
      } else if (error.unreachable) this.link.lost();
      else this.#banner(error.message);
      return;
    }
    if (this.conversation !== conversation) return;
    this.#draw();
    this.composer.focus();
  }

  async #fromAddress() {
    const id = location.hash.slice(1);
    if (id.startsWith("ses_") && this.conversation?.id !== id) this.show({ id, title: "" }, false);
  }

  #draw() {
    const { conversation } = this;
    const empty = conversation.loaded && !conversation.exchanges.length;
    const shown = empty ? welcome((text) => this.#send(text)) : conversation.loaded ? conversation.root : h("div", { class: "skeleton", role: "status", "aria-label": "The conversation is being read" }, h("i"), h("i"), h("i"));
    byId("exchanges").replaceChildren(shown);
    this.#changed(conversation);
    this.sticking.toEnd();
  }

  // --- what a conversation needs of the page -----------------------------------------------------------------------

  #host() {
    return {
      models: this.models,
      wanted: () => ({ ...this.settings.wanted, model: this.models.wanted, tools: this.tools.wanted, dry_run: this.tools.dry }),
      doings: (conversation) => ({
        again: (exchange) => this.#again(conversation, exchange),
        edit: (exchange) => this.composer.edit(exchange),
        review: (entry, exchange) => this.approval.show(entry, exchange),
        models: () => this.models.open(),
        context: (model) => this.models.context(model),
        drawn: () => conversation === this.conversation && this.sticking.follow(),
      }),
      changed: (conversation, exchange) => this.#changed(conversation, exchange),
      created: (conversation) => this.#created(conversation),
      asks: (entry, exchange, conversation) => conversation === this.conversation && this.approval.show(entry, exchange),
      link: (state) => (state === "lost" ? this.link.lost() : this.link.back()),
    };
  }

  #owner(exchange) {
    return [this.conversation, ...this.opened.values()].find((conversation) => conversation.exchanges.includes(exchange));
  }

  #changed(conversation) {
    const { running } = conversation;
    this.list.mark(conversation.id, running ? (running.status === "waiting" ? "waiting" : "running") : "");
    const shown = this.approval.shown;
    if (shown && this.approval.refresh() && !shown.entry.decided) {
      const told = `${shown.entry.call.name} was answered elsewhere, or the answer was stopped.`;
      shown.exchange.notices.push(told);
      announce(told);
    }
    if (conversation !== this.conversation) return;
    this.composer.busy = running !== null;
    say(byId("title"), conversation.title || "New conversation");
    document.title = conversation.title ? `${conversation.title} · smidgen` : "smidgen";
  }

  #created(conversation) {
    this.opened.set(conversation.id, conversation);
    if (conversation === this.conversation) {
      history.replaceState(null, "", `#${conversation.id}`);
      this.list.current = conversation.id;
    }
    void this.list.refresh().catch(() => {});
  }

  /** A call that waits is shown when its conversation is looked at again. */
  #askAgain() {
    const exchange = this.conversation.running;
    if (exchange?.pending) this.approval.show(exchange.pending, exchange);
  }

  // --- what a person does --------------------------------------------------------------------------------------------

  #send(text, editing = null) {
    const { conversation } = this;
    if (!conversation.loaded || conversation.running) return this.composer.fill(text);
    const replacing = editing && editing === conversation.last ? editing : null;
    const asked = conversation.ask(text, replacing);
    if (byId("exchanges").firstChild !== conversation.root) byId("exchanges").replaceChildren(conversation.root);
    this.sticking.toEnd();
    return asked.then(() => this.list.refresh().catch(() => {}));
  }

  #again(conversation, exchange) {
    if (conversation.running) return;
    void conversation.ask(exchange.question, exchange);
    this.sticking.toEnd();
    this.composer.focus();
  }

  async #rename(id, title) {
    const conversation = this.opened.get(id) ?? new Conversation(this.#host(), { id });
    await conversation.rename(title);
    this.#changed(conversation);
  }

  #deleted(id) {
    this.opened.get(id)?.leave();
    this.opened.delete(id);
    if (this.conversation.id === id) this.show(null);
  }

  #keys(event) {
    if (event.key === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
      event.preventDefault();
      this.models.open();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.composer.focus();
    } else if (event.key === "Escape") this.#escape();
  }

  #escape() {
    if (this.side.dismiss() || this.setup.dismiss() || this.composer.leaveEdit()) return;
    if (this.conversation.running) void this.conversation.stop();
  }

  // --- what the server has --------------------------------------------------------------------------------------------

  async #reload() {
    try {
      const [{ agents }, tools] = await Promise.all([get("/v1/agents"), get("/v1/agents/tools"), this.list.refresh()]);
      void this.models.refresh();
      this.settings.showAgents(agents);
      this.models.usually = this.settings.chosenAgent.model;
      this.told = tools;
      this.#tools();
      this.link.back();
      if (!this.conversation.loaded) void this.#load(this.conversation);
    } catch (error) {
      if (error.unreachable || error.status >= 500) this.link.lost();
      else this.#banner(error.message);
    }
  }

  #tools() {
    if (this.told) this.tools.show(this.told, this.settings.chosenAgent.tools);
    if (this.conversation && !this.conversation.id) this.conversation.agent = this.settings.chosenAgent.name;
  }

  #chips() {
    say(byId("tools-chip").lastElementChild, this.tools.summary);
    byId("tools-chip").setAttribute("aria-label", `${this.tools.summary}. Choose tools.`);
    byId("dry-chip").hidden = !this.tools.dry;
  }

  #banner(text) {
    const banner = byId("banner");
    banner.replaceChildren(h("span", {}, text), h("button", { class: "quiet-button", type: "button", on: { click: () => (banner.hidden = true) } }, "Close"));
    banner.hidden = false;
  }
}

const page = new Page();
void page.start();
