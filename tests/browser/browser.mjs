// Chromium with the checks that hold for every page: no error on the console, no violation of the content security policy,
// no request to another host, no overflow to the right, and no finding of axe.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FakeRelay } from "./fake.mjs";

const MODULES = process.env.CC_RELAY_TEST_BROWSER_MODULES ?? fileURLToPath(new URL("../../target/browser/", import.meta.url));
const require = createRequire(join(MODULES, "package.json"));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const program = process.env.CC_RELAY_TEST_CHROMIUM ?? CANDIDATES.find(existsSync);

// A failed request is an error on the console too. Tests that let one fail expect it.
const FAILED_REQUEST = /Failed to load resource/;

export class Browser {
  static async launch(screenshots) {
    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
    return Object.assign(new Browser(), { browser, screenshots });
  }

  async close() {
    await this.browser.close();
  }

  // Runs a test with a set of tools, and closes all that it has opened.
  async run(test) {
    const tools = new Tools(this);
    try {
      await test(tools);
      tools.assertClean();
    } finally {
      await tools.close();
    }
  }
}

class Tools {
  constructor(browser) {
    this.browser = browser;
    this.opened = [];
    this.problems = [];
    this.allowsFailedRequests = false;
  }

  // Starts a scripted relay.
  async relay(scenario) {
    const relay = await new FakeRelay(scenario).listen();
    this.opened.push(relay);
    return relay;
  }

  // Opens a page, which is 1440 px wide and light unless `options` state otherwise.
  async open(url, hash = "#/", { width = 1440, height = 900, theme = "light", ...options } = {}) {
    const context = await this.browser.browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", ...options });
    this.opened.unshift(context);
    const page = await context.newPage();
    this.watch(page, new URL(url).host);
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.goto(`${url}/${hash}`);
    await page.waitForSelector("h1");
    return page;
  }

  watch(page, host) {
    page.on("pageerror", (error) => this.problems.push(`error in the page: ${error.stack}`));
    page.on("console", (message) => {
      const text = message.text();
      const isExpected = this.allowsFailedRequests && FAILED_REQUEST.test(text);
      if (["error", "warning"].includes(message.type()) && !isExpected) this.problems.push(`console: ${text}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (!["data:", "blob:"].includes(url.protocol) && url.host !== host) this.problems.push(`a request to ${url}`);
    });
  }

  async screenshot(page, name) {
    if (this.browser.screenshots) await page.screenshot({ path: join(this.browser.screenshots, `${name}.png`), fullPage: false });
  }

  // Checks a page that stands still: its width and its accessibility.
  async check(page, name) {
    await this.screenshot(page, name);
    await this.fits(page, name);
    await this.axe(page, name);
  }

  async fits(page, name) {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
  }

  async axe(page, name) {
    // The policy of the page forbids a script element, but not code of the debugger.
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(await readFile(AXE, "utf8"));
    const { violations } = await page.evaluate(() => window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    const found = violations.flatMap((rule) => rule.nodes.slice(0, 3).map((node) => `${rule.id}: ${node.html.slice(0, 200)} ${node.any[0]?.message ?? node.failureSummary}`));
    assert.deepEqual(found, [], `axe: ${name}`);
  }

  assertClean() {
    assert.deepEqual(this.problems, []);
  }

  async close() {
    for (const one of this.opened) await one.close();
  }
}
