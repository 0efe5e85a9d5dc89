// The requests: a live list, with filters and search on the relay's side, and older pages on demand.

import { get } from "../api.js";
import { h } from "../dom.js";
import { number, plural } from "../format.js";
import { button, empty, field, loading, notice, select } from "../parts.js";
import { setParameters } from "../router.js";
import { changed, newestRequests, store } from "../store.js";
import { requestTable } from "./request_table.js";

const PAGE = 100;
const MOST = 1_000; // rows in the page
const TYPING_MS = 250;
const POLL_MS = 3_000;

const TEXTS = [["q", "Search", "request id, model or error"], ["model", "Model", "any"], ["client", "Client", "any"], ["session", "Session", "any"]];
const STATUSES = [["", "Any status"], ["2xx", "2xx"], ["4xx", "4xx"], ["429", "429"], ["5xx", "5xx"]];
const ENDS = [["", "Any end"], ["complete", "Complete"], ["broken", "Broken"], ["abandoned", "Abandoned"], ["stalled", "Stalled"]];
const STATES = [["", "Running and ended"], ["running", "Running"], ["ended", "Ended"]];
const FILTERS = ["q", "model", "client", "session", "provider", "status", "end", "state"];

// The list of this view: the `rows` of the last answer, and `frozen` ones while updates are paused, as during a look at older
// requests. `next` is the cursor after the frozen rows. `typed` has the texts of fields whose filter has not started yet.
const list = { filter: null, rows: null, hasMore: false, frozen: null, next: null, error: null, isLoading: false, typed: {} };
let abort = new AbortController();
let timer;

export const title = () => "Requests";

export function enter() {
  list.filter = null;
}

export function leave() {
  clearTimeout(timer);
  abort.abort();
  Object.assign(list, { filter: null, rows: null, hasMore: false, frozen: null, next: null, typed: {} });
}

function filterOf(route) {
  return Object.fromEntries(FILTERS.map((key) => [key, route.parameters.get(key) ?? ""]).filter(([, value]) => value));
}

export function view(route) {
  const filter = filterOf(route);
  const key = JSON.stringify(filter);
  if (list.filter !== key) start(filter, key);
  const isFiltered = Object.keys(filter).length > 0;
  const rows = rowsOf(isFiltered);
  return [
    h("div", { class: "page-head", key: "head" }, h("h1", { tabindex: -1 }, "Requests"), pauseButton(rows)),
    filters(route, isFiltered),
    list.error && notice("bad", "bad", h("p", null, list.error)),
    content(rows, isFiltered),
  ];
}

// Rows are those of the live store, or those that fit the relay's filter. Frozen rows keep their order, and show their end.
function rowsOf(isFiltered) {
  if (list.frozen) return list.frozen.map((request) => store.requests.get(request.id) ?? request);
  return isFiltered || !store.areRequestsLoaded ? list.rows : newestRequests();
}

function pauseButton(rows) {
  const isPaused = list.frozen !== null;
  const act = () => { Object.assign(list, { frozen: isPaused ? null : rows, next: null }); changed(); };
  return button(isPaused ? "Continue updates" : "Pause updates", act, { icon: isPaused ? "run" : "pause", disabled: !rows });
}

