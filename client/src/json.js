// How values become text, and how long it is.

import { WhiskError } from "./errors.js";

/** JSON has no binary: it would arrive as `{}` or a list of numbers, so it is refused instead. */
function refuseBinary(key, value) {
  const raw = this[key];
  if (
    raw instanceof ArrayBuffer ||
    ArrayBuffer.isView(raw) ||
    (typeof Blob !== "undefined" && raw instanceof Blob)
  ) {
    throw new TypeError("binary values cannot be sent by this version");
  }
  return value;
}

export function stringify(value) {
  try {
    return JSON.stringify(value, refuseBinary);
  } catch (cause) {
    throw new WhiskError(
      "not_serializable",
      `cannot be sent as JSON: ${cause?.message}`,
      undefined,
      { cause },
    );
  }
}

export const utf8Length = (text) => new TextEncoder().encode(text).length;

/** Whether a text has more bytes as UTF-8; the usual short one is not encoded to find out. */
export const utf8Longer = (text, bytes) =>
  text.length * 3 > bytes && (text.length > bytes || utf8Length(text) > bytes);
