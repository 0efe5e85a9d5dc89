// The tests of the dashboard with the scripted admin API.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TOKEN } from "./fake.mjs";

const VIEWS = {
  overview: "#/", providers: "#/providers", requests: "#/requests", request: "#/requests/relay-four-attempts", sessions: "#/sessions",
  session: "#/sessions/8d1f6a2e-1b7c-4b51-9a53-2f7de4c81a90", usage: "#/usage", budgets: "#/usage?by=day&range=7d",
};
/** Set for the long form: each width in each theme, and large relays. */
const IS_LONG = Boolean(process.env.CC_RELAY_BROWSER_LONG);

const FORMATS = IS_LONG
  ? [[1440, "light"], [1440, "dark"], [380, "light"], [380, "dark"]]
  : [[1440, "light"], [380, "dark"]];

const settled = (page) => page.waitForFunction(() => document.querySelector(".badge")?.textContent === "Live" && !document.querySelector("[aria-busy]"));

// Goes to another view of the page.
async function go(page, hash) {
  await page.evaluate((value) => { location.hash = value; }, hash);
  await settled(page);
}

export const tests = {};

for (const [width, theme] of FORMATS) {
  tests[`every view is accessible and fits in ${width} px, ${theme}`] = async (tools) => {
    const relay = await tools.relay("busy");
    const page = await tools.open(relay.url, "#/", { width, theme });
    for (const [name, hash] of Object.entries(VIEWS)) {
      await go(page, hash);
      await tools.check(page, `${name}-${width}-${theme}`);
    }
  };
}

tests["every view fits in each width between a phone and a wall"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  for (const [name, hash] of Object.entries(VIEWS)) {
    await go(page, hash);
    for (const width of [320, 380, 460, 600, 681, 800, 861, 961, 1100, 1241, 1440, 2000]) {
      await page.setViewportSize({ width, height: 800 });
      await page.waitForTimeout(50);
      await tools.fits(page, `${name} at ${width} px`);
    }
  }
};

for (const scenario of IS_LONG ? ["empty", "hundred", "many-keys", "hostile"] : ["empty", "hostile"]) {
  tests[`every view is accessible with the data "${scenario}"`] = async (tools) => {
    const relay = await tools.relay(scenario);
    const page = await tools.open(relay.url, "#/", { width: 380 });
    for (const name of ["overview", "providers", "requests", "sessions", "usage"]) {
      await page.setViewportSize({ width: 380, height: 900 });
      await go(page, VIEWS[name]);
      await tools.check(page, `${scenario}-${name}-380`);
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.waitForTimeout(50);
      await tools.screenshot(page, `${scenario}-${name}-1440`);
      await tools.fits(page, `${scenario}-${name}-1440`);
    }
  };
}

tests["names from outside are shown as text"] = async (tools) => {
  const relay = await tools.relay("hostile");
  const page = await tools.open(relay.url);
  for (const hash of ["#/", "#/providers/a%2Fb%3Fc%23d%252F", "#/requests", "#/requests/hostile-0", "#/sessions", `#/sessions/${encodeURIComponent("<img src=x onerror=\"document.title='broken'\">")}`, "#/usage"]) {
    await go(page, hash);
    assert.equal(await page.locator("img:not(.brand img)").count(), 0, hash);
    assert.doesNotMatch(await page.title(), /^broken/);
    assert.ok(!(await page.locator("body").innerText()).includes("\u202e"), "a name cannot turn the direction of the text");
    await tools.check(page, `hostile-${hash.replaceAll(/[^a-z]+/g, "-").slice(0, 40)}`);
  }
};

tests["the numbers of the overview have units"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  await settled(page);
  const tiles = await page.locator(".tile").allInnerTexts();
  assert.equal(tiles.length, 6);
  assert.match(tiles[0], /per minute/);
  assert.match(tiles[3], /(ms|s)\n/);
  assert.match(tiles[4], /^Cost\n\$[\d.]+\n\$[\d.]+ per hour$/);
  for (const unit of ["requests per minute", "USD per minute", "time to first content"]) await page.getByText(unit).first().waitFor();
};

