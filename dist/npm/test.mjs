// Tests of the npm packages, with archives whose program is a shell script: `node --test dist/npm/test.mjs`.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const platforms = JSON.parse(fs.readFileSync(path.join(here, "platforms.json"), "utf8"));
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "cc-relay-npm-"));
after(() => fs.rmSync(scratch, { recursive: true }));
const packages = path.join(scratch, "packages");

const PROGRAM = `#!/bin/sh
case "$1" in
  exit) exit "$2" ;;
  kill) kill -"$2" $$ ;;
  wait) trap 'echo got TERM; exit 7' TERM; echo ready; for _ in $(seq 400); do sleep 0.05; done ;;
  *) echo "$0" "$@" ;;
esac
`;

/** Archives of every target, as the release makes them. That for Windows is left to the release: not every system has zip. */
function pack() {
  const archives = path.join(scratch, "archives");
  const copy = path.join(scratch, "npm");
  fs.cpSync(here, copy, { recursive: true });
  const known = platforms.filter(({ os }) => os !== "win32");
  for (const { target } of known) {
    const name = `cc-relay-v1.2.3-${target}`;
    fs.mkdirSync(path.join(archives, name), { recursive: true });
    fs.writeFileSync(path.join(archives, name, "cc-relay"), PROGRAM, { mode: 0o755 });
    execFileSync("tar", ["-czf", `${name}.tar.gz`, name], { cwd: archives });
  }
  const root = path.resolve(here, "../..");
  fs.mkdirSync(path.join(scratch, "dist"));
  fs.renameSync(copy, path.join(scratch, "dist/npm"));
  fs.writeFileSync(path.join(scratch, "dist/npm/platforms.json"), JSON.stringify(known));
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) fs.copyFileSync(path.join(root, licence), path.join(scratch, licence));
  const script = path.join(scratch, "dist/npm/pack.mjs");
  const flags = ["--version", "1.2.3", "--archives", archives, "--repository", "a/b", "--out", packages];
  execFileSync(process.execPath, [script, ...flags]);
}

/** A directory into which these packages are installed. */
function install(names) {
  const modules = path.join(fs.mkdtempSync(path.join(scratch, "project-")), "node_modules");
  fs.cpSync(path.join(packages, "cc-relay"), path.join(modules, "cc-relay"), { recursive: true });
  for (const name of names) {
    fs.cpSync(path.join(packages, "platforms", name), path.join(modules, name), { recursive: true });
  }
  return path.join(modules, "cc-relay/cc-relay.js");
}

const run = (script, ...args) => spawnSync(process.execPath, [script, ...args], { encoding: "utf8", timeout: 30_000 });
const own = () => platforms.filter((entry) => entry.os === process.platform && entry.cpu === process.arch);
const named = (libc) => own().find((entry) => !entry.libc || entry.libc === libc).package;

pack();

test("a package of a platform has its program and its limits", () => {
  for (const { package: name, os, cpu, libc } of platforms.filter(({ os }) => os !== "win32")) {
    const directory = path.join(packages, "platforms", name);
    const manifest = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
    assert.deepEqual([manifest.version, manifest.os, manifest.cpu], ["1.2.3", [os], [cpu]]);
    assert.deepEqual(manifest.libc, libc && [libc]);
    assert.equal(fs.statSync(path.join(directory, "cc-relay")).mode & 0o111, 0o111);
  }
});

test("the wrapper depends on each platform with its own version", () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(packages, "cc-relay/package.json"), "utf8"));
  assert.deepEqual(new Set(Object.values(manifest.optionalDependencies)), new Set(["1.2.3"]));
  assert.equal(manifest.repository.url, "git+https://github.com/a/b.git");
  assert.equal(manifest.scripts, undefined, "nothing runs at the installation");
});

test("the program of the platform gets the arguments, and its exit code is that of the wrapper", () => {
  const script = install(own().map((entry) => entry.package));
  const shown = run(script, "config", "show", "a b");
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /cc-relay config show a b\n$/);
  assert.equal(run(script, "exit", "2").status, 2);
});

test("the death of the program by a signal is the death of the wrapper", () => {
  assert.equal(run(install([named("glibc")]), "kill", "KILL").signal, "SIGKILL");
});

test("a signal to the wrapper reaches the program, whose end it waits for", { timeout: 30_000 }, async () => {
  const child = spawn(process.execPath, [install([named("glibc")]), "wait"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text) => {
    output += text;
    if (text.includes("ready")) child.kill("SIGTERM");
  });
  const [code] = await once(child, "exit");
  assert.equal(code, 7);
  assert.match(output, /got TERM/);
});

test("the static program is used if that for glibc is missing", { skip: process.platform !== "linux" }, () => {
  const shown = run(install([named("musl")]), "x");
  assert.match(shown.stdout, /-musl\/cc-relay x\n$/, shown.stderr);
});

test("a missing package is named with the way to get it", () => {
  const failed = run(install([]), "version");
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /--omit=optional/);
  assert.match(failed.stderr, /npm install --include=optional cc-relay/);
});

test("an unknown platform is named with the known ones", () => {
  const script = install([]);
  const as = `Object.defineProperty(process, "platform", { value: "sunos" }); require(${JSON.stringify(script)});`;
  const failed = spawnSync(process.execPath, ["-e", as], { encoding: "utf8" });
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /there is no program for sunos-.*linux-x64.*cargo install/);
});

test("npm packs the files of the wrapper", { skip: spawnSync("npm", ["--version"]).status !== 0 }, () => {
  const args = ["pack", "--dry-run", "--json", "--offline"];
  const packed = spawnSync("npm", args, { cwd: path.join(packages, "cc-relay"), encoding: "utf8" });
  const files = JSON.parse(packed.stdout)[0].files.map((file) => file.path).sort();
  const expected = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "cc-relay.js", "package.json", "platforms.json"];
  assert.deepEqual(files, expected, packed.stderr);
});