function filters(route, isFiltered) {
  const set = (key) => (value) => setParameters({ [key]: value });
  const typed = (key) => (event) => {
    list.typed[key] = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(() => setParameters(trimmed(list.typed)), TYPING_MS);
  };
  const text = ([key, label, placeholder]) => {
    const value = list.typed[key] ?? route.parameters.get(key) ?? "";
    const input = h("input", { type: "search", value, placeholder, autocomplete: "off", spellcheck: "false", oninput: typed(key) });
    return h("div", { class: key === "q" ? "wide-field" : "extra", key }, field(label, input));
  };
  const known = new Set((store.state?.providers ?? []).slice(0, 500).map((provider) => provider.name));
  if (route.parameters.get("provider")) known.add(route.parameters.get("provider"));
  const providers = [["", "Any provider"], ...[...known].map((provider) => [provider, provider.length > 40 ? `${provider.slice(0, 39)}…` : provider])];
  const chosen = (key, label, options) => h("div", { key, class: key === "status" ? null : "extra" }, field(label, select(route.parameters.get(key) ?? "", options, set(key))));
  const clear = () => { clearTimeout(timer); setParameters(Object.fromEntries(FILTERS.map((key) => [key, ""]))); };
  const isBrief = !store.ui.allFilters;
  const more = button(isBrief ? "More filters" : "Fewer filters", () => { store.ui.allFilters = isBrief; changed(); }, { "aria-expanded": String(!isBrief) });
  return h("div", { class: `filters ${isBrief ? "is-brief" : ""}`, role: "search", key: "filters" },
    TEXTS.map(text),
    chosen("provider", "Provider", providers), chosen("status", "Status", STATUSES),
    h("div", { class: "only-phone", key: "more" }, more),
    chosen("end", "End", ENDS), chosen("state", "State", STATES),
    isFiltered && h("div", { class: "field-button", key: "clear" }, button("Clear filters", clear)));
}

const trimmed = (texts) => Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, text.trim()]));

function content(rows, isFiltered) {
  if (!rows) return list.error ? null : loading("requests");
  if (rows.length === 0) {
    return isFiltered ? empty("No request fits these filters.", "The relay keeps the newest requests only. The usage view has the sums of all.")
      : empty("No request yet.", "Requests appear here as soon as they start.");
  }
  return [
    h("p", { class: "quiet count num", key: "count" }, `${plural(rows.length, "request")}, the newest first${list.frozen ? "; updates are paused" : ""}`),
    requestTable("Requests", rows),
    rows.length < MOST && (list.frozen ? list.next : list.hasMore || rows.length >= PAGE)
      ? h("p", { class: "more", key: "more" }, button(list.isLoading ? "Loading …" : "Load older requests", older, { disabled: list.isLoading }))
      : rows.length >= MOST && h("p", { class: "quiet more", key: "most" }, `The page shows at most ${number(MOST)} requests. Filters find the others.`),
  ];
}

function start(filter, key) {
  abort.abort();
  abort = new AbortController();
  Object.assign(list, { filter: key, rows: null, hasMore: false, frozen: null, next: null, error: null });
  // A text that differs from the filter is of an earlier address.
  for (const [name, text] of Object.entries(trimmed(list.typed))) if (text !== (filter[name] ?? "")) delete list.typed[name];
  refresh(filter, abort.signal);
}

async function refresh(filter, signal) {
  const isFiltered = Object.keys(filter).length > 0;
  try {
    const page = await get(["requests"], { ...filter, limit: PAGE }, signal);
    list.hasMore = Boolean(page.next);
    list.rows = page.data ?? [];
    list.error = null;
  } catch (error) {
    if (signal.aborted) return;
    list.error = error.message;
  }
  changed();
  // A filtered list is polled, so that the relay's rules decide; the others come as events.
  if (isFiltered) setTimeout(() => !signal.aborted && poll(filter, signal), POLL_MS);
}

function poll(filter, signal) {
  if (!document.hidden && !list.frozen) refresh(filter, signal);
  else setTimeout(() => !signal.aborted && poll(filter, signal), POLL_MS);
}

// Adds a page of older requests. The first one pauses the updates, and starts at the newest requests, so that none is missing.
async function older() {
  const { signal } = abort;
  const filter = JSON.parse(list.filter);
  list.isLoading = true;
  changed();
  try {
    const first = list.next ? { data: list.frozen, next: list.next } : await get(["requests"], { ...filter, limit: 2 * PAGE }, signal);
    const page = first.next ? await get(["requests"], { ...filter, limit: PAGE, before: first.next }, signal) : { data: [] };
    const rows = new Map([...first.data, ...page.data].map((request) => [request.id, request]));
    Object.assign(list, { frozen: [...rows.values()].slice(0, MOST), next: page.next ?? null, error: null });
  } catch (error) {
    if (!signal.aborted) list.error = error.message;
  }
  list.isLoading = false;
  changed();
}
