// The live events: server-sent events, read with fetch, since EventSource cannot send a token.

import { failure, headers, path } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const SILENCE_MS = 40_000; // the relay sends a comment every 15 s
const LARGEST_EVENT = 32 << 20; // characters

// Reads server-sent events from text in any pieces. Lines end with a line feed, or with a carriage return before it.
export class EventParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.begun = []; // the pieces of a line that has not ended
    this.reset();
  }

  reset() {
    this.name = "";
    this.id = undefined;
    this.data = [];
    this.size = 0;
  }

  push(text) {
    this.size += text.length;
    if (this.size > LARGEST_EVENT) throw new Error("An event of the relay is too large.");
    const lines = text.split("\n");
    this.begun.push(lines[0]);
    if (lines.length === 1) return;
    lines[0] = this.begun.join("");
    this.begun = [lines.pop()];
    for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  line(line) {
    if (line === "") {
      if (this.data.length > 0) this.onEvent(this.name || "message", this.data.join("\n"), this.id);
      this.reset();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    if (field === "event") this.name = value;
    if (field === "id") this.id = value;
  }
}

// One connection at a time to the events of the relay. It reconnects with growing waits, and is closed while the page is
// hidden. `handlers`: `opened()`, `event(name, data)`, and `changed({ phase, retryAt, error })`, whose phase is
// `connecting`, `open`, `waiting`, `hidden` or `stopped`.
export class EventStream {
  constructor(handlers) {
    this.handlers = handlers;
    this.failures = 0;
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
    addEventListener("online", () => this.retryNow());
  }

  start() {
    this.stop("connecting");
    this.failures = 0;
    if (document.hidden) this.change("hidden");
    else this.connect();
  }

  stop(phase = "stopped") {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.abort?.abort();
    this.abort = undefined;
    this.change(phase);
  }

  retryNow() {
    if (this.phase === "waiting") { clearTimeout(this.timer); this.connect(); }
  }

  visibilityChanged() {
    if (this.phase === "stopped") return;
    if (document.hidden) this.stop("hidden");
    else if (this.phase === "hidden") this.start();
  }

  change(phase, more = {}) {
    if (this.phase === phase && phase !== "waiting") return;
    this.phase = phase;
    this.handlers.changed({ phase, ...more });
  }

  async connect() {
    const abort = (this.abort = new AbortController());
    if (this.failures === 0) this.change("connecting");
    try {
      await this.read(abort);
      throw new Error("The relay closed the stream of events.");
    } catch (error) {
      if (abort === this.abort) this.wait(error);
    }
  }

  async read(abort) {
    const accept = { accept: "text/event-stream" };
    if (this.lastId !== undefined) accept["last-event-id"] = this.lastId;
    this.watch(abort);
    const response = await fetch(path(["events"]), { headers: headers(accept), signal: abort.signal, cache: "no-store" });
    if (!response.ok || !response.body) throw await failure(response);
    const parser = new EventParser((name, data, id) => {
      if (id !== undefined) this.lastId = id;
      this.handlers.event(name, data);
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    this.failures = 0;
    this.change("open");
    this.handlers.opened();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort.signal.aborted) return;
      this.watch(abort);
      parser.push(value);
    }
  }

  // Gives the connection up if nothing arrives for a time: a laptop that slept has connections that never end.
  watch(abort) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => abort.abort(), SILENCE_MS);
  }

  wait(error) {
    clearTimeout(this.silence);
    this.abort?.abort();
    if (error.status === 401) return this.stop("stopped");
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.failures, 10));
    const wait = longest * (0.75 + Math.random() / 4);
    this.failures += 1;
    const message = error.name === "AbortError" ? "Nothing arrived from the relay." : networkMessage(error);
    this.change("waiting", { retryAt: Date.now() + wait, error: message });
    this.timer = setTimeout(() => this.connect(), wait);
  }
}

function networkMessage(error) {
  return error instanceof TypeError ? "The relay cannot be reached." : error.message;
}
