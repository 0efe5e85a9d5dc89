// The overview: figures and charts of the last minutes, the providers, and the newest requests.

import { chart } from "../chart.js";
import { h } from "../dom.js";
import { axisTime, cost, duration, number, percent, plural, short, usd } from "../format.js";
import { keyCounts, lowest, providerReason, providerStatus, statusBadge } from "../health.js";
import { empty, loading, name, notice, panel, select } from "../parts.js";
import { href } from "../router.js";
import { changed, newestRequests, relayNow, store } from "../store.js";
import { firstSteps } from "./first_steps.js";
import { requestTable } from "./request_table.js";

const GLANCE = 12; // providers on this page
const NEWEST = 8; // requests on this page
const MINUTE = 60_000;

export const title = () => "Overview";

export function view() {
  const { state } = store;
  if (!state) return [h("h1", { tabindex: -1 }, "Overview"), loading("the state of the relay")];
  return [
    h("div", { class: "page-head" }, h("h1", { tabindex: -1 }, "Overview"), rangeSelect()),
    warnings(state),
    isUnused(state) ? firstSteps(state) : [tiles(), charts()],
    h("div", { class: "columns", key: "columns" }, providersPanel(state), requestsPanel()),
  ];
}

const isUnused = (state) => store.requests.size === 0 && store.areRequestsLoaded && !(state.in_flight > 0)
  && !store.points.some((point) => point.requests > 0);

const minutes = () => store.ui.minutes ?? 15;

function rangeSelect() {
  const options = [["5", "Last 5 minutes"], ["15", "Last 15 minutes"], ["60", "Last hour"]];
  return select(String(minutes()), options, (value) => { store.ui.minutes = Number(value); changed(); }, { "aria-label": "Range of the charts" });
}

export function warnings(state) {
  const list = [...(state.warnings ?? [])];
  if (state.is_draining) list.unshift("The relay is shutting down: it finishes the requests under way, and accepts no new ones.");
  const ledger = state.ledger ?? {};
  if (ledger.error) list.push(`The usage ledger has stopped: ${ledger.error}`);
  if (ledger.dropped > 0) list.push(`The usage ledger has dropped ${plural(ledger.dropped, "request")}.`);
  if (list.length === 0) return null;
  const shown = list.slice(0, 5).map((text, index) => h("p", { key: index }, text));
  return notice("warn", "warn", shown, list.length > 5 && h("p", { class: "quiet" }, `and ${number(list.length - 5)} more`));
}

function recent() {
  const to = relayNow();
  const from = to - minutes() * MINUTE;
  return { from, to, points: store.points.filter((point) => point.unix_ms + (store.stepMs ?? 10_000) > from) };
}

const total = (points, field) => points.reduce((sum, point) => sum + (point[field] ?? 0), 0);

function tiles() {
  const { points, from, to } = recent();
  const requests = total(points, "requests");
  const errors = total(points, "errors");
  const span = Math.max(1, (to - Math.max(from, points[0]?.unix_ms ?? from)) / MINUTE);
  const known = total(points, "cost_usd");
  const isPartial = total(points, "unpriced_requests") > 0;
  // A step without a request costs nothing, and does not make an unknown cost known.
  const spent = isPartial && known === 0 ? null : known;
  const read = total(points, "cache_read_tokens");
  const input = read + total(points, "input_tokens") + total(points, "cache_write_tokens");
  const last = points.findLast((point) => typeof point.content_p50_ms === "number");
  return h("dl", { class: "tiles", key: "tiles" }, [
    tile("Requests", short(requests), `${rate(requests / span)} per minute`),
    tile("In flight", number(store.state.in_flight), plural(store.state.sessions ?? 0, "session")),
    tile("Errors", requests > 0 ? percent(errors / requests) : percent(0), `${number(errors)} failed, ${number(total(points, "rate_limited"))} rate limited`,
      errors > 0 && errors / requests > 0.05 ? "bad" : ""),
    tile("First content", duration(last?.content_p50_ms), `median; 95th percentile ${duration(last?.content_p95_ms)}`),
    tile("Cost", cost(spent, isPartial), spent === null ? "no price is known" : `${cost((spent / span) * 60, isPartial)} per hour`),
    tile("From cache", input > 0 ? percent(read / input) : percent(0), `of ${short(input)} input tokens`),
  ]);
}

const tile = (term, value, remark, tone = "") => h("div", { class: `tile ${tone && `tile-${tone}`}`, key: term },
  h("dt", null, term), h("dd", { class: "tile-value num" }, value), h("dd", { class: "tile-remark num" }, remark));

const perMinute = (value) => value * (MINUTE / (store.stepMs ?? 10_000));
const series = (text, tone, value, isArea = true) => ({ name: text, tone, value, isArea });
const line = (text, tone, value) => series(text, tone, value, false);

