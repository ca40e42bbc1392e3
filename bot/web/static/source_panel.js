// The source beside the chat (over it on a phone): the document's own page, without its frame.

import * as api from "./api.js";
import { el } from "./dom.js";
import { quoted } from "./markup.js";
import { bringToLife, showQuote } from "./source.js";
import { t } from "./words.js";

const byId = (id) => document.getElementById(id);

export class SourcePanel {
  constructor() {
    this.panel = byId("source");
    this.body = byId("source-body");
    this.list = [];
    this.at = 0;
    this.opener = null;
    this.loading = null;
    byId("source-close").addEventListener("click", () => this.leave());
    byId("source-previous").addEventListener("click", () => this.step(-1));
    byId("source-next").addEventListener("click", () => this.step(1));
    this.panel.addEventListener("keydown", (event) => this.onKey(event));
    window.addEventListener("popstate", () => this.isOpen && !history.state?.source && this.close());
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Shows `citation`, one of `citations`; the focus goes back to `opener` in the end. */
  open(citations, citation, opener) {
    this.list = citations;
    this.opener = opener;
    if (!this.isOpen) {
      // The back button of a phone closes the source instead of leaving the page.
      history.pushState({ ...history.state, source: true }, "");
      this.panel.hidden = false;
      document.body.classList.add("source-open");
    }
    this.show(citations.indexOf(citation));
  }

  /** Shows a whole document, which is no citation. */
  openDocument(document_, opener) {
    const citation = { url: `/sources/${encodeURIComponent(document_.id)}`, title: document_.title, number: null, quote: "" };
    this.open([citation], citation, opener);
  }

  /** Closes by way of the history, so that the back button has nothing left to undo. */
  leave() {
    if (history.state?.source) history.back();
    else this.close();
  }

  close() {
    this.loading?.abort();
    this.panel.hidden = true;
    document.body.classList.remove("source-open");
    this.body.replaceChildren();
    lightCard(null);
    if (this.opener?.isConnected) this.opener.focus({ preventScroll: true });
  }

  step(by) {
    const next = this.at + by;
    if (next >= 0 && next < this.list.length) this.show(next);
  }

  async show(index) {
    this.at = index;
    const citation = this.list[index];
    this.head(citation);
    lightCard(this.opener?.closest(".turn")?.querySelector(`.card[data-number="${citation.number}"]`));
    this.loading?.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    const waiting = setTimeout(() => this.say(el("p", { class: "searching", text: t("loading") })), 150);
    try {
      const html = await api.page(citation.url, signal);
      if (signal.aborted) return;
      this.render(html, citation);
    } catch (failure) {
      if (!signal.aborted) this.fail(failure, citation);
    } finally {
      clearTimeout(waiting);
    }
  }

  head(citation) {
    const total = this.list.length;
    byId("source-number").textContent = citation.number ?? "";
    byId("source-number").hidden = citation.number === null;
    byId("source-count").textContent = citation.number
      ? t("source_count", { n: this.at + 1, total }) : t("source_of_documents");
    byId("source-previous").hidden = byId("source-next").hidden = total < 2;
    byId("source-previous").disabled = this.at === 0;
    byId("source-next").disabled = this.at === total - 1;
    byId("source-open").href = `${citation.url}#quote`;
  }

  render(html, citation) {
    // The page comes from our own server, which escapes the document; what a parsed document
    // holds does not run, and the content security policy forbids inline script besides.
    const page = new DOMParser().parseFromString(html, "text/html").querySelector("main.source");
    if (!page) {
      this.fail(new api.Failure(0, "broken", t("source_failed")), citation);
      return;
    }
    const root = document.importNode(page, true);
    const inner = el("div", { class: "source" }, ...root.childNodes);
    this.say(inner);
    bringToLife(inner);
    if (inner.querySelector("#quote")) showQuote(inner);
    else this.body.focus({ preventScroll: true });
  }

  fail(failure, citation) {
    const gone = failure.status === 404;
    this.say(el("div", { class: "failed", role: "alert" },
      el("div", {},
        el("strong", { text: gone ? t("source_gone") : failure.message || t("source_failed") }),
        failure.hint && !gone ? el("p", { text: failure.hint }) : null,
        citation.quote ? el("blockquote", {}, ...quoted(citation.quote)) : null)));
    this.body.focus({ preventScroll: true });
  }

  say(...nodes) {
    this.body.replaceChildren(...nodes);
    this.body.scrollTop = 0;
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.closest("pre, .table") || event.altKey || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    this.step(step);
  }
}

function lightCard(card) {
  for (const other of document.querySelectorAll(".card[aria-current]")) other.removeAttribute("aria-current");
  if (!card) return;
  card.closest("details")?.setAttribute("open", "");
  card.setAttribute("aria-current", "true");
}
