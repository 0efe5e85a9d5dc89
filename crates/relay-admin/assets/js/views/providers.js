// Providers and their keys: circuits, headroom, cooldowns, failures, and the operations on them.

import * as actions from "../actions.js";
import { h } from "../dom.js";
import { countdown, duration, number, percent, plural } from "../format.js";
import { keyCounts, keyStatus, lowest, providerReason, providerStatus, remaining, statusBadge } from "../health.js";
import { icon } from "../icons.js";
import { button, empty, field, headroom, loading, name, pageOf, pager, select } from "../parts.js";
import { setParameters } from "../router.js";
import { changed, store } from "../store.js";
import { table } from "../table.js";

const PROVIDERS = 25; // on a page
const KEYS = 25; // on a page
const OPEN_AT_FIRST = 6; // up to so many providers are open without a click

export const title = () => "Providers";

const STATES = [["", "All states"], ["attention", "Needs attention"], ["ready", "Ready"], ["paused", "Paused or disabled"]];
const FITS = {
  attention: (status) => ["bad", "warn"].includes(status.tone),
  ready: (status) => status.tone === "ok",
  paused: (status) => ["info", "quiet"].includes(status.tone),
};

export function view(route) {
  const { state } = store;
  const head = h("div", { class: "page-head", key: "head" }, h("h1", { tabindex: -1 }, "Providers and keys"),
    button("Reload configuration", actions.reload, { disabled: !state || actions.isRunning("reload") }));
  if (!state) return [head, loading("the providers")];
  if (state.providers.length === 0) return [head, empty("No provider is configured.", "Add one to `providers` in the configuration file, and reload it.")];
  const q = route.parameters.get("q") ?? "";
  const wanted = route.parameters.get("state") ?? "";
  const fitting = state.providers.filter((provider) => matches(provider, q) && (FITS[wanted]?.(providerStatus(provider)) ?? true));
  // An address with a provider's name opens its page.
  const start = route.id && store.ui.providerOf !== route.id ? Math.floor(fitting.findIndex((one) => one.name === route.id) / PROVIDERS) : store.ui.providerPage;
  store.ui.providerOf = route.id;
  const { rows, page, pages } = pageOf(fitting, Math.max(0, start ?? 0), PROVIDERS);
  store.ui.providerPage = page;
  const move = (to) => { store.ui.providerPage = to; changed(); };
  return [
    head,
    state.providers.length > 1 && filters(q, wanted),
    h("p", { class: "quiet num count", key: "count" }, summary(state, fitting)),
    fitting.length === 0 && empty("No provider fits these filters."),
    h("div", { class: "providers", key: "providers" }, rows.map((provider) => card(provider, route))),
    pager("providers", page, pages, fitting.length, move),
  ];
}

function summary(state, fitting) {
  const { generation, since_unix_ms: since } = state.configuration ?? {};
  const age = typeof since === "number" && typeof state.now_unix_ms === "number" ? `, in use for ${duration(Math.max(0, state.now_unix_ms - since))}` : "";
  const shown = fitting.length === state.providers.length ? plural(fitting.length, "provider") : `${number(fitting.length)} of ${plural(state.providers.length, "provider")}`;
  return `${shown}. Configuration ${number(generation)}${age}.`;
}

const matches = (provider, q) => q === "" || [provider.name, provider.type].some((text) => String(text).toLowerCase().includes(q.toLowerCase()));

function filters(q, wanted) {
  const typed = (event) => { store.ui.providerPage = 0; setParameters({ q: event.target.value }); };
  return h("div", { class: "filters", key: "filters", role: "search" },
    field("Name or type", h("input", { type: "search", value: q, oninput: typed })),
    field("State", select(wanted, STATES, (value) => { store.ui.providerPage = 0; setParameters({ state: value }); })));
}

const isOpen = (provider, route) => {
  const chosen = store.ui.open?.[provider.name];
  return chosen ?? (store.state.providers.length <= OPEN_AT_FIRST || route.id === provider.name);
};

function toggle(provider, open) {
  const entries = Object.entries({ ...store.ui.open, [provider.name]: open }).slice(-500);
  store.ui.open = Object.fromEntries(entries);
  changed();
}

function card(provider, route) {
  const open = isOpen(provider, route);
  const id = `provider-${provider.name}`;
  const status = providerStatus(provider);
  const reason = providerReason(provider);
  return h("section", { class: `provider edge-${status.tone}`, key: provider.name, "aria-label": `Provider ${provider.name}`,
    mounted: (element) => { if (route.id === provider.name) element.scrollIntoView({ block: "start" }); } },
    h("div", { class: "provider-head" },
      h("h2", { class: "provider-title" },
        h("button", { type: "button", class: "disclosure", "aria-expanded": String(open), "aria-controls": open ? id : null, onclick: () => toggle(provider, !open) },
          icon(open ? "open" : "right"), name(provider.name))),
      h("span", { class: "quiet provider-type" }, provider.type),
      statusBadge(status),
      h("span", { class: "facts num quiet" }, facts(provider)),
      h("div", { class: "row-actions" }, providerActions(provider))),
    reason && h("p", { class: "reason" }, reason),
    open && h("div", { class: "provider-body", id }, body(provider)));
}

