// Numbers, times and amounts as text with units. Everything that is unknown is an en dash.

export const NONE = "\u2013";
const NARROW = "\u202f"; // between a number and its unit

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const decimals = new Map();

// A number with grouped digits and this many decimals.
export function number(value, digits = 0) {
  if (!isNumber(value)) return NONE;
  if (!decimals.has(digits)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    decimals.set(digits, new Intl.NumberFormat("en-US", options));
  }
  return decimals.get(digits).format(value);
}

// A number of at most three or four significant digits, with a metric prefix from 10,000.
export function short(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size < 10_000) return Number.isInteger(value) ? number(value) : number(value, size < 10 ? 2 : size < 100 ? 1 : 0);
  for (const [limit, unit] of [[1e6, "k"], [1e9, "M"], [1e12, "G"], [1e15, "T"]]) {
    const scaled = value / (limit / 1000);
    if (Math.abs(scaled) < 999.5) return number(scaled, Math.abs(scaled) < 99.95 ? 1 : 0) + NARROW + unit;
  }
  return value.toExponential(1).replace("e+", "e");
}

// An amount of money, exact enough for the cost of one request.
export function usd(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  const sign = value < 0 ? "-" : "";
  if (size === 0) return "$0.00";
  if (size < 0.0001) return `${sign}<$0.0001`;
  if (size < 1) return `${sign}$${number(size, 4)}`;
  if (size < 100_000) return `${sign}$${number(size, 2)}`;
  return `${sign}$${short(size)}`;
}

// A cost: "≥" before one of which only a part is known.
export const cost = (value, isPartial) => (isNumber(value) && isPartial ? "\u2265" : "") + usd(value);

// A length of time in the unit that fits: "842 ms", "3.42 s", "4 min 10 s", "2 h 5 min", "3 d 4 h".
export function duration(ms) {
  if (!isNumber(ms)) return NONE;
  const size = Math.max(0, ms);
  if (size < 1) return size === 0 ? `0${NARROW}ms` : `${number(size, 2)}${NARROW}ms`;
  if (size < 999.5) return `${number(size)}${NARROW}ms`;
  if (size < 59_950) return `${number(size / 1000, size < 9_995 ? 2 : 1)}${NARROW}s`;
  return longTime(Math.round(size / 1000));
}

// A remaining time in whole seconds, rounded up: a countdown ends at zero.
export function countdown(ms) {
  if (!isNumber(ms)) return NONE;
  const seconds = Math.ceil(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds}${NARROW}s` : longTime(seconds);
}

// A time on an axis, in one unit without superfluous zeros.
export function axisTime(ms) {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"], [1, "ms"]];
  const [size, unit] = units.find(([least]) => ms >= least) ?? units.at(-1);
  return `${short(Number((ms / size).toPrecision(3)))}${NARROW}${unit}`;
}

function longTime(seconds) {
  if (seconds >= 100 * 86_400) return `${short(Math.floor(seconds / 86_400))}${NARROW}d`;
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  const parts = units.slice(first, first + 2).map(([size, unit], index) => {
    const count = Math.floor((index === 0 ? seconds : seconds % units[first][0]) / size);
    return count > 0 ? `${number(count)}${NARROW}${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

export function bytes(value) {
  if (!isNumber(value)) return NONE;
  if (value < 1000) return `${number(value)}${NARROW}B`;
  const unit = [[1e6, "kB"], [1e9, "MB"], [1e12, "GB"], [Infinity, "TB"]].find(([limit]) => value < limit);
  const scaled = value / (unit[0] === Infinity ? 1e12 : unit[0] / 1000);
  return `${number(scaled, scaled < 100 ? 1 : 0)}${NARROW}${unit[1]}`;
}

// A share between 0 and 1 as a percentage.
export function percent(share) {
  if (!isNumber(share)) return NONE;
  const value = share * 100;
  return `${number(value, value !== 0 && Math.abs(value) < 9.95 ? 1 : 0)}${NARROW}%`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minuteFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const fullFormat = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  timeZoneName: "short",
});

const dateOf = (ms) => (isNumber(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms) : null);
const formatted = (format) => (ms) => (dateOf(ms) ? format.format(dateOf(ms)) : NONE);

// The time of day, "14:03:20", in the time zone of the browser.
export const timeOfDay = formatted(clockFormat);
export const minuteOfDay = formatted(minuteFormat);
// The date, the time and its zone.
export const dateTime = formatted(fullFormat);

// The time of day, with the date if it is not that of `now`.
export function timeNear(ms, now) {
  const date = dateOf(ms);
  if (!date) return NONE;
  const isToday = dateOf(now) && date.toDateString() === dateOf(now).toDateString();
  return isToday ? timeOfDay(ms) : `${dayFormat.format(date)}, ${minuteOfDay(ms)}`;
}

// The time since `ms`: "just now", "12 s ago".
export function ago(ms, now) {
  if (!isNumber(ms) || !isNumber(now)) return NONE;
  const past = now - ms;
  return past < 1000 ? "just now" : `${past < 60_000 ? countdown(past) : longTime(Math.floor(past / 1000))} ago`;
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// A word of the relay as text: "rate_limited" becomes "rate limited".
export const words = (text) => (typeof text === "string" ? text.replaceAll("_", " ") : NONE);
