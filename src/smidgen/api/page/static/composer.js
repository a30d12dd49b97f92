// The box that questions are written in.

import { byId } from "./dom.js";

const HIGHEST_PX = 240;

export class Composer {
  /** doings: {send(text), stop()}. */
  constructor(doings) {
    this.doings = doings;
    this.form = byId("composer");
    this.area = byId("question");
    this.running = false;
    this.editing = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.area.addEventListener("input", () => this.#fit());
    byId("stop").addEventListener("click", () => doings.stop());
    byId("editing-stop").addEventListener("click", () => this.leaveEdit());
    this.#show();
  }

  /** Whether an answer is being made, which can be stopped; the next question is written meanwhile. */
  set busy(running) {
    if (this.running === running) return;
    const hadFocus = document.activeElement === byId("stop");
    this.running = running;
    this.#show();
    if (hadFocus) this.area.focus();
  }

  /** The text of an exchange's question is changed and takes its place. */
  edit(exchange) {
    this.editing = exchange;
    this.area.value = exchange.question;
    this.#fit();
    this.#show();
    this.area.focus();
    this.area.setSelectionRange(this.area.value.length, this.area.value.length);
  }

  leaveEdit() {
    if (!this.editing) return false;
    this.editing = null;
    this.area.value = "";
    this.#fit();
    this.#show();
    this.area.focus();
    return true;
  }

  focus() {
    this.area.focus();
  }

  fill(text) {
    this.area.value = text;
    this.#fit();
    this.#show();
    this.area.focus();
  }

  #send() {
    const text = this.area.value.trim();
    if (!text || this.running) return;
    const { editing } = this;
    this.editing = null;
    this.area.value = "";
    this.#fit();
    this.#show();
    this.doings.send(text, editing);
  }

  #show() {
    byId("send").hidden = this.running;
    byId("stop").hidden = !this.running;
    byId("editing").hidden = !this.editing;
    byId("send").disabled = !this.area.value.trim();
  }

  #fit() {
    this.area.style.height = "auto";
    this.area.style.height = `${Math.min(HIGHEST_PX, this.area.scrollHeight)}px`;
    byId("send").disabled = !this.area.value.trim();
  }
}
