// Makes the npm packages of a release: the wrapper, and one package for each platform with the program of its archive.
//
// Usage: node dist/npm/pack.mjs --version VERSION --archives DIRECTORY [--repository OWNER/NAME] --out DIRECTORY
//
// The archives are those of .github/workflows/release.yml. `tar` and, for the archive of Windows, `unzip` read them.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../..");
const string = { type: "string" };
const options = { version: string, archives: string, repository: string, out: string };
const { values } = parseArgs({ options });
for (const name of ["version", "archives", "out"]) {
  if (!values[name]) throw new Error(`--${name} is missing`);
}

const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));
const platforms = read(path.join(here, "platforms.json"));
const wrapper = read(path.join(here, "cc-relay/package.json"));
// npm compares the address with the workflow that publishes.
const repository = values.repository && { type: "git", url: `git+https://github.com/${values.repository}.git` };

/** Copies the program out of the archive of a target. */
function extract(target, directory) {
  const name = `cc-relay-v${values.version}-${target}`;
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "cc-relay-"));
  const isWindows = target.includes("-windows-");
  const archive = path.resolve(values.archives, name + (isWindows ? ".zip" : ".tar.gz"));
  if (isWindows) execFileSync("unzip", ["-q", archive, "-d", scratch]);
  else execFileSync("tar", ["-xzf", archive, "-C", scratch]);
  const file = isWindows ? "cc-relay.exe" : "cc-relay";
  fs.copyFileSync(path.join(scratch, name, file), path.join(directory, file));
  fs.chmodSync(path.join(directory, file), 0o755);
  fs.rmSync(scratch, { recursive: true });
  return file;
}

function write(directory, manifest) {
  fs.writeFileSync(path.join(directory, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    fs.copyFileSync(path.join(root, licence), path.join(directory, licence));
  }
}

for (const platform of platforms) {
  const directory = path.join(values.out, "platforms", platform.package);
  fs.mkdirSync(directory, { recursive: true });
  const file = extract(platform.target, directory);
  const readme = `# ${platform.package}\n\nThe program of [cc-relay](https://www.npmjs.com/package/cc-relay) for ${platform.target}.\n`;
  fs.writeFileSync(path.join(directory, "README.md"), readme);
  write(directory, {
    name: platform.package,
    version: values.version,
    description: `The program of cc-relay for ${platform.target}`,
    license: wrapper.license,
    repository,
    files: [file, "README.md", "LICENSE-MIT", "LICENSE-APACHE"],
    preferUnplugged: true,
    os: [platform.os],
    cpu: [platform.cpu],
    libc: platform.libc && [platform.libc],
  });
}

const directory = path.join(values.out, "cc-relay");
fs.mkdirSync(directory, { recursive: true });
for (const file of ["cc-relay/cc-relay.js", "cc-relay/README.md", "platforms.json"]) {
  fs.copyFileSync(path.join(here, file), path.join(directory, path.basename(file)));
}
fs.chmodSync(path.join(directory, "cc-relay.js"), 0o755);
const optionalDependencies = Object.fromEntries(platforms.map(({ package: name }) => [name, values.version]));
write(directory, { ...wrapper, version: values.version, repository, optionalDependencies });
