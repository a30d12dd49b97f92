// The conversation follows its end only while the reader is there.

const NEAR_PX = 56;

export class Sticking {
  constructor(scroller, jump) {
    this.scroller = scroller;
    this.jump = jump;
    this.stuck = true;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    jump.addEventListener("click", () => this.toEnd(true));
    new ResizeObserver(() => this.follow()).observe(scroller);
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.stuck = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.jump.hidden = this.stuck;
  }

  /** After something was added. */
  follow() {
    if (this.stuck) this.toEnd();
    else this.#look();
  }

  toEnd(smoothly = false) {
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.stuck = true;
    this.jump.hidden = true;
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior: smoothly && !calm ? "smooth" : "instant" });
  }
}
