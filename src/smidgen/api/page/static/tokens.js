// An answer as its tokens, coloured by how likely each was. Hover or the arrow keys tell the likelihoods.

import { byId, h } from "./dom.js";
import { percent } from "./numbers.js";

const LEVELS = [0.1, 0.3, 0.6, 0.9];

function level(probability) {
  const found = LEVELS.findIndex((limit) => probability < limit);
  return found < 0 ? LEVELS.length : found;
}

const visible = (text) => text.replace(/\n/g, "↵\n") || "∅";
const named = (text) => text.replace(/\n/g, "↵").replace(/ /g, "␣") || "nothing";

/** tokens: as events tell them, {text, logprob, top}. */
export function tokensView(tokens) {
  const root = h("div", { class: "tokens", role: "group", "aria-label": "Tokens of the answer. Arrow keys go from one to the next." });
  for (const [at, token] of tokens.entries()) {
    const probability = Math.exp(token.logprob);
    root.append(
      h("span", { class: `token p${level(probability)}`, tabIndex: at ? -1 : 0, role: "img", "aria-label": said(token) }, visible(token.text)),
    );
  }
  const shown = (event) => {
    const span = event.target.closest(".token");
    if (span) tell(span, tokens[[...root.children].indexOf(span)]);
  };
  root.addEventListener("mouseover", shown);
  root.addEventListener("focusin", shown);
  root.addEventListener("mouseleave", hideTip);
  root.addEventListener("focusout", hideTip);
  root.addEventListener("keydown", (event) => move(root, event));
  return root;
}

function said(token) {
  const others = (token.top ?? []).filter(([text]) => text !== token.text).slice(0, 3);
  const instead = others.map(([text, logprob]) => `${named(text)} ${percent(Math.exp(logprob))}`).join(", ");
  return `${named(token.text)}, ${percent(Math.exp(token.logprob))}${instead ? `; others: ${instead}` : ""}`;
}

function move(root, event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const all = [...root.children];
  const at = all.indexOf(document.activeElement);
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  for (const one of all) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}

function tell(span, token) {
  const tip = byId("tip");
  const rows = (token.top?.length ? token.top : [[token.text, token.logprob]]).slice(0, 6);
  const chosen = rows.some(([text]) => text === token.text) ? rows : [[token.text, token.logprob], ...rows];
  tip.replaceChildren(
    ...chosen.map(([text, logprob]) => {
      const probability = Math.exp(logprob);
      const bar = h("span", { class: "tip-bar" });
      bar.style.width = `${Math.max(1, probability * 100)}%`;
      return h("div", { class: `tip-row${text === token.text ? " chosen" : ""}` }, h("code", {}, named(text)), h("span", { class: "tip-track" }, bar), h("span", { class: "tip-figure" }, percent(probability)));
    }),
  );
  tip.hidden = false;
  const box = span.getClientRects()[0] ?? span.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const above = box.top - height - 8;
  tip.style.left = `${Math.max(8, Math.min(window.innerWidth - width - 8, box.left))}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
}

export function hideTip() {
  byId("tip").hidden = true;
}
