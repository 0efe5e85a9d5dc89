// A scripted admin API with the files of the dashboard, for its browser tests and for work on it:
//
//     node tests/browser/fake.mjs [SCENARIO] [PORT]
//
// Scenarios: busy, empty, unauthorized, ledger-off, hundred (providers), many-keys, hostile (names and numbers), flood
// (1,000 events per second), skewed (clock), broken (no answer to the events). The data is the same in each run but for its times.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ASSETS = fileURLToPath(new URL("../../crates/relay-admin/assets/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
export const TOKEN = "the-token-of-the-test";
const STEP = 10_000;

// A small generator of pseudo-random numbers (mulberry32), so that screenshots are alike.
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const limit = (name, perMinute, remaining, isConfigured = false) => ({ name, per_minute: perMinute, remaining, is_configured: isConfigured });
const key = (credential, more = {}) => ({ credential, is_rejected: false, is_drained: false, cooldown_ms: null, limits: [], ...more });

function provider(name, type, more = {}) {
  return {
    name, type, is_enabled: true, is_paused: false, circuit: "closed", circuit_since_ms: null, circuit_wait_ms: null, open_reason: null,
    in_flight: 0, unusable: null, last_failure: null, resting_models: [], keys: [key("none")], ...more,
  };
}

function busyProviders() {
  return [
    provider("anthropic-main", "anthropic", {
      in_flight: 6, last_failure: "429 rate_limit_error: This request would exceed your organization's rate limit of 400,000 input tokens per minute",
      keys: [
        key("team-a", { limits: [limit("requests", 4000, 3642), limit("input_tokens", 400_000, 212_400), limit("output_tokens", 80_000, 71_020)] }),
        key("team-b", { cooldown_ms: 41_000, limits: [limit("requests", 4000, 3990), limit("input_tokens", 400_000, 4_200), limit("output_tokens", 80_000, 12_800)] }),
        key("key-9f3a", { is_rejected: true, limits: [] }),
      ],
    }),
    provider("bedrock-eu", "bedrock", {
      in_flight: 2, resting_models: [{ model: "claude-opus-5-5", reason: "the upstream reported 529 (overloaded)", remaining_ms: 23_000 }],
      keys: [key("profile", { limits: [limit("requests", 200, 151, true), limit("tokens", 300_000, 88_000, true)] })],
    }),
    provider("vertex-us", "vertex", {
      circuit: "open", circuit_since_ms: 92_000, circuit_wait_ms: 28_000, open_reason: "5 of the last 8 attempts failed: connection timed out after 10 s",
      last_failure: "connection timed out after 10 s", keys: [key("service-account")],
    }),
    provider("glm-fallback", "zai", { in_flight: 1, keys: [key("key-12cd", { limits: [limit("requests", 120, 118)] })] }),
    { name: "old-gateway", type: "custom", is_enabled: false, is_paused: false },
  ];
}

function hundredProviders() {
  const random = generator(7);
  return Array.from({ length: 100 }, (_, index) => {
    const more = { in_flight: Math.floor(random() * 9), keys: Array.from({ length: 1 + Math.floor(random() * 5) }, (_, n) => key(`key-${index}-${n}`, { limits: [limit("requests", 1000, Math.floor(random() * 1000))] })) };
    if (index % 17 === 3) Object.assign(more, { circuit: "open", circuit_since_ms: 5_000, circuit_wait_ms: 55_000, open_reason: "the upstream reported 503 for 5 attempts" });
    if (index % 13 === 5) more.keys[0].cooldown_ms = 30_000 + index * 500;
    return provider(`provider-${String(index + 1).padStart(3, "0")}`, ["anthropic", "bedrock", "vertex", "azure"][index % 4], more);
  });
}

const HOSTILE = [
  `<img src=x onerror="document.title='broken'">`, "\u202Egnp.exe\u202C", "مزود الخدمة", "🚀".repeat(40), "x".repeat(200), `"quotes" & <b>tags</b>`, "a/b?c#d%2F", "../../etc",
];

