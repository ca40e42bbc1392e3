// Building DOM nodes. Data only ever becomes text nodes and attributes, never HTML.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  plus: "M12 5v14M5 12h14",
  sidebar: "M4 5.5h16v13H4zM9.5 5.5v13",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  close: "M6 6l12 12M18 6 6 18",
  previous: "M15 6l-6 6 6 6",
  next: "M9 6l6 6-6 6",
  open: "M14 5h5v5M19 5l-8 8M10 6H5v13h13v-5",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  up: "M7 11v8H4v-8zM7 11l4-7c1.5 0 2.5 1 2.300 2.5L13 10h5c1.300 0 2.200 1.200 1.900 2.400l-1.400 5.200c-.2.800-1 1.400-1.900 1.400H7",
  down: "M17 13V5h3v8zM17 13l-4 7c-1.5 0-2.5-1-2.300-2.5L11 14H6c-1.300 0-2.200-1.200-1.900-2.400l1.400-5.200C5.700 5.600 6.5 5 7.400 5H17",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12M10.5 10.5v5M13.5 10.5v5",
  book: "M12 6.5C10 5 7 4.700 4 5v13c3-.3 6 0 8 1.5 2-1.5 5-1.800 8-1.5V5c-3-.3-6 0-8 1.5zM12 6.5v13",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  globe: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM4 12h16M12 4c2.5 2.400 3.5 5 3.5 8s-1 5.600-3.5 8c-2.5-2.400-3.5-5-3.5-8s1-5.600 3.5-8z",
  help: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM9.800 10c0-1.300 1-2.200 2.200-2.200s2.200.9 2.200 2.100c0 1.600-2.200 1.800-2.200 3.400M12 16v.2",
  retry: "M5 12a7 7 0 1 1 2.200 5.100M5 18v-3.5h3.5",
  search: "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15.5 15.5L20 20",
  alert: "M12 4.5l8.5 15h-17zM12 10v4.5M12 17v.2",
};

/**
 * An element. In `props`, `class`, `text` and `on` (listeners by event) are special, `true` and
 * `false` set and leave out an attribute, everything else is an attribute. Children that are
 * null or false are left out; strings become text.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon, hidden from screen readers: what it stands in carries the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Puts the icons into elements with `data-icon`. */
export function fillIcons(root) {
  for (const node of root.querySelectorAll("[data-icon]")) node.replaceChildren(icon(node.dataset.icon));
}

/** A link only where it leads somewhere harmless, else null. */
export function safeUrl(url) {
  return /^(https?:\/\/|mailto:)\S/i.test(url) ? url : null;
}

/** Opens a modal dialog with a title; it is removed when it closes. Returns the dialog. */
export function openDialog(title, closeLabel, ...children) {
  const heading = el("h2", { id: "dialog-title", text: title });
  const close = el("button", { type: "button", class: "square", "aria-label": closeLabel, title: closeLabel }, icon("close"));
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, el("header", {}, heading, close), ...children);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
