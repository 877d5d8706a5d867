// What can go wrong, as codes for programs, and which of it may go right later.

/** Refusals after which the same client may try again later; after any other it stays away. */
export const RETRYABLE = new Set([
  "unavailable",
  "auth_timeout",
  "timeout",
  "internal",
  "overloaded",
  "rate_limited",
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
 * Codes of the client itself: `timeout`, `connection_dropped`, `closed`, `buffer_full`,
 * `payload_too_large`, `not_serializable`, `protocol`, `transport`, `no_credential`, `no_session`,
 * `forbidden`, `unavailable`, `connect_refused`, `dismissed`, `reconnect_failed`, `handler_failed`,
 * `no_websocket`, `bad_option`; the name of a close code that means "stay away"; and whatever code
 * the server sent.
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