function hostileProviders() {
  const providers = HOSTILE.map((name) => provider(name, "anthropic", {
    open_reason: name, circuit: "half-open", last_failure: `${name} `.repeat(5), unusable: name, circuit_since_ms: Number.MAX_SAFE_INTEGER,
    keys: [key(name, { limits: [limit("requests", 0, 0), limit("tokens", Number.MAX_SAFE_INTEGER, 5), limit(name, 1, 9)] }), key("ok", { cooldown_ms: 9e15 })],
    resting_models: [{ model: name, reason: name, remaining_ms: 1e12 }], in_flight: 4_294_967_295,
  }));
  return [...providers, { name: "null", type: "mock", is_enabled: true, is_paused: false, circuit: null, keys: null }];
}

function providersOf(scenario) {
  if (scenario === "hundred") return hundredProviders();
  if (scenario === "many-keys") return [provider("pool", "anthropic", { keys: Array.from({ length: 10_000 }, (_, n) => key(`key-${n}`, { limits: [limit("requests", 50, n % 51)], cooldown_ms: n % 9 === 0 ? 60_000 : null })) })];
  if (scenario === "hostile") return hostileProviders();
  if (scenario === "empty") return [provider("anthropic", "anthropic", { keys: [key("default")] })];
  return busyProviders();
}

const CLIENTS = ["alice", "bob", "ci", null];
const MODELS = ["claude-sonnet-5", "claude-opus-5-5", "claude-haiku-4-5"];
const SERVED = ["anthropic-main", "anthropic-main", "anthropic-main", "bedrock-eu", "glm-fallback"];

const attempt = (provider, more = {}) => ({
  provider, type: "anthropic", credential: "team-a", model: "claude-sonnet-5", status: 200, result: "success", error: null, started_ms: 1,
  latency_ms: 420, cost_usd: null, upstream_request_id: "req_011CUpstream", ...more,
});

function request(index, startedAt, random, more = {}) {
  const model = MODELS[Math.floor(random() * MODELS.length)];
  const served = SERVED[Math.floor(random() * SERVED.length)];
  const head = 260 + Math.floor(random() * 900);
  const total = head + 900 + Math.floor(random() * 14_000);
  const read = Math.floor(random() * 90_000);
  const write = Math.floor(random() * 6_000);
  return {
    id: `relay-${String(index).padStart(6, "0")}`, client_request_id: `cc-${index}`, upstream_request_id: `req_011C${index}`, client: CLIENTS[index % CLIENTS.length],
    session: `session-${index % 5}`, method: "POST", path: "/v1/messages", endpoint: "/v1/messages", model_requested: model, model_served: `${model}-20260801`,
    is_stream: true, strategy: "failover", provider: served, circuit: "closed", status: 200, end: "complete", error: null, stop_reason: "end_turn",
    started_unix_ms: startedAt, head_ms: head, first_content_ms: head + 120, total_ms: total, own_ms: 0.41, bytes_received: 182_044, bytes_sent: 24_310,
    usage: { input_tokens: 12 + Math.floor(random() * 900), output_tokens: 100 + Math.floor(random() * 3_000), cache_read_tokens: read, cache_write_tokens: write,
      cache_write_5m_tokens: write, cache_write_1h_tokens: 0, web_search_requests: null },
    is_estimated: false, cost_usd: 0.004 + random() * 0.2, attempts: [attempt(served, { model, latency_ms: head - 2 })], ...more,
  };
}

// The request whose trail has four attempts.
function failedOver(startedAt, random) {
  return request(900_001, startedAt, random, {
    id: "relay-four-attempts", provider: "glm-fallback", model_served: "glm-5", model_requested: "claude-sonnet-5", head_ms: 11_930, first_content_ms: 12_400, total_ms: 19_840, cost_usd: 0.0312,
    attempts: [
      attempt("anthropic-main", { credential: "team-b", status: 429, result: "rate_limited", error: "rate_limit_error: This request would exceed your organization's rate limit of 400,000 input tokens per minute", started_ms: 1, latency_ms: 210, upstream_request_id: "req_011Ca" }),
      attempt("anthropic-main", { credential: "team-a", status: 529, result: "overloaded", error: "overloaded_error: Overloaded", started_ms: 214, latency_ms: 640, upstream_request_id: "req_011Cb" }),
      attempt("vertex-us", { type: "vertex", credential: "service-account", status: null, result: "connect", error: "connection timed out after 10 s", started_ms: 858, latency_ms: 10_001, upstream_request_id: null }),
      attempt("glm-fallback", { type: "zai", credential: "key-12cd", model: "glm-5", started_ms: 10_862, latency_ms: 1_066, cost_usd: 0.0312, upstream_request_id: "req_glm_1" }),
    ],
  });
}

