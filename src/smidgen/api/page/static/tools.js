// Which tools the agent gets: groups of them, each with what it does and whether it changes something.

import { byId, h, say } from "./dom.js";
import { keep, kept } from "./kept.js";
import { plural } from "./numbers.js";

const GROUPS = {
  "": ["General", "Figures and conversions."],
  dates: ["Dates", "The calendar and the clock."],
  files: ["Files", "Files of the workspace."],
  data: ["Data", "Tables and databases of the workspace."],
  programs: ["Programs", "Python and commands, in a sandbox."],
  web: ["Web", "Searches and reads the web: this leaves your computer."],
};

export class Tools {
  /** changed: called when the choice is another. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.all = [];
    this.groups = {};
    this.usual = [];
    this.chosen = kept("tools", null);
    this.boxes = new Map();
    this.dry = kept("dry", false);
    const dry = byId("dry");
    dry.checked = this.dry;
    dry.addEventListener("change", () => this.setDry(dry.checked));
  }

  /** told: the server's tools and groups. usual: those that the agent has without a choice. */
  show(told, usual) {
    this.all = told.tools;
    this.groups = told.groups;
    this.usual = this.#expanded(usual);
    this.#draw();
    this.changed();
  }

  /** Names for a request; undefined leaves them to the agent. */
  get wanted() {
    return this.chosen === null ? undefined : this.names;
  }

  get names() {
    if (this.chosen === null) return this.usual;
    if (!this.all.length) return this.chosen; // what the server has isn't known yet
    return this.chosen.filter((name) => this.all.some((tool) => tool.name === name));
  }

  get summary() {
    if (!this.all.length) return "Tools";
    return this.names.length ? plural(this.names.length, "tool") : "No tools";
  }

  setDry(on) {
    this.dry = on;
    keep("dry", on || undefined);
    byId("dry").checked = on;
    this.changed();
  }

  #expanded(names) {
    return names.flatMap((name) => (name === "all" ? this.all.map((tool) => tool.name) : (this.groups[name] ?? [name])));
  }

  #toggle(names, on) {
    const chosen = new Set(this.names);
    for (const name of names) {
      if (on) chosen.add(name);
      else chosen.delete(name);
    }
    this.chosen = this.all.map((tool) => tool.name).filter((name) => chosen.has(name));
    keep("tools", this.chosen);
    this.#mark();
    this.changed();
  }

  #draw() {
    const byGroup = new Map();
    for (const tool of this.all) byGroup.set(tool.group, [...(byGroup.get(tool.group) ?? []), tool]);
    this.boxes = new Map();
    this.root.replaceChildren(
      ...[...byGroup].map(([group, tools]) => this.#group(group, tools)),
      (this.back = h("button", { class: "quiet-button", type: "button", on: { click: () => this.#reset() } }, "Back to the agent's own")),
    );
    this.#mark();
  }

  #group(group, tools) {
    const [label, told] = GROUPS[group] ?? [group, ""];
    const names = tools.map((tool) => tool.name);
    const box = h("input", { type: "checkbox", "aria-label": `All of ${label}`, on: { change: (event) => this.#toggle(names, event.target.checked) } });
    this.boxes.set(box, names);
    const changes = tools.filter((tool) => tool.effect === "write").length;
    const figures = h("span", { class: "group-count" });
    box.figures = figures;
    return h(
      "div",
      { class: "group" },
      box,
      h(
        "details",
        {},
        h("summary", {}, h("span", { class: "group-name" }, h("b", {}, label), h("small", {}, told, changes ? h("em", {}, " Some change things.") : "")), figures),
        h("ul", { class: "tool-list" }, tools.map((tool) => this.#tool(tool))),
      ),
    );
  }

  #tool(tool) {
    const box = h("input", { type: "checkbox", on: { change: (event) => this.#toggle([tool.name], event.target.checked) } });
    this.boxes.set(box, [tool.name]);
    const effect = tool.effect === "write" ? h("em", { class: "effect write" }, "changes things") : h("em", { class: "effect" }, "reads");
    return h("li", {}, h("label", {}, box, h("span", {}, h("code", {}, tool.name), effect, h("small", {}, tool.description.split("\n")[0]))));
  }

  #mark() {
    const chosen = new Set(this.names);
    this.back.hidden = this.chosen === null;
    for (const [box, names] of this.boxes) {
      const on = names.filter((name) => chosen.has(name)).length;
      box.checked = on === names.length;
      box.indeterminate = on > 0 && on < names.length;
      if (box.figures) say(box.figures, `${on}/${names.length}`);
    }
  }

  #reset() {
    this.chosen = null;
    keep("tools", undefined);
    this.#mark();
    this.changed();
  }
}
