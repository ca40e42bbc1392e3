// One question with its answer: searching, arriving, answered, not found, stopped, failed.

import * as api from "./api.js";
import { asMarkdown, cards, marker } from "./citations.js";
import { copy } from "./clipboard.js";
import { el, icon } from "./dom.js";
import { blocks, languageOf } from "./markup.js";
import { rememberRating, ratingOf } from "./storage.js";
import { t } from "./words.js";

export class Turn {
  /** `open(citations, citation, opener)` shows a source; `retry(question)` asks again. */
  constructor(question, { open, retry }) {
    this.question = question;
    this.answer = null;
    this.citations = [];
    this.text = "";
    this.open = (citation, opener) => open(this.citations, citation, opener);
    this.retry = retry;
    this.body = el("div", { class: "answer" });
    this.side = el("div", { class: "side" });
    this.node = el("article", { class: "turn" },
      el("h2", { class: "asked" }, el("span", { class: "visually-hidden", text: `${t("you")}: ` }), question),
      this.body, this.side);
    this.drawing = 0;
  }

  searching() {
    this.body.replaceChildren(el("p", { class: "searching" }, el("span", { class: "dots", "aria-hidden": "true" }), t("searching")));
  }

  setCitations(citations) {
    this.citations = citations;
  }

  addToken(text) {
    this.text += text;
    this.drawing ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawing = 0;
    const words = el("div", { class: "words arriving", lang: languageOf(this.text) });
    words.append(blocks(this.text, (number) => this.cite(number)));
    this.body.replaceChildren(words);
  }

  cite(number) {
    const citation = this.citations.find((one) => one.number === number);
    return citation ? marker(citation, this.open) : null;
  }

  /** Shows the whole answer. `fresh` is false for one that was loaded from an old conversation. */
  finish(answer, fresh = true) {
    this.end();
    this.answer = answer;
    this.citations = answer.citations;
    this.node.classList.toggle("missed", answer.status !== "answered");
    const words = el("div", { class: fresh && !this.text ? "words fading" : "words", lang: languageOf(answer.answer) });
    words.append(blocks(answer.answer, (number) => this.cite(number)));
    const heading = answer.status === "answered" ? null
      : el("p", { class: "state" }, icon("search"), t("not_found"));
    this.body.replaceChildren(...[heading, words, this.foot()].filter(Boolean));
    this.side.replaceChildren(cards(answer, this.open));
    this.linkMarkersWithCards();
  }

  /** Pointing at a marker lights its card, and the other way round. */
  linkMarkersWithCards() {
    for (const node of this.node.querySelectorAll("[data-number]")) {
      const twins = this.node.querySelectorAll(`[data-number="${node.dataset.number}"]`);
      const light = (on) => twins.forEach((twin) => twin.classList.toggle("lit", on));
      node.addEventListener("pointerenter", () => light(true));
      node.addEventListener("pointerleave", () => light(false));
      node.addEventListener("focus", () => light(true));
      node.addEventListener("blur", () => light(false));
    }
  }

  stop() {
    this.end();
    this.draw();
    this.body.querySelector(".words").classList.remove("arriving");
    this.body.append(el("p", { class: "note" }, t("stopped"), " ", this.again()));
  }

  /** Shows why there is no answer, and the way to ask again once that makes sense. */
  fail(failure) {
    this.end();
    const retry = this.again();
    this.body.replaceChildren(
      el("div", { class: "failed", role: "alert" }, icon("alert"),
        el("div", {},
          el("strong", { text: failure.message || t("error") }),
          failure.hint ? el("p", { text: failure.hint }) : null,
          ["bad_question", "bad_request"].includes(failure.code) ? null : retry)));
    if (failure.retryAfter) countDown(retry, failure.retryAfter);
  }

  end() {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
  }

  again() {
    return el("button", { type: "button", class: "button retry", on: { click: () => this.retry(this) } },
      icon("retry"), el("span", { text: t("retry") }));
  }

  foot() {
    const { answer } = this;
    const facts = [];
    if (answer.status === "answered") {
      const sure = t("confidence", { n: Math.min(99, Math.round(answer.confidence * 100)) });
      facts.push(el("span", { text: sure, title: t("confidence_help") }));
    }
    if (answer.took_ms > 0) facts.push(el("span", { text: duration(answer.took_ms) }));
    if (answer.composer === "llm") facts.push(el("span", { text: t("by_llm") }));
    return el("footer", {}, el("div", { class: "tools" }, this.copyButton(), ...this.thumbs()),
      el("p", { class: "facts" }, ...facts), this.comment());
  }

  copyButton() {
    const button = square("copy", t("copy"));
    button.addEventListener("click", async () => {
      const done = await copy(asMarkdown(this.question, this.answer, location.origin));
      announce(button, done ? "check" : "alert", done ? t("copied") : t("copy_failed"));
      setTimeout(() => announce(button, "copy", t("copy")), 1800);
    });
    return button;
  }

  thumbs() {
    this.up = square("up", t("good"), { "aria-pressed": "false", on: { click: () => this.rate("up") } });
    this.down = square("down", t("bad"), { "aria-pressed": "false", on: { click: () => this.rate("down") } });
    this.showRating(ratingOf(this.answer.id));
    return [this.up, this.down];
  }

  showRating(rating) {
    this.up.setAttribute("aria-pressed", String(rating === "up"));
    this.down.setAttribute("aria-pressed", String(rating === "down"));
  }

  comment() {
    this.said = el("p", { class: "said", role: "status" });
    this.field = el("textarea", { rows: "2", maxlength: "4000", "aria-label": t("bad_why"), placeholder: t("bad_why") });
    this.form = el("form", { class: "why", hidden: true,
      on: { submit: (event) => { event.preventDefault(); this.sendComment(); } } },
      this.field, el("button", { class: "button", text: t("bad_send") }));
    return el("div", {}, this.form, this.said);
  }

  async rate(rating) {
    if (!(await this.sendRating(rating, ""))) return;
    this.form.hidden = rating !== "down";
    this.said.textContent = rating === "up" ? t("thanks") : "";
    if (rating === "down") this.field.focus();
  }

  async sendComment() {
    if (!(await this.sendRating("down", this.field.value.trim()))) return;
    this.form.hidden = true;
    this.said.textContent = t("thanks");
    this.down.focus();
  }

  async sendRating(rating, comment) {
    try {
      await api.rate(this.answer.id, rating, comment);
    } catch (failure) {
      this.said.textContent = `${t("feedback_failed")}${failure.message ?? ""}`;
      return false;
    }
    rememberRating(this.answer.id, rating);
    this.showRating(rating);
    return true;
  }
}

function square(name, label, props = {}) {
  return el("button", { type: "button", class: "square", "aria-label": label, title: label, ...props }, icon(name));
}

function announce(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

function duration(ms) {
  return ms < 1000 ? t("took", { ms: Math.max(1, Math.round(ms)) }) : t("took_seconds", { s: (ms / 1000).toFixed(1) });
}

/** Keeps `button` off until the service takes questions again, and says how long that is. */
function countDown(button, seconds) {
  const label = button.querySelector("span");
  const ready = Date.now() + seconds * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((ready - Date.now()) / 1000);
    button.disabled = left > 0;
    label.textContent = left > 0 ? t("wait", { n: left }) : t("retry");
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}
