// Markdown into blocks: plain data, each with the source it came from, so that what hasn't changed isn't drawn again.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const ROW_RULE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DEEPEST = 8;

/** Blocks of the kinds code, heading, rule, quote, list, table and paragraph; `source` is their text. */
export function blocks(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n");
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, next] = one(lines, at, depth);
    found.push({ ...block, source: lines.slice(at, next).join("\n") });
    at = next;
  }
  return found;
}

function one(lines, at, depth) {
  const line = lines[at];
  let match;
  if ((match = FENCE.exec(line))) return code(lines, at, match);
  if ((match = HEADING.exec(line))) return [{ kind: "heading", level: match[1].length, text: match[2] }, at + 1];
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (QUOTE.test(line) && depth < DEEPEST) {
    let end = at;
    while (end < lines.length && QUOTE.test(lines[end])) end += 1;
    const inner = lines.slice(at, end).map((each) => each.replace(QUOTE, "")).join("\n");
    return [{ kind: "quote", blocks: blocks(inner, depth + 1) }, end];
  }
  if (ITEM.test(line) && depth < DEEPEST) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines, end)) end += 1;
  return [{ kind: "paragraph", text: lines.slice(at, end).map((each) => each.trimStart()).join("\n") }, end];
}

function interrupts(lines, at) {
  const line = lines[at];
  const item = ITEM.exec(line);
  const begins = item && item[4] && (!/\d/.test(item[2]) || item[2].startsWith("1"));
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || begins || isTable(lines, at);
}

function code(lines, at, [, fence, info]) {
  const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const language = info.trim().split(/\s+/)[0];
  return [{ kind: "code", language, text: lines.slice(at + 1, end).join("\n") }, Math.min(end + 1, lines.length)];
}

function list(lines, at, depth) {
  const [, indent, marker] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(marker);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const match = ITEM.exec(lines[end]);
    if (!match || match[1].length > indent.length + 1 || match[1].length < indent.length) break;
    if (/\d/.test(match[2]) !== ordered || RULE.test(lines[end])) break;
    const width = match[1].length + match[2].length + 1;
    const inner = [match[4]];
    end += 1;
    while (end < lines.length) {
      const line = lines[end];
      const deep = line.length - line.trimStart().length;
      if (!line.trim()) {
        const following = lines.slice(end).find((each) => each.trim());
        const itsDepth = following === undefined ? -1 : following.length - following.trimStart().length;
        if (itsDepth < Math.min(width, indent.length + 2)) break;
        inner.push("");
      } else if (deep >= Math.min(width, indent.length + 2)) inner.push(line.slice(Math.min(deep, width)));
      else if (ITEM.test(line) || interrupts(lines, end) || inner.at(-1) === "") break;
      else inner.push(line.trimStart());
      end += 1;
    }
    items.push(blocks(inner.join("\n"), depth + 1));
    let blank = end;
    while (blank < lines.length && !lines[blank].trim()) blank += 1;
    if (blank < lines.length && ITEM.test(lines[blank])) end = blank;
  }
  return [{ kind: "list", ordered, start: ordered ? Number.parseInt(marker, 10) : 1, items }, end];
}

function isTable(lines, at) {
  const rule = lines[at + 1];
  if (rule === undefined || !lines[at].includes("|") || !ROW_RULE.test(rule)) return false;
  return cells(lines[at]).length === cells(rule).length;
}

function table(lines, at) {
  const head = cells(lines[at]);
  const aligned = cells(lines[at + 1]).map((cell) => {
    const [left, right] = [cell.startsWith(":"), cell.endsWith(":")];
    return left && right ? "center" : right ? "right" : "left";
  });
  const rows = [];
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) {
    const row = cells(lines[end]);
    rows.push(head.map((_, column) => row[column] ?? ""));
    end += 1;
  }
  return [{ kind: "table", head, aligned, rows }, end];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}
