// One request: its result, its attempts as a timeline, and all of its facts.

import { get } from "../api.js";
import { h } from "../dom.js";
import { NONE, bytes, cost, dateTime, duration, number, percent, plural, usd, words } from "../format.js";
import { attemptStatus, requestStatus, statusBadge } from "../health.js";
import { empty, loading, name, notice, panel, button } from "../parts.js";
import { href } from "../router.js";
import { changed, store } from "../store.js";
import { table } from "../table.js";
import { timeline } from "../timeline.js";
import { copy } from "./first_steps.js";
import { cacheShare, elapsed, modelOf } from "./request_table.js";

const found = { id: null, request: null, error: null };

export const title = (route) => `Request ${route.id}`;

export function enter(route) {
  load(route.id);
}

async function load(id) {
  if (found.id !== id) Object.assign(found, { id, request: null, error: null });
  try {
    const request = await get(["requests", id]);
    if (found.id === id) Object.assign(found, { request, error: null });
  } catch (error) {
    if (found.id === id) found.error = error;
  }
  changed();
}

// The newest version: that of an event, or that of the last answer.
function present(id) {
  const known = found.id === id ? found.request : null;
  const live = store.requests.get(known?.id ?? id);
  return live && (!known || live.end || !known.end) ? live : known;
}

export function view(route) {
  if (found.id !== route.id) load(route.id);
  const request = present(route.id);
  const head = h("div", { class: "page-head", key: "head" },
    h("div", null, h("p", { class: "crumb" }, h("a", { href: href("requests") }, "Requests")),
      h("h1", { tabindex: -1 }, "Request ", h("bdi", { class: "mono id" }, request?.id ?? route.id))));
  if (!request) return [head, found.error && found.id === route.id ? missing(found.error) : loading("the request")];
  return [head, summary(request), request.error && notice("bad", "bad", h("p", null, h("bdi", null, request.error))), attemptsPanel(request), facts(request)];
}

function missing(error) {
  if (error.status === 404) return empty("The relay does not keep this request.", error.message);
  return notice("bad", "bad", h("p", null, error.message), h("p", null, button("Try again", () => load(found.id))));
}

function summary(request) {
  return h("dl", { class: "tiles tiles-small", key: "summary" }, [
    fact("Result", statusBadge(requestStatus(request)), request.stop_reason ? `stop reason ${words(request.stop_reason)}` : words(request.end ?? "running")),
    fact("Duration", duration(elapsed(request)), `first content after ${duration(request.first_content_ms)}`),
    fact("Model", name(modelOf(request)), request.model_served && request.model_requested !== request.model_served ? `requested ${request.model_requested}` : ""),
    fact("Provider", request.provider ? h("a", { href: href("providers", request.provider) }, name(request.provider)) : NONE, plural(request.attempts?.length ?? 0, "attempt")),
    fact("Cost", cost(request.cost_usd, request.is_cost_partial), costRemark(request)),
  ]);
}

function costRemark(request) {
  if (request.cost_usd === null) return request.end ? "no price is known" : "known at the end";
  return request.is_cost_partial ? "without attempts of unknown price" : "all attempts together";
}

const fact = (term, value, remark) => h("div", { class: "tile", key: term },
  h("dt", null, term), h("dd", { class: "tile-value num" }, value), remark && h("dd", { class: "tile-remark", title: remark }, remark));

