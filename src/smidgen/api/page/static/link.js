// Whether the server can be reached: told at the side, asked again until it can.

import { announce } from "./announce.js";
import { byId, say } from "./dom.js";

const ASK_MS = 2000;
const LOOK_MS = 20_000;

export class Link {
  /** mended: called when the server is there again, before that is told. */
  constructor(mended) {
    this.mended = mended;
    this.away = false;
    this.root = byId("link");
    setInterval(() => !this.away && !document.hidden && this.#look(), LOOK_MS);
  }

  lost() {
    if (this.away) return;
    this.away = true;
    this.#show("off", "Reconnecting");
    byId("banner").textContent = "The server can't be reached. This page goes on by itself when it is back.";
    byId("banner").hidden = false;
    byId("banner").dataset.tone = "away";
    this.timer = setInterval(() => this.#ask(), ASK_MS);
  }

  back() {
    if (!this.away) return;
    this.away = false;
    clearInterval(this.timer);
    this.#show("on", "Connected");
    delete byId("banner").dataset.tone;
    byId("banner").hidden = true;
    announce("Reconnected.");
    this.mended();
  }

  async #ask() {
    if ((await reachable()) && this.away) this.back();
  }

  async #look() {
    if (!(await reachable())) this.lost();
  }

  #show(state, text) {
    this.root.dataset.state = state;
    say(this.root.lastElementChild, text);
  }
}

async function reachable() {
  try {
    await fetch("/page/mark.svg", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    return true; // whatever it does meanwhile: /health would tell of a model that is being loaded
  } catch {
    return false;
  }
}
