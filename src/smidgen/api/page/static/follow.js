// Follows a run's events to their end, over as many connections as it takes: none is told twice, none is left out.

import { ApiError, get, open } from "./api.js";
import { serverSent } from "./lines.js";

const SILENCE_MS = 30_000; // the server gives a sign of life every 10 s
const PAUSES_MS = [250, 500, 1000, 2000, 4000];
const GOING_ON = ["running", "waiting"];

/**
 * heard(event, number): each event once, in order. link(state): "lost" when a connection broke, "back" when another
 * stands. Gives the run's status if it ended without a last event (the server was stopped), else "". Raises ApiError
 * for what trying again can't mend.
 */
export async function follow(run, { after = 0, heard, link = () => {}, signal }) {
  let last = after;
  let begun = after > 0;
  let lost = 0;
  let over = false;
  for (;;) {
    const connection = new AbortController();
    const give = () => connection.abort();
    signal?.addEventListener("abort", give);
    let watch = setTimeout(give, SILENCE_MS);
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(give, SILENCE_MS);
    };
    try {
      const path = `/v1/agents/runs/${run}/events?after=${last}`;
      const response = await open("GET", path, { signal: connection.signal, accept: "text/event-stream" });
      if (lost) link("back");
      lost = 0;
      for await (const { id, data } of serverSent(response.body, alive)) {
        if (id === null || (begun && id <= last)) continue;
        begun = true;
        last = id;
        const event = JSON.parse(data);
        heard(event, id);
        over = event.type === "finished" || event.type === "failed"; // then the server closes the stream
      }
      if (over) return "";
      const { status } = await get(`/v1/agents/runs/${run}`);
      if (!GOING_ON.includes(status)) return status;
      throw new ApiError("The stream ended early.", { code: "unreachable" });
    } catch (error) {
      if (signal?.aborted) return "left";
      if (over) return "";
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) throw error;
      if (!lost) link("lost");
      await pause(PAUSES_MS[Math.min(lost, PAUSES_MS.length - 1)], signal);
      lost += 1;
      if (signal?.aborted) return "left";
    } finally {
      clearTimeout(watch);
      signal?.removeEventListener("abort", give);
    }
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      window.removeEventListener("online", end);
      signal?.removeEventListener("abort", end);
      done();
    }
    window.addEventListener("online", end);
    signal?.addEventListener("abort", end);
  });
}
