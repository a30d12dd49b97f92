// Light, dark, or as the system has it. `early.js` applies the choice before the first paint.

import { announce } from "./announce.js";
import { icon } from "./icons.js";

const ORDER = ["auto", "light", "dark"];
const LABELS = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function chosen() {
  return document.documentElement.dataset.theme ?? "auto";
}

export function themeButton(button) {
  const show = () => {
    const theme = chosen();
    button.replaceChildren(icon(theme));
    button.setAttribute("aria-label", LABELS[theme]);
    button.title = LABELS[theme];
  };
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("smidgen.theme");
      else localStorage.setItem("smidgen.theme", next);
    } catch {
      // Then it holds until the page is closed.
    }
    show();
    announce(LABELS[next]);
  });
  show();
}
