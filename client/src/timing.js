// Back-off, deadlines, and what comes next.

import { WhiskError } from "./errors.js";
import { DELAY_ASKED_MAX_MS, DELAY_FLOOR_MS } from "./limits.js";
import { isMillis, own } from "./values.js";

/** Exponential back-off with full jitter: anywhere between the floor and a ceiling that doubles. */
export function backoffMs(attempt, { minMs, maxMs, random }) {
  const ceiling = Math.min(maxMs, minMs * 2 ** (attempt - 1));
  return Math.round(Math.max(Math.min(DELAY_FLOOR_MS, minMs), random() * ceiling));
}

/** When to try again what was refused for now: no sooner than the server asks, within bounds. */
export function retryMs(error, attempt, options) {
  const asked = own(error.data, "retry_after_ms");
  const notBeforeMs = isMillis(asked) ? asked : 0;
  return Math.min(DELAY_ASKED_MAX_MS, Math.max(notBeforeMs, backoffMs(attempt, options)));
}

/**
 * Runs `fn` once everything that can run now has run, promises included. No timer: a hidden page's
 * timers come late.
 */
export function soon(fn) {
  if (typeof MessageChannel !== "function") {
    globalThis.setTimeout(fn, 0);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    fn();
  };
  port2.postMessage(null);
}

/**
 * The promise's outcome, or `unavailable` when it takes too long: user code and networks may hang.
 */
export async function within(ms, timers, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = timers.setTimeout(
      () => reject(new WhiskError("unavailable", `not prepared within ${ms} ms`)),
      ms,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timers.clearTimeout(timer);
  }
}
