// Answers and quotes as DOM nodes: the little Markdown that they hold, and the [n] of citations.

import { el, safeUrl } from "./dom.js";

const INLINE = /(`+)([^`]|[^`][^]*?[^`])\1(?!`)|\*\*(?=\S)([^]*?\S)\*\*|!?\[([^\][]*)\]\(([^()\s]*)\)|\[(\d{1,3})\]/g;
const BULLET = /^\s*(?:[-*+•・]|(\d{1,3})[.)．])\s+/;
const FENCE = /^\s*(?:```|~~~)/;
const ROW = /^\s*\|.*\|((?:\s*\[\d+\])*)\s*$/;
const RULE = /^[\s|:-]+$/;

/**
 * Text with Markdown's inline marks as nodes. `cite(n)` makes the node for the marker [n]; it
 * returns null for a number that is no citation, which then stays text.
 */
export function inline(text, cite = () => null) {
  const nodes = [];
  let position = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, , code, strong, label, url, number] = match;
    const node =
      code !== undefined ? el("code", { text: code.trim() })
      : strong !== undefined ? el("strong", {}, ...inline(strong, cite))
      : number !== undefined ? cite(Number(number))
      : link(label, url, cite);
    if (node === null) continue;
    nodes.push(text.slice(position, match.index), node);
    position = match.index + whole.length;
  }
  nodes.push(text.slice(position));
  return nodes.filter((node) => node !== "");
}

function link(label, url, cite) {
  const content = inline(label, cite);
  return safeUrl(url)
    ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow" }, ...content)
    : el("span", {}, ...content);
}

/** Text with paragraphs, lists, table rows and code blocks as a fragment. */
export function blocks(text, cite) {
  const out = document.createDocumentFragment();
  const lines = text.split(/\r\n?|\n/);
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    if (!line.trim()) at += 1;
    else if (FENCE.test(line)) at = code(lines, at, out);
    else if (ROW.test(line)) at = table(lines, at, out, cite);
    else if (BULLET.test(line)) at = list(lines, at, out, cite);
    else {
      out.append(el("p", {}, ...inline(line.trim().replace(/^(?:#{1,6}|>)\s+/, ""), cite)));
      at += 1;
    }
  }
  return out;
}

function code(lines, first, out) {
  let end = first + 1;
  while (end < lines.length && !FENCE.test(lines[end])) end += 1;
  out.append(el("pre", { tabindex: "0" }, el("code", { text: lines.slice(first + 1, end).join("\n") })));
  return end + 1;
}

function list(lines, first, out, cite) {
  const number = lines[first].match(BULLET)[1];
  const node = el(number ? "ol" : "ul", number ? { start: number } : {});
  let at = first;
  for (; at < lines.length; at += 1) {
    const match = lines[at].match(BULLET);
    if (!match || Boolean(match[1]) !== Boolean(number)) break;
    node.append(el("li", {}, ...inline(lines[at].slice(match[0].length), cite)));
  }
  out.append(node);
  return at;
}

function table(lines, first, out, cite) {
  const body = el("tbody");
  const headed = RULE.test(lines[first + 1] ?? "");
  let at = first;
  for (; at < lines.length && ROW.test(lines[at]); at += 1) {
    if (RULE.test(lines[at])) continue;
    const markers = lines[at].match(ROW)[1];
    const cells = lines[at].trim().slice(1, lines[at].trim().lastIndexOf("|")).split(/(?<!\\)\|/);
    cells[cells.length - 1] += markers;
    const head = headed && at === first;
    body.append(el("tr", {}, ...cells.map((cell) =>
      el(head ? "th" : "td", head ? { scope: "col" } : {}, ...inline(cell.trim().replaceAll("\\|", "|"), cite)))));
  }
  out.append(el("div", { class: "table", tabindex: "0" }, el("table", {}, body)));
  return at;
}

/** A quote as it reads: its list and table marks taken away, on one flow of lines. */
export function quoted(quote) {
  const lines = quote.split(/\r\n?|\n/).filter((line) => line.trim() && !FENCE.test(line));
  const nodes = [];
  for (const line of lines) {
    if (/^\s*\|/.test(line) && RULE.test(line)) continue;
    const text = /^\s*\|/.test(line)
      ? line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim()).filter(Boolean).join(" ／ ")
      : line.replace(BULLET, "").replace(/^\s*(?:#{1,6}|>)\s+/, "").trim();
    if (nodes.length) nodes.push(el("br"));
    nodes.push(...inline(text));
  }
  return nodes;
}

/** The language of a text, for screen readers and for the shapes of its characters. */
export function languageOf(text) {
  return /[\u3041-\u30ff\u4e00-\u9fff]/.test(text) ? "ja" : "en";
}

/** The citation numbers that a text uses, in order of appearance. */
export function citedNumbers(text) {
  return [...new Set([...text.matchAll(/\[(\d{1,3})\]/g)].map((match) => Number(match[1])))];
}