tests["a chart shows its values for the pointer and for the keyboard"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  await settled(page);
  const plot = page.getByRole("slider", { name: "Traffic, requests per minute" });
  await plot.hover();
  assert.match(await page.locator("[data-chart=traffic] .tooltip").innerText(), /^\d\d:\d\d:\d\d\s+failed\s+[\d.]+\s+rate limited\s+[\d.]+\s+answered\s+[\d.]+$/);
  await tools.screenshot(page, "chart-hover");
  await page.mouse.move(5, 5);
  await page.locator(".tooltip").first().waitFor({ state: "detached" });
  await page.getByLabel("Range of the charts").focus();
  await page.keyboard.press("Tab");
  await page.locator(".tooltip").first().waitFor();
  const before = await plot.getAttribute("aria-valuetext");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((text) => document.querySelector("[data-chart=traffic]").getAttribute("aria-valuetext") !== text, before);
  assert.match(await plot.getAttribute("aria-valuetext"), /^\d\d:\d\d:\d\d: answered [\d.]+, rate limited/);
  await page.keyboard.press("Escape");
  await page.locator(".tooltip").first().waitFor({ state: "detached" });
};

const ACTIONS = [
  ["Pause anthropic-main", "Pause", "providers anthropic-main pause", "Resume anthropic-main"],
  ["Resume anthropic-main", "Resume", "providers anthropic-main resume", "Pause anthropic-main"],
  ["Reset circuit of vertex-us", "Reset circuit", "providers vertex-us circuit reset", null],
  ["Drain team-a", "Drain", "providers anthropic-main keys team-a drain", "Use again: team-a"],
  ["Use again: team-a", "Use again", "providers anthropic-main keys team-a undrain", "Drain team-a"],
  ["Reset cooldown of team-b", "Reset cooldown", "providers anthropic-main keys team-b cooldown reset", null],
  ["Reload configuration", "Reload", "reload", "Reload configuration"],
];

tests["every action has a confirmation, changes the relay and reports its result"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/providers");
  await settled(page);
  for (const [name, confirmation, call, next] of ACTIONS) {
    const action = page.getByRole("button", { name, exact: true });
    await action.click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await tools.check(page, `dialog-${call.replaceAll(" ", "-")}`);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.deepEqual(relay.calls, [], "a cancelled action calls nothing");
    await action.click();
    await dialog.getByRole("button", { name: confirmation, exact: true }).click();
    await page.locator(".toast").first().waitFor();
    assert.deepEqual(relay.calls.splice(0), [call]);
    if (next) await page.getByRole("button", { name: next, exact: true }).waitFor();
    else await action.waitFor({ state: "detached" });
    await page.locator(".toast-close").first().click();
  }
};

tests["a failed action reports the relay's reason and the request id"] = async (tools) => {
  const relay = await tools.relay("busy");
  relay.post = (parts, response) => response.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify({
    type: "error", error: { type: "invalid_request_error", message: "the file has 2 faults" }, request_id: "relay-77" }));
  tools.allowsFailedRequests = true;
  const page = await tools.open(relay.url, "#/providers");
  await settled(page);
  await page.getByRole("button", { name: "Reload configuration" }).click();
  await page.getByRole("button", { name: "Reload", exact: true }).click();
  await page.locator(".toast.tone-bad", { hasText: "the file has 2 faults (request relay-77)" }).waitFor();
};

tests["an unknown cost is an en dash, and a partly known one is at least its known part"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/usage?by=model");
  const costOf = (group) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: group, exact: true }) }).getByRole("cell").first().innerText();
  await page.getByRole("rowheader", { name: "glm-5", exact: true }).waitFor();
  assert.equal(await costOf("glm-5"), "\u2013");
  assert.match(await costOf("Total"), /^\u2265\$/);
  await page.getByLabel("Group by").selectOption("provider");
  await page.getByRole("rowheader", { name: "glm-fallback" }).waitFor();
  assert.match(await costOf("glm-fallback"), /^\u2265\$/);
  assert.match(await costOf("anthropic-main"), /^\$/);
  await page.goto(`${relay.url}/#/sessions/session-2`);
  await page.locator("dd", { hasText: "\u2265$2.20" }).waitFor();
};

