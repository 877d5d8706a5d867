// Goal: a channel's roster is whole or says that it is not, and its changes are told once, over
// pages, losses and epochs. Method: a fake WebSocket played by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { joined, rig, settled } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

const member = (client, version, more = {}) => ({
  client,
  state: "connected",
  first_seen: 100 + version,
  last_seen: 100 + version,
  version,
  ...more,
});
const page = (members, more = {}) => ({ epoch: "p1", version: 10, members, ...more });
const answer = (members, more) => ({ client: "me", presence: page(members, more) });

const change = (ws, event, one, epoch = "p1") =>
  ws.tell("whisk.presence", { channel: "room", epoch, version: one.version, event, member: one });

const withRoster = (members, { more, options } = {}) => joined(options, answer(members, more));

/** Everything that a handle's presence tells, as short texts. */
function listen({ presence }) {
  const told = [];
  for (const event of ["connected", "disconnected", "reconnected", "removed", "updated"]) {
    presence.on(`client.${event}`, ({ channel, client, member: one }) =>
      told.push([channel, client, event, one.client].join(" ")),
    );
  }
  return told;
}

const clients = ({ presence }) => presence.members.map(({ client }) => client);

test("a roster that fits into one page is whole at once", async () => {
  const { channel } = await withRoster([
    member("b", 3, { user: 7, label: "Bea", meta: { seat: 2 } }),
    member("a", 4, { user: 7, state: "disconnected" }),
    member("me", 2, { user: 5 }),
    member("x", 1),
    member("y", 5, { user: null }),
  ]);
  const { presence } = channel;
  assert.equal(await presence.ready, presence);
  assert.deepEqual(
    [presence.complete, presence.truncated, presence.size, presence.client],
    [true, false, 5, "me"],
  );
  assert.deepEqual(clients(channel), ["x", "me", "b", "a", "y"], "as they came");
  assert.deepEqual(presence.get("b"), {
    client: "b",
    user: 7,
    label: "Bea",
    meta: { seat: 2 },
    state: "connected",
    first_seen: 103,
    last_seen: 103,
    version: 3,
  });
  assert.equal(presence.get("nobody"), undefined);
  assert.deepEqual(
    presence.users.map(({ user, state, clients: all }) => [user, state, all.map((c) => c.client)]),
    [
      [null, "connected", ["x"]],
      [5, "connected", ["me"]],
      [7, "connected", ["b", "a"]],
      [null, "connected", ["y"]],
    ],
  );
  assert.equal(presence.members, presence.members, "made once for each change");
});

test("users are told apart by what they are, not by how they are written", async () => {
  const users = [7, "7", { id: 7 }, '{"id":7}', [7], true, "__proto__"];
  const { channel } = await withRoster(users.map((user, i) => member(`c${i}`, i, { user })));
  assert.deepEqual(
    channel.presence.users.map(({ user }) => user),
    users,
  );
});

test("pages are read by themselves, and nothing is shown before the last", async () => {
  const { ws, channel } = await withRoster([member("a", 1), member("b", 2)], {
    more: { next: "b" },
  });
  const told = listen(channel);
  let ready = false;
  void channel.presence.ready.then(() => {
    ready = true;
  });
  assert.deepEqual(ws.heard("whisk.presence").at(-1).args, [{ channel: "room", after: "b" }]);
  change(ws, "client.removed", member("c", 11));
  change(ws, "client.connected", member("e", 12));
  ws.ack("whisk.presence", page([member("c", 3)], { next: "c" }));
  assert.deepEqual(ws.heard("whisk.presence").at(-1).args, [{ channel: "room", after: "c" }]);
  await settled();
  assert.deepEqual([channel.presence.size, ready], [0, false]);
  ws.ack("whisk.presence", page([member("d", 4)]));
  await settled();
  assert.deepEqual([clients(channel), ready], [["a", "b", "d", "e"], true]);
  assert.deepEqual(told, []);
  change(ws, "client.disconnected", member("d", 13, { state: "disconnected" }));
  change(ws, "client.disconnected", member("d", 13, { state: "disconnected" }));
  assert.deepEqual(told, ["room d disconnected d"]);
});

test("a change before the acknowledgement is part of the first roster", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const joining = r.client.subscribe("room");
  await settled();
  change(ws, "client.connected", member("late", 11));
  change(ws, "client.connected", member("early", 9));
  ws.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    ...answer([member("a", 1)]),
  });
  assert.deepEqual(clients(await joining), ["a", "late"]);
});

