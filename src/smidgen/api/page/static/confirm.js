// A question in a dialog: yes or no, or a line of text.

import { byId } from "./dom.js";

/** Gives true, or the text if `label` asks for one; null for no. danger: the yes can't be undone. */
export function confirm({ title, text = "", yes, danger = false, label = "", value = "", secret = false }) {
  const dialog = byId("confirm");
  const input = byId("confirm-input");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-text").hidden = !text;
  byId("confirm-yes").textContent = yes;
  byId("confirm-yes").classList.toggle("danger", danger);
  byId("confirm-field").hidden = !label;
  byId("confirm-label").textContent = label;
  input.type = secret ? "password" : "text";
  input.value = value;
  return new Promise((done) => {
    const ended = new AbortController();
    const { signal } = ended;
    let answer = null;
    dialog.querySelector("form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        answer = label ? input.value.trim() || null : true;
        dialog.close();
      },
      { signal },
    );
    byId("confirm-no").addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener(
      "close",
      () => {
        ended.abort();
        done(answer);
      },
      { signal },
    );
    dialog.showModal();
    if (label) input.select();
    else byId("confirm-no").focus();
  });
}
