// The chat page: what happens between the question field, the thread, the list and the source.

import * as api from "./api.js";
import { Composer } from "./composer.js";
import { askForKey, showDocuments, showHelp } from "./dialogs.js";
import { el, fillIcons, icon } from "./dom.js";
import { Sidebar } from "./sidebar.js";
import { SourcePanel } from "./source_panel.js";
import { forget, keep, remember, setting } from "./storage.js";
import { Turn } from "./turn.js";
import { language, switchLanguage, t, translate } from "./words.js";

const byId = (id) => document.getElementById(id);
const thread = byId("thread");
const chat = byId("chat");

let conversation = null; // the id that the service gave, null for a new conversation
let running = null; // {turn, abort} of the answer under way
let opening = 0; // counts conversations opened, so that a slow one does not overwrite a later one
let documentCount = null;

const panel = new SourcePanel();
const composer = new Composer({ send: (text) => ask(text), stop });
const sidebar = new Sidebar({
  choose: (id) => go(id),
  gone: (id) => id === conversation && go(null),
});
const turnEvents = {
  open: (citations, citation, opener) => panel.open(citations, citation, opener),
  retry: (turn) => {
    turn.node.remove();
    ask(turn.question);
  },
};

// --- asking ---------------------------------------------------------------------------------

async function ask(question) {
  stop();
  welcome(false);
  const turn = new Turn(question, turnEvents);
  const abort = new AbortController();
  running = { turn, abort };
  thread.append(turn.node);
  turn.searching();
  composer.setBusy(true);
  say(t("searching"));
  scrollTo(turn.node, "smooth");
  try {
    const answer = await askInConversation(question, turn, abort.signal);
    turn.finish(answer);
    conversation = answer.conversation_id;
    remember(conversation, question);
    setAddress(conversation);
    sidebar.select(conversation);
    setTitle(thread.querySelector(".asked")?.lastChild.textContent ?? question);
    say(`${t("answer")}: ${turn.body.querySelector(".words").innerText}`);
  } catch (failure) {
    if (failure.name === "AbortError") turn.stop();
    else turn.fail(failure instanceof api.Failure ? failure : new api.Failure(0, "error", t("error")));
    if (!(failure instanceof api.Failure) && failure.name !== "AbortError") throw failure;
    if (failure.status === 503) watchReadiness();
  } finally {
    if (running?.turn === turn) {
      running = null;
      composer.setBusy(false);
    }
  }
}

async function askInConversation(question, turn, signal) {
  const on = { citations: (list) => turn.setCitations(list), token: (text) => turn.addToken(text) };
  try {
    return await api.ask(question, conversation, signal, on);
  } catch (failure) {
    // Kept no longer, or deleted elsewhere: the question is still worth an answer.
    if (failure.code !== "conversation_not_found" || !conversation) throw failure;
    forget(conversation);
    conversation = null;
    return api.ask(question, null, signal, on);
  }
}

function stop() {
  running?.abort.abort();
}

function scrollTo(node, behavior) {
  chat.scrollTo({ top: node.offsetTop - 8, behavior });
}

// --- conversations --------------------------------------------------------------------------

/** Shows a conversation, or with null the start of a new one. */
async function go(id, focus = true) {
  stop();
  if (panel.isOpen) panel.close();
  conversation = id;
  opening += 1;
  thread.replaceChildren();
  setAddress(id);
  sidebar.select(id);
  setTitle("");
  welcome(id === null);
  if (focus && !sidebar.isDrawer) composer.focus();
  if (id !== null) await load(id, opening);
}

async function load(id, number) {
  const waiting = setTimeout(() => thread.append(el("p", { class: "searching", text: t("loading") })), 200);
  try {
    const { turns } = await api.conversation(id);
    if (number !== opening) return;
    thread.replaceChildren();
    for (const { question, answer } of turns) {
      const turn = new Turn(question, turnEvents);
      thread.append(turn.node);
      turn.finish(answer, false);
    }
    setTitle(turns[0]?.question ?? "");
    composer.last = turns.at(-1)?.question ?? "";
    if (thread.lastElementChild) scrollTo(thread.lastElementChild, "auto");
  } catch (failure) {
    if (number === opening) showMissing(id, failure);
  } finally {
    clearTimeout(waiting);
  }
}

function showMissing(id, failure) {
  const gone = failure.status === 404;
  const remove = el("button", { type: "button", class: "button", text: t("remove"),
    on: { click: () => { forget(id); go(null); } } });
  const again = el("button", { type: "button", class: "button", text: t("retry"), on: { click: () => go(id) } });
  thread.replaceChildren(el("div", { class: "failed", role: "alert" }, icon("alert"), el("div", {},
    el("strong", { text: gone ? t("conversation_gone") : t("conversation_failed") }),
    el("p", { text: gone ? t("conversation_gone_hint") : failure.message }), gone ? remove : again)));
  if (gone) conversation = null;
}