function busyRequests(now) {
  const random = generator(3);
  const list = [];
  for (let index = 0; index < 260; index++) {
    const started = now - (index + 2) * 4_100;
    const more = {};
    if (index % 23 === 7) Object.assign(more, { status: 429, provider: null, model_served: null, cost_usd: null, usage: {}, error: "every candidate is rate limited; the first is free in 12 s", attempts: [] });
    if (index % 31 === 11) Object.assign(more, { end: "broken", is_estimated: true, stop_reason: null });
    if (index % 37 === 5) Object.assign(more, { end: "abandoned", status: 200 });
    if (index % 41 === 9) Object.assign(more, { status: 502, error: "all 3 candidates failed" });
    if (index % 29 === 2) Object.assign(more, { endpoint: "/v1/messages/count_tokens", path: "/v1/messages/count_tokens", is_stream: false, cost_usd: null, usage: {}, first_content_ms: null });
    list.push(request(500 - index, started, random, more));
  }
  list.splice(5, 0, failedOver(now - 27_000, random));
  const running = { end: null, total_ms: null, status: null, head_ms: null, first_content_ms: null, cost_usd: null, usage: {}, stop_reason: null, provider: null, model_served: null };
  list.unshift(request(503, now - 2_000, random, running), request(502, now - 5_500, random, { ...running, attempts: [attempt("anthropic-main", { status: null, result: "unfinished", latency_ms: 5_400, upstream_request_id: null })] }));
  return list;
}

function hostileRequests(now) {
  const random = generator(5);
  const list = HOSTILE.map((name, index) => request(index, now - index * 1000, random, {
    id: `hostile-${index}`, client: name, session: name, model_requested: name, model_served: name, provider: name, error: `${name}\n${name}`, stop_reason: name, cost_usd: [0, null, 1e15, -1, 1e-9][index % 5],
    total_ms: [0, null, 9e15, 0.001][index % 4], status: [200, null, 999, 500][index % 4], usage: { input_tokens: 0, output_tokens: Number.MAX_SAFE_INTEGER, cache_read_tokens: null },
    attempts: Array.from({ length: 6 }, (_, n) => attempt(name, { credential: name, error: name.repeat(3), result: n === 5 ? "success" : name, started_ms: n * 1e6, latency_ms: n === 2 ? 0 : 9e5 })),
  }));
  list.push({ id: "bare", method: "GET", path: "/", started_unix_ms: null, end: null, attempts: null, usage: null });
  return list;
}

function points(now, scenario) {
  const random = generator(11);
  const end = Math.floor(now / STEP) * STEP;
  return Array.from({ length: 360 }, (_, index) => point(end - (360 - index) * STEP, index, random, scenario));
}

function point(time, index, random, scenario) {
  if (scenario === "empty") {
    return { unix_ms: time, requests: 0, errors: 0, rate_limited: 0, in_flight: 0, head_p50_ms: null, head_p95_ms: null, content_p50_ms: null, content_p95_ms: null,
      input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, cost_usd: 0, by_provider: {} };
  }
  if (scenario === "hostile") {
    return { unix_ms: time, requests: index % 3 ? 0 : 1e15, errors: 0, rate_limited: null, in_flight: null, head_p50_ms: 0, content_p95_ms: 1e12, cost_usd: 1e9, by_provider: Object.fromEntries(HOSTILE.map((name) => [name, 1e6])) };
  }
  const requests = Math.max(0, Math.round(9 + 6 * Math.sin(index / 18) + random() * 6));
  const errors = index % 47 > 42 ? 2 : random() > 0.97 ? 1 : 0;
  const limited = index % 61 > 55 ? 3 : 0;
  const p50 = 620 + 200 * Math.sin(index / 25) + random() * 120;
  const main = Math.round(requests * 0.62);
  const bedrock = Math.round(requests * 0.25);
  return {
    unix_ms: time, requests, errors, rate_limited: limited, in_flight: Math.round(requests * 0.7), head_p50_ms: p50 - 110, head_p95_ms: p50 * 2.1, content_p50_ms: p50, content_p95_ms: p50 * 2.6 + random() * 500,
    input_tokens: requests * 420, output_tokens: requests * 930, cache_read_tokens: requests * 41_000, cache_write_tokens: requests * 2_300, cost_usd: requests * 0.031,
    by_provider: { "anthropic-main": main, "bedrock-eu": bedrock, "glm-fallback": requests - main - bedrock },
  };
}

