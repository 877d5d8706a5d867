// Goal: whatever the order in which pages and changes come, a roster ends as the server's is, is
// never half old, and each change of it is told once. Method: tables, then a simulated server whose
// pages and changes overtake each other, by seed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ROSTER_MAX } from "../src/limits.js";
import { Roster } from "../src/roster.js";

const member = (client, version, more = {}) => ({
  client,
  user: null,
  label: null,
  meta: null,
  state: "connected",
  first_seen: 1,
  last_seen: 1,
  version,
  ...more,
});

const page = (version, members, next) => ({ epoch: "e1", version, members, next });
const change = (version, one, removed = false) => ({
  epoch: "e1",
  version,
  member: { ...one, version },
  removed,
});
const names = ({ events }) => events.map(({ event, member: { client } }) => `${client} ${event}`);

/** A roster that is whole with these members. */
function whole(...members) {
  const roster = new Roster();
  roster.begin();
  assert.deepEqual(roster.page(page(10, members)), { events: [] });
  return roster;
}

test("the first whole roster is no news, and each change of it is told once", () => {
  const roster = whole(member("a", 3));
  assert.ok(roster.complete);
  const steps = [
    [change(11, member("b")), ["b client.connected"]],
    [change(11, member("b")), []],
    [change(12, member("b", 0, { state: "disconnected" })), ["b client.disconnected"]],
    [change(11, member("b")), []],
    [change(13, member("b")), ["b client.reconnected"]],
    [change(14, member("b", 0, { label: "B" })), ["b client.updated"]],
    [change(15, member("b", 0, { label: "B", meta: { x: 1 } })), ["b client.updated"]],
    [change(16, member("b", 0, { label: "B", meta: { x: 1 }, last_seen: 9 })), []],
    [
      change(17, member("b", 0, { state: "disconnected" })),
      ["b client.disconnected", "b client.updated"],
    ],
    [change(18, member("b"), true), ["b client.removed"]],
    [change(19, member("b"), true), []],
    [change(20, member("a"), true), ["a client.removed"]],
  ];
  for (const [one, want] of steps) assert.deepEqual(names(roster.change(one)), want);
  assert.deepEqual(roster.members(), []);
});

test("a change that the pages hold already changes nothing", () => {
  const roster = whole(member("a", 3));
  // "b" came at 8 and was removed at 9, which the page at 10 knows.
  assert.deepEqual(names(roster.change(change(8, member("b")))), []);
  assert.deepEqual(names(roster.change(change(9, member("b"), true))), []);
  assert.deepEqual(names(roster.change(change(2, member("a"), true))), []);
  assert.equal(roster.size, 1);
});

test("while it is read, changes win over older pages and removals leave their version", () => {
  const roster = new Roster();
  roster.begin();
  roster.change(change(9, member("b")));
  assert.deepEqual(roster.page(page(10, [member("a", 3), member("b", 9)], "b")), { next: "b" });
  roster.change(change(11, member("a", 0, { state: "disconnected" })));
  roster.change(change(12, member("d"), true));
  roster.change(change(13, member("e"), true));
  roster.change(change(14, member("e")));
  assert.deepEqual([roster.complete, roster.size], [false, 0], "never half");
  const { events } = roster.page(page(11, [member("c", 2), member("d", 5), member("e", 6)]));
  assert.deepEqual(events, []);
  assert.deepEqual(
    roster.members().map(({ client, state, version }) => [client, state, version]),
    [
      ["a", "disconnected", 11],
      ["b", "connected", 9],
      ["e", "connected", 14],
      ["c", "connected", 2],
    ],
  );
});

