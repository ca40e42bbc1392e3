// The list of this device's conversations; a drawer on narrow screens.

import * as api from "./api.js";
import { confirmDeletion } from "./dialogs.js";
import { el, icon } from "./dom.js";
import { conversations, forget, keep, setting } from "./storage.js";
import { t } from "./words.js";

const NARROW = matchMedia("(max-width: 899px)");
const byId = (id) => document.getElementById(id);

export class Sidebar {
  /** `choose(id)` opens a conversation; `gone(id)` is told of one that was deleted. */
  constructor({ choose, gone }) {
    this.choose = choose;
    this.gone = gone;
    this.current = null;
    this.list = byId("conversations");
    this.filter = byId("filter");
    this.filter.addEventListener("input", () => this.draw());
    this.filter.addEventListener("keydown", (event) => this.onFilterKey(event));
    this.list.addEventListener("keydown", (event) => this.onListKey(event));
    byId("open-sidebar").addEventListener("click", () => this.show(true, true));
    byId("close-sidebar").addEventListener("click", () => this.show(false, true));
    byId("scrim").addEventListener("click", () => this.show(false, true));
    NARROW.addEventListener("change", () => this.settle());
    this.settle();
  }

  get isDrawer() {
    return NARROW.matches;
  }

  get isOpen() {
    return !byId("sidebar").inert;
  }

  settle() {
    this.show(!this.isDrawer && setting("sidebar") !== "closed", false);
  }

  show(open, byHand) {
    byId("sidebar").inert = !open;
    document.body.classList.toggle("sidebar-open", open);
    byId("open-sidebar").setAttribute("aria-expanded", String(open));
    byId("scrim").hidden = !(open && this.isDrawer);
    if (!byHand) return;
    if (!this.isDrawer) keep("sidebar", open ? null : "closed");
    (open ? byId("close-sidebar") : byId("open-sidebar")).focus();
  }

  /** Opens the list with the cursor in its search field. */
  search() {
    if (!this.isOpen) this.show(true, true);
    this.filter.focus();
    this.filter.select();
  }

  closeDrawer() {
    if (this.isDrawer && this.isOpen) this.show(false, false);
  }

  select(id) {
    this.current = id;
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.normalize("NFKC").toLowerCase().trim();
    const all = conversations();
    const shown = all.filter((one) => one.title.normalize("NFKC").toLowerCase().includes(wanted));
    if (!shown.length) {
      this.list.replaceChildren(el("p", { class: "empty", text: all.length ? t("no_match") : t("no_conversations") }));
      return;
    }
    const groups = Map.groupBy ? Map.groupBy(shown, period) : group(shown);
    this.list.replaceChildren(...[...groups].flatMap(([name, some]) => [
      el("h2", { text: t(name) }),
      el("ul", {}, ...some.map((one) => this.row(one))),
    ]));
  }

  row({ id, title }) {
    const label = t("delete", { title });
    return el("li", {},
      el("a", { href: `#/c/${encodeURIComponent(id)}`, title, "aria-current": id === this.current ? "page" : null, text: title,
        on: { click: (event) => { event.preventDefault(); this.choose(id); this.closeDrawer(); } } }),
      el("button", { type: "button", class: "square", "aria-label": label, title: label,
        on: { click: () => this.remove(id, title) } }, icon("trash")));
  }

  async remove(id, title) {
    if (!(await confirmDeletion(title))) return;
    try {
      await api.deleteConversation(id);
    } catch (failure) {
      if (failure.status !== 404) {
        this.list.prepend(el("p", { class: "empty", role: "alert", text: `${t("delete_failed")}${failure.message}` }));
        return;
      }
    }
    forget(id);
    this.draw();
    this.gone(id);
  }

  onFilterKey(event) {
    if (event.isComposing) return;
    const links = this.list.querySelectorAll("a");
    if (event.key === "ArrowDown") links[0]?.focus();
    else if (event.key === "Enter") links[0]?.click();
    else if (event.key === "Escape" && this.filter.value) {
      this.filter.value = "";
      this.draw();
      event.stopPropagation();
    } else return;
    event.preventDefault();
  }

  onListKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    (links[at + step] ?? (step < 0 ? this.filter : links[at])).focus();
  }
}

function period({ updated_at: when }) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.ceil((midnight - Date.parse(when)) / 86_400_000);
  return days <= 0 ? "today" : days === 1 ? "yesterday" : days <= 7 ? "week" : "earlier";
}

function group(all) {
  const groups = new Map();
  for (const one of all) groups.set(period(one), [...(groups.get(period(one)) ?? []), one]);
  return groups;
}