function setAddress(id) {
  const hash = id === null ? "" : `#/c/${encodeURIComponent(id)}`;
  if (location.hash === hash) return;
  // The entry that an open source added is the one to reuse.
  if (history.state?.source) history.replaceState(null, "", hash || location.pathname);
  else history.pushState(null, "", hash || location.pathname);
}

function addressed() {
  const match = location.hash.match(/^#\/c\/([^/?]+)$/);
  return match ? decodeURIComponent(match[1]) : null;
}

function setTitle(text) {
  byId("title").textContent = text;
  document.title = text ? `${text.slice(0, 60)} — Kiku` : "Kiku";
}

// --- the empty page -------------------------------------------------------------------------

function welcome(show) {
  byId("welcome").hidden = !show;
  chat.classList.toggle("empty", show);
  if (show) drawWelcome();
}

async function drawWelcome() {
  const starters = el("div", { class: "starters" });
  const lead = documentCount === null ? t("welcome_lead") : t("welcome_count", { n: documentCount });
  byId("welcome").replaceChildren(
    el("img", { src: "/static/favicon.svg", alt: "", width: "72", height: "72" }),
    el("h1", { text: t("welcome") }),
    documentCount === 0 ? el("p", {}, el("strong", { text: t("no_documents") }), " ", t("no_documents_hint")) : el("p", { text: lead }),
    starters);
  try {
    const { questions } = await api.suggestions();
    if (!questions.length) return;
    starters.append(el("h2", { text: t("suggestions") }), ...questions.slice(0, 4).map((question) =>
      el("button", { type: "button", on: { click: () => ask(question) } }, question, icon("next"))));
  } catch {
    // a page without suggestions is whole; what is wrong is said by the banner
  }
}

async function countDocuments() {
  try {
    documentCount = await api.documentCount();
    byId("documents-label").textContent = t("documents_count", { n: documentCount.toLocaleString(language()) });
    if (!byId("welcome").hidden) drawWelcome();
  } catch (failure) {
    if (failure.status === 503) watchReadiness();
  }
}

// --- what the page says about the service ---------------------------------------------------

let watching = false;

async function watchReadiness() {
  if (watching) return;
  watching = true;
  for (let wait = 1000; ; wait = Math.min(wait * 1.5, 10_000)) {
    const state = await api.readiness();
    if (state === "ready") break;
    banner(state === "unreachable" ? t("unreachable") : state === "starting" ? t("starting_banner") : t("not_ready_banner", { why: state }));
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  watching = false;
  banner("");
  countDocuments();
}

function banner(text) {
  const wanted = navigator.onLine === false ? t("offline_banner") : text;
  byId("banner").textContent = wanted;
  byId("banner").hidden = !wanted;
}

function say(text) {
  byId("live").textContent = text;
}

// --- settings, keys, start ------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];

function showTheme() {
  const theme = setting("theme") ?? "auto";
  byId("theme-label").textContent = t(`theme_${THEMES.includes(theme) ? theme : "auto"}`);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(setting("theme") ?? "auto") + 1) % THEMES.length];
  keep("theme", theme === "auto" ? null : theme);
  showTheme();
}

function onKey(event) {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea");
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && event.key.toLowerCase() === "k") sidebar.search();
  else if (command && event.shiftKey && event.key.toLowerCase() === "o") go(null);
  else if (event.key === "Escape") escape();
  else if (typing || command || event.altKey) return;
  else if (event.key === "/") composer.focus();
  else if (event.key === "?") showHelp();
  else return;
  event.preventDefault();
}

function escape() {
  if (running) stop();
  else if (panel.isOpen) panel.leave();
  else if (sidebar.isDrawer && sidebar.isOpen) sidebar.show(false, true);
  else composer.focus();
}

function startOver() {
  sidebar.closeDrawer();
  go(null).then(() => composer.focus());
}

function draw() {
  translate(document);
  showTheme();
  sidebar.draw();
}

api.onKeyWanted(askForKey);
fillIcons(document);
draw();
byId("new").addEventListener("click", startOver);
byId("new-small").addEventListener("click", startOver);
byId("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  startOver();
});
byId("help").addEventListener("click", showHelp);
byId("theme").addEventListener("click", nextTheme);
byId("language").addEventListener("click", () => {
  switchLanguage();
  draw();
  go(conversation, false);
  countDocuments();
});
byId("documents").addEventListener("click", () =>
  showDocuments((one) => {
    sidebar.closeDrawer();
    panel.openDocument(one, byId("documents"));
  }));
document.addEventListener("keydown", onKey);
window.addEventListener("online", () => {
  banner("");
  watchReadiness();
});
window.addEventListener("offline", () => banner(""));
window.addEventListener("popstate", () => {
  if (!history.state?.source && addressed() !== conversation) go(addressed(), false);
});
banner("");
go(addressed());
countDocuments();
