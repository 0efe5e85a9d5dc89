// The table of requests.

import { h } from "../dom.js";
import { cost, dateTime, duration, number, percent, plural, short, timeNear } from "../format.js";
import { requestStatus, statusBadge } from "../health.js";
import { name } from "../parts.js";
import { href } from "../router.js";
import { relayNow } from "../store.js";
import { table } from "../table.js";

// All input tokens: those that were charged in full, and those read from or written to the cache. `null` if none is known.
export function inputOf(usage) {
  const known = [usage?.input_tokens, usage?.cache_read_tokens, usage?.cache_write_tokens].filter((count) => typeof count === "number");
  return known.length > 0 ? known.reduce((sum, count) => sum + count, 0) : null;
}

export function cacheShare(usage) {
  const input = inputOf(usage);
  return input > 0 ? (usage.cache_read_tokens ?? 0) / input : null;
}

// The time of a request so far, or in total.
export const elapsed = (request) => (request.end ? request.total_ms : Math.max(0, relayNow() - request.started_unix_ms));

export const modelOf = (request) => request.model_served ?? request.model_requested;


const COLUMNS = [
  { key: "time", title: "Time", class: "nowrap", isHead: true, cell: timeCell },
  { key: "status", title: "Result", class: "nowrap", cell: (request) => statusBadge(requestStatus(request), request.error) },
  { key: "model", title: "Model", class: "grow", cell: modelCell },
  { key: "provider", title: "Provider", priority: 2, class: "name-cell", cell: (request) => name(request.provider) },
  { key: "client", title: "Client", priority: 4, class: "name-cell", cell: (request) => name(request.client) },
  { key: "in", title: "Input", priority: 3, class: "right num", cell: (request) => short(inputOf(request.usage)) },
  { key: "cached", title: "Cached", priority: 4, class: "right num", cell: (request) => percent(cacheShare(request.usage)) },
  { key: "out", title: "Output", priority: 3, class: "right num", cell: outputCell },
  { key: "cost", title: "Cost", priority: 2, class: "right num", cell: (request) => costOf(request) },
  { key: "attempts", title: "Attempts", priority: 4, class: "right num", cell: attemptsCell },
  { key: "duration", title: "Duration", priority: 2, class: "right num nowrap", cell: (request) => duration(elapsed(request)) },
];
const BRIEF = COLUMNS.filter((column) => !["client", "in", "cached", "out", "attempts"].includes(column.key));

function timeCell(request) {
  const text = timeNear(request.started_unix_ms, relayNow());
  return h("a", { href: href("requests", request.id), class: "num", title: `${dateTime(request.started_unix_ms)}, request ${request.id}` }, text);
}

// On narrow screens the columns of provider, cost and duration disappear, and their values stand below the model.
function modelCell(request) {
  const path = modelOf(request) ? null : `${request.method} ${request.path}`;
  return [name(modelOf(request) ?? path, path ? "mono" : ""), request.endpoint?.endsWith("/count_tokens") && h("span", { class: "tag" }, "count"),
    h("span", { class: "below quiet" }, name(request.provider ?? "no provider"), ` · ${costOf(request)} · ${duration(elapsed(request))}`,
      request.attempts?.length > 1 && ` · ${plural(request.attempts.length, "attempt")}`)];
}

const costOf = (request) => cost(request.cost_usd, request.is_cost_partial);

function outputCell(request) {
  const text = short(request.usage?.output_tokens);
  if (!request.is_estimated) return text;
  return h("span", { title: "Estimated: the answer was cut before it reported its tokens, or has cache writes of an unknown lifetime." }, `~${text}`);
}

function attemptsCell(request) {
  const count = request.attempts?.length ?? 0;
  return count > 1 ? h("span", { class: "strong" }, number(count)) : number(count);
}

export function requestTable(caption, requests, { isBrief } = {}) {
  const columns = isBrief ? BRIEF : COLUMNS;
  return table(caption, columns, requests, { keyOf: (request) => request.id, className: "requests" });
}
