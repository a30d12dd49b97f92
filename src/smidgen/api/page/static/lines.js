// Bodies that arrive bit by bit: lines, server-sent events, lines of JSON.

/** Lines of a body without their ends. `heard` is called with each piece that arrives. */
export async function* lines(body, heard = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      heard();
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) yield part.endsWith("\r") ? part.slice(0, -1) : part;
    }
    if (rest) yield rest;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Server-sent events as {id, event, data}. An event that breaks off is not one. */
export async function* serverSent(body, heard) {
  let id = null;
  let event = "message";
  let data = [];
  for await (const line of lines(body, heard)) {
    if (line === "") {
      if (data.length) yield { id, event, data: data.join("\n") };
      event = "message";
      data = [];
    } else if (!line.startsWith(":")) {
      const at = line.indexOf(":");
      const field = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
      if (field === "id" && /^\d+$/.test(value)) id = Number(value);
      else if (field === "event") event = value;
      else if (field === "data") data.push(value);
    }
  }
}

export async function* jsonLines(body) {
  for await (const line of lines(body)) if (line.trim()) yield JSON.parse(line);
}
