// Judgements about providers, keys and requests: each with a tone, an icon and a word.

import { countdown, number, plural, words } from "./format.js";
import { badge } from "./parts.js";
import { stateAge } from "./store.js";

// A time of the state that runs down; 0 once it is over.
export const remaining = (ms) => (typeof ms === "number" ? Math.max(0, ms - stateAge()) : 0);

export function keyStatus(key) {
  if (key.is_drained) return { tone: "info", icon: "pause", text: "Drained", rank: 2 };
  if (key.is_rejected) return { tone: "bad", icon: "bad", text: "Rejected", rank: 4 };
  const wait = remaining(key.cooldown_ms);
  if (wait > 0) return { tone: "warn", icon: "wait", text: `Cooldown ${countdown(wait)}`, rank: 3 };
  if (lowest(key.limits ?? []) < 0.1) return { tone: "warn", icon: "warn", text: "Limit near", rank: 1 };
  return { tone: "ok", icon: "ok", text: "Ready", rank: 0 };
}

const isUsable = (key) => !key.is_drained && !key.is_rejected && remaining(key.cooldown_ms) === 0;

// The lowest share of a limit that is left, or 1 without limits.
export function lowest(limits) {
  let least = 1;
  for (const limit of limits) if (limit.per_minute > 0) least = Math.min(least, limit.remaining / limit.per_minute);
  return least;
}

export function keyCounts(provider) {
  const keys = provider.keys ?? [];
  let usable = 0;
  for (const key of keys) if (isUsable(key)) usable += 1;
  return { usable, total: keys.length };
}

// The state of a provider. A higher `rank` needs more attention.
export function providerStatus(provider) {
  if (provider.is_paused) return { tone: "info", icon: "pause", text: "Paused", rank: 2 };
  if (!provider.is_enabled) return { tone: "quiet", icon: "off", text: "Disabled", rank: 0 };
  if (provider.circuit === "open") {
    const wait = remaining(provider.circuit_wait_ms);
    return { tone: "bad", icon: "bad", text: wait > 0 ? `Circuit open, ${countdown(wait)}` : "Circuit open", rank: 6 };
  }
  if (provider.unusable) return { tone: "bad", icon: "bad", text: "Unusable", rank: 5 };
  if (provider.circuit === "half-open") return { tone: "warn", icon: "half", text: "Circuit half-open", rank: 4 };
  const { usable, total } = keyCounts(provider);
  if (usable < total) return { tone: "warn", icon: "warn", text: `${number(usable)} of ${plural(total, "key")} usable`, rank: 3 };
  if (provider.resting_models?.length > 0) return { tone: "warn", icon: "wait", text: `${plural(provider.resting_models.length, "model")} resting`, rank: 3 };
  return { tone: "ok", icon: "ok", text: "Ready", rank: 1 };
}

// The reason of a state, in a sentence; empty if all is well.
export function providerReason(provider) {
  if (provider.is_paused) return "An operator has paused it.";
  if (!provider.is_enabled) return "The configuration disables it.";
  const since = provider.circuit !== "closed" && typeof provider.circuit_since_ms === "number"
    ? ` (for ${countdown(provider.circuit_since_ms + stateAge())})` : "";
  if (provider.circuit !== "closed" && provider.open_reason) return `${provider.open_reason}${since}`;
  return provider.unusable ?? "";
}

export const statusBadge = (status, title) => badge(status.tone, status.icon, status.text, title);

// The result of a request.
export function requestStatus(request) {
  const status = request.status ?? null;
  if (!request.end) return { tone: "info", icon: "run", text: "Running" };
  if (request.end === "broken") return { tone: "bad", icon: "bad", text: status ? `${status} broken` : "Broken" };
  if (request.end === "abandoned") return { tone: "quiet", icon: "off", text: status ? `${status} abandoned` : "Abandoned" };
  if (request.end === "stalled") return { tone: "warn", icon: "wait", text: status ? `${status} stalled` : "Stalled" };
  if (status >= 500) return { tone: "bad", icon: "bad", text: `${status}` };
  if (status >= 400) return { tone: "warn", icon: "warn", text: status === 429 ? "429 limited" : `${status}` };
  return { tone: "ok", icon: "ok", text: status === null ? words(request.end) : `${status}` };
}

export function attemptStatus(attempt) {
  const text = attempt.status ? `${attempt.status} ${words(attempt.result)}` : words(attempt.result);
  if (attempt.result === "success") return { tone: "ok", icon: "ok", text };
  if (attempt.result === "unfinished") return { tone: "info", icon: "run", text };
  const isLimit = ["rate_limited", "overloaded", "model_unavailable", "refused", "unsupported"].includes(attempt.result);
  return isLimit ? { tone: "warn", icon: "warn", text } : { tone: "bad", icon: "bad", text };
}
