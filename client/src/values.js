// What may be told of a value that came over the network.

export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** An own property of something received, so that nothing inherited passes for data. */
export const own = (value, key) =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
export const isText = (value) => typeof value === "string" && value !== "";
export const isMillis = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;
/** An offset, a version, a number of things. */
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** A value's text, to compare it by; `null` for one that is nested too deep to have one. */
export function jsonOf(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}
