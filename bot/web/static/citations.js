// The cards of an answer's sources. Each is a link to the source page; a plain click opens the
// source beside the chat, any other (middle button, Ctrl) works as on every link.

import { el } from "./dom.js";
import { citedNumbers, languageOf, quoted } from "./markup.js";
import { t } from "./words.js";

const BEFORE = 60; // characters at most of the sentence before a quote that are shown with it,
const AFTER = 120; // and of what follows

/** The marker [n] inside an answer. */
export function marker(citation, open) {
  const label = t("open_source", { n: citation.number, title: citation.title });
  return opening(
    el("a", { class: "cite", href: anchored(citation.url), "data-number": citation.number, "aria-label": label, title: citation.title },
      String(citation.number)),
    citation, open);
}

/** The cards of `answer`: the sources that it quotes first, then what else came near. */
export function cards(answer, open) {
  const used = new Set(citedNumbers(answer.answer));
  const found = answer.status === "answered";
  const first = found ? answer.citations.filter((citation) => used.has(citation.number)) : [];
  const rest = answer.citations.filter((citation) => !first.includes(citation));
  const box = el("section", { class: "sources", "aria-label": t("sources") });
  if (first.length) box.append(el("h3", { text: t("sources") }), list(first, open, "card"));
  if (!rest.length) return box;
  if (!found) {
    box.append(el("h3", { text: t("nearest") }), list(rest, open, "card near"));
  } else {
    const summary = el("summary", { text: t("more_sources", { n: rest.length }) });
    box.append(el("details", {}, summary, list(rest, open, "card near")));
  }
  return box;
}

function list(citations, open, css) {
  return el("ol", {}, ...citations.map((citation) => el("li", {}, card(citation, open, css))));
}

function card(citation, open, css) {
  const path = citation.heading.filter((part) => part !== citation.title);
  const facts = [
    citation.page ? t("page", { n: citation.page }) : null,
    citation.date || null,
    citation.source,
  ].filter(Boolean);
  const older = citation.superseded_by ? el("span", { class: "older", text: t("older") }) : null;
  const node = el("a", { class: css, href: anchored(citation.url), "data-number": citation.number },
    el("span", { class: "number", "aria-hidden": "true", text: citation.number }),
    el("span", { class: "where" },
      el("span", { class: "visually-hidden", text: t("open_source", { n: citation.number, title: "" }) }),
      el("strong", { text: citation.title }),
      path.length ? el("span", { class: "path", text: path.join(" › ") }) : null),
    el("q", { class: "quote", lang: languageOf(citation.quote) }, ...inContext(citation)),
    el("span", { class: "facts" }, older, ...facts.map((fact) => el("span", { text: fact }))));
  node.addEventListener("keydown", moveBetweenCards);
  return opening(node, citation, open);
}

/** The quote with a little of what stands around it, for a reader to judge it by. */
function inContext(citation) {
  const passage = [...citation.passage]; // offsets count code points
  const start = citation.start - citation.passage_start;
  const end = start + [...citation.quote].length;
  if (passage.slice(start, end).join("") !== citation.quote) return quoted(citation.quote);
  const before = plain(passage.slice(0, start).join("").split(/\n\s*\n/).at(-1)).match(/[^。！？]*[。！？]?$/)[0];
  const after = plain(passage.slice(end).join("").split(/\n\s*\n|\n#/)[0]);
  return [
    before && before.length <= BEFORE ? el("span", { class: "around", text: before }) : null,
    ...quoted(citation.quote),
    after ? el("span", { class: "around", text: after.slice(0, AFTER) }) : null,
  ].filter(Boolean);
}

/** Text around a quote without Markdown; what is a table or a list there is left out. */
function plain(text) {
  return /^\s*[|#]|^\s*(?:[-*+・]|\d+\.)\s|```/m.test(text) ? "" : text.replace(/\*\*|`/g, "").replace(/\s+/g, " ").trim();
}

function opening(node, citation, open) {
  node.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(citation, node);
  });
  return node;
}

function moveBetweenCards(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [...event.currentTarget.closest(".sources").querySelectorAll("a.card")].filter((node) => node.checkVisibility());
  const next = all[all.indexOf(event.currentTarget) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

const anchored = (url) => `${url}#quote`;

/** An answer as Markdown: the question, the answer, its quotes and where they stand. */
export function asMarkdown(question, answer, origin) {
  const used = new Set(citedNumbers(answer.answer));
  const shown = answer.citations.filter((citation) => used.has(citation.number) || answer.status !== "answered");
  const lines = [`**${question.replaceAll("\n", " ")}**`, "", ...answer.answer.split("\n").flatMap((line) => [line, ""])];
  for (const citation of shown) {
    const place = [citation.title, ...citation.heading.filter((part) => part !== citation.title)].join(" › ");
    const address = new URL(citation.url, origin).href;
    const facts = [citation.page ? t("page", { n: citation.page }) : "", citation.date, citation.superseded_by ? t("older") : ""].filter(Boolean).join(", ");
    lines.push(...citation.quote.split("\n").map((line) => `> ${line}`), ">");
    lines.push(`> [${citation.number}] [${place.replace(/[[\]]/g, "\\$&")}](${address})${facts ? ` (${facts})` : ""}`, "");
  }
  return `${lines.join("\n").trim()}\n`;
}
