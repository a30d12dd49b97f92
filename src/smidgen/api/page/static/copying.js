// A button that copies a text, and says that it did.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { announce } from "./announce.js";

const TOLD_MS = 1600;

/** text: a function that gives it. The button's `copied` may be set to another one later. */
export function copyButton(text, label = "Copy") {
  const button = h("button", { class: "icon-button small copy", type: "button", "aria-label": label, title: label }, icon("copy"));
  button.copied = text;
  button.addEventListener("click", async () => {
    const worked = await copy(button.copied());
    button.replaceChildren(icon(worked ? "check" : "close"));
    announce(worked ? "Copied." : "The browser doesn't let this page copy.");
    setTimeout(() => button.replaceChildren(icon("copy")), TOLD_MS);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** For pages that aren't served from the computer itself, nor over https: browsers keep the clipboard from those. */
function copyBySelection(text) {
  const field = h("textarea", { class: "unseen", value: text, "aria-hidden": "true", tabIndex: -1 });
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const worked = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return worked;
}
