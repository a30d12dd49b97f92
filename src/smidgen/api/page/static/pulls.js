// Models on their way to this computer: progress, and a way to stop.

import { open } from "./api.js";
import { jsonLines } from "./lines.js";

const REDRAW_MS = 150;

export class Pulls {
  /** changed(name, fetched): told when something is new, with true once the model is here. */
  constructor(changed) {
    this.changed = changed;
    this.byName = new Map();
  }

  of(name) {
    return this.byName.get(name);
  }

  stop(name) {
    this.byName.get(name)?.controller.abort();
  }

  async start(name, accepted) {
    const pull = { running: true, status: "", total: 0, completed: 0, error: "", stopped: false, controller: new AbortController() };
    this.byName.set(name, pull);
    let drawn = 0;
    let fetched = false;
    try {
      const body = { model: name, stream: true, ...(accepted ? { accept_license: true } : {}) };
      const response = await open("POST", "/api/pull", { body, signal: pull.controller.signal, accept: "application/x-ndjson" });
      for await (const line of jsonLines(response.body)) {
        if (line.error) throw new Error(line.error);
        pull.status = line.status ?? pull.status;
        pull.total = line.total ?? pull.total;
        pull.completed = line.completed ?? pull.completed;
        fetched ||= line.status === "success";
        if (performance.now() - drawn > REDRAW_MS) {
          drawn = performance.now();
          this.changed(name, false);
        }
      }
      if (!fetched) throw new Error("The transfer ended early. What was fetched is kept for the next try.");
    } catch (error) {
      pull.stopped = pull.controller.signal.aborted;
      pull.error = pull.stopped ? "" : error.message;
    }
    pull.running = false;
    if (fetched) this.byName.delete(name);
    this.changed(name, fetched);
  }
}
