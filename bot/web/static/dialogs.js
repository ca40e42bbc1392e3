// The few questions and explanations that need a dialog.

import * as api from "./api.js";
import { el, openDialog } from "./dom.js";
import { language, t } from "./words.js";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const SHOWN = 200;

/** Asks for the API key. Resolves with {key, keep}, or null when nobody gave one. */
export function askForKey(wasWrong) {
  return new Promise((resolve) => {
    const key = el("input", { type: "password", autocomplete: "current-password", required: true, "aria-label": t("key_title") });
    const keep = el("input", { type: "checkbox" });
    const name = el("input", { class: "visually-hidden", autocomplete: "username", value: "Kiku", tabindex: "-1", "aria-hidden": "true" });
    const form = el("form", {},
      el("p", { text: t("key_lead") }),
      wasWrong ? el("p", { class: "wrong", role: "alert", text: t("key_wrong") }) : null,
      name, key, el("label", { class: "check" }, keep, t("key_keep")),
      el("div", { class: "actions" }, el("button", { class: "button primary", text: t("key_send") })));
    const dialog = openDialog(t("key_title"), t("close"), form);
    let given = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      given = { key: key.value.trim(), keep: keep.checked };
      dialog.close();
    });
    dialog.addEventListener("close", () => resolve(given));
    key.focus();
  });
}

/** Resolves with whether the conversation is to be deleted. */
export function confirmDeletion(title) {
  return new Promise((resolve) => {
    const cancel = el("button", { type: "button", class: "button", text: t("cancel") });
    const yes = el("button", { type: "button", class: "button danger", text: t("delete_yes") });
    const dialog = openDialog(t("delete_title"), t("close"), el("p", { text: t("delete_lead", { title }) }),
      el("div", { class: "actions" }, cancel, yes));
    let sure = false;
    cancel.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => {
      sure = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => resolve(sure));
    cancel.focus();
  });
}

/** What the page can do, and its keys. */
export function showHelp() {
  const ctrl = MAC ? "⌘" : "Ctrl";
  const keys = [
    [["/"], "key_slash"], [["Enter"], "key_enter"], [["Shift", "Enter"], "key_newline"], [["↑"], "key_up"],
    [[ctrl, "K"], "key_k"], [[ctrl, "Shift", "O"], "key_new"], [["Esc"], "key_esc"], [["←", "→"], "key_arrows"], [["↑", "↓"], "key_cards"],
    [["?"], "key_help"],
  ];
  openDialog(t("help"), t("close"),
    el("p", { text: t("help_lead") }),
    el("h3", { class: "keyboard", text: t("keyboard") }),
    el("dl", { class: "keys keyboard" }, ...keys.flatMap(([names, meaning]) => [
      el("dt", {}, ...names.flatMap((name, at) => [at ? " " : "", el("kbd", { text: name })])), el("dd", { text: t(meaning) })])),
    el("p", { class: "soft" }, t("api"), " ", el("a", { href: "/docs", target: "_blank", rel: "noopener", text: t("api_docs") })),
    el("p", { class: "soft" }, t("insights_lead"), " ", el("a", { href: "/insights", target: "_blank", rel: "noopener", text: t("insights") })));
}

/** The indexed documents, to look through; `open(document)` shows one. */
export async function showDocuments(open) {
  const field = el("input", { type: "search", autocomplete: "off", "aria-label": t("documents_filter"), placeholder: t("documents_filter") });
  const list = el("ul", { class: "documents" }, el("li", { class: "soft", text: t("loading") }));
  const note = el("p", { class: "soft", hidden: true });
  const dialog = openDialog(t("documents_title"), t("close"), field, list, note);
  dialog.classList.add("wide");
  field.focus();
  let all;
  try {
    all = await api.documents();
  } catch (failure) {
    list.replaceChildren(el("li", { role: "alert", text: failure.message }));
    return;
  }
  const draw = () => {
    const wanted = field.value.normalize("NFKC").toLowerCase().trim();
    const found = all.filter((one) => `${one.title}\n${one.source}`.normalize("NFKC").toLowerCase().includes(wanted));
    list.replaceChildren(...found.slice(0, SHOWN).map((one) => el("li", {},
      el("button", { type: "button", on: { click: () => { dialog.close(); open(one); } } },
        el("strong", { text: one.title || one.source }),
        el("span", { text: [one.source, one.date, one.superseded_by && t("older"), t("characters", { n: one.characters.toLocaleString(language()) })].filter(Boolean).join("　") })))));
    if (!found.length) list.replaceChildren(el("li", { class: "soft", text: t(all.length ? "documents_none" : "no_documents") }));
    note.hidden = found.length <= SHOWN;
    note.textContent = t("documents_part", { n: SHOWN, total: found.length });
  };
  field.addEventListener("input", draw);
  draw();
}
