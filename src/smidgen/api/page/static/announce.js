// What a screen reader is told, in few words and not with every token.

import { byId } from "./dom.js";

const LONGEST = 1200;

export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)} … The rest is in the conversation.` : text));
}
