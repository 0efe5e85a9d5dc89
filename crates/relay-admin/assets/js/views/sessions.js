// Sessions: the share of the input that each turn read from the prompt cache, and the place where a prefix broke.

import { get } from "../api.js";
import { h } from "../dom.js";
import { ago, cost, dateTime, number, percent, plural, short, timeNear, words } from "../format.js";
import { badge, empty, field, loading, name, notice, pageOf, pager, panel } from "../parts.js";
import { href, setParameters } from "../router.js";
import { changed, relayNow, store } from "../store.js";
import { table } from "../table.js";

const POLL_MS = 5_000;
const PAGE = 50;
const list = { data: null, error: null };
let abort;

export const title = (route) => (route.id ? `Session ${route.id}` : "Sessions");

export function enter() {
  abort = new AbortController();
  poll(abort.signal);
}

export function leave() {
  abort.abort();
}

async function poll(signal) {
  if (!document.hidden) {
    try {
      list.data = (await get(["sessions"], {}, signal)).data ?? [];
      list.error = null;
    } catch (error) {
      if (signal.aborted) return;
      list.error = error.message;
    }
    changed();
  }
  setTimeout(() => !signal.aborted && poll(signal), POLL_MS);
}

export function view(route) {
  const error = list.error && notice("bad", "bad", h("p", null, list.error));
  if (route.id) return [...detail(route.id), error];
  const head = h("div", { class: "page-head", key: "head" }, h("h1", { tabindex: -1 }, "Sessions"));
  if (!list.data) return [head, error || loading("sessions")];
  if (list.data.length === 0) return [head, error, empty("No session yet.", "A session appears with the first request that names one. Claude Code names it in each request.")];
  const q = (route.parameters.get("q") ?? "").toLowerCase();
  const fitting = list.data.filter((session) => q === "" || [session.session, session.client, session.model].some((text) => String(text ?? "").toLowerCase().includes(q)));
  const { rows, page, pages } = pageOf(fitting, store.ui.sessionPage ?? 0, PAGE);
  const lost = fitting.filter((session) => session.is_cache_lost).length;
  return [head, error,
    h("div", { class: "filters", role: "search", key: "filters" },
      h("div", { class: "wide-field" }, field("Session, client or model", h("input", { type: "search", value: route.parameters.get("q") ?? "", oninput: (event) => setParameters({ q: event.target.value }) })))),
    h("p", { class: "quiet count num", key: "count" }, `${plural(fitting.length, "session")}, ${number(lost)} with a lost cache`),
    fitting.length === 0 ? empty("No session fits this filter.") : sessionTable(rows),
    pager("sessions", page, pages, fitting.length, (to) => { store.ui.sessionPage = to; changed(); })];
}

function sessionTable(rows) {
  return table("Sessions", [
    { key: "session", title: "Session", isHead: true, class: "name-cell", cell: (session) => h("a", { href: href("sessions", session.session) }, name(session.session, "mono")) },
    { key: "cache", title: "Cache", class: "nowrap", cell: cacheBadge },
    { key: "turns", title: "Cached share, last turns", class: "grow", priority: 2, cell: spark },
    { key: "share", title: "Cached", class: "right num", cell: (session) => percent(shareOf(session)) },
    { key: "count", title: "Turns", priority: 2, class: "right num", cell: (session) => number(session.turns) },
    { key: "client", title: "Client", priority: 4, class: "name-cell", cell: (session) => name(session.client) },
    { key: "model", title: "Model", priority: 3, class: "name-cell", cell: (session) => name(session.model) },
    { key: "input", title: "Input", priority: 4, class: "right num", cell: (session) => short(inputOf(session)) },
    { key: "output", title: "Output", priority: 4, class: "right num", cell: (session) => short(session.output_tokens) },
    { key: "cost", title: "Cost", priority: 2, class: "right num", cell: costOf },
    { key: "last", title: "Last turn", priority: 3, class: "right num nowrap", cell: (session) => h("span", { title: dateTime(session.last_unix_ms) }, ago(session.last_unix_ms, relayNow())) },
  ], rows, { keyOf: (session) => session.session });
}

const costOf = (session) => cost(session.cost_usd, session.is_cost_partial);
const inputOf = (session) => (session.input_tokens ?? 0) + (session.cache_read_tokens ?? 0) + (session.cache_write_tokens ?? 0);
const shareOf = (session) => (inputOf(session) > 0 ? (session.cache_read_tokens ?? 0) / inputOf(session) : null);

// The use that a turn made of the cache, by the verdict of the relay.
const VERDICTS = {
  first: ["quiet", "wait", "First turn"], hit: ["ok", "ok", "Hit"], broken: ["bad", "bad", "Prefix changed"], moved: ["warn", "warn", "Other provider, key or model"],
  expired: ["warn", "wait", "Expired"], lookback: ["warn", "warn", "Too many new blocks"], too_short: ["quiet", "off", "Prompt too short"],
  uncached: ["quiet", "off", "No cache"], unexplained: ["warn", "warn", "Unexplained"],
};
const LOSSES = ["broken", "moved", "expired", "lookback", "unexplained"];

const isLoss = (turn) => LOSSES.includes(turn.verdict);
const lossesOf = (session) => (session.recent ?? []).filter(isLoss);

function verdictBadge(turn) {
  const [tone, iconName, text] = VERDICTS[turn.verdict] ?? ["quiet", "off", words(turn.verdict)];
  return badge(tone, iconName, text);
}

