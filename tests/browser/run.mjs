// Tests the dashboard in Chromium:
//
//     node tests/browser/run.mjs                       all tests of the scripted admin API
//     node tests/browser/run.mjs --only TEXT           those whose names contain TEXT
//     node tests/browser/run.mjs --screenshots DIR     also saves a screenshot of each view
//     node tests/browser/run.mjs --relay ADMIN RELAY TOKEN PROGRAM LEDGER
//                                                      those of relay.mjs, with a running relay at these URLs,
//                                                      the program cc-relay and the file of the usage ledger
//
// `setup.sh` installs the tools. Prints one line per test and exits with 1 if one fails.

import { existsSync } from "node:fs";
import { Browser } from "./browser.mjs";
import { tests } from "./tests.mjs";
import { relayTests } from "./relay.mjs";

function argument(name, count = 1) {
  const index = process.argv.indexOf(name);
  return index < 0 ? [] : process.argv.slice(index + 1, index + 1 + count);
}

const [only] = argument("--only");
const [screenshots] = argument("--screenshots");
const [admin, ...relay] = argument("--relay", 5);
if (screenshots && !existsSync(screenshots)) throw new Error(`${screenshots} is no directory`);

const browser = await Browser.launch(screenshots);
const list = admin ? relayTests(admin, ...relay) : tests;
let [passed, failed] = [0, 0];
for (const [name, test] of Object.entries(list)) {
  if (only && !name.includes(only)) continue;
  const start = Date.now();
  try {
    await browser.run(test);
    passed += 1;
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, "        ")}`);
  }
}
await browser.close();
console.log(`browser: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
