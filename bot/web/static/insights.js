// What people asked, what had no answer, how answers were rated: for administrators, and for paper.

import * as api from "./api.js";
import { askForKey } from "./dialogs.js";
import { el } from "./dom.js";
import { language } from "./words.js";

// Of insights.css, in pixels: charts are drawn as wide as they will stand, so that their text keeps its size.
const PADDING = 42;
const GAP = 16;
const TWO_COLUMNS = 2 * 448 + GAP;
const PERIODS = [7, 30, 90]; // days
let shown = null; // the figures on the page, to be drawn again at another width
const SVG = "http://www.w3.org/2000/svg";
const WORDS = {
  ja: {
    title: "質問の記録", print: "印刷", period: "期間", days: "日間", asked: "質問", rate: "回答できた割合", good: "役に立った割合", missed: "答えのなかった質問",
    times: "回", per_day: "日ごとの質問", per_day_lead: "文書から答えられた質問と、答えが見つからなかった質問",
    answered: "回答した", not_found: "見つからなかった", ratings: "日ごとの評価", ratings_lead: "利用者が付けた評価",
    up: "役に立った", down: "役に立たなかった", top: "よく引用された文書", top_lead: "答えの根拠になった回数",
    often: "よく尋ねられた質問", often_lead: "回数の多い順。答えが見つかった回数も示します", found: "回答",
    unanswered: "答えのなかった質問", unanswered_lead: "文書に書き足すと答えられるようになります", question: "質問", count: "回数", last: "最後",
    low: "評価の低かった答え", low_lead: "文書が古いか、別の文を引用したほうがよかった答えです", answer: "答え", date: "日付",
    none: "まだありません。", day: "日付", nothing: "まだ質問がありません。", failed: "記録を読み込めませんでした。", loading: "読み込んでいます…",
  },
  en: {
    title: "What people asked", print: "Print", period: "Period", days: " days", asked: "Questions", rate: "Answered", good: "Rated helpful", missed: "Without an answer",
    times: "", per_day: "Questions by day", per_day_lead: "Answered from the documents, and not found in them",
    answered: "Answered", not_found: "Not found", ratings: "Ratings by day", ratings_lead: "What people thought of the answers",
    up: "Helpful", down: "Not helpful", top: "Most cited documents", top_lead: "How often an answer stood on them",
    often: "Asked most often", often_lead: "And how many of the times there was an answer", found: "Answered",
    unanswered: "Questions without an answer", unanswered_lead: "Write these into the documents, and they get one", question: "Question", count: "Times", last: "Last",
    low: "Answers rated low", low_lead: "The document is outdated, or another sentence would have been better", answer: "Answer", date: "Date",
    none: "None yet.", day: "Day", nothing: "Nothing has been asked yet.", failed: "The records could not be loaded.", loading: "Loading…",
  },
};
const say = (key) => WORDS[language()][key];