test("each handle hears until it leaves, once where it asked for once", async () => {
  const { r, ws, channel } = await withRoster([]);
  const other = await r.client.subscribe("room");
  const [first, second] = [listen(channel), listen(other)];
  const once = [];
  const handler = () => once.push("off");
  channel.presence
    .once("client.connected", ({ client }) => once.push(client))
    .on("client.connected", handler)
    .off("client.connected", handler);
  change(ws, "client.connected", member("a", 11));
  await channel.leave();
  change(ws, "client.connected", member("b", 12));
  assert.deepEqual(first, ["room a connected a"]);
  assert.deepEqual(second, ["room a connected a", "room b connected b"]);
  assert.deepEqual(once, ["a"]);
  assert.deepEqual(clients(other), ["a", "b"]);
  assert.throws(() => other.presence.on("client.conected", () => {}), TypeError);
  assert.throws(() => other.presence.on("client.connected"), TypeError);
});

test("after a loss the differences are told, once each, and the old roster shows till then", async () => {
  const { r, ws, channel } = await withRoster([member("a", 1), member("b", 2), member("c", 3)]);
  const told = listen(channel);
  ws.drop();
  assert.deepEqual([clients(channel), channel.presence.complete], [["a", "b", "c"], false]);
  const second = (await r.next()).confirm();
  change(second, "client.removed", member("c", 21));
  second.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    ...answer([member("a", 1)], { version: 20, next: "a" }),
  });
  assert.deepEqual([clients(channel), told], [["a", "b", "c"], []]);
  second.ack(
    "whisk.presence",
    page([member("b", 15, { state: "disconnected" }), member("d", 16)], { version: 22 }),
  );
  assert.deepEqual(told, ["room c removed c", "room b disconnected b", "room d connected d"]);
  await channel.presence.ready;
  // Nothing happened while this one was away: nothing is told.
  second.drop();
  const third = (await r.next()).confirm();
  third.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    ...answer([member("a", 1), member("b", 15, { state: "disconnected" }), member("d", 25)], {
      version: 30,
    }),
  });
  assert.equal(told.length, 3);
});

test("a page under way when the connection is lost is nobody's", async () => {
  const { r, ws, channel } = await withRoster([member("a", 1)], { more: { next: "a" } });
  const ready = channel.presence.ready;
  ws.drop();
  const second = (await r.next()).confirm();
  assert.equal(second.heard("whisk.presence").length, 0);
  second.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    ...answer([member("z", 9)]),
  });
  await ready;
  assert.deepEqual([clients(channel), r.codes()], [["z"], []]);
});

test("another epoch is read anew, however often it comes", async () => {
  const { r, ws, channel } = await withRoster([member("a", 1), member("b", 2)]);
  const told = listen(channel);
  for (const epoch of ["p2", "p3"]) change(ws, "client.connected", member("a", 1), epoch);
  assert.equal(channel.presence.complete, false);
  r.clock.advance(1000);
  assert.deepEqual(
    ws.heard("whisk.presence").map(({ args }) => args[0]),
    [{ channel: "room" }],
  );
  // It changes once more between two pages.
  ws.ack("whisk.presence", { ...page([member("a", 1)], { next: "a" }), epoch: "p3" });
  ws.ack("whisk.presence", { ...page([member("c", 2)]), epoch: "p4" });
  r.clock.advance(1000);
  assert.deepEqual(ws.heard("whisk.presence").at(-1).args, [{ channel: "room" }]);
  ws.ack("whisk.presence", { ...page([member("a", 1), member("c", 2)]), epoch: "p4" });
  assert.deepEqual(told, ["room b removed b", "room c connected c"]);
  assert.deepEqual([channel.presence.complete, r.codes()], [true, []]);
});

