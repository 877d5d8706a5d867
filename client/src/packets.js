// Packets of Engine.IO 4 and Socket.IO 5: text in, checked packets out.

import { malformed } from "./errors.js";
import { isMillis, isText, own } from "./values.js";

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("not JSON");
  }
}

/** Engine.IO's open packet, after its `0`. A bound of 0 means that the server set none. */
export function parseHandshake(text) {
  const value = parseJson(text);
  const handshake = {
    sid: own(value, "sid"),
    pingInterval: own(value, "pingInterval"),
    pingTimeout: own(value, "pingTimeout"),
    maxPayload: own(value, "maxPayload") ?? 0,
  };
  const { sid, pingInterval, pingTimeout, maxPayload } = handshake;
  if (!isText(sid) || ![pingInterval, pingTimeout, maxPayload].every(isMillis)) {
    throw malformed("open packet");
  }
  return handshake;
}

const PACKET_HEAD = /^4([0-6])(?:(\/[^,]*)(?:,|$))?(\d+)?/;

/**
 * A Socket.IO packet with its Engine.IO `4` in front.
 * @returns {{ type: string, nsp: string, id?: number, sid?: string, event?: string, args?: unknown[],
 *   size?: number, error?: { code?: string, message: string, data: unknown } }}
 */
export function parsePacket(text) {
  const head = PACKET_HEAD.exec(text);
  if (head === null) throw malformed("unknown type");
  const [whole, type, nsp = "/", idText] = head;
  const id = idText === undefined ? undefined : Number(idText);
  const body = text.slice(whole.length);
  if (id !== undefined && (!Number.isSafeInteger(id) || (type !== "2" && type !== "3"))) {
    throw malformed("acknowledgement id");
  }
  switch (type) {
    case "0": {
      const sid = own(parseJson(body), "sid");
      if (!isText(sid)) throw malformed("CONNECT without sid");
      return { type: "connect", nsp, sid };
    }
    case "1":
      if (body !== "") throw malformed("DISCONNECT with a body");
      return { type: "disconnect", nsp };
    case "2": {
      const list = parseJson(body);
      if (!Array.isArray(list) || typeof list[0] !== "string")
        throw malformed("EVENT without name");
      return { type: "event", nsp, id, event: list[0], args: list.slice(1), size: text.length };
    }
    case "3": {
      const args = parseJson(body);
      if (!Array.isArray(args) || id === undefined) throw malformed("ACK");
      return { type: "ack", nsp, id, args };
    }
    case "4": {
      const value = parseJson(body);
      const message = own(value, "message");
      if (typeof message !== "string") throw malformed("CONNECT_ERROR without message");
      const data = own(value, "data");
      const code = own(data, "code");
      return {
        type: "refusal",
        nsp,
        error: { code: isText(code) ? code : undefined, message, data },
      };
    }
    default:
      throw malformed("binary packets are not spoken by this version");
  }
}
