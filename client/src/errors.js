// What can go wrong, as codes for programs, and which of it may go right later.

import { isMillis, own } from "./values.js";

/** Refusals after which the same client may try again later; after any other it stays away. */
export const RETRYABLE = new Set([
  "buffer_full",
  "unavailable",
  "auth_timeout",
  "timeout",
  "internal",
  "overloaded",
  "rate_limited",
  "auth_expired",
]);

/** Failures before the socket opens that trying again cannot mend. */
export const UNMENDABLE = new Set([
  "no_session",
  "forbidden",
  "no_credential",
  "bad_option",
  "not_serializable",
]);
/**
 * Every failure that Whisk reports. Match on `code`, never on `message`.
 *
 * Codes of the client itself: `timeout`, `connection_dropped`, `away`, `closed`, `buffer_full`,
 * `payload_too_large`, `not_serializable`, `protocol`, `transport`, `no_credential`, `no_session`,
 * `forbidden`, `unavailable`, `connect_refused`, `dismissed`, `reconnect_failed`, `handler_failed`,
 * `no_websocket`, `bad_option`, `bad_channel`, `not_subscribed`, `no_presence`; the name of a close
 * code that means "stay away"; and whatever code the server sent.
 */
export class WhiskError extends Error {
  /**
   * @param {string} code what happened, for programs
   * @param {string} [message] what happened, for people
   * @param {unknown} [data] the server's whole error object, or details such as `{ dropped }`
   * @param {{ cause?: unknown }} [options] the error underneath
   */
  constructor(code, message = code, data = undefined, options = undefined) {
    super(message, options);
    this.name = "WhiskError";
    this.code = code;
    this.data = data;
  }
}

export const malformed = (what) =>
  new WhiskError("protocol", `malformed packet from the server: ${what}`);
export const badOption = (message, cause) =>
  new WhiskError("bad_option", message, undefined, { cause });

/** An event of Whisk's own that says nothing that can be understood. The connection goes on. */
export const ignored = (event) =>
  new WhiskError("protocol", `a malformed event "${event}" was ignored`, { event });

/** Whether what was refused may go right later. Whoever names a delay says that it may. */
export const isRetryable = ({ code, data }) =>
  RETRYABLE.has(code) || isMillis(own(data, "retry_after_ms"));

/** No answer of the server, but the connection's end, of which whoever keeps a state hears anyway. */
export const LOST = new Set(["connection_dropped", "closed", "away"]);
