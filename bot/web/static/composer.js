// The question field. Enter sends; an Enter that ends a kana conversion never does.

const byId = (id) => document.getElementById(id);

export class Composer {
  /** `send(text)` is called with a question; `stop()` when the answer is to be stopped. */
  constructor({ send, stop }) {
    this.form = byId("composer");
    this.field = byId("question");
    this.button = byId("send");
    this.stopButton = byId("stop");
    this.busy = false;
    this.last = "";
    this.composing = false;
    this.composedAt = -1;
    this.send = send;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.stopButton.addEventListener("click", stop);
    this.field.addEventListener("input", () => this.settle());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    this.field.addEventListener("compositionstart", () => (this.composing = true));
    this.field.addEventListener("compositionend", (event) => {
      this.composing = false;
      this.composedAt = event.timeStamp;
    });
    this.settle();
  }

  onKey(event) {
    // Chrome and Firefox say isComposing; keyCode 229 is what some input methods send instead;
    // Safari ends the composition before its Enter arrives, within the same instant.
    const converting = event.isComposing || this.composing || event.keyCode === 229
      || event.timeStamp - this.composedAt < 30;
    if (converting) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "ArrowUp" && !this.field.value && this.last) {
      event.preventDefault();
      this.fill(this.last);
    }
  }

  submit() {
    const text = this.field.value.trim();
    if (!text || this.busy) return;
    this.last = text;
    this.field.value = "";
    this.settle();
    // On a touch screen the keyboard would cover the answer.
    if (matchMedia("(hover: none)").matches) this.field.blur();
    this.send(text);
  }

  fill(text) {
    this.field.value = text;
    this.settle();
    this.focus();
    this.field.setSelectionRange(text.length, text.length);
  }

  setBusy(busy) {
    this.busy = busy;
    const focused = document.activeElement === this.stopButton;
    this.button.hidden = busy;
    this.stopButton.hidden = !busy;
    if (focused && !busy) this.focus();
    this.settle();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  /** Grows the field with its text, where the browser does not do so by itself. */
  settle() {
    this.button.disabled = !this.field.value.trim();
    if (CSS.supports("field-sizing", "content")) return;
    this.field.rows = Math.min(8, Math.max(1, this.field.value.split("\n").length));
  }
}