function charts() {
  const shared = recent();
  return h("div", { class: "charts", key: "charts" },
    chart({ ...shared, id: "traffic", title: "Traffic", unit: "requests per minute", kind: "bars", format: rate, tick: short, series: [
      series("answered", "ok", (point) => perMinute(Math.max(0, point.requests - point.errors - point.rate_limited))),
      series("rate limited", "warn", (point) => perMinute(point.rate_limited)),
      series("failed", "bad", (point) => perMinute(point.errors)),
    ] }),
    chart({ ...shared, id: "latency", title: "Latency", unit: "time to first content and to head", kind: "lines", format: duration, tick: axisTime, isTime: true, series: [
      line("content, median", "one", (point) => point.content_p50_ms),
      line("content, 95th percentile", "two", (point) => point.content_p95_ms),
      line("head, 95th percentile", "three", (point) => point.head_p95_ms),
    ] }),
    chart({ ...shared, id: "cost", title: "Cost", unit: "USD per minute", kind: "bars", format: usd, series: [
      series("cost", "one", (point) => (point.cost_usd === null ? null : perMinute(point.cost_usd))),
    ] }),
    chart({ ...shared, id: "tokens", title: "Tokens", unit: "per minute", kind: "bars", format: short, series: [
      series("read from cache", "two", (point) => perMinute(point.cache_read_tokens ?? 0)),
      series("written to cache", "four", (point) => perMinute(point.cache_write_tokens ?? 0)),
      series("input", "one", (point) => perMinute(point.input_tokens ?? 0)),
      series("output", "three", (point) => perMinute(point.output_tokens ?? 0)),
    ] }),
    chart({ ...shared, id: "in-flight", title: "In flight", unit: "requests", kind: "lines", format: short, series: [
      line("in flight", "one", (point) => point.in_flight),
    ] }),
    chart({ ...shared, id: "by-provider", title: "Traffic by provider", unit: "requests per minute", kind: "bars", format: rate, tick: short,
      series: providerSeries(shared.points) }));
}

const rate = (value) => (typeof value === "number" && value < 1000 ? number(value, Number.isInteger(value) ? 0 : 1) : short(value));

const TONES = ["one", "two", "three", "four"];

// The four providers with the most requests, and all others together.
function providerSeries(points) {
  const sums = new Map();
  for (const point of points) {
    for (const [provider, count] of Object.entries(point.by_provider ?? {})) sums.set(provider, (sums.get(provider) ?? 0) + count);
  }
  const names = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([provider]) => provider);
  const shown = names.slice(0, TONES.length);
  const list = shown.map((provider, index) => series(shorten(provider), TONES[index], (point) => perMinute(point.by_provider?.[provider] ?? 0)));
  if (names.length <= shown.length) return list.length > 0 ? list : [series("none", "one", () => 0)];
  const others = (point) => Object.values(point.by_provider ?? {}).reduce((sum, count) => sum + count, 0)
    - shown.reduce((sum, provider) => sum + (point.by_provider?.[provider] ?? 0), 0);
  return [...list, series(`${number(names.length - shown.length)} others`, "other", (point) => perMinute(others(point)))];
}

const shorten = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);

function providersPanel(state) {
  const ranked = state.providers.map((provider, index) => ({ provider, index, status: providerStatus(provider) }))
    .sort((a, b) => b.status.rank - a.status.rank || a.index - b.index);
  const ready = state.providers.filter((provider) => ["ok", "warn"].includes(providerStatus(provider).tone)).length;
  const more = ranked.length > GLANCE;
  return panel("Providers", { id: "glance", actions: h("span", { class: "quiet num" }, `${number(ready)} of ${number(ranked.length)} usable`) },
    ranked.length === 0 && empty("No provider is configured.", "Add one to `providers` in the configuration file."),
    h("ul", { class: "glance" }, ranked.slice(0, GLANCE).map(({ provider, status }) => glance(provider, status))),
    h("p", { class: "panel-foot" }, h("a", { href: href("providers") }, more ? `All ${number(ranked.length)} providers and keys` : "Providers and keys")));
}

function glance(provider, status) {
  const { usable, total: keys } = keyCounts(provider);
  const least = Math.min(1, ...(provider.keys ?? []).slice(0, 1000).map((key) => lowest(key.limits ?? [])));
  const reason = providerReason(provider);
  return h("li", { key: provider.name, class: "glance-row" },
    h("a", { class: "glance-name", href: href("providers", provider.name) }, name(provider.name)),
    statusBadge(status),
    h("span", { class: "glance-facts quiet num" },
      provider.type, provider.is_enabled && `, ${number(provider.in_flight ?? 0)} in flight`,
      keys > 1 && `, ${usable} of ${keys} keys`, least < 1 && `, headroom ${percent(least)}`),
    reason && h("span", { class: "glance-reason", title: reason }, reason));
}

function requestsPanel() {
  const list = newestRequests().slice(0, NEWEST);
  return panel("Newest requests", { id: "newest", actions: h("a", { href: href("requests") }, "All requests") },
    !store.areRequestsLoaded ? loading("requests")
      : list.length === 0 ? empty("No request yet.")
      : requestTable("Newest requests", list, { isBrief: true }));
}