test("what was shown stays until the next whole one, and then the differences are told", () => {
  const roster = whole(member("a", 1), member("b", 2), member("c", 3), member("d", 4));
  roster.begin();
  assert.deepEqual([roster.complete, roster.size], [false, 4]);
  roster.page(page(20, [member("a", 1), member("b", 15, { state: "disconnected" })], "b"));
  assert.equal(roster.member("b").state, "connected");
  const { events } = roster.page(
    page(20, [
      member("c", 16, { label: "C" }),
      member("e", 17),
      member("f", 18, { state: "disconnected" }),
    ]),
  );
  assert.deepEqual(names({ events }), [
    "d client.removed",
    "b client.disconnected",
    "c client.updated",
    "e client.connected",
    "f client.connected",
    "f client.disconnected",
  ]);
});

test("another epoch is read anew", () => {
  const roster = whole(member("a", 3));
  const other = { ...change(1, member("a")), epoch: "e2" };
  assert.deepEqual(roster.change(other), { anew: true, events: [] });
  roster.begin();
  assert.deepEqual(roster.page({ epoch: "e2", version: 1, members: [member("a", 1)], next: "a" }), {
    next: "a",
  });
  assert.deepEqual(roster.page(page(11, [member("b", 4)])), { anew: true });
  roster.begin();
  // What came early is of one epoch, the page of another: neither is trusted.
  roster.change(other);
  assert.deepEqual(roster.page(page(11, [])), { anew: true });
  roster.begin();
  const { events } = roster.page({ epoch: "e2", version: 2, members: [member("b", 2)] });
  assert.deepEqual(names({ events }), ["a client.removed", "b client.connected"]);
});

test("sightings are kept, and told of those who are there", () => {
  const roster = whole(member("a", 3), member("b", 4));
  assert.deepEqual(
    roster.seen([
      ["a", 9],
      ["b", 0],
      ["x", 9],
    ]),
    [
      ["a", 9],
      ["b", 0],
    ],
  );
  assert.deepEqual([roster.member("a").last_seen, roster.member("b").last_seen], [9, 1]);
});

test("a roster has a bound, in pages and in changes", () => {
  const many = (from, count) =>
    Array.from({ length: count }, (_, i) => member(`c${from + i}`, from + i));
  const roster = new Roster();
  roster.begin();
  roster.page(page(10, many(0, ROSTER_MAX - 1), "x"));
  assert.deepEqual(roster.page(page(10, many(ROSTER_MAX - 1, 3), "y")), { events: [] });
  assert.deepEqual([roster.size, roster.complete, roster.truncated], [ROSTER_MAX, true, true]);

  // The same few again and again are not followed for ever either.
  roster.begin();
  let pages = 0;
  while (roster.page(page(10, many(0, 1000), "again")).next) pages += 1;
  assert.deepEqual([pages, roster.truncated], [ROSTER_MAX / 1000, true]);

  const full = whole(...many(0, ROSTER_MAX));
  assert.equal(full.truncated, false);
  assert.deepEqual(full.change(change(ROSTER_MAX + 9, member("new"))), { events: [] });
  assert.deepEqual([full.size, full.truncated], [ROSTER_MAX, true]);

  const gone = new Roster();
  gone.begin();
  for (let i = 0; i < ROSTER_MAX + 5; i += 1) gone.change(change(i, member(`g${i}`), true));
  gone.page(page(1, []));
  assert.equal(gone.truncated, true);
});

