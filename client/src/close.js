// Close codes: the table of `wire/src/close.rs`, which a test holds equal.

/**
 * The named close codes: number → `{ name, comeBack }`. For numbers outside of it see `comesBack`.
 * @type {ReadonlyMap<number, Readonly<{ name: string, comeBack: boolean }>>}
 */
export const closeCodes = new Map(
  [
    [1000, "normal", false],
    [1001, "going_away", true],
    [1002, "protocol_error", false],
    [1003, "unsupported", false],
    [1005, "no_code", true],
    [1006, "abnormal", true],
    [1007, "invalid_payload", false],
    [1008, "policy", false],
    [1009, "too_large", false],
    [1010, "extension_required", false],
    [1011, "internal", true],
    [1012, "restart", true],
    [1013, "try_later", true],
    [4000, "transport_reset", true],
    [4001, "slow", true],
    [4002, "ping_timeout", true],
    [4003, "confirm_timeout", true],
    [4004, "fragment_timeout", true],
    [4005, "auth_expired", true],
    [4029, "rate_limited", true],
    [4100, "booted", false],
    [4101, "unauthorized", false],
    [4102, "session_ended", false],
    [4103, "too_many_unconfirmed", false],
  ].map(([code, name, comeBack]) => [code, Object.freeze({ name, comeBack })]),
);

/** The confirmation was refused. */
export const UNAUTHORIZED = 4101;
/** The confirmation ran out. */
export const AUTH_EXPIRED = 4005;

/**
 * Whether a client comes back after a close with this code: by the table, else never after 41xx and
 * always after the rest.
 * @param {number} code
 * @returns {boolean}
 */
export function comesBack(code) {
  return closeCodes.get(code)?.comeBack ?? !(code >= 4100 && code <= 4199);
}
