// The dialog in which a person lets a call run or not. Escape refuses; no key that is typed by chance allows.

import { byId, h } from "./dom.js";
import { readable } from "./calls.js";

export class ApprovalDialog {
  /** decide(entry, exchange, yes): tells the server. */
  constructor(decide) {
    this.decide = decide;
    this.dialog = byId("approval");
    this.shown = null;
    byId("approval-yes").addEventListener("click", () => this.#answer(true));
    byId("approval-no").addEventListener("click", () => this.#answer(false));
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#answer(false);
    });
  }

  show(entry, exchange) {
    if (this.shown?.entry === entry) return;
    this.shown = { entry, exchange };
    byId("approval-title").textContent = `Allow ${entry.call.name}?`;
    byId("approval-reason").textContent = entry.reason ? `Asked because: ${entry.reason}` : "It would change something outside this conversation.";
    byId("approval-preview").replaceChildren(...difference(entry.preview));
    byId("approval-arguments").textContent = readable(entry.call.arguments);
    if (!this.dialog.open) this.dialog.showModal();
    byId("approval-title").focus();
  }

  /** Closes it if the call that is shown no longer waits. Gives whether it did. */
  refresh() {
    if (!this.shown || this.shown.exchange.pending === this.shown.entry) return false;
    this.#close();
    return true;
  }

  #answer(yes) {
    const { entry, exchange } = this.shown;
    this.#close();
    this.decide(entry, exchange, yes);
  }

  #close() {
    this.shown = null;
    this.dialog.close();
  }
}

/** Lines of a preview, those of a difference marked as such. */
function difference(text) {
  return text.split("\n").map((line) => {
    const kind = line.startsWith("@@") ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "";
    return h("span", { class: `line ${kind}` }, `${line}\n`);
  });
}