tests["a dialog keeps the focus inside and returns it"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/providers");
  await settled(page);
  const action = page.getByRole("button", { name: "Pause anthropic-main" });
  await action.focus();
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  assert.equal(await focused(), "Cancel");
  for (const expected of ["Pause", "Cancel", "Pause", "Cancel"]) {
    await page.keyboard.press("Tab");
    assert.equal(await focused(), expected);
  }
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "Pause");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Pause anthropic-main");
  assert.deepEqual(relay.calls, []);
};

tests["focus survives the updates of a view"] = async (tools) => {
  const relay = await tools.relay("flood");
  const page = await tools.open(relay.url, "#/requests");
  await page.waitForSelector("tbody a");
  await page.getByRole("button", { name: "Pause updates" }).focus();
  await page.waitForTimeout(600);
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Pause updates");
};

tests["the keyboard reaches the content by the skip link, and a view's heading after navigation"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  await settled(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  assert.equal(new URL(page.url()).hash, "#/");
  await page.getByRole("link", { name: "Usage", exact: true }).click();
  await page.waitForFunction(() => document.activeElement?.textContent === "Usage and cost");
  assert.equal(await page.title(), "Usage \u00b7 cc-relay");
};

tests["a lost connection shows a banner and the last data, and is restored"] = async (tools) => {
  const relay = await tools.relay("busy");
  tools.allowsFailedRequests = true;
  const page = await tools.open(relay.url);
  await settled(page);
  relay.setUp(false);
  await page.locator(".banner").waitFor();
  assert.match(await page.locator(".banner").innerText(), /No connection to the relay.*The data below is that of \d\d:\d\d:\d\d\. Next try in/s);
  assert.equal(await page.locator("#status").innerText(), "The connection to the relay is lost.");
  assert.ok((await page.locator(".tile").count()) === 6, "the last data is still there");
  await tools.check(page, "broken");
  relay.setUp(true);
  const restored = page.locator(".banner").waitFor({ state: "detached" });
  // The page may try again by itself before the click.
  await Promise.any([page.getByRole("button", { name: "Try now" }).click(), restored]);
  await restored;
  await settled(page);
};

tests["a relay that answers nothing shows how the page goes on"] = async (tools) => {
  const relay = await tools.relay("busy");
  tools.allowsFailedRequests = true;
  const context = await tools.browser.browser.newContext();
  tools.opened.unshift(context);
  const page = await context.newPage();
  await page.route("**/admin/**", (route) => route.abort());
  await page.goto(relay.url);
  await page.getByText("No data yet.").waitFor();
  await tools.check(page, "unreachable");
};

tests["the events continue after the last one that was seen"] = async (tools) => {
  const relay = await tools.relay("busy");
  tools.allowsFailedRequests = true;
  const page = await tools.open(relay.url);
  await settled(page);
  relay.send("point", { ...relay.points.at(-1), unix_ms: relay.points.at(-1).unix_ms + 10_000 });
  await page.waitForTimeout(200);
  const next = page.waitForRequest("**/admin/v1/events");
  relay.disconnect();
  assert.ok(Number((await next).headers()["last-event-id"]) >= 1);
};

tests["the stream is closed while the page is hidden"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  await settled(page);
  const hide = (isHidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
  await hide(true);
  await page.locator(".badge", { hasText: "Paused" }).first().waitFor();
  await page.waitForTimeout(200);
  assert.equal(relay.clients.size, 0);
  await hide(false);
  await settled(page);
  assert.equal(relay.clients.size, 1);
};

tests["the token is requested, kept for the tab, and never part of an address"] = async (tools) => {
  const relay = await tools.relay("unauthorized");
  tools.allowsFailedRequests = true;
  const page = await tools.open(relay.url, "#/requests");
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));
  await page.getByLabel("Token").waitFor();
  await tools.check(page, "unauthorized");
  await page.getByLabel("Token").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("The relay refused this token.").waitFor();
  await tools.check(page, "unauthorized-wrong");
  await page.getByLabel("Token").fill(TOKEN);
  await page.keyboard.press("Enter");
  await settled(page);
  await page.waitForSelector("tbody a");
  await page.reload();
  await settled(page);
  assert.ok(addresses.every((address) => !address.includes(TOKEN)), "no token in an address");
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
};

