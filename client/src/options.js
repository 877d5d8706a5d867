// The options of `connect`, checked once.

import { badOption, WhiskError } from "./errors.js";
import { readGroups } from "./handlers.js";
import { SECRET_MAX, SECRET_MIN, TIMER_MAX_MS } from "./limits.js";
import { readUrl, readUrls } from "./urls.js";
import { isMillis, isObject, isText } from "./values.js";

const OPTIONS = new Set([
  "url",
  "token",
  "getToken",
  "renewUrl",
  "session",
  "lateAuth",
  "auth",
  "client",
  "namespace",
  "groups",
  "timeoutMs",
  "reconnect",
  "WebSocket",
  "timers",
  "random",
]);

/**
 * A new secret for the option `client`: 128 random bits. Whoever shows it again, also after a
 * reload, is the same client to the server.
 * @returns {string}
 */
export function clientSecret() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Checks the options once, at `connect`, and fills in what was left out. */
export function readOptions(options) {
  if (!isObject(options)) throw badOption("connect() takes one object of options");
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) throw badOption(`unknown option "${key}"`);
  }
  const {
    url,
    token,
    getToken,
    renewUrl,
    session = true,
    lateAuth = false,
    auth,
    client = clientSecret(),
    namespace = "/",
    groups = {},
    timeoutMs = 10_000,
    reconnect = {},
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    timers = {
      setTimeout: (fn, ms) => globalThis.setTimeout(fn, ms),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      now: () => Date.now(),
    },
  } = options;
  if (typeof WebSocket !== "function") {
    throw new WhiskError(
      "no_websocket",
      "this platform has no WebSocket: pass one, as in " +
        'connect({ WebSocket }) with the class of the npm package "ws", or use Node 22 or later',
    );
  }
  if (token !== undefined && !isText(token)) throw badOption("token must be a non-empty string");
  if (renewUrl !== undefined) readUrl(renewUrl);
  for (const [name, fn] of [
    ["getToken", getToken],
    ["random", random],
  ]) {
    if (fn !== undefined && typeof fn !== "function") throw badOption(`${name} must be a function`);
  }
  if (auth !== undefined && !isObject(auth) && typeof auth !== "function") {
    throw badOption("auth must be an object or a function that returns one");
  }
  if (!isText(client) || client.length < SECRET_MIN || client.length > SECRET_MAX)
    throw badOption(`client must be a secret of ${SECRET_MIN} to ${SECRET_MAX} characters`);
  if (typeof namespace !== "string" || !/^\/[^,?]*$/.test(namespace)) {
    throw badOption('namespace must start with "/" and hold neither "," nor "?"');
  }
  if (!isObject(reconnect)) throw badOption("reconnect must be an object");
  for (const key of Object.keys(reconnect)) {
    if (!["minMs", "maxMs", "attempts"].includes(key))
      throw badOption(`unknown option "reconnect.${key}"`);
  }
  const { minMs = 500, maxMs = 20_000, attempts = Infinity } = reconnect;
  for (const [name, value] of [
    ["timeoutMs", timeoutMs],
    ["reconnect.minMs", minMs],
    ["reconnect.maxMs", maxMs],
  ]) {
    if (!isMillis(value) || value === 0 || value > TIMER_MAX_MS)
      throw badOption(`${name} must be milliseconds above 0`);
  }
  if (typeof attempts !== "number" || !(attempts >= 0))
    throw badOption("reconnect.attempts must be a number");
  return {
    nextUrl: readUrls(url),
    token,
    getToken,
    renewUrl,
    session,
    lateAuth,
    auth,
    client,
    namespace,
    groups: readGroups(groups),
    timeoutMs,
    minMs,
    maxMs,
    attempts,
    WebSocket,
    timers,
    random,
  };
}
