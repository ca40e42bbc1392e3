// What a document page does: come to the quote, and copy.

import { copy } from "./clipboard.js";

/** Makes the buttons inside `root` work and brings its quote into view. */
export function bringToLife(root) {
  for (const button of root.querySelectorAll("button[data-copy], button[data-copy-all]")) {
    const label = button.textContent;
    button.classList.add("button");
    button.addEventListener("click", async () => {
      const text = button.dataset.copy ?? root.querySelector("article").innerText;
      button.textContent = (await copy(text)) ? button.dataset.done : button.dataset.failed;
      setTimeout(() => (button.textContent = label), 1600);
    });
  }
  root.querySelector('a[href="#quote"]')?.addEventListener("click", (event) => {
    event.preventDefault();
    showQuote(root, "smooth");
  });
}

/** Scrolls to the quote and moves the reading position of a screen reader there. */
export function showQuote(root, behavior = "auto") {
  const quote = root.querySelector("#quote");
  if (!quote) return;
  const first = quote.getClientRects()[0]?.top ?? 0;
  const box = root.closest("#source-body");
  if (box) box.scrollBy({ top: first - box.getBoundingClientRect().top - box.clientHeight / 3, behavior });
  else window.scrollBy({ top: first - window.innerHeight / 3, behavior });
  quote.focus({ preventScroll: true });
}

const page = document.querySelector(".source-page main.source");
if (page) {
  bringToLife(page);
  showQuote(page);
}
