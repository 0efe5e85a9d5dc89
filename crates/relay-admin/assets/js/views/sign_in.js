// The form for the token of the admin API.

import { setToken } from "../api.js";
import { h } from "../dom.js";
import { field } from "../parts.js";

export function signIn(isWrong, signedIn) {
  const submit = (event) => {
    event.preventDefault();
    const value = event.target.elements.token.value.trim();
    if (value === "") return;
    setToken(value);
    signedIn();
  };
  return h("form", { class: "sign-in panel", onsubmit: submit, key: "sign-in" },
    h("h1", { tabindex: -1 }, "Sign in"),
    h("p", null, "This relay's admin API needs its token: the value of ", h("code", null, "admin.token"), " in the configuration."),
    field("Token", h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true,
      "aria-invalid": isWrong ? "true" : null, "aria-describedby": "token-note", mounted: (element) => element.focus() })),
    h("p", { id: "token-note", class: isWrong ? "form-error" : "quiet" }, isWrong ? "The relay refused this token." : "The token is kept until this tab is closed."),
    h("button", { type: "submit", class: "button primary" }, h("span", { class: "label" }, "Sign in")));
}
