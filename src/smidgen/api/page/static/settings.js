// How answers are made: the agent, temperature, length, instructions, and whether likelihoods are kept.

import { byId, h } from "./dom.js";
import { keep, kept } from "./kept.js";

const LOGPROBS = 5;

export class Settings {
  /** changed: called when the agent is another. */
  constructor(changed) {
    this.changed = changed;
    this.agents = [];
    this.agent = kept("agent", "assistant");
    this.temperature = kept("temperature", null);
    this.maxTokens = kept("max_tokens", null);
    this.system = kept("system", "");
    this.logprobs = kept("logprobs", false);
    this.#wire();
    this.#show();
  }

  /** What a request says otherwise than its agent. */
  get wanted() {
    return {
      ...(this.temperature === null ? {} : { temperature: this.temperature }),
      ...(this.maxTokens === null ? {} : { max_tokens: this.maxTokens }),
      ...(this.system.trim() ? { system: this.system } : {}),
      ...(this.logprobs ? { logprobs: LOGPROBS } : {}),
    };
  }

  get chosenAgent() {
    return this.agents.find((agent) => agent.name === this.agent) ?? this.agents[0] ?? { name: "assistant", tools: [] };
  }

  showAgents(agents) {
    this.agents = agents;
    const select = byId("agent");
    select.replaceChildren(...agents.map((agent) => h("option", { value: agent.name }, agent.name)));
    select.value = this.chosenAgent.name;
    byId("agent-field").hidden = agents.length < 2;
    byId("agent-told").textContent = `${this.chosenAgent.description} Holds for new conversations.`;
  }

  #wire() {
    const wire = (id, event, change) =>
      byId(id).addEventListener(event, (happened) => {
        change(happened.target);
        this.#show();
      });
    wire("agent", "change", (select) => {
      this.agent = select.value;
      keep("agent", this.agent);
      this.showAgents(this.agents);
      this.changed();
    });
    wire("temperature", "input", (input) => keep("temperature", (this.temperature = Number(input.value))));
    wire("temperature-reset", "click", () => {
      this.temperature = null;
      keep("temperature", undefined);
    });
    wire("max-tokens", "change", (input) => {
      this.maxTokens = input.value && input.checkValidity() ? Math.floor(Number(input.value)) : null;
      keep("max_tokens", this.maxTokens ?? undefined);
    });
    wire("system", "input", (area) => keep("system", (this.system = area.value) || undefined));
    wire("logprobs", "change", (box) => keep("logprobs", (this.logprobs = box.checked) || undefined));
  }

  #show() {
    byId("temperature").value = String(this.temperature ?? 0.7);
    byId("temperature").classList.toggle("unset", this.temperature === null);
    byId("temperature-told").textContent = this.temperature === null ? "as the agent has it" : this.temperature.toFixed(1);
    byId("temperature-reset").hidden = this.temperature === null;
    byId("max-tokens").value = this.maxTokens ?? "";
    if (byId("system").value !== this.system) byId("system").value = this.system;
    byId("logprobs").checked = this.logprobs;
  }
}
