// Requests to the server that the page came from, and its errors as values with a name.

const KEY = "smidgen.key";

/** code: the server's stable name of the error, "unreachable" if there was no answer. retryAfter: seconds, 0 for none. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0, details = {} } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.details = details;
  }

  get unreachable() {
    return this.status === 0;
  }
}

let askForKey = async () => null;
let asking = null;

/** How a person is asked for an API key: a function that gives it, or null. */
export function keysFrom(ask) {
  askForKey = ask;
}

function headers(extra) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...extra, authorization: `Bearer ${key}` } : extra;
}

/** A response that is ok. Raises ApiError, or AbortError if the signal says so. */
export async function open(method, path, { body, signal, accept = "application/json" } = {}) {
  for (;;) {
    let response;
    try {
      response = await fetch(path, {
        method,
        signal,
        headers: headers({ accept, ...(body === undefined ? {} : { "content-type": "application/json" }) }),
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The server can't be reached.", { code: "unreachable" });
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await response.body?.cancel();
      const wrong = sessionStorage.getItem(KEY) !== null;
      asking ??= askForKey(wrong).finally(() => (asking = null));
      const key = await asking;
      if (key) {
        sessionStorage.setItem(KEY, key);
        continue;
      }
      throw new ApiError("This server wants an API key.", { status: 401, code: "unauthorized" });
    }
    throw await refusal(response);
  }
}

async function refusal(response) {
  let told = {};
  try {
    told = (await response.json()).error ?? {};
  } catch {
    // Not JSON: the status has to do.
  }
  const message = typeof told === "string" ? told : told.message;
  return new ApiError(message || `The server answered ${response.status}.`, {
    status: response.status,
    code: told.code ? String(told.code) : "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
    details: told.details ?? {},
  });
}

async function json(method, path, body) {
  const response = await open(method, path, { body });
  return response.status === 204 ? null : response.json();
}

export const get = (path) => json("GET", path);
export const post = (path, body) => json("POST", path, body);
export const patch = (path, body) => json("PATCH", path, body);
export const remove = (path) => json("DELETE", path);
