// The list of conversations at the side, as the server keeps it.

import { get, remove } from "./api.js";
import { confirm } from "./confirm.js";
import { byId, h } from "./dom.js";
import { icon } from "./icons.js";

const PAGE = 40;

export class SessionList {
  /** doings: {open(session), renamed(id, title), deleted(id), rename(id, title)}. */
  constructor(doings) {
    this.doings = doings;
    this.root = byId("sessions");
    this.sessions = [];
    this.more = false;
    this.current = "";
    this.states = new Map();
    byId("sessions-more").addEventListener("click", () => this.older());
    this.root.addEventListener("keydown", (event) => this.#keys(event));
  }

  async refresh() {
    const limit = Math.max(PAGE, Math.min(200, this.sessions.length));
    const page = await get(`/v1/agents/sessions?limit=${limit}`);
    this.sessions = page.sessions;
    this.more = page.more;
    this.draw();
  }

  async older() {
    const last = this.sessions.at(-1);
    const page = await get(`/v1/agents/sessions?limit=${PAGE}&before=${encodeURIComponent(last?.id ?? "")}`);
    const known = new Set(this.sessions.map((session) => session.id));
    this.sessions.push(...page.sessions.filter((session) => !known.has(session.id)));
    this.more = page.more;
    this.draw();
  }

  /** state: "", "running" or "waiting". */
  mark(id, state) {
    if (!id || this.states.get(id) === state) return;
    this.states.set(id, state);
    this.draw();
  }

  select(id) {
    this.current = id;
    this.draw();
  }

  draw() {
    const focused = document.activeElement?.dataset?.session;
    this.root.replaceChildren(...this.sessions.map((session) => this.#row(session)));
    byId("sessions-empty").hidden = this.sessions.length > 0;
    byId("sessions-more").hidden = !this.more;
    if (focused) this.root.querySelector(`[data-session="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(session) {
    const state = this.states.get(session.id) ?? "";
    const title = session.title || "Untitled";
    const told = { running: ", is being answered", waiting: ", waits for your yes or no" }[state] ?? "";
    const button = h(
      "button",
      { class: "session", type: "button", title, "aria-label": title + told, data: { session: session.id, state }, on: { click: () => this.doings.open(session) } },
      h("span", { class: "session-title" }, title),
      state && h("i", { class: "dot" }),
    );
    if (session.id === this.current) button.setAttribute("aria-current", "page");
    const act = (name, label, run) => h("button", { class: "icon-button small", type: "button", "aria-label": `${label} “${title}”`, title: label, on: { click: run } }, icon(name));
    return h("li", {}, button, h("span", { class: "session-doings" }, act("edit", "Rename", () => this.#rename(session)), act("trash", "Delete", () => this.#delete(session))));
  }

  async #rename(session) {
    const title = await confirm({ title: "Rename the conversation", yes: "Rename", label: "Title", value: session.title });
    if (!title || title === session.title) return;
    await this.doings.rename(session.id, title.slice(0, 200));
    await this.refresh();
  }

  async #delete(session) {
    const text = `“${session.title || "Untitled"}” and its answers are removed from this computer. This can't be undone.`;
    if (!(await confirm({ title: "Delete the conversation?", text, yes: "Delete", danger: true }))) return;
    await remove(`/v1/agents/sessions/${session.id}`);
    this.sessions = this.sessions.filter((each) => each.id !== session.id);
    this.doings.deleted(session.id);
    this.draw();
  }

  #keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.classList.contains("session")) return;
    event.preventDefault();
    const all = [...this.root.querySelectorAll(".session")];
    all[Math.max(0, Math.min(all.length - 1, all.indexOf(event.target) + step))].focus();
  }
}