function sessions(now, scenario) {
  if (scenario === "empty") return [];
  const turn = (number, share, broken = null, verdict = broken ? "broken" : number === 1 ? "first" : "hit", detail = null) => ({
    turn: number, conversation: 1, unix_ms: now - (30 - number) * 40_000, request_id: "relay-four-attempts", verdict, cache_read_share: share, break: broken, detail });
  const session = (name, recent, more = {}) => ({ session: name, client: "alice", turns: recent.length, first_unix_ms: recent[0].unix_ms, last_unix_ms: recent.at(-1).unix_ms, model: "claude-sonnet-5",
    cache_read_tokens: 1_840_000, cache_write_tokens: 92_000, input_tokens: 14_200, output_tokens: 38_100, cost_usd: 1.8421, is_cost_partial: false, unpriced_requests: 0, is_cache_lost: false, recent, ...more });
  const good = Array.from({ length: 20 }, (_, index) => turn(index + 9, index % 7 === 0 ? 0.86 : 0.97));
  const changed = { part: "system", index: 1, block: null, detail: "system[1] changed" };
  const broken = [turn(1, 0), turn(2, 0.91), turn(3, 0.95), turn(4, 0.96), turn(5, 0.12, changed, "broken", "system[1] changed since the turn before"), turn(6, 0.94), turn(7, 0.95)];
  const lost = [turn(1, 0), turn(2, 0.9), turn(3, 0.02, { part: "tools", index: 0, block: null, detail: "tools[0] added" }), turn(4, 0, null, "expired", "the cached prefix had expired 12 min before"), turn(5, 0, { part: "messages", index: 2, block: 1, detail: "messages[2] block 1 changed" })];
  const list = [session("session-0", good, { turns: 28 }), session("8d1f6a2e-1b7c-4b51-9a53-2f7de4c81a90", broken, { client: "bob", cost_usd: 0.9114 }),
    session("session-2", lost, { is_cache_lost: true, cache_read_tokens: 21_000, cost_usd: 2.2, is_cost_partial: true, unpriced_requests: 3 }), session("session-3", [turn(1, 0)], { client: null, cache_read_tokens: 0, cost_usd: null })];
  if (scenario === "hostile") for (const name of HOSTILE) list.push(session(name, [turn(1, null), turn(2, 2, { part: name, index: null, block: null, detail: name }), turn(3, 0, null, name, name)], { client: name, model: name, turns: 1e12, cost_usd: 1e12 }));
  return list;
}

// Groups without a known price, and with one for a part of the requests.
const UNPRICED = { "glm-5": { cost_usd: null, uncached_usd: null, saved_usd: null, unpriced_requests: 14 }, "glm-fallback": { is_cost_partial: true, unpriced_requests: 14 } };

function usage(parameters, now, scenario) {
  const by = parameters.get("by") ?? "model";
  const random = generator(19);
  const names = { model: [...MODELS, "glm-5"], provider: ["anthropic-main", "bedrock-eu", "glm-fallback"], client: ["alice", "bob", "ci", null], key: ["team-a", "team-b", "profile"], session: ["session-0", "session-1"],
    day: Array.from({ length: 7 }, (_, index) => new Date(now - (6 - index) * 86_400_000).toISOString().slice(0, 10)), hour: Array.from({ length: 24 }, (_, index) => new Date(now - (23 - index) * 3_600_000).toISOString().slice(0, 13) + ":00") };
  const groups = scenario === "empty" ? [] : scenario === "hostile" ? HOSTILE.concat("=cmd|' /C calc'!A0") : (names[by] ?? []);
  const rows = groups.map((group) => {
    const requests = 40 + Math.floor(random() * 900);
    return { group, requests, attempts: requests + 12, failed: Math.floor(random() * 9), input_tokens: requests * 420, output_tokens: requests * 930, cache_read_tokens: requests * 41_000, cache_write_5m_tokens: requests * 2_000,
      cache_write_1h_tokens: requests * 300, web_search_requests: 0, cost_usd: requests * 0.031, uncached_usd: requests * 0.14, saved_usd: requests * 0.109, is_cost_partial: false, cache_hit_rate: 0.938, estimated_requests: 2, unpriced_requests: 0, cache_losses: 3, ...UNPRICED[group] };
  });
  const total = {};
  for (const row of rows) for (const [name, value] of Object.entries(row)) if (name !== "group") total[name] = (total[name] ?? 0) + value;
  total.is_cost_partial = rows.some((row) => row.unpriced_requests > 0);
  total.cache_hit_rate = rows.length > 0 ? 0.938 : null;
  return { since_unix_ms: now - 86_400_000, until_unix_ms: now, by, rows, total: { group: null, ...total }, dropped: 0 };
}

