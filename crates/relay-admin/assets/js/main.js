// The start: loads the data, follows the events, and renders the view of the address.

import { get, setToken, token, whenUnauthorized } from "./api.js";
import { say } from "./dialog.js";
import { h, patch } from "./dom.js";
import { empty, notice } from "./parts.js";
import { href, parse } from "./router.js";
import { shell } from "./shell.js";
import { addPoint, addRequest, changed, setPoints, setRender, setRequests, setState, store } from "./store.js";
import { EventStream } from "./stream.js";
import { applyTheme } from "./theme.js";
import * as overview from "./views/overview.js";
import * as providers from "./views/providers.js";
import * as request from "./views/request.js";
import * as requests from "./views/requests.js";
import * as sessions from "./views/sessions.js";
import { signIn } from "./views/sign_in.js";
import * as usage from "./views/usage.js";

const TICK_MS = 1_000; // countdowns and ages

const missing = {
  title: () => "Not found",
  view: () => [h("h1", { tabindex: -1 }, "Not found"), empty("There is no such view.", h("p", null, h("a", { href: href("overview") }, "Overview")))],
};

function viewOf(route) {
  if (route.view === "requests") return route.id ? request : requests;
  return { overview, providers, sessions, usage }[route.view] ?? missing;
}

let route = parse(location.hash);
let current = viewOf(route);
let wasRefused = false; // the last token was wrong

const stream = new EventStream({
  opened: () => loadAll(),
  event: received,
  changed: (connection) => {
    const before = store.connection.phase;
    store.connection = connection;
    if (connection.phase === "waiting" && before !== "waiting") say("The connection to the relay is lost.");
    if (connection.phase === "open" && before === "waiting") say("The connection to the relay is back.");
    changed();
  },
});

function received(name, text) {
  let data;
  try { data = text ? JSON.parse(text) : null; } catch { return; }
  if (name === "resync") loadAll();
  if (data === null || typeof data !== "object") return;
  if (name === "request") addRequest(data);
  if (name === "state") setState(data);
  if (name === "point") addPoint(data);
}

let isLoading = false;
let loadAgain = false;

async function loadAll() {
  if (isLoading) { loadAgain = true; return; }
  isLoading = true;
  const parts = [
    get(["state"]).then(setState),
    get(["series"], { minutes: 60 }).then(setPoints),
    get(["requests"], { limit: 200 }).then((page) => setRequests(page.data ?? [])),
  ];
  const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
  store.error = failed && failed.reason.status !== 401 ? failed.reason.message : null;
  isLoading = false;
  if (loadAgain) { loadAgain = false; loadAll(); }
  changed();
}

whenUnauthorized(() => {
  if (token() !== "") {
    wasRefused = true;
    setToken("");
  }
  store.isUnauthorized = true;
  stream.stop();
  changed();
});

function signedIn() {
  store.isUnauthorized = false;
  current.enter?.(route);
  stream.start();
  changed();
}

function signOut() {
  setToken("");
  wasRefused = false;
  Object.assign(store, { state: null, requests: new Map(), areRequestsLoaded: false, points: [] });
  store.isUnauthorized = true;
  stream.stop();
  changed();
}

function render() {
  const content = store.isUnauthorized ? signIn(wasRefused, signedIn) : page();
  document.title = `${store.isUnauthorized ? "Sign in" : current.title(route)} \u00b7 cc-relay`;
  patch(document.getElementById("app"), shell(route, content, { retry: () => stream.retryNow(), signOut, hasToken: token() !== "" }));
}

function page() {
  const isFirst = !store.isEverLoaded && store.connection.phase === "waiting";
  if (isFirst) return h("div", { class: "view" }, h("h1", { tabindex: -1 }, current.title(route)), empty("No data yet.", "The page connects as soon as the relay answers."));
  return h("div", { class: "view", key: `${route.view}/${route.id ?? ""}` },
    store.error && store.connection.phase === "open" && notice("bad", "bad", h("p", null, store.error)), current.view(route));
}

function navigated() {
  const next = parse(location.hash);
  const isSame = next.view === route.view && next.id === route.id;
  if (!isSame) current.leave?.(route);
  route = next;
  current = viewOf(route);
  if (!isSame) current.enter?.(route);
  render();
  if (!isSame) {
    scrollTo(0, 0);
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }
}

addEventListener("hashchange", navigated);
addEventListener("parameters", () => { route = parse(location.hash); changed(); });
document.getElementById("skip").addEventListener("click", (event) => {
  // The fragment is the address of the view: the link must not change it.
  event.preventDefault();
  document.getElementById("main")?.focus();
});
setInterval(() => !document.hidden && changed(true), TICK_MS);
applyTheme();
setRender(render);
current.enter?.(route);
stream.start();
render();
