// Usage and cost from the ledger, in groups, and the budgets of the clients.

import { get } from "../api.js";
import { csv, download } from "../csv.js";
import { h } from "../dom.js";
import { cost, countdown, dateTime, number, percent, plural, short, usd } from "../format.js";
import { button, empty, field, loading, meter, name, notice, pageOf, pager, panel, select } from "../parts.js";
import { setParameters } from "../router.js";
import { changed, relayNow, store } from "../store.js";
import { table } from "../table.js";

const PAGE = 100;
const LIMIT = 10_000;
const GROUPS = [["model", "Model"], ["provider", "Provider"], ["client", "Client"], ["key", "Key"], ["session", "Session"], ["day", "Day"], ["hour", "Hour"]];
const RANGES = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["365d", "Last year"], ["dates", "Dates"]];
const data = { key: null, report: null, error: null, budgets: null };
let abort = new AbortController();

export const title = () => "Usage";

export function enter() {
  data.key = null;
}

export function leave() {
  abort.abort();
}

const choice = (route) => {
  const range = route.parameters.get("range") ?? (route.parameters.get("since") ? "dates" : "24h");
  const by = GROUPS.some(([key]) => key === route.parameters.get("by")) ? route.parameters.get("by") : "model";
  return { by, range, since: route.parameters.get("since") ?? "", until: route.parameters.get("until") ?? "" };
};

const query = ({ by, range, since, until }) => (range === "dates" ? { by, since, until: dayAfter(until), limit: LIMIT } : { by, since: `-${range}`, limit: LIMIT });

// Days are those of UTC, as in the ledger. The last day is counted as a whole.
const dayAfter = (day) => (Number.isNaN(Date.parse(day)) ? "" : dayOf(Date.parse(day) + 86_400_000));

export function view(route) {
  const chosen = choice(route);
  const key = JSON.stringify(chosen);
  if (data.key !== key) load(chosen, key);
  return [
    h("div", { class: "page-head", key: "head" }, h("h1", { tabindex: -1 }, "Usage and cost"),
      h("div", { class: "row-actions" }, button("Refresh", () => load(chosen, key)),
        button("Download CSV", () => save(chosen), { disabled: !data.report }))),
    controls(chosen),
    content(chosen),
    budgets(),
  ];
}

function controls(chosen) {
  const date = (key, label) => h("div", { key }, field(label, h("input", { type: "date", value: chosen[key], onchange: (event) => setParameters({ range: "dates", [key]: event.target.value }) })));
  const setRange = (value) => setParameters(value === "dates" ? { range: value, since: dayOf(relayNow() - 6 * 86_400_000), until: "" } : { range: value, since: "", until: "" });
  return h("div", { class: "filters", key: "filters" },
    h("div", { key: "range" }, field("Range", select(chosen.range, RANGES, setRange))),
    chosen.range === "dates" && [date("since", "From (UTC)"), date("until", "Until (UTC)")],
    h("div", { key: "by" }, field("Group by", select(chosen.by, GROUPS, (value) => { store.ui.usagePage = 0; setParameters({ by: value }); }))));
}

const dayOf = (ms) => new Date(ms).toISOString().slice(0, 10);

async function load(chosen, key) {
  abort.abort();
  abort = new AbortController();
  const { signal } = abort;
  if (data.key !== key) data.report = null;
  Object.assign(data, { key, error: null });
  const [report, limits] = await Promise.allSettled([get(["usage"], query(chosen), signal), get(["budgets"], {}, signal)]);
  if (signal.aborted) return;
  if (report.status === "fulfilled") data.report = report.value;
  else data.error = report.reason;
  data.budgets = limits.status === "fulfilled" ? (limits.value.data ?? []) : null;
  changed();
}

function content(chosen) {
  if (data.error) return failed(data.error);
  if (!data.report) return loading("usage");
  const { rows = [], total, dropped, is_truncated: isTruncated } = data.report;
  return [
    dropped > 0 && notice("warn", "warn", h("p", null, `The ledger has dropped ${plural(dropped, "request")}: the sums are too low by those.`)),
    tiles(total ?? {}),
    rows.length === 0 ? empty("No usage in this range.", "Each request is counted when it ends. A batch is written every few seconds.") : usageTable(rows, total, chosen, isTruncated),
  ];
}

function failed(error) {
  if (error.status !== 503) return notice("bad", "bad", h("p", null, error.message));
  return empty("No usage can be shown.", error.message, h("p", null, "Live figures need no ledger."));
}

function tiles(total) {
  const tile = (term, value, remark) => h("div", { class: "tile", key: term }, h("dt", null, term), h("dd", { class: "tile-value num" }, value), h("dd", { class: "tile-remark num" }, remark));
  const unpriced = total.unpriced_requests > 0 ? `${plural(total.unpriced_requests, "request")} of unknown price` : "all requests";
  return h("dl", { class: "tiles", key: "tiles" }, [
    tile("Cost", costOf(total), unpriced),
    tile("Saved by the cache", usd(total.saved_usd), `${cost(total.uncached_usd, total.is_cost_partial)} without a cache`),
    tile("From cache", percent(total.cache_hit_rate), "of the input tokens"),
    tile("Requests", short(total.requests), `${number(total.attempts)} attempts, ${number(total.failed)} failed`),
    tile("Input", short(inputOf(total)), "tokens"),
    tile("Output", short(total.output_tokens), total.estimated_requests > 0 ? `tokens; ${number(total.estimated_requests)} estimated` : "tokens"),
  ]);
}

