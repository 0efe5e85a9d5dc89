// The client of the admin API. The token lives in sessionStorage: it ends with the tab, and is sent in a header only.

const TOKEN = "cc-relay.token";
const TIMEOUT_MS = 20_000;

export class ApiError extends Error {
  constructor(message, status, requestId) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}

let onUnauthorized = () => {};
// Sets the function that is called whenever the relay refuses the token.
export const whenUnauthorized = (handler) => { onUnauthorized = handler; };

export function token() {
  try { return sessionStorage.getItem(TOKEN) ?? ""; } catch { return memory; }
}
let memory = ""; // for browsers that forbid storage

export function setToken(value) {
  memory = value;
  try {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  } catch { /* The token is kept in memory. */ }
}

export function headers(more = {}) {
  return token() ? { authorization: `Bearer ${token()}`, ...more } : more;
}

// A path below `/admin/v1/` from parts, each encoded, and parameters, of which empty ones are omitted.
export function path(parts, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return `/admin/v1/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export const get = (parts, parameters, signal) => call("GET", path(parts, parameters), signal);
export const post = (...parts) => call("POST", path(parts));

async function call(method, url, signal) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signals = signal ? AbortSignal.any([signal, limit]) : limit;
  let response;
  try {
    response = await fetch(url, { method, headers: headers({ accept: "application/json" }), signal: signals, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(limit.aborted ? "The relay did not answer in time." : "The relay cannot be reached.", 0);
  }
  if (!response.ok) throw await failure(response);
  try {
    return await response.json();
  } catch {
    if (signal?.aborted) throw new DOMException("aborted", "AbortError");
    throw new ApiError("The answer of the relay is not JSON. Is this address the relay's admin listener?", response.status);
  }
}

// Reads an error in Anthropic's form.
export async function failure(response) {
  if (response.status === 401) onUnauthorized();
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? `The relay answered ${response.status}.`;
  return new ApiError(String(message), response.status, body?.request_id ?? response.headers.get("request-id"));
}
