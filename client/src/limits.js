// Every bound and every span of time that the client keeps by itself.

/** Emits that wait for a confirmed connection; one more is refused as `buffer_full`. */
export const QUEUE_MAX = 128; // below the server's burst of 200, so that a flush is not refused
/** Acknowledgements awaited at once; one more is refused as `buffer_full`. */
export const PENDING_ACKS_MAX = 1024;
/** Bytes that the transport may hold unsent before emits are refused as `buffer_full`. */
export const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** No delay before a reconnection is shorter, so that jitter near zero is no busy loop. */
export const DELAY_FLOOR_MS = 50;
/** The longest delay that the server may ask for. */
export const DELAY_ASKED_MAX_MS = 5 * 60 * 1000;
/** A confirmed connection that lived this long was healthy: the back-off starts anew after it. */
export const STABLE_MS = 5000;
/** A fresh token that was not sent yet is used again up to this age: half of its default life. */
export const TOKEN_REUSE_MS = 5000;
/** How long a DISCONNECT packet waits for the close frame that names the reason. */
export const CLOSE_GRACE_MS = 1000;
/** How long an acknowledgement is awaited, or a request's reply, unless told otherwise. */
export const ACK_TIMEOUT_MS = 5000;
/** The longest that a request may wait for its reply. */
export const REQUEST_TIMEOUT_MAX_MS = 60_000;
/** How long `subscribe` waits unless told otherwise. */
export const SUBSCRIBE_TIMEOUT_MS = 10_000;
/** Messages of one channel that wait for its acknowledgement, or for handlers; more are dropped. */
export const EARLY_MAX = 1024;
/** The same, in characters of what came over the network. */
export const EARLY_CHARS_MAX = 1024 * 1024;
/** Members of one channel that its roster keeps; more are left out, and `truncated` says so. */
export const ROSTER_MAX = 50_000;
/** The shortest secret that tells one client from another, and the longest. */
export const SECRET_MIN = 16;
export const SECRET_MAX = 128;
/** What `setTimeout` can count. */
export const TIMER_MAX_MS = 2 ** 31 - 1;