/** An SVG element. */
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const sum = (days, name) => days.reduce((total, day) => total + day[name], 0);
const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)}` : "–");
const short = (date) => date.slice(5).replace("-", "/").replace(/^0/, "").replace("/0", "/");

/** The step between grid lines: 1, 2 or 5 times a power of ten, at most four of them. */
function gridStep(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1) / 4 || 1));
  return Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 4));
}

/**
 * A bar chart of days, `width` pixels wide. `above` are stacked upwards, `below` hangs downwards; both name fields of
 * a day with a css class. The figures stand in a table for those who do not see the chart.
 */
function chart(days, title, width, above, below = []) {
  const left = 34, top = 8, bottom = 22, height = 200;
  const most = Math.max(1, ...days.map((day) => above.reduce((total, [name]) => total + day[name], 0)));
  const least = below.length ? Math.max(...days.map((day) => sum([day], below[0][0]))) : 0;
  const unit = (height - top - bottom) / (most + least);
  const zero = top + most * unit;
  const slot = (width - left) / days.length;
  const bar = Math.min(slot * 0.72, 28);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": title });
  const step = gridStep(Math.max(most, least));
  for (let value = -Math.floor(least / step) * step; value <= most; value += step) {
    const y = zero - value * unit;
    drawing.append(svg("line", { x1: left, x2: width, y1: y, y2: y, class: value ? "grid" : "axis" }),
      svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, String(Math.abs(value))));
  }
  const every = Math.ceil(44 / slot); // a label needs that many pixels
  days.forEach((day, at) => {
    const x = left + at * slot + (slot - bar) / 2;
    let y = zero;
    for (const [name, css] of above) {
      y -= day[name] * unit;
      if (day[name]) drawing.append(rectangle(x, y, bar, day[name] * unit, css, day, name));
    }
    for (const [name, css] of below) if (day[name]) drawing.append(rectangle(x, zero, bar, day[name] * unit, css, day, name));
    if ((days.length - 1 - at) % every === 0)
      drawing.append(svg("text", { x: x + bar / 2, y: height - 4, "text-anchor": "middle" }, short(day.date)));
  });
  const columns = [...above, ...below];
  return el("figure", {}, drawing,
    el("ul", { class: "legend", "aria-hidden": "true" }, ...columns.map(([name, css]) => el("li", { class: css, text: say(name) }))),
    el("div", { class: "visually-hidden" }, el("table", {}, el("caption", { text: title }),
      el("thead", {}, el("tr", {}, el("th", { text: say("day") }), ...columns.map(([name]) => el("th", { text: say(name) })))),
      el("tbody", {}, ...days.map((day) => el("tr", {}, el("th", { text: day.date }), ...columns.map(([name]) => el("td", { text: day[name] }))))))));
}

function rectangle(x, y, width, height, css, day, name) {
  return svg("rect", { x, y, width, height: Math.max(height, 1), class: css },
    svg("title", {}, `${day.date} ${say(name)}: ${day[name]}`));
}

function figure(label, value, unit = "") {
  return el("div", {}, el("dt", { text: label }), el("dd", {}, String(value), unit ? el("small", { text: unit }) : null));
}

function panel(title, lead, content, css = "") {
  return el("section", { class: `panel ${css}`.trim() }, el("h2", { text: title }), el("p", { text: lead }), content);
}

const nothing = () => el("p", { class: "empty", text: say("none") });

function documents(all) {
  if (!all.length) return nothing();
  const most = all[0].count;
  return el("ol", { class: "bars" }, ...all.slice(0, 12).map(({ title, count }) => el("li", {}, el("span", { text: title }), el("b", { text: count }),
    svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (100 * count) / most, height: 6 })))));
}

function often(all) {
  if (!all.length) return nothing();
  return el("div", { class: "list" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { text: say("question") }), el("th", { class: "number", text: say("count") }),
      el("th", { class: "number", text: say("found") }), el("th", { text: say("last") }))),
    el("tbody", {}, ...all.slice(0, 20).map((row) => el("tr", {}, el("td", { text: row.question }), el("td", { class: "number", text: row.asked }),
      el("td", { class: "number", text: row.answered }), el("td", { class: "date", text: row.last.slice(0, 10) }))))));
}

function unanswered(all) {
  if (!all.length) return nothing();
  return el("div", { class: "list" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { text: say("question") }), el("th", { class: "number", text: say("count") }), el("th", { text: say("last") }))),
    el("tbody", {}, ...all.map((row) => el("tr", {}, el("td", { text: row.question }), el("td", { class: "number", text: row.asked }),
      el("td", { class: "date", text: row.last.slice(0, 10) }))))));
}

function lowRated(all) {
  if (!all.length) return nothing();
  return el("div", { class: "list" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { text: say("question") }), el("th", { text: say("answer") }), el("th", { text: say("date") }))),
    el("tbody", {}, ...all.map((row) => el("tr", {}, el("td", { text: row.question }),
      el("td", {}, row.answer, row.comment ? el("blockquote", { text: row.comment }) : null), el("td", { class: "date", text: row.date.slice(0, 10) }))))));
}

function draw({ days, questions, unanswered: missing, low_rated: low, top_documents: top }) {
  const asked = sum(days, "asked"), answered = sum(days, "answered"), up = sum(days, "up"), down = sum(days, "down");
  if (days.length) document.getElementById("period").textContent = `${days[0].date} – ${days.at(-1).date}`;
  const report = document.getElementById("report");
  const width = report.clientWidth - PADDING;
  const half = report.clientWidth > TWO_COLUMNS ? (report.clientWidth - GAP) / 2 - PADDING : width;
  report.replaceChildren(
    el("dl", { class: "figures" },
      figure(say("asked"), asked.toLocaleString(language()), say("times")),
      figure(say("rate"), percent(answered, asked), asked ? "%" : ""),
      figure(say("good"), percent(up, up + down), up + down ? `% (${up}/${up + down})` : ""),
      figure(say("missed"), sum(days, "not_found").toLocaleString(language()), say("times"))),
    asked ? el("div", { class: "panels" },
      panel(say("per_day"), say("per_day_lead"), chart(days, say("per_day"), width, [["answered", "answered"], ["not_found", "missed"]]), "wide"),
      panel(say("ratings"), say("ratings_lead"), up + down ? chart(days, say("ratings"), half, [["up", "up"]], [["down", "down"]]) : nothing()),
      panel(say("top"), say("top_lead"), documents(top)),
      panel(say("often"), say("often_lead"), often(questions), "wide long"),
      panel(say("unanswered"), say("unanswered_lead"), unanswered(missing), "wide long"),
      panel(say("low"), say("low_lead"), lowRated(low), "wide long"))
    : el("p", { text: say("nothing") }));
}

async function start() {
  document.documentElement.lang = language();
  document.title = `${say("title")} — Kiku`;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  document.getElementById("print").addEventListener("click", () => window.print());
  api.onKeyWanted(askForKey);
  const choice = document.getElementById("days");
  choice.append(...PERIODS.map((days) => el("option", { value: days, text: `${days}${say("days")}` })));
  choice.value = 30;
  choice.addEventListener("change", () => load(choice.value));
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => shown && draw(shown), 150);
  });
  await load(choice.value);
}

async function load(days) {
  const report = document.getElementById("report");
  report.setAttribute("aria-busy", "true");
  const waiting = setTimeout(() => report.replaceChildren(el("p", { role: "status", text: say("loading") })), 200);
  try {
    const data = await api.insights(days);
    clearTimeout(waiting);
    if (days !== document.getElementById("days").value) return; // another period was chosen meanwhile
    shown = data;
    draw(shown);
  } catch (failure) {
    clearTimeout(waiting);
    shown = null;
    report.replaceChildren(el("div", { class: "failed", role: "alert" }, el("strong", { text: failure.message || say("failed") }),
      failure.hint ? el("p", { text: failure.hint }) : null));
    if (!(failure instanceof api.Failure)) throw failure;
  } finally {
    report.removeAttribute("aria-busy");
  }
}

start();
