// What may be told of a value that came over the network, and how values become text.

import { WhiskError } from "./errors.js";

export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** An own property of something received, so that nothing inherited passes for data. */
export const own = (value, key) =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
export const isText = (value) => typeof value === "string" && value !== "";
export const isMillis = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;
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
