// A session as the server keeps it, as exchanges: each run with the question that it answered.

import { get } from "./api.js";
import { Exchange } from "./exchange.js";
import { follow } from "./follow.js";

const AT_ONCE = 6;
export const GOING_ON = ["running", "waiting"];

/** The session with `exchanges`, in order; those that are over are complete, others have yet to be followed. */
export async function load(id, signal) {
  const session = await get(`/v1/agents/sessions/${id}`);
  const asked = session.messages.filter((message) => message.role === "user").map((message) => message.content);
  const exchanges = [];
  let turn = 0;
  for (const run of session.runs) {
    const remembered = run.status === "finished";
    const question = questionOf(run) ?? (remembered ? asked[turn] : undefined) ?? "(the question was not kept)";
    if (remembered) turn += 1;
    const exchange = new Exchange(question);
    Object.assign(exchange, { run: run.id, model: run.model, status: "running", phase: "Reading what was said" });
    exchange.tookS = run.ended ? Math.max(0, (Date.parse(run.ended) - Date.parse(run.created)) / 1000) : 0;
    exchange.kept = run.status;
    exchanges.push(exchange);
  }
  const waiting = exchanges.filter((exchange) => !GOING_ON.includes(exchange.kept));
  await Promise.all(Array.from({ length: AT_ONCE }, () => worker(waiting, signal)));
  return { ...session, exchanges };
}

function questionOf(run) {
  return (run.input ?? []).filter((message) => message.role === "user").at(-1)?.content;
}

async function worker(waiting, signal) {
  for (let exchange = waiting.shift(); exchange; exchange = waiting.shift()) {
    const heard = (event, number) => exchange.apply(event, number);
    exchange.ended((await follow(exchange.run, { heard, signal })) || exchange.kept);
  }
}
