// The way to the first request, for a relay that has not seen one.

import { h } from "../dom.js";
import { button, panel } from "../parts.js";
import { announce } from "../dialog.js";

// The relay's own command, or that of the default address.
const command = (state) => state.client_command ?? "ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude";

export function firstSteps(state) {
  const text = command(state);
  return panel("No request yet", { id: "first-steps", className: "first-steps" },
    h("p", null, "The relay runs and waits for its first request. This command points Claude Code at it:"),
    copyable(text),
    h("p", { class: "quiet" }, "The request then appears here, with its provider, tokens and cost. ",
      h("code", null, "cc-relay explain"), " shows the provider that a request would go to."));
}

export function copyable(text) {
  return h("div", { class: "command" }, h("code", { tabindex: 0 }, text),
    button("Copy", () => copy(text), { icon: "copy" }));
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
  } catch {
    announce("The browser does not allow copying here. Select the text instead.", "bad");
  }
}
