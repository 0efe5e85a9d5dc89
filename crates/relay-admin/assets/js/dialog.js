// Dialogs and messages. A dialog keeps the focus inside, and returns it to the element that had it.

import { h, patch } from "./dom.js";
import { button } from "./parts.js";

// Opens a question, and resolves to true if it is confirmed. Escape and a click beside it cancel.
export function confirm({ title, text, action, isDangerous }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const element = document.createElement("dialog");
    element.className = "dialog";
    element.setAttribute("aria-labelledby", "dialog-title");
    element.setAttribute("aria-describedby", "dialog-text");
    const close = (isConfirmed) => {
      element.close();
      element.remove();
      if (before?.isConnected) before.focus();
      resolve(isConfirmed);
    };
    patch(element,
      h("h2", { id: "dialog-title" }, title),
      h("div", { id: "dialog-text" }, [text].flat().map((line) => h("p", null, line))),
      h("div", { class: "dialog-actions" },
        button("Cancel", () => close(false), { mounted: (cancel) => cancel.focus() }),
        button(action, () => close(true), { class: isDangerous ? "danger" : "primary" })));
    element.addEventListener("cancel", (event) => { event.preventDefault(); close(false); });
    element.addEventListener("click", (event) => { if (event.target === element) close(false); });
    element.addEventListener("keydown", (event) => trap(element, event));
    document.body.append(element);
    element.showModal();
  });
}

function trap(element, event) {
  if (event.key !== "Tab") return;
  const stops = [...element.querySelectorAll("button:not(:disabled), input, select, a[href]")];
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  if (document.activeElement !== edge) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0]).focus();
}

const SHOWN_MS = 7_000;
let messages = [];

// Shows a message for some seconds, and reads it to screen readers.
export function announce(text, tone = "ok") {
  const message = { text, tone, key: `${Date.now()} ${Math.random()}` };
  messages = [...messages.slice(-2), message];
  say(text);
  show();
  setTimeout(() => remove(message), tone === "bad" ? SHOWN_MS * 3 : SHOWN_MS);
}

function remove(message) {
  messages = messages.filter((other) => other !== message);
  show();
}

// Reads a text to screen readers only.
export function say(text) {
  const region = document.getElementById("status");
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

function show() {
  patch(document.getElementById("toasts"), messages.map((message) =>
    h("div", { class: `toast tone-${message.tone}`, key: message.key },
      h("span", { class: "toast-text" }, message.text),
      h("button", { type: "button", class: "toast-close", "aria-label": "Close the message", onclick: () => remove(message) }, "\u00d7"))));
}
