// The operations that change the relay. Each has a confirmation, and reports its result.

import { get, post } from "./api.js";
import { h } from "./dom.js";
import { announce, confirm } from "./dialog.js";
import { changed, setState, store } from "./store.js";

async function run(question, path, id) {
  if (!(await confirm(question))) return;
  store.ui.running = id;
  changed();
  try {
    const result = await post(...path);
    announce(result.message ?? "Done.");
    setState(await get(["state"]));
  } catch (error) {
    announce(error.requestId ? `${error.message} (request ${error.requestId})` : error.message, "bad");
  }
  store.ui.running = undefined;
  changed();
}

export const isRunning = (id) => store.ui.running === id;

const shown = (text) => h("bdi", { class: "strong" }, text); // isolated, since a name may run from right to left

export const pause = (provider) => run({
  title: ["Pause ", shown(provider), "?"],
  text: ["The provider receives no new requests until it is resumed, or until the relay starts again.", "Requests under way are not affected."],
  action: "Pause", isDangerous: true,
}, ["providers", provider, "pause"], `pause ${provider}`);

export const resume = (provider) => run({
  title: ["Resume ", shown(provider), "?"], text: "The provider receives requests again.", action: "Resume",
}, ["providers", provider, "resume"], `pause ${provider}`);

export const resetCircuit = (provider) => run({
  title: ["Reset the circuit of ", shown(provider), "?"],
  text: "The circuit closes, and the provider receives requests at once. If it still fails, the circuit opens again.",
  action: "Reset circuit",
}, ["providers", provider, "circuit", "reset"], `circuit ${provider}`);

export const drain = (provider, key) => run({
  title: ["Drain the key ", shown(key), "?"],
  text: [["The provider ", shown(provider), " uses the key for no new request."], "Requests under way are not affected."],
  action: "Drain", isDangerous: true,
}, ["providers", provider, "keys", key, "drain"], `drain ${provider} ${key}`);

export const undrain = (provider, key) => run({
  title: ["Use the key ", shown(key), " again?"], text: [["The provider ", shown(provider), " uses the key for new requests."]], action: "Use again",
}, ["providers", provider, "keys", key, "undrain"], `drain ${provider} ${key}`);

export const resetCooldown = (provider, key) => run({
  title: ["Reset the cooldown of ", shown(key), "?"],
  text: "The key is used at once. If its limit is still reached, the upstream rejects the next request, and the cooldown starts again.",
  action: "Reset cooldown",
}, ["providers", provider, "keys", key, "cooldown", "reset"], `cooldown ${provider} ${key}`);

export const reload = () => run({
  title: "Reload the configuration?",
  text: ["The relay reads its configuration file again. Requests under way are not affected.",
    "If the file has a fault, the present configuration stays in use."],
  action: "Reload",
}, ["reload"], "reload");
