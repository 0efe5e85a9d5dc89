// The frame around the views: brand, navigation, connection, theme.

import { h } from "./dom.js";
import { countdown, duration, timeOfDay } from "./format.js";
import { icon } from "./icons.js";
import { badge, button } from "./parts.js";
import { href } from "./router.js";
import { changed, store } from "./store.js";
import { THEMES, setTheme, theme } from "./theme.js";

const VIEWS = [["overview", "Overview"], ["providers", "Providers"], ["requests", "Requests"], ["sessions", "Sessions"], ["usage", "Usage"]];
const SKEW_MS = 5_000; // a larger difference of the clocks is shown

export function shell(route, content, { retry, signOut, hasToken }) {
  return [
    h("header", { class: "top", key: "top" },
      h("div", { class: "top-row" },
        h("a", { class: "brand", href: href("overview") }, h("img", { src: "/assets/icon.svg", alt: "", width: 22, height: 22 }), h("span", null, "cc-relay")),
        h("span", { class: "version quiet num" }, store.state?.version && `v${store.state.version}`),
        navigation(route),
        h("div", { class: "top-end" }, connection(), themeButton(),
          hasToken && !store.isUnauthorized && button("Sign out", signOut, { class: "small quiet-button" })))),
    banner(retry),
    h("main", { id: "main", key: "main", tabindex: -1 }, content),
    footer(hasToken),
  ];
}

function navigation(route) {
  return h("nav", { class: "views", "aria-label": "Views" }, h("ul", null, VIEWS.map(([key, text]) =>
    h("li", { key }, h("a", { href: href(key), "aria-current": route.view === key ? "page" : null }, text)))));
}

function connection() {
  if (store.isUnauthorized) return badge("warn", "warn", "Signed out");
  const { phase } = store.connection;
  if (phase === "open") return badge("ok", "ok", "Live");
  if (phase === "waiting") return badge("bad", "bad", "Offline");
  if (phase === "hidden") return badge("quiet", "pause", "Paused");
  return badge("info", "run", "Connecting");
}

function themeButton() {
  const index = THEMES.findIndex(([key]) => key === theme());
  const [key, text] = THEMES[index];
  const [next, nextText] = THEMES[(index + 1) % THEMES.length];
  return h("button", { type: "button", class: "button small icon-button", title: `Colours: ${text}. Change to ${nextText}.`, "aria-label": `Colours: ${text}. Change to ${nextText}.`,
    onclick: () => { setTheme(next); changed(); } }, icon(key));
}

function banner(retry) {
  const { phase, retryAt, error } = store.connection;
  if (phase !== "waiting" || store.isUnauthorized) return null;
  const last = store.lastDataAt ? ` The data below is that of ${timeOfDay(store.lastDataAt)}.` : "";
  return h("div", { class: "banner", key: "banner", role: "region", "aria-label": "Connection" }, icon("warn"),
    h("p", null, h("strong", null, "No connection to the relay. "), `${error}${last} `, h("span", { class: "num" }, `Next try in ${countdown(retryAt - Date.now())}.`)),
    button("Try now", retry, { class: "small" }));
}

function footer(hasToken) {
  const skew = Math.abs(store.skew);
  const uptime = store.state ? store.state.now_unix_ms - store.state.started_unix_ms : null;
  return h("footer", { class: "bottom quiet num", key: "bottom" },
    uptime !== null && Number.isFinite(uptime) && h("span", null, `Running for ${duration(uptime)}`),
    h("span", null, `Times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local time"}`),
    skew > SKEW_MS && h("span", null, `The clock of this device is ${duration(skew)} ${store.skew > 0 ? "slow" : "fast"}. Times are by the relay's clock.`),
    !hasToken && h("a", { href: "/admin/v1/openapi.json" }, "API description"));
}