/** Numbers from 0 to 1 that a seed decides. */
function dice(seed) {
  let state = seed + 0x9e3779b9;
  return () => {
    state = Math.imul(state ^ (state >>> 15), state | 1);
    state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A server with a roster that changes as it likes. */
class Server {
  epoch = "e1";
  version = 0;
  members = new Map();
  changes = [];
  constructor(roll) {
    this.roll = roll;
  }
  step() {
    const client = `c${Math.floor(this.roll() * 8)}`;
    const before = this.members.get(client);
    const what = this.roll();
    this.version += 1;
    const set = (more, removed = false) => {
      const after = { ...(before ?? member(client)), ...more, version: this.version };
      if (removed) this.members.delete(client);
      else this.members.set(client, after);
      this.changes.push({ epoch: this.epoch, version: this.version, member: after, removed });
    };
    if (what < 0.02) {
      // The store forgot: those who are still there come again.
      this.epoch = `e${this.version}x${this.roll()}`;
      this.version = 0;
      this.members.clear();
    } else if (!before) set({ state: "connected" });
    else if (what < 0.25) set({}, true);
    else if (what < 0.5) set({ label: `l${Math.floor(this.roll() * 3)}` });
    else set({ state: before.state === "connected" ? "disconnected" : "connected" });
  }
  page(after = "", limit = 3) {
    const rest = [...this.members.keys()].sort().filter((client) => client > after);
    const members = rest.slice(0, limit).map((client) => this.members.get(client));
    const next = rest.length > limit ? members.at(-1).client : undefined;
    return { epoch: this.epoch, version: this.version, members, next };
  }
}

/** What follows a roster by its events alone. */
class Follower {
  view = new Map();
  hear(events) {
    for (const { event, member: one } of events) {
      const before = this.view.get(one.client);
      const fits = {
        "client.connected": !before,
        "client.disconnected": before?.state === "connected",
        "client.reconnected": before?.state === "disconnected",
        "client.removed": before,
        "client.updated": before,
      }[event];
      assert.ok(fits, `${event} of ${one.client}`);
      if (event === "client.removed") this.view.delete(one.client);
      else if (event === "client.connected")
        this.view.set(one.client, { ...one, state: "connected" });
      else this.view.set(one.client, one);
    }
  }
}

const shape = (members) =>
  [...members].map(({ client, state, label }) => `${client} ${state} ${label}`).sort();

test("pages and changes that overtake each other end in the server's roster, by seed", () => {
  for (let seed = 0; seed < 5000; seed += 1) {
    const roll = dice(seed);
    const server = new Server(roll);
    const roster = new Roster();
    const follower = new Follower();
    let [known, asked, lost] = [false, null, false];
    const read = (after) => {
      // The page is read some time between now and its arrival.
      asked = { after, page: null };
    };
    const subscribe = () => {
      server.changes = [];
      lost = false;
      roster.begin();
      read(undefined);
    };
    const arrive = () => {
      const got = asked.page ?? server.page(asked.after);
      asked = null;
      const { next, anew, events } = roster.page(got);
      if (anew) {
        roster.begin();
        read(undefined);
      } else if (next !== undefined) {
        read(next);
      } else if (known) {
        follower.hear(events);
      } else {
        known = true;
        follower.view = new Map(roster.members().map((one) => [one.client, one]));
      }
    };
    const hear = () => {
      const { anew, events } = roster.change(server.changes.shift());
      if (anew) {
        roster.begin();
        read(undefined);
      } else {
        follower.hear(events);
      }
    };
    for (let i = 0; i < 10; i += 1) server.step();
    subscribe();
    for (let i = 0; i < 80; i += 1) {
      const what = roll();
      if (what < 0.4) server.step();
      else if (what < 0.5 && asked?.page === null) asked.page = server.page(asked.after);
      else if (what < 0.65 && asked !== null && !lost) arrive();
      else if (what < 0.93 && server.changes.length > 0 && !lost) hear();
      else if (what < 0.96) {
        lost = true;
        roster.stop();
      } else if (lost) subscribe();
      if (roster.complete) assert.deepEqual(shape(follower.view.values()), shape(roster.members()));
    }
    if (lost) subscribe();
    // An epoch's end is told by its next change only.
    server.step();
    for (let turns = 0; asked !== null || server.changes.length > 0; turns += 1) {
      assert.ok(turns < 1000);
      if (server.changes.length > 0 && roll() < 0.5) hear();
      else if (asked !== null) arrive();
    }
    if (server.members.size > 0) {
      assert.ok(roster.complete, `seed ${seed}`);
      assert.deepEqual(shape(roster.members()), shape(server.members.values()), `seed ${seed}`);
      assert.deepEqual(shape(follower.view.values()), shape(roster.members()), `seed ${seed}`);
    }
  }
});