tests["a relay without a ledger shows the setting that starts it"] = async (tools) => {
  const relay = await tools.relay("ledger-off");
  tools.allowsFailedRequests = true;
  const page = await tools.open(relay.url, "#/usage");
  await page.getByText("No usage can be shown.").waitFor();
  await page.getByText("there is no usage ledger: usage.enabled is false").waitFor();
  await tools.check(page, "ledger-off");
};

tests["an empty relay shows the command that points Claude Code at it"] = async (tools) => {
  const relay = await tools.relay("empty");
  const page = await tools.open(relay.url);
  await page.getByText(/ANTHROPIC_BASE_URL=http:\/\/.* claude/).waitFor();
  relay.send("request", { id: "first", method: "POST", path: "/v1/messages", started_unix_ms: Date.now(), end: null, attempts: [], model_requested: "claude-sonnet-5" });
  await page.locator("tbody", { hasText: "claude-sonnet-5" }).waitFor();
};

tests["requests are filtered and found by their ids, and the address can be shared"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/requests");
  await settled(page);
  await page.getByLabel("Search").fill("cc-900001");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  assert.equal(new URL(page.url()).hash, "#/requests?q=cc-900001");
  assert.equal(await page.evaluate(() => document.activeElement?.type), "search", "typing keeps the focus");
  const shared = await tools.open(relay.url, new URL(page.url()).hash);
  await shared.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  assert.equal(await shared.getByLabel("Search").inputValue(), "cc-900001");
  await shared.locator("tbody a").first().click();
  await shared.getByRole("heading", { name: "Request relay-four-attempts" }).waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 100);
  await page.getByLabel("Status").selectOption("429");
  await page.waitForFunction(() => [...document.querySelectorAll("tbody .badge")].every((badge) => badge.textContent.includes("429")));
  await page.getByLabel("Search").fill("no such request");
  await page.getByText("No request fits these filters.").waitFor();
};

tests["older requests are loaded on demand"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/requests");
  await settled(page);
  await page.waitForSelector("tbody a");
  const before = await page.locator("tbody tr").count();
  await page.getByRole("button", { name: "Load older requests" }).click();
  await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length > count, before);
  await page.getByText("updates are paused").waitFor();
  const links = await page.locator("tbody a").evaluateAll((all) => all.map((link) => link.hash));
  assert.equal(new Set(links).size, links.length, "each request is listed once");
  await page.getByRole("button", { name: "Continue updates" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length <= 200);
};

tests["a request shows its attempts as a timeline and as a table"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, VIEWS.request);
  await settled(page);
  assert.equal(await page.locator(".timeline [role=img]").count(), 4);
  assert.match(await page.locator(".timeline [role=img]").nth(2).getAttribute("aria-label"), /Attempt 3, vertex-us: connect, from 858.ms for 10\.0.s/);
  assert.equal(await page.getByRole("table", { name: "Attempts" }).getByRole("row").count(), 5);
  const missing = await tools.open(relay.url, "#/requests/cc-900001");
  await missing.getByRole("heading", { name: "Request relay-four-attempts" }).waitFor();
  tools.allowsFailedRequests = true;
  const none = await tools.open(relay.url, "#/requests/none");
  await none.getByText("The relay does not keep this request.").waitFor();
  await tools.check(none, "request-missing");
};

tests["a session shows the turn and the part at which its prefix changed"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, VIEWS.session);
  await page.getByText("The prefix changed at turn 5: system[1] changed.").waitFor();
  assert.equal(await page.getByRole("table", { name: "Turns" }).getByRole("row").count(), 8);
};

