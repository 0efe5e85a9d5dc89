// The tests of the dashboard with a running relay, which `bin/tests/program/dashboard.rs` starts. It has three providers: the
// upstream of `limited` answers 429, that of `broken` cannot be reached, and `steady` is a mock provider.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

const BODY = JSON.stringify({ model: "claude-sonnet-5", max_tokens: 20, stream: true, messages: [{ role: "user", content: "hello" }] });

const SESSION = "5e551040-0000-4000-8000-00000000d05b";

export function relayTests(adminUrl, relayUrl, token, program, ledger) {
  const headers = { authorization: `Bearer ${token}` };
  const admin = async (path) => (await fetch(`${adminUrl}/admin/v1/${path}`, { headers })).json();
  const provider = async (name) => (await admin("state")).providers.find((one) => one.name === name);
  const send = async (id, session = SESSION) => {
    const response = await fetch(`${relayUrl}/v1/messages`, { method: "POST", headers: { "content-type": "application/json", "x-client-request-id": id, "x-claude-code-session-id": session }, body: BODY });
    await response.text();
    return response.status;
  };
  const open = async (tools, hash) => {
    const page = await tools.open(adminUrl, hash);
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await page.locator(".badge", { hasText: "Live" }).first().waitFor();
    return page;
  };
  // Waits until the relay is in a state: the page may show it first.
  const until = async (text, condition) => {
    for (let count = 0; count < 100; count++) {
      if (await condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.fail(text);
  };
  const act = async (page, name, confirmation) => {
    await page.getByRole("button", { name, exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: confirmation, exact: true }).click();
    await page.locator(".toast").first().waitFor();
    const text = await page.locator(".toast-text").first().innerText();
    assert.equal(await page.locator(".toast.tone-bad").count(), 0, text);
    await page.locator(".toast-close").first().click();
    await page.locator(".toast").first().waitFor({ state: "detached" });
    return text;
  };
  const tests = {};
  const test = (name, body) => {
    tests[name] = (tools) => {
      tools.allowsFailedRequests = true; // the first requests have no token
      return body(tools);
    };
  };

  test("an empty relay shows the first steps, and then its first request without a reload of the page", async (tools) => {
    const page = await open(tools, "#/");
    await page.getByText(`ANTHROPIC_BASE_URL=${relayUrl} `).waitFor();
    assert.equal(await send("first-request"), 200);
    await page.locator("td.name-cell", { hasText: "steady" }).first().waitFor();
    await tools.check(page, "relay-overview");
  });

  test("a request is found by the client's id and shows its three attempts", async (tools) => {
    const page = await open(tools, "#/requests/first-request");
    const table = page.getByRole("table", { name: "Attempts" });
    await table.waitFor();
    const [first, second, third] = (await table.locator("tbody tr").allInnerTexts());
    assert.match(first, /limited[\s\S]*limited-key[\s\S]*429 rate limited/);
    assert.match(second, /broken[\s\S]*connect/);
    assert.match(third, /steady[\s\S]*200 success/);
    assert.equal(await page.locator(".timeline [role=img]").count(), 3);
    await tools.check(page, "relay-request");
  });

  test("a cooldown is shown and reset", async (tools) => {
    assert.ok((await provider("limited")).keys[0].cooldown_ms > 0);
    const page = await open(tools, "#/providers");
    await page.locator(".badge", { hasText: "Cooldown" }).waitFor();
    await tools.check(page, "relay-providers");
    await act(page, "Reset cooldown of limited-key", "Reset cooldown");
    assert.equal((await provider("limited")).keys[0].cooldown_ms, null);
  });

  test("an open circuit is shown and reset", async (tools) => {
    for (let count = 0; (await provider("broken")).circuit !== "open"; count++) {
      assert.ok(count < 20, "the circuit opens");
      await send(`broken-${count}`, `session-${count}`); // a session stays on its provider
    }
    const page = await open(tools, "#/providers");
    await page.locator(".badge", { hasText: "Circuit open" }).waitFor();
    await act(page, "Reset circuit of broken", "Reset circuit");
    assert.equal((await provider("broken")).circuit, "closed");
  });

  test("a paused provider gets no requests until it is resumed", async (tools) => {
    const page = await open(tools, "#/providers");
    await act(page, "Pause steady", "Pause");
    assert.equal((await provider("steady")).is_paused, true);
    assert.notEqual(await send("while-paused"), 200);
    await act(page, "Resume steady", "Resume");
    assert.equal((await provider("steady")).is_paused, false);
    assert.equal(await send("after-the-pause"), 200);
  });

  test("a key is drained and used again", async (tools) => {
    const page = await open(tools, "#/providers");
    await act(page, "Drain limited-key", "Drain");
    assert.equal((await provider("limited")).keys[0].is_drained, true);
    await act(page, "Use again: limited-key", "Use again");
    assert.equal((await provider("limited")).keys[0].is_drained, false);
  });

  test("the configuration file is read again", async (tools) => {
    const page = await open(tools, "#/providers");
    assert.match(await act(page, "Reload configuration", "Reload"), /the configuration has not changed/);
  });

  test("requests are filtered by the relay", async (tools) => {
    const page = await open(tools, "#/requests?q=while-paused");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await page.getByRole("button", { name: "Clear filters" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 3);
    await tools.check(page, "relay-requests");
  });

  test("the files are compressed and revalidated", async () => {
    let size = 0;
    const names = new Set(["/"]);
    for (const name of names) {
      const response = await fetch(adminUrl + name, { headers: { "accept-encoding": "gzip" } });
      assert.equal(response.status, 200, name);
      const text = await response.text();
      size += text.length;
      const again = await fetch(adminUrl + name, { headers: { "if-none-match": response.headers.get("etag") } });
      assert.equal(again.status, 304, name);
      for (const [, found] of text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) names.add(found);
      for (const [, found] of text.matchAll(/from "(\.[^"]+)"/g)) names.add(new URL(found, adminUrl + name).pathname);
    }
    assert.ok(names.size > 25, `${names.size} files`);
    assert.ok(size > 0);
  });

  test("the turns of a session are listed, and lead to their requests", async (tools) => {
    const page = await open(tools, "#/sessions");
    await page.getByRole("link", { name: SESSION }).click();
    await page.getByRole("table", { name: "Turns" }).waitFor();
    await tools.check(page, "relay-session");
    await page.getByRole("link", { name: "Requests of this session" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 1);
  });

  test("the usage is that of the command", async (tools) => {
    const command = () => JSON.parse(execFileSync(program, ["usage", "--json", "--by", "provider", "--file", ledger], { encoding: "utf8" }));
    // Every test before has ended its requests, and the ledger is written within 200 ms.
    await until("the ledger has every request", async () => (await admin("usage")).total.requests === command().total.requests);
    const page = await open(tools, "#/usage?by=provider&range=24h");
    await page.getByRole("rowheader", { name: "steady", exact: true }).waitFor();
    const report = command();
    assert.ok(report.total.requests >= 5 && report.rows.some((row) => row.group === "steady" && row.cost_usd > 0), JSON.stringify(report));
    const cells = (name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name, exact: true }) }).getByRole("cell").allInnerTexts();
    const heads = await page.getByRole("columnheader").allInnerTexts();
    for (const row of [...report.rows, { ...report.total, group: "Total" }]) {
      const shown = await cells(row.group ?? "without a name");
      const cell = (title) => shown[heads.indexOf(title) - 1];
      const figures = { Cost: row.cost_usd === 0 ? "$0.00" : `$${row.cost_usd.toFixed(4)}`, Requests: row.requests, Failed: row.failed, Output: row.output_tokens,
        Input: row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens };
      for (const [title, figure] of Object.entries(figures)) assert.equal(cell(title).replaceAll(",", ""), String(figure), `${title} of ${row.group}: ${shown}`);
    }
    await tools.check(page, "relay-usage-groups");
  });

  for (const view of ["sessions", "usage"]) {
    test(`the view of ${view} is accessible with a running relay`, async (tools) => {
      const page = await open(tools, `#/${view}`);
      await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
      await tools.check(page, `relay-${view}`);
    });
  }
  return tests;
}