const costOf = (row) => cost(row.cost_usd, row.is_cost_partial);
const writes = (row) => (row.cache_write_5m_tokens ?? 0) + (row.cache_write_1h_tokens ?? 0);
const inputOf = (row) => (row.input_tokens ?? 0) + (row.cache_read_tokens ?? 0) + writes(row);

function usageTable(rows, total, chosen, isTruncated) {
  const isTime = ["day", "hour"].includes(chosen.by);
  const sorted = isTime ? rows : [...rows].sort((a, b) => (b.cost_usd ?? 0) - (a.cost_usd ?? 0));
  const { rows: shown, page, pages } = pageOf(sorted, store.ui.usagePage ?? 0, PAGE);
  const most = rows.reduce((max, row) => Math.max(max, row.cost_usd ?? 0), 0);
  const label = GROUPS.find(([key]) => key === chosen.by)[1];
  const columns = [
    { key: "group", title: label, isHead: true, class: "name-cell", cell: (row) => (row.isTotal ? "Total" : groupName(row.group)) },
    { key: "cost", title: "Cost", class: "right num nowrap", cell: (row) => (row.unpriced_requests > 0 ? h("span", { title: `${plural(row.unpriced_requests, "request")} of unknown price` }, costOf(row)) : costOf(row)) },
    { key: "bar", title: "Share of cost", priority: 3, class: "share-cell", cell: (row) => (row.isTotal ? "" : h("span", { class: "cost-bar", "aria-hidden": "true" }, h("span", { style: { width: `${most > 0 ? ((row.cost_usd ?? 0) / most) * 100 : 0}%` } }))) },
    { key: "requests", title: "Requests", class: "right num", cell: (row) => short(row.requests) },
    { key: "failed", title: "Failed", priority: 2, class: "right num", cell: (row) => short(row.failed) },
    { key: "input", title: "Input", priority: 2, class: "right num", cell: (row) => short(inputOf(row)) },
    { key: "read", title: "Cache read", priority: 4, class: "right num", cell: (row) => short(row.cache_read_tokens) },
    { key: "write", title: "Cache written", priority: 4, class: "right num", cell: (row) => short(writes(row)) },
    { key: "output", title: "Output", priority: 3, class: "right num", cell: (row) => short(row.output_tokens) },
    { key: "rate", title: "Cached", priority: 2, class: "right num", cell: (row) => percent(row.cache_hit_rate) },
    chosen.by === "session" && { key: "lost", title: "Cache lost", priority: 2, class: "right num", cell: (row) => h("span", { title: row.last_cache_loss ?? "" }, short(row.cache_losses)) },
    { key: "saved", title: "Saved", priority: 3, class: "right num", cell: (row) => usd(row.saved_usd) },
  ].filter(Boolean);
  return [
    table(`Usage by ${label.toLowerCase()}`, columns, shown, { keyOf: (row) => String(row.group), foot: total && { ...total, isTotal: true } }),
    pager("usage", page, pages, rows.length, (to) => { store.ui.usagePage = to; changed(); }),
    isTruncated && h("p", { class: "quiet" }, `The table has the first ${number(rows.length)} groups. The total has all.`),
  ];
}

const groupName = (group) => (group === null || group === undefined || group === "" ? h("span", { class: "quiet" }, "without a name") : name(group));

const FIELDS = ["requests", "attempts", "failed", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
  "web_search_requests", "cost_usd", "uncached_usd", "saved_usd", "cache_hit_rate", "estimated_requests", "unpriced_requests", "is_cost_partial", "cache_losses", "last_cache_loss"];

function save(chosen) {
  const line = (row, group) => [group, ...FIELDS.map((key) => row[key])];
  const rows = (data.report.rows ?? []).map((row) => line(row, row.group));
  download(`usage-by-${chosen.by}.csv`, csv([[chosen.by, ...FIELDS], ...rows, line(data.report.total ?? {}, "total")]));
}

function budgets() {
  if (!data.budgets?.length) return null;
  const columns = [
    { key: "client", title: "Client", isHead: true, class: "name-cell", cell: (row) => name(row.client) },
    { key: "bar", title: "Spent", class: "grow", cell: spent },
    { key: "left", title: "Left", class: "right num", cell: (row) => usd(Math.max(0, row.budget_usd - row.spent_usd)) },
    { key: "reset", title: "Reset", class: "right num nowrap", priority: 2, cell: (row) => h("span", { title: dateTime(row.resets_unix_ms) }, `in ${countdown(row.resets_unix_ms - relayNow())}`) },
  ];
  return panel("Budgets", { id: "budgets" }, table("Budgets of the clients", columns, data.budgets.slice(0, 500), { keyOf: (row) => row.client }));
}

function spent(row) {
  const share = row.budget_usd > 0 ? row.spent_usd / row.budget_usd : 1;
  const text = `${usd(row.spent_usd)} of ${usd(row.budget_usd)} per ${row.period}${share >= 1 ? ", spent" : ""}`;
  return h("div", { class: "budget" }, meter("Spent", row.spent_usd, row.budget_usd, text, share >= 1 ? "bad" : share >= 0.8 ? "warn" : "ok"), h("span", { class: "num" }, text));
}