const STATUS = { "2xx": (status) => status >= 200 && status < 300, "4xx": (status) => status >= 400 && status < 500, "5xx": (status) => status >= 500 };

function fits(request, parameters) {
  const is = (name, ...values) => !parameters.get(name) || values.includes(parameters.get(name));
  const status = parameters.get("status");
  const q = parameters.get("q");
  const texts = [request.id, request.client_request_id, request.upstream_request_id, request.model_requested, request.model_served, request.error];
  return is("provider", request.provider) && is("model", request.model_requested, request.model_served) && is("client", request.client) && is("session", request.session) && is("end", request.end)
    && (!status || (STATUS[status]?.(request.status) ?? String(request.status) === status)) && is("state", request.end ? "ended" : "running")
    && (!q || texts.some((text) => String(text ?? "").includes(q)));
}

// One relay of a scenario. `calls` has the path of each POST.
export class FakeRelay {
  constructor(scenario = "busy") {
    this.scenario = scenario;
    this.skew = scenario === "skewed" ? -200_000 : 0;
    this.started = Date.now() - 93_784_000;
    this.providers = providersOf(scenario);
    const random = generator(23);
    this.random = random;
    this.requests = scenario === "empty" ? [] : scenario === "hostile" ? hostileRequests(this.now()) : busyRequests(this.now());
    this.points = points(this.now(), scenario);
    this.generation = 3;
    this.calls = [];
    this.clients = new Set();
    this.nextId = 1;
    this.isUp = true;
    this.ledgerIsOn = scenario !== "ledger-off";
  }

  now() { return Date.now() + this.skew; }

  async listen(port = 0) {
    this.server = createServer((message, response) => this.answer(message, response).catch((error) => { response.destroy(error); }));
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    if (this.scenario === "flood") this.timers = [setInterval(() => this.flood(50), 50)];
    else if (this.scenario !== "empty") this.timers = [setInterval(() => this.live(), 1_500)];
    return this;
  }