tests["usage is grouped, summed and saved as CSV"] = async (tools) => {
  const relay = await tools.relay("hostile");
  const page = await tools.open(relay.url, "#/usage?by=client");
  await page.getByRole("table", { name: "Usage by client" }).waitFor();
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
  assert.equal(saved.suggestedFilename(), "usage-by-client.csv");
  const text = await readFile(await saved.path(), "utf8");
  assert.match(text, /^client,requests,attempts,/);
  assert.match(text, /\r\n'=cmd\|' \/C calc'!A0,/, "a formula is a text");
  assert.match(text, /"""quotes"" & <b>tags<\/b>",/);
  await page.getByLabel("Group by").selectOption("day");
  await page.waitForFunction(() => location.hash === "#/usage?by=day");
};

tests["a thousand events per second do not stop the page, and its memory is bounded"] = async (tools) => {
  const relay = await tools.relay("flood");
  const page = await tools.open(relay.url, "#/requests");
  await page.waitForSelector("tbody a");
  await page.waitForTimeout(3_000);
  const frames = await page.evaluate(() => new Promise((resolve) => {
    let count = 0;
    const end = performance.now() + 1_000;
    const next = () => { count += 1; if (performance.now() < end) requestAnimationFrame(next); else resolve(count); };
    requestAnimationFrame(next);
  }));
  assert.ok(frames >= 3, `only ${frames} frames in a second`);
  assert.ok((await page.locator("tbody tr").count()) <= 1_000);
  await page.getByRole("button", { name: "Pause updates" }).click();
  const first = await page.locator("tbody a").first().getAttribute("href");
  await page.waitForTimeout(700);
  assert.equal(await page.locator("tbody a").first().getAttribute("href"), first, "paused rows stay");
};

tests["a difference of the clocks is shown, and ages follow the relay's clock"] = async (tools) => {
  const relay = await tools.relay("skewed");
  const page = await tools.open(relay.url, "#/sessions");
  await settled(page);
  await page.getByText(/The clock of this device is 3.min 20.s fast/).waitFor();
  assert.match(await page.locator("tbody tr").first().innerText(), /1.min 2\d.s ago/);
};

tests["ten thousand keys are shown in pages"] = async (tools) => {
  const relay = await tools.relay("many-keys");
  const page = await tools.open(relay.url, "#/providers/pool");
  await settled(page);
  assert.equal(await page.locator(".keys tbody tr").count(), 25);
  await page.getByText("Page 1 of 400").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("Page 2 of 400").waitFor();
  await page.getByRole("button", { name: "Drain key-25", exact: true }).waitFor();
};

tests["the colours follow the system, or a choice that is remembered"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url, "#/", { theme: "dark" });
  await settled(page);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.getByRole("button", { name: "Colours: System. Change to Light." }).click();
  await page.getByRole("button", { name: "Colours: Light. Change to Dark." }).waitFor();
  const light = await background();
  assert.notEqual(light, dark);
  await page.reload();
  await settled(page);
  assert.equal(await background(), light);
};

tests["live regions do not report every update"] = async (tools) => {
  const relay = await tools.relay("busy");
  const page = await tools.open(relay.url);
  await settled(page);
  await page.evaluate(() => {
    window.said = [];
    new MutationObserver(() => window.said.push(document.getElementById("status").textContent)).observe(document.getElementById("status"), { childList: true, characterData: true, subtree: true });
  });
  await page.waitForTimeout(2_500);
  assert.deepEqual(await page.evaluate(() => window.said), []);
  const live = await page.locator("[aria-live]:not([aria-live=off]), [role=alert], [role=status], output").count();
  assert.equal(live, 1, "the page has one live region");
};

tests["the files have less than 150 KB together, compressed"] = async () => {
  const root = fileURLToPath(new URL("../../crates/relay-admin/assets/", import.meta.url));
  const names = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  let size = 0;
  for (const entry of names) size += gzipSync(await readFile(join(entry.parentPath ?? entry.path, entry.name))).length;
  assert.ok(size < 150_000, `${size} bytes`);
  console.log(`        ${names.length} files, ${size} bytes compressed`);
};