function facts(provider) {
  if (!provider.keys || !provider.is_enabled) return "";
  const { usable, total } = keyCounts(provider);
  const least = Math.min(1, ...provider.keys.slice(0, 1000).map((key) => lowest(key.limits ?? [])));
  const parts = [`${number(provider.in_flight ?? 0)} in flight`, `${number(usable)} of ${plural(total, "key")} usable`];
  if (least < 1) parts.push(`lowest headroom ${percent(least)}`);
  return parts.join(" · ");
}

function providerActions(provider) {
  if (!provider.is_enabled && !provider.is_paused) return null;
  const of = (text) => ({ "aria-label": `${text} ${provider.name}` });
  const disabled = actions.isRunning(`pause ${provider.name}`);
  const isTripped = provider.circuit && provider.circuit !== "closed";
  return [
    isTripped && button("Reset circuit", () => actions.resetCircuit(provider.name),
      { ...of("Reset circuit of"), key: "circuit", class: "small", disabled: actions.isRunning(`circuit ${provider.name}`) }),
    provider.is_paused
      ? button("Resume", () => actions.resume(provider.name), { ...of("Resume"), key: "pause", class: "small", disabled })
      : button("Pause", () => actions.pause(provider.name), { ...of("Pause"), key: "pause", class: "small", disabled }),
  ];
}

function body(provider) {
  return [
    provider.last_failure && h("p", { class: "failure", key: "failure" }, h("span", { class: "failure-label" }, "Last failure"), h("bdi", null, provider.last_failure)),
    provider.resting_models?.length > 0 && restingModels(provider),
    keysOf(provider),
  ];
}

function restingModels(provider) {
  return h("ul", { class: "resting", key: "resting" }, provider.resting_models.map((rest) => h("li", { key: rest.model },
    icon("wait"), name(rest.model), " rests for ", h("span", { class: "num" }, countdown(remaining(rest.remaining_ms))),
    h("span", { class: "quiet" }, `: ${rest.reason}`))));
}

function keysOf(provider) {
  if (!provider.keys || (!provider.is_enabled && provider.keys.length === 0)) return h("p", { class: "quiet", key: "none" }, "A disabled provider has no state.");
  if (provider.keys.length === 0) return h("p", { class: "quiet", key: "none" }, "The provider has no key.");
  const { rows, page, pages } = pageOf(provider.keys, store.ui.keyPages?.[provider.name] ?? 0, KEYS);
  const move = (to) => { store.ui.keyPages = { ...store.ui.keyPages, [provider.name]: to }; changed(); };
  const columns = [
    { key: "key", title: "Key", isHead: true, class: "name-cell key-cell", cell: (key) => name(key.credential, "mono") },
    { key: "state", title: "State", class: "nowrap state-cell", cell: (key) => statusBadge(keyStatus(key)) },
    { key: "limits", title: "Headroom", class: "grow", cell: limits },
    { key: "actions", title: "Actions", class: "right actions-cell", cell: (key) => keyActions(provider, key) },
  ];
  return h("div", { key: "keys" }, table(`Keys of ${provider.name}`, columns, rows, { keyOf: (key) => key.credential, className: "keys" }),
    pager(`the keys of ${provider.name}`, page, pages, provider.keys.length, move));
}

const limits = (key) => (key.limits?.length > 0 ? h("div", { class: "headrooms" }, key.limits.map(headroom))
  : h("span", { class: "quiet" }, "no limit is known"));

function keyActions(provider, key) {
  const of = (text) => ({ "aria-label": `${text} ${key.credential}`, class: "small" });
  const id = `${provider.name} ${key.credential}`;
  const waits = key.is_rejected || remaining(key.cooldown_ms) > 0;
  return h("div", { class: "row-actions" },
    waits && button("Reset cooldown", () => actions.resetCooldown(provider.name, key.credential),
      { ...of("Reset cooldown of"), key: "cooldown", disabled: actions.isRunning(`cooldown ${id}`) }),
    key.is_drained
      ? button("Use again", () => actions.undrain(provider.name, key.credential), { ...of("Use again:"), key: "drain", disabled: actions.isRunning(`drain ${id}`) })
      : button("Drain", () => actions.drain(provider.name, key.credential), { ...of("Drain"), key: "drain", disabled: actions.isRunning(`drain ${id}`) }));
}
