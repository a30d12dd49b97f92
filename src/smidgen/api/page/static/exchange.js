// One question and what became of it: the state that a run's events add up to. Data only; views read it.

const OVER = ["finished", "failed", "cancelled", "interrupted", "lost", "unsent"];

/** Measured by this page as events arrive, so only while it watches: seconds waited for a person, seconds of checks. */
class Watch {
  constructor() {
    this.began = performance.now();
    this.ended = 0;
    this.waited = 0;
    this.checked = 0;
    this.asked = 0;
    this.checking = 0;
  }

  heard(event) {
    const now = performance.now();
    if (this.checking) this.checked += (now - this.checking) / 1000;
    this.checking = event.type === "step" && event.action === "verify" ? now : 0;
    if (event.type === "approval") this.asked = now;
    else if (this.asked && event.type !== "tool_call") {
      this.waited += (now - this.asked) / 1000;
      this.asked = 0;
    }
    if (event.type === "finished" || event.type === "failed") this.ended = now;
  }

  get total() {
    return ((this.ended || performance.now()) - this.began) / 1000;
  }
}

/**
 * status: sending, running, waiting (for an approval), or one of OVER. calls: {call, preview, reason, event, state,
 * ok, result, seconds, tier}; their state is made, asked, over. story: events that tell how the answer came about.
 */
export class Exchange {
  constructor(question) {
    this.question = question;
    this.run = "";
    this.model = "";
    this.status = "sending";
    this.phase = "Sending";
    this.text = "";
    this.tokens = [];
    this.calls = [];
    this.story = [];
    this.notices = [];
    this.asks = [];
    this.prefilled = null;
    this.finished = null;
    this.error = null;
    this.link = "";
    this.watch = null;
    this.tookS = 0;
    this.last = 0;
  }

  get over() {
    return OVER.includes(this.status);
  }

  /** The call that waits for a yes or no, or null. */
  get pending() {
    return this.over ? null : (this.calls.find((entry) => entry.state === "asked") ?? null);
  }

  /** A call no longer waits: somebody said yes or no. */
  decided(entry) {
    if (entry.state !== "asked") return;
    entry.state = "made";
    running(this, `Using ${entry.call.name}`);
  }

  watched() {
    this.watch = new Watch();
  }

  apply(event, number) {
    this.last = number;
    this.watch?.heard(event);
    const handler = HANDLERS[event.type];
    if (handler) handler(this, event, number);
    if (!UNTOLD.includes(event.type)) this.story.push(event);
  }

  /** The run ended without saying so. */
  ended(status) {
    if (this.over) return;
    this.status = status;
    if (this.watch) this.watch.ended = performance.now();
  }

  failed(error) {
    this.status = "failed";
    this.error = error;
  }
}

const UNTOLD = ["run", "text", "finished", "failed"];

const HANDLERS = {
  run(exchange, event) {
    exchange.run = event.run;
    exchange.model = event.model;
    running(exchange, "Waiting for its turn");
  },
  step(exchange, event) {
    running(exchange, PHASES[event.action]?.(event.detail) ?? "Working");
  },
  routed(exchange) {
    running(exchange, exchange.phase);
  },
  prefilled(exchange, event) {
    exchange.prefilled = event;
    running(exchange, "Writing");
  },
  text(exchange, event) {
    exchange.text += event.text;
    for (const token of event.logprobs ?? []) exchange.tokens.push(token);
    running(exchange, "Writing");
  },
  tool_call(exchange, event) {
    if (exchange.calls.some((entry) => entry.state === "asked" && same(entry.call, event.call))) return; // it still waits
    exchange.calls.push({ call: event.call, state: "made", preview: "", reason: "", event: 0 });
    running(exchange, `Using ${event.call.name}`);
  },
  approval(exchange, event, number) {
    let entry = exchange.calls.find((each) => each.state === "made" && same(each.call, event.call));
    if (!entry) exchange.calls.push((entry = { call: event.call }));
    Object.assign(entry, { state: "asked", preview: event.preview, reason: event.reason ?? "", event: number });
    exchange.status = "waiting";
    exchange.phase = "Waits for your yes or no";
  },
  tool_result(exchange, event) {
    let entry = exchange.calls.find((each) => each.state !== "over" && same(each.call, event.call));
    entry ??= exchange.calls.find((each) => each.state !== "over" && each.call.name === event.call.name);
    if (!entry) exchange.calls.push((entry = { call: event.call, preview: "", reason: "", event: 0 }));
    Object.assign(entry, { state: "over", ok: event.ok, result: event.result, seconds: event.seconds, tier: event.tier ?? "" });
    running(exchange, "Reading the result");
  },
  notice(exchange, event) {
    exchange.notices.push(event.message);
  },
  question(exchange, event) {
    exchange.asks.push(event.question);
  },
  finished(exchange, event) {
    exchange.finished = event;
    exchange.text = event.text;
    exchange.model = event.model;
    exchange.status = "finished";
    for (const warning of event.warnings ?? []) if (!exchange.notices.includes(warning)) exchange.notices.push(warning);
    settle(exchange);
  },
  failed(exchange, event) {
    exchange.error = event.error;
    exchange.status = event.error.code === "cancelled" ? "cancelled" : event.error.code === "interrupted" ? "interrupted" : "failed";
    settle(exchange);
  },
};

const PHASES = {
  route: () => "Choosing a way to answer",
  generate: (detail) => (/^the answer/.test(detail) ? "Reading the question" : "Writing a call"),
  verify: () => "Checking the call",
  call_tool: (detail) => `Using ${detail}`,
  continue: () => "Looking whether more is needed",
  retry: () => "Trying again",
  escalate: () => "Trying another way",
};

function running(exchange, phase) {
  if (exchange.over) return;
  exchange.status = "running";
  exchange.phase = phase;
}

function settle(exchange) {
  for (const entry of exchange.calls) if (entry.state !== "over") Object.assign(entry, { state: "over", ok: false, result: "The run ended before the call did.", seconds: 0 });
}

function same(a, b) {
  if (a.id || b.id) return a.id === b.id;
  return a.name === b.name && JSON.stringify(a.arguments) === JSON.stringify(b.arguments);
}
