// A side panel: a column where there is room, else a drawer over the page that keeps focus until it is closed.

const open = new Set();

export class Drawer {
  /** wide: a media query for when it is a column. opened: whether the column is there at first. */
  constructor({ panel, button, close, scrim, rest, wide, opened, kept = () => {} }) {
    Object.assign(this, { panel, button, scrim, rest, kept });
    this.query = window.matchMedia(wide);
    this.asColumn = opened;
    this.shown = false;
    button.addEventListener("click", () => this.set(!this.shown));
    close.addEventListener("click", () => this.set(false));
    scrim.addEventListener("click", () => this.shown && !this.column && this.set(false));
    this.query.addEventListener("change", () => this.#show(this.column && this.asColumn));
    this.#show(this.column && opened);
  }

  get column() {
    return this.query.matches;
  }

  set(shown) {
    if (this.column) {
      this.asColumn = shown;
      this.kept(shown);
    }
    this.#show(shown);
    if (shown && !this.column) this.panel.querySelector("button, input")?.focus();
    else if (!shown) this.button.focus();
  }

  /** Closes it if it lies over the page. Gives whether it did. */
  dismiss() {
    if (!this.shown || this.column) return false;
    this.set(false);
    return true;
  }

  #show(shown) {
    this.shown = shown;
    this.panel.hidden = !shown;
    this.panel.classList.toggle("drawer", !this.column);
    this.button.setAttribute("aria-expanded", String(shown));
    if (shown && !this.column) open.add(this);
    else open.delete(this);
    this.scrim.hidden = open.size === 0;
    for (const other of this.rest) other.inert = open.size > 0 && ![...open].some((drawer) => drawer.panel === other);
  }
}
