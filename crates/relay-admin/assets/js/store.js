// All data of the page. Every list has a bound, and views are rendered at most once per frame.

const REQUESTS = 200;
const POINTS = 400; // an hour of 10 s, and some more

export const store = {
  state: null, // the newest state of the relay
  stateAt: 0, // performance.now() at its arrival: its times are relative to that moment
  skew: 0, // the relay's clock minus the clock of the page, in ms
  requests: new Map(), // id to request, oldest first
  areRequestsLoaded: false,
  points: [],
  connection: { phase: "connecting" },
  isEverLoaded: false,
  lastDataAt: null, // Date.now() of the last data
  isUnauthorized: false,
  error: null, // of the first load
  ui: {}, // choices in views, such as pages and open rows
};

// The time by the relay's clock.
export const relayNow = () => Date.now() + store.skew;

// The time since the state arrived, to count down its times.
export const stateAge = () => performance.now() - store.stateAt;

let render = () => {};
let isScheduled = false;
let lastRender = 0;
const PAUSE_MS = 250; // between two renders for events: people read no faster
const LARGEST_SHARE = 0.2; // of the time, for such renders
let cost = 0; // of the last render, in ms

export const setRender = (handler) => { render = handler; };

// Renders at the next frame. With `isEvent`, at most four times per second.
export function changed(isEvent = false) {
  if (isScheduled === "now" || (isScheduled && isEvent)) return;
  const wait = isEvent ? Math.max(0, lastRender + Math.max(PAUSE_MS, cost / LARGEST_SHARE) - performance.now()) : 0;
  isScheduled = isEvent ? "later" : "now";
  if (wait > 0) setTimeout(() => requestAnimationFrame(run), wait);
  else requestAnimationFrame(run);
}

function run() {
  if (!isScheduled) return;
  isScheduled = false;
  const start = performance.now();
  render();
  lastRender = performance.now();
  cost = lastRender - start;
}

export function setState(state) {
  store.state = state;
  store.stateAt = performance.now();
  if (Number.isFinite(state.now_unix_ms)) store.skew = state.now_unix_ms - Date.now();
  received();
}

export function setPoints(series) {
  store.points = (series.points ?? []).slice(-POINTS);
  store.stepMs = series.step_ms || 10_000;
  received();
}

export function addPoint(point) {
  const last = store.points.at(-1);
  if (last && point.unix_ms <= last.unix_ms) {
    const index = store.points.findLastIndex((old) => old.unix_ms === point.unix_ms);
    if (index >= 0) store.points[index] = point;
  } else {
    store.points.push(point);
  }
  if (store.points.length > POINTS) store.points.splice(0, store.points.length - POINTS);
  received();
}

// Takes in requests, newest first, as a page of the API.
export function setRequests(list) {
  store.requests = new Map(list.slice(0, REQUESTS).reverse().map((request) => [request.id, request]));
  store.areRequestsLoaded = true;
  received();
}

export function addRequest(request) {
  const old = store.requests.get(request.id);
  if (old?.end && !request.end) return;
  store.requests.set(request.id, request);
  if (store.requests.size > REQUESTS) store.requests.delete(store.requests.keys().next().value);
  received();
}

// The newest requests first.
export const newestRequests = () => [...store.requests.values()].reverse();

function received() {
  store.isEverLoaded = true;
  store.lastDataAt = Date.now();
  changed(true);
}
