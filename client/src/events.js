// Whisk's own events and answers, from what came over the network to what can be relied on. `null`
// stands for one that says nothing that can be understood.

import { isCount, isMillis, isText, own } from "./values.js";

const NAME = /^(?!_)[A-Za-z0-9\-_.:/]{1,255}$/;

/** Whether a channel may be called so. */
export const isChannelName = (name) => typeof name === "string" && NAME.test(name);

/** A field that may be left out, or be `null`, which says the same. */
function optional(value, key, fits) {
  const field = own(value, key) ?? undefined;
  return field === undefined || fits(field) ? { field } : null;
}

const isString = (value) => typeof value === "string";

/** The head of a message, without what the receiver adds to it. */
export function readMessage(head) {
  const topic = own(head, "topic");
  const [epoch, offset] = [optional(head, "epoch", isText), optional(head, "offset", isCount)];
  const [id, from, client] = ["id", "from", "client"].map((key) => optional(head, key, isText));
  const at = optional(head, "at", isMillis);
  const ask = own(head, "ask") === true;
  if (!isString(topic) || !epoch || !offset || !id || !from || !client || !at) return null;
  // Somebody waits for an answer, and it could not be sent anywhere.
  if (ask && (!id.field || !from.field)) return null;
  return {
    topic,
    epoch: epoch.field,
    offset: offset.field,
    id: id.field,
    from: from.field,
    client: client.field,
    user: own(head, "user") ?? null,
    at: at.field,
    direct: own(head, "direct") === true,
    ask,
  };
}

/** How far a channel is. */
export function readPosition(value) {
  const [epoch, offset] = [own(value, "epoch"), own(value, "offset")];
  return isString(epoch) && isCount(offset) ? { epoch, offset } : null;
}

/** What a publication became. One to a single receiver has no position. */
export function readPublished(value) {
  const [id, at] = [own(value, "id"), own(value, "at")];
  if (!isText(id) || !isMillis(at)) return null;
  const level = own(value, "level");
  return { id, at, position: readPosition(value), level: isText(level) ? level : null };
}

/** The first reply to a request. */
export function readReply(value) {
  const [id, at] = [own(value, "id"), own(value, "at")];
  const [from, client] = ["from", "client"].map((key) => optional(value, key, isText));
  if (!isText(id) || !isMillis(at) || !from || !client) return null;
  return {
    data: own(value, "data"),
    id,
    at,
    from: from.field,
    client: client.field,
    user: own(value, "user") ?? null,
  };
}

/** Who is on a channel with presence. `version` stands beside it in a change. */
export function readMember(value, version = own(value, "version")) {
  const [client, state] = [own(value, "client"), own(value, "state")];
  const [firstSeen, lastSeen] = [own(value, "first_seen"), own(value, "last_seen")];
  const label = optional(value, "label", isString);
  if (!isText(client) || (state !== "connected" && state !== "disconnected")) return null;
  if (!isMillis(firstSeen) || !isMillis(lastSeen) || !isCount(version) || !label) return null;
  return Object.freeze({
    client,
    user: own(value, "user") ?? null,
    label: label.field ?? null,
    meta: own(value, "meta") ?? null,
    state,
    first_seen: firstSeen,
    last_seen: lastSeen,
    version,
  });
}

/** A part of a roster. One that is empty and yet goes on would have no end. */
export function readPage(value) {
  const [epoch, version, list] = ["epoch", "version", "members"].map((key) => own(value, key));
  const next = optional(value, "next", isText);
  if (!isText(epoch) || !isCount(version) || !Array.isArray(list) || !next) return null;
  const members = list.map((member) => readMember(member));
  if (members.includes(null) || (members.length === 0 && next.field !== undefined)) return null;
  return { epoch, version, members, next: next.field };
}

const CHANGES = new Set([
  "client.connected",
  "client.disconnected",
  "client.reconnected",
  "client.removed",
  "client.updated",
]);

/** A change of a roster, or who was `seen` after a knock. */
export function readChange(value) {
  const event = own(value, "event");
  if (event === "seen") {
    const seen = own(value, "seen");
    const fits = (pair) => Array.isArray(pair) && isText(pair[0]) && isMillis(pair[1]);
    return Array.isArray(seen) && seen.every(fits) ? { seen } : null;
  }
  const [epoch, version] = [own(value, "epoch"), own(value, "version")];
  if (!CHANGES.has(event) || !isText(epoch) || !isCount(version)) return null;
  const member = readMember(own(value, "member"), version);
  return member && { epoch, version, member, removed: event === "client.removed" };
}

/** Counts of a roster. */
export function readCounts(value) {
  const counts = ["connected", "disconnected", "users"].map((key) => own(value, key));
  if (!counts.every(isCount)) return null;
  const [connected, disconnected, users] = counts;
  return { connected, disconnected, users };
}
