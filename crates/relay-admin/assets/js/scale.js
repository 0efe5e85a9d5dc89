// Axes: round steps for values and for times.

// Values between 0 and at least `max` in `count` or fewer round steps.
export function valueTicks(max, count = 4) {
  if (!(max > 0) || !Number.isFinite(max)) return [0, 1];
  const raw = max / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const ticks = [];
  for (let index = 0; index <= count + 1; index++) {
    ticks.push(index * step);
    if (index * step >= max * 0.999) break;
  }
  return ticks;
}

const MINUTE = 60_000;
const DURATIONS = [15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 2 * 60 * MINUTE,
  6 * 60 * MINUTE, 12 * 60 * MINUTE];

// Lengths of time between 0 and at least `max` ms: in round steps of seconds, minutes or hours.
export function durationTicks(max, count = 4) {
  const step = DURATIONS.find((size) => size * count >= max);
  if (!(max > MINUTE) || !step) return valueTicks(max, count);
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => index * step);
}

// Times between `from` and `to` at round minutes, at most one per `spacing` pixels.
export function timeTicks(from, to, width, spacing = 80) {
  const most = Math.max(2, Math.floor(width / spacing));
  const step = [1, 2, 5, 10, 15, 30, 60].map((minutes) => minutes * MINUTE).find((size) => (to - from) / size <= most) ?? 60 * MINUTE;
  const ticks = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) ticks.push(time);
  return ticks;
}