  async close() {
    for (const timer of this.timers ?? []) clearInterval(timer);
    this.disconnect();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  // Ends all streams and refuses everything, or answers again.
  setUp(isUp) {
    this.isUp = isUp;
    if (!isUp) this.disconnect();
  }

  disconnect() {
    for (const client of this.clients) client.destroy();
    this.clients.clear();
  }

  send(name, data) {
    const text = `event: ${name}\nid: ${this.nextId++}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const client of this.clients) client.write(text);
  }

  live() {
    const [running] = this.requests.filter((request) => !request.end).slice(-1);
    const next = request(1_000 + this.nextId, this.now(), this.random, { end: null, total_ms: null, status: null, cost_usd: null, usage: {}, provider: null, model_served: null });
    if (running) this.replace(request(this.nextId, running.started_unix_ms, this.random, { id: running.id, total_ms: this.now() - running.started_unix_ms }));
    this.requests.unshift(next);
    this.send("request", next);
  }

  replace(ended) {
    this.requests = this.requests.map((one) => (one.id === ended.id ? ended : one));
    this.send("request", ended);
  }

  flood(count) {
    for (let index = 0; index < count; index++) this.send("request", request(100_000 + this.nextId, this.now(), this.random));
  }

  state() {
    return {
      version: "0.9.0", configuration: { generation: this.generation, since_unix_ms: this.now() - 3_600_000 }, is_draining: false, is_ready: true, providers: this.providers,
      started_unix_ms: this.started + this.skew, now_unix_ms: this.now(), in_flight: this.scenario === "empty" ? 0 : 9, sessions: this.scenario === "empty" ? 0 : 4,
      warnings: this.scenario === "busy" ? ["The price of the model glm-5 is unknown: its cost is not counted."] : this.scenario === "hostile" ? HOSTILE : [], ledger: { enabled: this.ledgerIsOn, dropped: 0, error: null }, client_command: "ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude",
    };
  }

  async answer(message, response) {
    if (!this.isUp) return void message.socket.destroy();
    const url = new URL(message.url, this.url);
    if (!url.pathname.startsWith("/admin/")) return this.file(url.pathname, response);
    if (this.scenario === "unauthorized" && message.headers.authorization !== `Bearer ${TOKEN}`) return fail(response, 401, "authentication_error", "the admin token is missing or wrong");
    const parts = url.pathname.split("/").slice(3).map(decodeURIComponent);
    if (message.method === "POST") return this.post(parts, response);
    if (parts[0] === "events") return this.events(response);
    return this.get(parts, url.searchParams, response);
  }

  async file(path, response) {
    const name = path === "/" ? "index.html" : normalize(path).replace(/^\/assets\//, "");
    const bytes = await readFile(join(ASSETS, name)).catch(() => null);
    if (!bytes) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(name)], "content-security-policy": CSP, "x-content-type-options": "nosniff" }).end(bytes);
  }

  get(parts, parameters, response) {
    if (parts[0] === "state") return json(response, this.state());
    if (parts[0] === "series") return json(response, { step_ms: STEP, points: this.points });
    if (parts[0] === "sessions") return json(response, { data: sessions(this.now(), this.scenario) });
    if (parts[0] === "usage") return this.ledgerIsOn ? json(response, usage(parameters, this.now(), this.scenario)) : fail(response, 503, "api_error", "there is no usage ledger: usage.enabled is false");
    if (parts[0] === "budgets") return json(response, { data: this.scenario === "empty" ? [] : [{ client: "alice", budget_usd: 50, spent_usd: 18.42, period: "day", resets_unix_ms: this.now() + 30_000_000 }, { client: "ci", budget_usd: 200, spent_usd: 171.2, period: "week", resets_unix_ms: this.now() + 300_000_000 }, { client: "bob", budget_usd: 20, spent_usd: 20.11, period: "day", resets_unix_ms: this.now() + 30_000_000 }] });
    if (parts[0] === "requests" && parts[1]) {
      const found = this.requests.find((one) => [one.id, one.client_request_id, one.upstream_request_id].includes(parts[1]));
      return found ? json(response, found) : fail(response, 404, "not_found_error", `no request with this id is kept; the relay keeps the last ${this.requests.length}`);
    }
    if (parts[0] === "requests") {
      const limit = Number(parameters.get("limit") ?? 100);
      const start = Number(parameters.get("before") ?? 0);
      const fitting = this.requests.filter((request) => fits(request, parameters));
      return json(response, { data: fitting.slice(start, start + limit), next: start + limit < fitting.length ? String(start + limit) : null });
    }
    return fail(response, 404, "not_found_error", "there is no such path");
  }

  post(parts, response) {
    this.calls.push(parts.join(" "));
    const [, name, what, credential] = parts;
    const provider = this.providers.find((one) => one.name === name);
    const key = provider?.keys?.find((one) => one.credential === credential);
    if (parts[0] === "reload") this.generation += 1;
    else if (what === "pause" || what === "resume") provider.is_paused = what === "pause";
    else if (what === "circuit") Object.assign(provider, { circuit: "closed", open_reason: null });
    else if (parts[4] === "drain" || parts[4] === "undrain") key.is_drained = parts[4] === "drain";
    else if (parts[4] === "cooldown") Object.assign(key, { cooldown_ms: null, is_rejected: false });
    else return fail(response, 404, "not_found_error", "there is no such operation");
    this.send("state", this.state());
    return json(response, { changed: true, message: parts[0] === "reload" ? `The configuration ${this.generation} is in use.` : `${name}: ${parts.slice(2).join(" ")} is done.` });
  }

  events(response) {
    if (this.scenario === "broken") return fail(response, 503, "api_error", "the relay is shutting down");
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" });
    response.write(": connected\n\n");
    this.clients.add(response);
    response.on("close", () => this.clients.delete(response));
    return undefined;
  }
}

function json(response, value, status = 200) {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" }).end(JSON.stringify(value));
}

const fail = (response, status, type, message) => json(response, { type: "error", error: { type, message }, request_id: "relay-of-the-error" }, status);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const relay = await new FakeRelay(process.argv[2]).listen(Number(process.argv[3] ?? 0));
  console.log(relay.url);
}
