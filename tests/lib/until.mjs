// Waits for a condition by asking again until a deadline: the tests never sleep and hope.

/** How long a condition may take unless the test says otherwise. */
export const DEADLINE_MS = 15_000;

/** How long to wait between two questions. */
const PAUSE_MS = 20;

/**
 * Asks `condition` until it answers with something truthy, and returns that answer.
 *
 * An error that it throws counts as "not yet" and becomes the cause when time runs out.
 *
 * @template T
 * @param {string} what names the condition in the error: "redis answers"
 * @param {() => T | Promise<T>} condition
 * @param {{ deadline?: number }} [options] deadline in milliseconds
 * @returns {Promise<T>}
 */
export async function until(what, condition, { deadline = DEADLINE_MS } = {}) {
  const end = Date.now() + deadline;
  let cause;
  for (;;) {
    // One question that never answers must not outlive the deadline.
    const left = Math.max(end - Date.now(), 1);
    try {
      const answer = await within(left, what, Promise.resolve().then(condition));
      if (answer) return answer;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= end) throw late(what, deadline, cause);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * Passes a promise on, or rejects when it has not settled in time.
 *
 * @template T
 * @param {number} deadline in milliseconds
 * @param {string} what names the promise in the error
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(deadline, what, promise) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(late(what, deadline)), deadline);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function late(what, deadline, cause) {
  const why = cause ? `: ${cause.message ?? cause}` : '';
  return new Error(`not within ${deadline} ms: ${what}${why}`, { cause });
}
