// Talking to the service: JSON, the event stream, and the errors that a page has to expect.

import { language, t } from "./words.js";

const KEY = "kiku.key";
const PAGE = 5000; // documents asked for at once

/** A failure with a sentence for people. `retryAfter` is in seconds, null where none was named. */
export class Failure extends Error {
  constructor(status, code, message, hint = "", retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.retryAfter = retryAfter;
  }
}

let askForKey = null; // async (wasWrong) → {key, keep} or null; set by the page
let asking = null;

export function onKeyWanted(run) {
  askForKey = run;
}

function storedKey() {
  try {
    return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function keepKey(key, onThisDevice) {
  try {
    sessionStorage.setItem(KEY, key);
    if (onThisDevice) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
  } catch {
    memory = key;
  }
}

let memory = null;

function headers(accept, hasBody) {
  const all = { Accept: accept, "Accept-Language": language() };
  if (hasBody) all["Content-Type"] = "application/json";
  const key = storedKey() ?? memory;
  if (key) all.Authorization = `Bearer ${key}`;
  return all;
}

async function send(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
  const request = () =>
    fetch(path, {
      method,
      signal,
      headers: headers(accept, body !== undefined),
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  let response;
  try {
    response = await request();
    while (response.status === 401 && askForKey) {
      const tried = Boolean(storedKey() ?? memory);
      asking ??= askForKey(tried).finally(() => (asking = null));
      const given = await asking;
      if (!given) break;
      keepKey(given.key, given.keep);
      response = await request();
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw await failure(response);
  return response;
}

function unreachable() {
  return navigator.onLine === false
    ? new Failure(0, "offline", t("offline"), t("offline_hint"))
    : new Failure(0, "unreachable", t("unreachable"), t("unreachable_hint"));
}

async function failure(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // a proxy in between may answer with something else
  }
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const message = response.status === 429 ? t("rate_limited") : error.message || `HTTP ${response.status}`;
  const hint = response.status === 429 ? "" : error.hint;
  return new Failure(response.status, error.code ?? "http_error", message, hint ?? "", Number.isNaN(after) ? null : after);
}

async function json(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

export const documentCount = async () => (await json("/documents?limit=1")).total;
export const insights = (days) => json(`/insights/data?days=${days}`);
export const suggestions = () => json("/suggestions");
export const conversation = (id) => json(`/conversations/${encodeURIComponent(id)}`);
export const deleteConversation = (id) => json(`/conversations/${encodeURIComponent(id)}`, { method: "DELETE" });
export const rate = (id, rating, comment = "") =>
  json("/feedback", { method: "POST", body: { answer_id: id, rating, comment } });

/** Every document that may be seen, however many there are. */
export async function documents() {
  const all = [];
  for (;;) {
    const page = await json(`/documents?limit=${PAGE}&offset=${all.length}`);
    all.push(...page.documents);
    if (!page.documents.length || all.length >= page.total) return all;
  }
}

/** The HTML of a source page. */
export async function page(url, signal) {
  return (await send(url, { accept: "text/html", signal })).text();
}

/** "ready", "starting", "unreachable", or a sentence that says what is missing. Never throws. */
export async function readiness() {
  try {
    const response = await fetch("/readyz", { cache: "no-store", headers: { "Accept-Language": language() } });
    if (response.status !== 503) return "ready";
    const { components } = await response.json();
    return Object.values(components).filter((state) => state !== "ok").join(" ") || "starting";
  } catch {
    return "unreachable";
  }
}

/**
 * Asks, and calls `on.citations(list)` and `on.token(text)` as they come. Resolves with the whole
 * answer. A stream that ends without one is a Failure.
 */
export async function ask(question, conversationId, signal, on) {
  const body = { question };
  if (conversationId) body.conversation_id = conversationId;
  const response = await send("/ask/stream", { method: "POST", body, signal, accept: "text/event-stream" });
  let answer = null;
  try {
    for await (const { event, data } of events(response.body)) {
      if (event === "citations") on.citations(JSON.parse(data));
      else if (event === "token") on.token(JSON.parse(data).text);
      else if (event === "done") answer = JSON.parse(data);
      else if (event === "error") {
        const { code, message, hint } = JSON.parse(data).error;
        throw new Failure(0, code, message, hint ?? "");
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Failure) throw error;
    throw new Failure(0, "broken", t("broken"), t("broken_hint"));
  }
  if (!answer) throw new Failure(0, "broken", t("broken"), t("broken_hint"));
  return answer;
}

/** The server-sent events of a response body (WHATWG HTML, "parsing an event stream"). */
export async function* events(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let event = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      text += done ? decoder.decode() : decoder.decode(value, { stream: true });
      for (;;) {
        // A lone CR at the end may be half of a CR LF that is still under way.
        const end = text.search(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?=[^])/);
        if (end < 0) break;
        const line = text.slice(0, end);
        text = text.slice(end + (text.startsWith("\r\n", end) ? 2 : 1));
        if (line === "") {
          if (data.length) yield { event: event || "message", data: data.join("\n") };
          event = "";
          data = [];
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue;
        const field = colon < 0 ? line : line.slice(0, colon);
        const rest = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") event = rest;
        else if (field === "data") data.push(rest);
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