function attemptsPanel(request) {
  const attempts = request.attempts ?? [];
  if (attempts.length === 0) {
    const text = request.end ? "The relay answered the request itself, and called no upstream." : "No upstream was called yet.";
    return panel("Attempts", { id: "attempts" }, empty("No attempt.", text));
  }
  const columns = [
    { key: "n", title: "No.", class: "right num", cell: (attempt) => number(attempt.index + 1) },
    { key: "provider", title: "Provider", isHead: true, class: "name-cell", cell: (attempt) => h("a", { href: href("providers", attempt.provider) }, name(attempt.provider)) },
    { key: "type", title: "Type", priority: 4, class: "nowrap", cell: (attempt) => attempt.type },
    { key: "key", title: "Key", priority: 2, class: "name-cell", cell: (attempt) => name(attempt.credential, "mono") },
    { key: "model", title: "Upstream's model", priority: 3, class: "name-cell", cell: (attempt) => name(attempt.model) },
    { key: "result", title: "Result", cell: attemptResult },
    { key: "start", title: "Start", priority: 2, class: "right num nowrap", cell: (attempt) => `+${duration(attempt.started_ms)}` },
    { key: "time", title: "Time to head", priority: 2, class: "right num nowrap", cell: (attempt) => duration(attempt.latency_ms) },
    { key: "cost", title: "Cost", priority: 3, class: "right num", cell: (attempt) => usd(attempt.cost_usd) },
    { key: "id", title: "Upstream's request id", priority: 4, class: "name-cell", cell: (attempt) => name(attempt.upstream_request_id, "mono") },
  ];
  const rows = attempts.map((attempt, index) => ({ ...attempt, index }));
  return panel("Attempts", { id: "attempts" }, timeline(request, elapsed(request)), table("Attempts", columns, rows, { keyOf: (attempt) => attempt.index }));
}

const attemptResult = (attempt) => [statusBadge(attemptStatus(attempt)), attempt.error && h("p", { class: "attempt-error" }, h("bdi", null, attempt.error))];

function facts(request) {
  const usage = request.usage ?? {};
  const tokens = (value) => (typeof value === "number" ? number(value) : NONE);
  return h("div", { class: "columns", key: "facts" },
    panel("Tokens", { id: "tokens" }, definitions([
      ["Input, not cached", tokens(usage.input_tokens)],
      ["Read from cache", `${tokens(usage.cache_read_tokens)} (${percent(cacheShare(usage))} of the input)`],
      ["Written to cache", cacheWritten(usage, tokens)],
      ["Output", `${tokens(usage.output_tokens)}${request.is_estimated ? " (estimated)" : ""}`],
      ["Web searches", tokens(usage.web_search_requests)],
      ["Output rate", outputRate(request)],
    ])),
    panel("Times and bytes", { id: "times" }, definitions([
      ["Start", dateTime(request.started_unix_ms)],
      ["Response head", duration(request.head_ms)],
      ["First content", duration(request.first_content_ms)],
      ["End", request.end ? duration(request.total_ms) : NONE],
      ["The relay's own time", duration(request.own_ms)],
      ["Received, sent", `${bytes(request.bytes_received)}, ${bytes(request.bytes_sent)}`],
    ])),
    panel("Origin", { id: "origin" }, definitions([
      ["Client", name(request.client)],
      ["Session", request.session ? h("a", { href: href("sessions", request.session) }, name(request.session, "mono")) : NONE],
      ["Operation", [`${request.method} `, h("bdi", { class: "mono" }, request.path), request.is_stream ? ", streamed" : ""]],
      ["Strategy", words(request.strategy)],
      ["Circuit after the last attempt", request.circuit ?? NONE],
      ["Id of the relay", copyId(request.id)],
      ["Id of the client", copyId(request.client_request_id)],
      ["Id of the upstream", copyId(request.upstream_request_id)],
    ])));
}

function cacheWritten(usage, tokens) {
  const parts = [["5 min", usage.cache_write_5m_tokens], ["1 h", usage.cache_write_1h_tokens]].filter(([, value]) => value > 0);
  const detail = parts.map(([time, value]) => (parts.length === 1 ? `for ${time}` : `${tokens(value)} for ${time}`)).join(", ");
  return `${tokens(usage.cache_write_tokens)}${detail ? ` (${detail})` : ""}`;
}

function outputRate(request) {
  const span = request.total_ms - (request.first_content_ms ?? NaN);
  return span > 0 && request.usage?.output_tokens > 0 ? `${number(request.usage.output_tokens / (span / 1000), 1)} tokens per second` : NONE;
}

const copyId = (id) => (id ? h("span", { class: "copy-id" }, name(id, "mono"), button("Copy", () => copy(id), { icon: "copy", class: "small quiet-button", "aria-label": `Copy ${id}` })) : NONE);

const definitions = (rows) => h("dl", { class: "definitions" }, rows.map(([term, value]) => h("div", { key: term }, h("dt", null, term), h("dd", { class: "num" }, value))));