function cacheBadge(session) {
  const losses = lossesOf(session).length;
  if (session.is_cache_lost) return badge("bad", "bad", "Lost", "The latest turn did not read its prompt from the cache.");
  if (losses > 0) return badge("warn", "warn", plural(losses, "loss", "losses"), "Turns that did not read their prompt from the cache.");
  if (session.turns < 2) return badge("quiet", "wait", "First turn");
  return shareOf(session) > 0 ? badge("ok", "ok", "Hits") : badge("quiet", "off", "No cache");
}

const BAR = 7;

// Bars of the cached share per turn. A turn that lost the cache has a mark above it.
function spark(session) {
  const turns = session.recent ?? [];
  const text = turns.map((turn) => `turn ${turn.turn} ${percent(turn.cache_read_share)}${isLoss(turn) ? ", lost" : ""}`).join(", ");
  return h("svg", { class: "spark", width: Math.max(1, turns.length) * BAR, height: 26, role: "img", "aria-label": `Cached share: ${text || "no turn"}` },
    turns.map((turn, index) => h("g", { key: turn.turn },
      h("rect", { x: index * BAR, y: 6, width: BAR - 2, height: 20, class: "spark-back" }),
      h("rect", { x: index * BAR, y: 26 - 20 * clamp(turn.cache_read_share), width: BAR - 2, height: 20 * clamp(turn.cache_read_share), class: "spark-bar" }),
      isLoss(turn) && h("path", { d: `M${index * BAR} 0h${BAR - 2}l-${(BAR - 2) / 2} 5z`, class: "spark-break" }))));
}

const clamp = (share) => (typeof share === "number" ? Math.min(1, Math.max(0, share)) : 0);

function detail(id) {
  const session = list.data?.find((one) => one.session === id);
  const head = h("div", { class: "page-head", key: "head" }, h("div", null, h("p", { class: "crumb" }, h("a", { href: href("sessions") }, "Sessions")),
    h("h1", { tabindex: -1 }, "Session ", h("bdi", { class: "mono id" }, id))));
  if (!list.data) return [head, list.error ? null : loading("the session")];
  if (!session) return [head, empty("The relay does not keep this session.", "It keeps the newest sessions, and forgets them when it stops.")];
  const turns = session.recent ?? [];
  return [head, summary(session), diagnosis(session),
    panel("Turns", { id: "turns", actions: h("a", { href: href("requests", undefined, { session: id }) }, "Requests of this session") },
      turns.length < session.turns && h("p", { class: "quiet" }, `The last ${number(turns.length)} of ${plural(session.turns, "turn")}, the newest first.`),
      table("Turns", turnColumns(), [...turns].reverse(), { keyOf: (turn) => turn.turn }))];
}

function summary(session) {
  const tile = (term, value, remark) => h("div", { class: "tile", key: term }, h("dt", null, term), h("dd", { class: "tile-value num" }, value), h("dd", { class: "tile-remark num" }, remark));
  return h("dl", { class: "tiles tiles-small", key: "summary" }, [
    tile("Cache", cacheBadge(session), `${percent(shareOf(session))} of the input was cached`),
    tile("Turns", number(session.turns), `last ${ago(session.last_unix_ms, relayNow())}`),
    tile("Input", short(inputOf(session)), `${short(session.cache_read_tokens)} read, ${short(session.cache_write_tokens)} written`),
    tile("Output", short(session.output_tokens), "tokens"),
    tile("Cost", costOf(session), session.client ? name(session.client) : "no client name"),
    tile("Model", name(session.model), `since ${timeNear(session.first_unix_ms, relayNow())}`),
  ]);
}

// The reason of the latest loss.
function diagnosis(session) {
  const last = lossesOf(session).at(-1);
  if (!last) return null;
  const tone = session.is_cache_lost ? "bad" : "warn";
  const title = last.break ? `The prefix changed at turn ${number(last.turn)}: ` : `Turn ${number(last.turn)} did not read its prompt from the cache: `;
  return notice(tone, tone,
    h("p", { class: "strong" }, title, h("bdi", null, last.break?.detail ?? (VERDICTS[last.verdict]?.[2] ?? words(last.verdict)).toLowerCase()), "."),
    last.detail && h("p", null, h("bdi", null, last.detail)),
    last.break && h("p", { class: "quiet" }, "The upstream's cache ends before the first changed part. All later parts of that turn were charged as new input."));
}

const turnColumns = () => [
  { key: "turn", title: "Turn", isHead: true, class: "fit num", cell: (turn) => number(turn.turn) },
  { key: "time", title: "Time", class: "num fit", cell: (turn) => (turn.request_id ? h("a", { href: href("requests", turn.request_id), title: dateTime(turn.unix_ms) }, timeNear(turn.unix_ms, relayNow())) : timeNear(turn.unix_ms, relayNow())) },
  { key: "share", title: "Cached", class: "fit", cell: (turn) => h("span", { class: "share" }, h("span", { class: "share-bar", "aria-hidden": "true" }, h("span", { style: { width: `${clamp(turn.cache_read_share) * 100}%` } })), h("span", { class: "num" }, percent(turn.cache_read_share))) },
  { key: "verdict", title: "Result", cell: (turn) => [verdictBadge(turn), (turn.detail ?? turn.break?.detail) && h("p", { class: "attempt-error" }, h("bdi", null, turn.detail ?? turn.break.detail))] },
  { key: "conversation", title: "Conversation", priority: 3, class: "right num", cell: (turn) => number(turn.conversation) },
];
