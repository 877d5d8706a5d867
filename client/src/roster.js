// Who is on a channel: pages and changes, in whatever order they come, made into one whole.

import { ROSTER_MAX } from "./limits.js";
import { jsonOf } from "./values.js";

/**
 * A channel's roster. It shows the last whole one; while it is read anew, pages and changes gather
 * beside it, and once that is whole, the differences are the events. So each is told once, however
 * often its cause was heard, and nobody sees half a roster.
 *
 * Each entry carries the version of its last change, and the greatest wins. While reading, a
 * removal leaves its version behind, so that a page that was read before it cannot undo it. A
 * change up to the first page's version is in the pages already.
 */
export class Roster {
  /** Everybody that there was when it was last whole, and the changes since. */
  complete = false;
  /** It was too large to be kept as a whole. */
  truncated = false;

  #epoch = null;
  #shown = new Map();
  /** Of what is shown: the first page's version. */
  #floor = -1;
  #everWhole = false;
  #reading = null;

  get size() {
    return this.#shown.size;
  }

  get reading() {
    return this.#reading !== null;
  }

  member(client) {
    return this.#shown.get(client);
  }

  members() {
    return [...this.#shown.values()];
  }

  /** What is shown may be old from now on; the next page is the first of a new one. */
  begin() {
    this.complete = false;
    this.#reading = {
      epoch: null,
      floor: -1,
      begun: false,
      members: new Map(),
      gone: new Map(),
      read: 0,
      full: false,
    };
  }

  /** What is shown may be old, and nothing is read. */
  stop() {
    this.complete = false;
    this.#reading = null;
  }

  /**
   * The next page of those that are read in a row.
   * @returns {{ next?: string, anew?: true, events?: object[] }} where to read on; or that it must
   *   be begun anew, because the epoch changed meanwhile; or what the whole differs in
   */
  page({ epoch, version, members, next }) {
    const reading = this.#reading;
    reading.epoch ??= epoch;
    if (reading.epoch !== epoch) return { anew: true };
    if (!reading.begun) {
      reading.begun = true;
      reading.floor = version;
      for (const early of [reading.members, reading.gone]) forget(early, version);
    }
    for (const member of members) merge(reading, member);
    // Whoever pages for ever is not followed for ever.
    reading.read += members.length;
    if (reading.read > ROSTER_MAX) reading.full = true;
    if (next !== undefined && !reading.full) return { next };
    return { events: this.#finish(reading) };
  }

  /**
   * A change.
   * @returns {{ anew?: true, events: object[] }} `anew`: another epoch began, read it
   */
  change({ epoch, version, member, removed }) {
    const reading = this.#reading;
    if (reading !== null) {
      reading.epoch ??= epoch;
      if (reading.epoch !== epoch) return { anew: true, events: [] };
      if (version > reading.floor) {
        if (removed) leave(reading, member.client, version);
        else merge(reading, member);
      }
      return { events: [] };
    }
    if (!this.complete) return { events: [] };
    if (epoch !== this.#epoch) return { anew: true, events: [] };
    const known = this.#shown.get(member.client);
    if (version <= this.#floor || (known?.version ?? -1) >= version) return { events: [] };
    if (removed) {
      this.#shown.delete(member.client);
      return { events: known ? [{ event: "client.removed", member }] : [] };
    }
    if (!known && this.#shown.size >= ROSTER_MAX) {
      this.truncated = true;
      return { events: [] };
    }
    this.#shown.set(member.client, member);
    return { events: differences(known, member) };
  }

  /** Later sightings, as pairs of client and time. Returns those of members that are shown. */
  seen(pairs) {
    for (const [client, at] of pairs) {
      for (const table of [this.#shown, this.#reading?.members]) {
        const member = table?.get(client);
        if (member && at > member.last_seen)
          table.set(client, Object.freeze({ ...member, last_seen: at }));
      }
    }
    return pairs.filter(([client]) => this.#shown.has(client));
  }

  #finish({ epoch, floor, members, full }) {
    const before = this.#shown;
    this.#shown = members;
    this.#epoch = epoch;
    this.#floor = floor;
    this.#reading = null;
    this.complete = true;
    this.truncated = full;
    // The first whole roster is where events begin.
    if (!this.#everWhole) {
      this.#everWhole = true;
      return [];
    }
    const events = [];
    for (const member of before.values()) {
      if (!members.has(member.client)) events.push({ event: "client.removed", member });
    }
    for (const member of members.values()) {
      events.push(...differences(before.get(member.client), member));
    }
    return events;
  }
}

const newer = (version, than) => than === undefined || version > than;

function merge(reading, member) {
  const { members, gone } = reading;
  const { client, version } = member;
  if (!newer(version, gone.get(client)) || !newer(version, members.get(client)?.version)) return;
  if (members.has(client) || room(reading)) members.set(client, member);
}

function leave(reading, client, version) {
  const { members, gone } = reading;
  if (!newer(version, gone.get(client)) || !newer(version, members.get(client)?.version)) return;
  members.delete(client);
  if (gone.has(client) || room(reading)) gone.set(client, version);
}

function room(reading) {
  const fits = reading.members.size + reading.gone.size < ROSTER_MAX;
  if (!fits) reading.full = true;
  return fits;
}

function forget(table, floor) {
  for (const [client, entry] of table) {
    if ((entry.version ?? entry) <= floor) table.delete(client);
  }
}

/** What happened to a member, told from its state before and after. */
function differences(before, member) {
  const names = [];
  if (before === undefined) {
    names.push("client.connected");
    if (member.state === "disconnected") names.push("client.disconnected");
  } else if (before.state !== member.state) {
    names.push(member.state === "connected" ? "client.reconnected" : "client.disconnected");
  }
  if (
    before !== undefined &&
    (differ(before.label, member.label) || differ(before.meta, member.meta))
  )
    names.push("client.updated");
  return names.map((event) => ({ event, member }));
}

const differ = (one, other) => one !== other && jsonOf(one) !== jsonOf(other);
