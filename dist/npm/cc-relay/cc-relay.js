#!/usr/bin/env node
// Starts the program of cc-relay that the package of this platform has, and ends as it ends.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const path = require("node:path");
const platforms = require("./platforms.json");

/** The version of glibc, or undefined with musl. */
function glibc() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime;
}

/** The packages whose program runs here, the best one first. A static program for musl runs with glibc as well. */
function candidates() {
  const here = platforms.filter(({ os, cpu }) => os === process.platform && cpu === process.arch);
  if (process.platform !== "linux") return here;
  const isOwn = ({ libc }) => libc === (glibc() ? "glibc" : "musl");
  return [...here.filter(isOwn), ...here.filter((entry) => entry.libc === "musl" && !isOwn(entry))];
}

/** The path of the program in a package, or undefined if the package is not installed. */
function program({ package: name }) {
  try {
    const file = process.platform === "win32" ? "cc-relay.exe" : "cc-relay";
    return path.join(path.dirname(require.resolve(`${name}/package.json`)), file);
  } catch {
    return undefined;
  }
}

/** The reason that there is no program, and the way to get one. */
function advice(packages) {
  if (packages.length === 0) {
    const known = [...new Set(platforms.map(({ os, cpu }) => `${os}-${cpu}`))].join(", ");
    return `there is no program for ${process.platform}-${process.arch}, only for ${known}; build it with \`cargo install cc-relay\``;
  }
  const libc = process.platform !== "linux" ? "" : glibc() ? ` with glibc ${glibc()}` : " with musl";
  return [
    `the package ${packages[0].package}, which has the program for ${process.platform}-${process.arch}${libc}, is not installed.`,
    "It is an optional dependency of cc-relay, and is missing after `npm install --omit=optional` (or --no-optional), with a",
    "node_modules or a lock file of another system, and in an image that is built for another system. Install it again here:",
    `  npm install --include=optional cc-relay`,
  ].join("\n");
}

/** Runs the program with the terminal and the signals of this process. */
function run(file) {
  let child;
  // The terminal sends these to the program as well. A second one would end its open requests at once.
  const isOnTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const ofTerminal = ["SIGINT", "SIGQUIT", "SIGHUP"];
  const known = ["SIGINT", "SIGTERM", "SIGHUP"];
  if (process.platform !== "win32") known.push("SIGQUIT", "SIGUSR1", "SIGUSR2");
  // Before the start of the program, which may be ready before the next line is.
  for (const signal of known) {
    process.on(signal, () => {
      if (!(isOnTerminal && ofTerminal.includes(signal))) child?.kill(signal);
    });
  }
  child = spawn(file, process.argv.slice(2), { stdio: "inherit" });
  child.on("error", (error) => fail(`cannot start ${file}: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    // Ends by the same signal, so that a shell or a service manager sees it.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100);
  });
}

function fail(message) {
  console.error(`cc-relay: ${message}`);
  process.exit(1);
}

const packages = candidates();
const file = packages.map(program).find((found) => found !== undefined);
if (file === undefined) fail(advice(packages));
else run(file);