test("a page that cannot be had now is asked for again; one that never can be is told", async () => {
  const { r, ws, channel } = await withRoster([member("a", 1)], { more: { next: "a" } });
  ws.refuse("whisk.presence", "rate_limited", { retry_after_ms: 2000 });
  r.clock.advance(1999);
  assert.equal(ws.heard("whisk.presence").length, 1);
  r.clock.advance(1);
  assert.deepEqual(ws.heard("whisk.presence")[1].args, [{ channel: "room", after: "a" }]);
  r.clock.advance(5000); // no answer at all
  r.clock.advance(500);
  assert.equal(ws.heard("whisk.presence").length, 3);
  const ready = channel.presence.ready;
  ws.refuse("whisk.presence", "refused");
  await assert.rejects(ready, code("refused"));
  await assert.rejects(channel.presence.ready, code("refused"));
  assert.deepEqual([channel.presence.complete, r.codes()], [false, ["refused"]]);
  assert.equal(channel.status, "active", "the channel itself goes on");
  change(ws, "client.connected", member("b", 12));
  assert.equal(channel.presence.size, 0);
});

test("a channel without a roster says so", async () => {
  const r = rig();
  await r.confirmed();
  const channel = await r.subscribed("room");
  await assert.rejects(channel.presence.ready, code("no_presence"));
  assert.deepEqual(
    [channel.presence.client, channel.presence.members, channel.presence.complete],
    [null, [], false],
  );
});

test("the own entry changes, and is shown again after a loss as it was last", async () => {
  const { r, ws, channel } = await withRoster([member("me", 1)], {
    options: { presence: { label: "Ann", meta: { seat: 1 } } },
  });
  const updated = channel.presence.update({ meta: { seat: 2 } });
  assert.deepEqual(ws.heard("whisk.update")[0].args, [{ channel: "room", meta: { seat: 2 } }]);
  ws.ack("whisk.update", {});
  await updated;
  const refused = channel.presence.update({ label: null });
  ws.refuse("whisk.update", "bad_payload");
  await assert.rejects(refused, code("bad_payload"));
  const unknown = channel.presence.update({ meta: { seat: 3 } });
  await assert.rejects(channel.presence.update({ label: 5 }), TypeError);
  await assert.rejects(channel.presence.update("Ann"), TypeError);
  ws.drop();
  await assert.rejects(unknown, code("connection_dropped"));
  const second = (await r.next()).confirm();
  assert.deepEqual(second.heard("whisk.subscribe")[0].args[0].presence, {
    label: "Ann",
    meta: { seat: 3 },
  });
});

test("who only watches says so each time", async () => {
  const { r, ws } = await withRoster([], { options: { presence: false } });
  ws.drop();
  const second = (await r.next()).confirm();
  for (const socket of [ws, second]) {
    assert.equal(socket.heard("whisk.subscribe")[0].args[0].presence, false);
  }
});

test("counts come without a list, and a knock tells who was seen", async () => {
  const { ws, channel } = await withRoster([member("a", 1), member("b", 2)]);
  const counted = channel.presence.count();
  ws.ack("whisk.count", { connected: 9000, disconnected: 12, users: 800 });
  assert.deepEqual(await counted, { connected: 9000, disconnected: 12, users: 800 });
  const odd = channel.presence.count();
  ws.ack("whisk.count", { connected: "9" });
  await assert.rejects(odd, code("protocol"));

  const seen = [];
  channel.presence.on("seen", (detail) => seen.push(detail));
  const knocked = channel.presence.knock();
  assert.deepEqual(ws.heard("whisk.knock")[0].args, [{ channel: "room" }]);
  ws.ack("whisk.knock", {});
  assert.equal(await knocked, undefined);
  ws.tell("whisk.presence", {
    channel: "room",
    event: "seen",
    seen: [
      ["a", 900],
      ["stranger", 900],
    ],
  });
  ws.tell("whisk.presence", { channel: "room", event: "seen", seen: [["stranger", 901]] });
  assert.deepEqual(seen, [{ channel: "room", seen: [["a", 900]] }]);
  assert.deepEqual(
    channel.presence.members.map(({ last_seen }) => last_seen),
    [900, 102],
  );
});

test("the end of a channel is the end of its roster, and good-bye is said", async () => {
  const { r, ws, channel } = await withRoster([member("me", 1)], { more: { next: "me" } });
  const ready = channel.presence.ready;
  r.client.close();
  await assert.rejects(ready, code("not_subscribed"));
  await assert.rejects(channel.presence.ready, code("not_subscribed"));
  await assert.rejects(channel.presence.count(), code("not_subscribed"));
  assert.deepEqual(ws.heard("whisk.unsubscribe")[0].args, [{ channel: "room" }]);
  assert.equal(ws.sent.at(-1), "41");
  assert.equal(r.clock.pending, 0);
});
