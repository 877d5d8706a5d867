// URLs as people write them.

import { badOption } from "./errors.js";
import { isText } from "./values.js";

/** An absolute URL; in a browser also one relative to the page. */
export function readUrl(text) {
  if (!isText(text)) throw badOption("a URL must be a non-empty string");
  try {
    return new URL(text, globalThis.location?.href);
  } catch (cause) {
    throw badOption(`not a URL: ${text}`, cause);
  }
}

/** The socket's address from what people write: http(s) or ws(s), any path. */
function socketUrl(text) {
  const url = readUrl(text);
  url.protocol = { "http:": "ws:", "https:": "wss:" }[url.protocol] ?? url.protocol;
  if (url.protocol !== "ws:" && url.protocol !== "wss:")
    throw badOption(`not a ws or http URL: ${text}`);
  if (url.pathname === "/") url.pathname = "/socket.io/";
  url.searchParams.set("EIO", "4");
  url.searchParams.set("transport", "websocket");
  url.hash = "";
  return url.href;
}

/** `url` as a function of how many connections were lost or failed so far: a list turns with it. */
export function readUrls(url) {
  if (typeof url === "function") {
    return async () => socketUrl(await url());
  }
  const list = (Array.isArray(url) ? url : [url]).map(socketUrl);
  if (list.length === 0) throw badOption("url is an empty list");
  return async (losses) => list[losses % list.length];
}
