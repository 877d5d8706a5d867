// Goal: a channel's handles hear each message once and in order, whenever they were made.
// Method: a fake WebSocket played by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { joined, rig, settled, until } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

/** A message as the server sends it. */
const say = (ws, channel, offset, data, more = {}) =>
  ws.tell("whisk.message", { channel, topic: "t", offset, id: `m${offset}`, at: 5, ...more }, data);

test("a subscription is asked for with its query and answered with a position", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const promise = r.client.subscribe("exam:42/a", {
    query: { seat: 3 },
    presence: { label: "Ann" },
  });
  await settled();
  assert.deepEqual(ws.heard("whisk.subscribe"), [
    {
      id: "0",
      args: [{ channel: "exam:42/a", query: { seat: 3 }, presence: { label: "Ann" } }],
    },
  ]);
  ws.ack("whisk.subscribe", { channel: "exam:42/a", epoch: "e1", offset: 7 });
  const channel = await promise;
  assert.deepEqual(
    [channel.name, channel.status, channel.error, channel.position],
    ["exam:42/a", "active", null, { epoch: "e1", offset: 7 }],
  );
});

test("a handler gets the data and all that is known of the message", async () => {
  const { ws, channel } = await joined();
  const seen = [];
  channel.on("grade", (data, message) => seen.push([data, message]));
  ws.tell(
    "whisk.message",
    {
      channel: "room",
      topic: "grade",
      epoch: "e1",
      offset: 1,
      id: "m1",
      from: "ws/2/abc",
      client: "c9",
      user: 7,
      at: 1234,
    },
    { points: 3 },
  );
  assert.deepEqual(seen, [
    [
      { points: 3 },
      {
        channel: "room",
        topic: "grade",
        epoch: "e1",
        offset: 1,
        id: "m1",
        from: "ws/2/abc",
        client: "c9",
        user: 7,
        at: 1234,
        direct: false,
        ask: false,
      },
    ],
  ]);
  assert.deepEqual(channel.position, { epoch: "e1", offset: 1 });
});

test("handlers by topic come first, and what none of them takes goes to the rest", async () => {
  const { ws, channel } = await joined();
  const seen = [];
  const note =
    (who) =>
    (data, { topic }) =>
      seen.push([who, topic, data]);
  const late = note("again");
  channel.on("a", note("a")).once("a", note("once")).on("a", late);
  const stop = channel.onMessage(note("rest"));
  say(ws, "room", 1, "x", { topic: "a" });
  say(ws, "room", 2, "y", { topic: "b" });
  channel.off("a", late);
  say(ws, "room", 3, "z", { topic: "a" });
  channel.off("a");
  say(ws, "room", 4, "w", { topic: "a" });
  stop();
  say(ws, "room", 5, "v", { topic: "a" });
  assert.deepEqual(seen, [
    ["a", "a", "x"],
    ["once", "a", "x"],
    ["again", "a", "x"],
    ["rest", "b", "y"],
    ["a", "a", "z"],
    ["rest", "a", "w"],
  ]);
});

test("no topic is special", async () => {
  const { ws, channel } = await joined();
  const seen = [];
  const topics = ["heartbeat", "close", "message", "__proto__", "constructor", "", "error"];
  for (const topic of topics) channel.on(topic, (data) => seen.push([topic, data]));
  topics.forEach((topic, i) => say(ws, "room", i + 1, i, { topic }));
  assert.deepEqual(
    seen,
    topics.map((topic, i) => [topic, i]),
  );
});

test("what comes before the acknowledgement waits for the handlers, in order and once", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const seen = [];
  const joining = (async () => {
    const channel = await (async () => r.client.subscribe("room"))();
    channel.on("t", (data) => seen.push(data));
    return channel;
  })();
  await settled();
  say(ws, "room", 4, "before");
  say(ws, "room", 5, "at the position");
  say(ws, "room", 6, "first");
  say(ws, "room", 6, "first again");
  // In one turn, as a transport may deliver them.
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 5 });
  say(ws, "room", 7, "second");
  ws.tell("whisk.position", { channel: "room", epoch: "e1", offset: 8 });
  say(ws, "room", 9, "third");
  assert.deepEqual(seen, []);
  const channel = await joining;
  assert.deepEqual(channel.position, { epoch: "e1", offset: 5 });
  await settled();
  assert.deepEqual(seen, ["first", "second", "third"]);
  say(ws, "room", 9, "third again");
  say(ws, "room", 10, "fourth");
  assert.deepEqual(seen.slice(3), ["fourth"]);
  assert.deepEqual(channel.position, { epoch: "e1", offset: 10 });
});

test("too much before the acknowledgement is dropped from its end, and told", async () => {
  for (const [count, size, kept] of [
    [1030, 1, 1024],
    [40, 30_000, 34],
  ]) {
    const r = rig();
    const ws = await r.confirmed();
    const joining = r.client.subscribe("room");
    await settled();
    for (let i = 1; i <= count; i += 1) say(ws, "room", i, "x".repeat(size));
    ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
    const seen = [];
    (await joining).on("t", (_, { offset }) => seen.push(offset));
    await settled();
    assert.deepEqual(
      seen,
      Array.from({ length: kept }, (_, i) => i + 1),
    );
    assert.deepEqual(
      r.of("error").map((error) => [error.code, error.data]),
      [["buffer_full", { channel: "room", dropped: count - kept }]],
    );
  }
});

test("doubles are dropped within an epoch, and a gap only moves the position", async () => {
  const { ws, channel } = await joined({}, { offset: 10 });
  const seen = [];
  channel.on("t", (data) => seen.push(data));
  say(ws, "room", 10, "old");
  say(ws, "room", 12, "a");
  say(ws, "room", 11, "older");
  say(ws, "room", 12, "double");
  ws.tell("whisk.position", { channel: "room", epoch: "e1", offset: 11 });
  assert.deepEqual([seen, channel.position], [["a"], { epoch: "e1", offset: 12 }]);
  ws.tell("whisk.message", { channel: "room", topic: "t", direct: true, id: "d" }, "direct");
  assert.deepEqual(seen, ["a", "direct"]);
});

test("a message of another epoch is new, whatever its offset, and the position goes there", async () => {
  const { ws, channel } = await joined({}, { offset: 10 });
  const seen = [];
  channel.on("t", (data) => seen.push(data));
  say(ws, "room", 3, "of another", { epoch: "e2" });
  say(ws, "room", 3, "double", { epoch: "e2" });
  assert.deepEqual([seen, channel.position], [["of another"], { epoch: "e2", offset: 3 }]);
  ws.tell("whisk.position", { channel: "room", epoch: "e3", offset: 0 });
  say(ws, "room", 1, "of a third", { epoch: "e3" });
  assert.deepEqual([seen.at(-1), channel.position], ["of a third", { epoch: "e3", offset: 1 }]);
});

test("a channel on which nothing was ever said begins with its first message", async () => {
  const { ws, channel } = await joined({}, { epoch: "", offset: 0 });
  const seen = [];
  channel.on("t", (data) => seen.push(data));
  assert.deepEqual(channel.position, { epoch: "", offset: 0 });
  say(ws, "room", 1, "first", { epoch: "e9" });
  assert.deepEqual([seen, channel.position], [["first"], { epoch: "e9", offset: 1 }]);
});

test("several handles share one subscription, and the last one ends it", async () => {
  const { r, ws, channel } = await joined({ query: { q: 1 } });
  const second = await r.client.subscribe("room");
  const third = await r.client.subscribe("room", { query: { q: 1 } });
  await assert.rejects(r.client.subscribe("room", { query: { q: 2 } }), code("bad_option"));
  await assert.rejects(r.client.subscribe("room", { presence: false }), code("bad_option"));
  assert.equal(ws.heard("whisk.subscribe").length, 1);
  await settled();
  const seen = [];
  const note = (who) => (data) => seen.push([who, data]);
  channel.on("t", note(1));
  second.onMessage(note(2));
  third.on("t", note(3));
  say(ws, "room", 1, "x");
  assert.equal(await second.leave(), false);
  say(ws, "room", 2, "y");
  await third.leave();
  assert.deepEqual([second.status, channel.status], ["unsubscribed", "active"]);
  assert.deepEqual(seen, [
    [1, "x"],
    [2, "x"],
    [3, "x"],
    [1, "y"],
    [3, "y"],
  ]);
  assert.equal(ws.heard("whisk.unsubscribe").length, 0);
  const left = channel.leave();
  assert.deepEqual(ws.heard("whisk.unsubscribe")[0].args, [{ channel: "room" }]);
  ws.ack("whisk.unsubscribe", { channel: "room" });
  assert.deepEqual(
    [await left, await channel.leave(), channel.status],
    [true, false, "unsubscribed"],
  );
  say(ws, "room", 3, "late");
  assert.equal(seen.length, 5);
  await assert.rejects(channel.publish("t", 1), code("not_subscribed"));
  const again = r.subscribed("room", { query: { q: 2 } }, { offset: 3 });
  assert.equal((await again).status, "active");
});

test("a handle that leaves in a handler hears nothing more, not even that message", async () => {
  const { r, ws, channel } = await joined();
  const other = await r.client.subscribe("room");
  await settled();
  const seen = [];
  channel.on("t", () => void other.leave());
  other.on("t", (data) => seen.push(data));
  say(ws, "room", 1, "x");
  assert.deepEqual([seen, other.status], [[], "unsubscribed"]);
});

test("a handle that a handler asks for misses nothing that follows", async () => {
  // While the first handle is new itself, and once it is not any more.
  for (const isNew of [true, false]) {
    const r = rig();
    const ws = await r.confirmed();
    const channel = await r.subscribed("room");
    if (!isNew) await settled();
    const seen = [];
    channel.once("t", async () => {
      const other = await r.client.subscribe("room");
      other.on("t", (data) => seen.push(data));
    });
    say(ws, "room", 1, "first");
    say(ws, "room", 2, "second");
    say(ws, "room", 3, "third");
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ["second", "third"]);
  }
});

test("names are checked before anything is asked", async () => {
  const r = rig();
  const ws = await r.confirmed();
  for (const name of ["", "_user", "_session", "a b", "ä", "x".repeat(256), "a\n", 5, null]) {
    await assert.rejects(r.client.subscribe(name), code("bad_channel"), String(name));
  }
  for (const options of [
    { qery: 1 },
    { timeoutMs: 0 },
    { presence: true },
    { presence: { lable: "x" } },
    { presence: { label: 5 } },
    { presence: [] },
    null,
    "x",
  ]) {
    await assert.rejects(r.client.subscribe("room", options), code("bad_option"));
  }
  await assert.rejects(r.client.subscribe("room", { query: 1n }), code("not_serializable"));
  assert.equal(ws.heard("whisk.subscribe").length, 0);
});

test("a publication is answered with where it is", async () => {
  const { ws, channel } = await joined();
  const said = channel.publish("grade", { points: 3 });
  assert.deepEqual(ws.heard("whisk.publish")[0].args, [
    { channel: "room", topic: "grade" },
    { points: 3 },
  ]);
  ws.ack("whisk.publish", { id: "m1", at: 9, epoch: "e1", offset: 3, level: "memory" });
  assert.deepEqual(await said, {
    id: "m1",
    at: 9,
    position: { epoch: "e1", offset: 3 },
    level: "memory",
  });
  // Others' messages up to there may be under way: only the server moves the position.
  assert.deepEqual(channel.position, { epoch: "e1", offset: 0 });
  ws.tell("whisk.position", { channel: "room", epoch: "e1", offset: 3 });
  assert.deepEqual(channel.position, { epoch: "e1", offset: 3 });

  const direct = channel.publish("hint", undefined, { to: "c7" });
  assert.deepEqual(ws.heard("whisk.publish")[1].args, [
    { channel: "room", topic: "hint", to: "c7" },
  ]);
  ws.ack("whisk.publish", { id: "m2", at: 10 });
  assert.deepEqual(await direct, { id: "m2", at: 10, position: null, level: null });

  const refused = channel.publish("grade", 1);
  ws.refuse("whisk.publish", "refused");
  await assert.rejects(refused, code("refused"));
  const odd = channel.publish("grade", 1);
  ws.ack("whisk.publish", { id: 5 });
  await assert.rejects(odd, code("protocol"));
  await assert.rejects(channel.publish(5), TypeError);
  await assert.rejects(channel.publish("t", 1, { to: 5 }), TypeError);
  await assert.rejects(channel.publish("t", 1, { whenAway: "never" }), TypeError);
});

test("the private channels of user and session are always there", async () => {
  const r = rig();
  const seen = [];
  r.client.user.on("mail", (data, { channel }) => seen.push([channel, data]));
  r.client.session.onMessage((data, { channel, topic }) => seen.push([channel, topic, data]));
  const ws = await r.confirmed();
  assert.equal(r.client.user.name, "_user");
  say(ws, "_user", undefined, "a", { topic: "mail" });
  say(ws, "_session", undefined, "b");
  say(ws, "_user", undefined, "c", { topic: "mail" });
  ws.drop();
  const second = (await r.next()).confirm();
  say(second, "_user", undefined, "d", { topic: "mail" });
  assert.deepEqual(seen, [
    ["_user", "a"],
    ["_session", "t", "b"],
    ["_user", "c"],
    ["_user", "d"],
  ]);
});

test("a broadcast reaches its handlers", async () => {
  const r = rig();
  const seen = [];
  const stop = r.client.onBroadcast("notice", (data, message) => seen.push([data, message]));
  const ws = await r.confirmed();
  ws.tell("whisk.broadcast", { topic: "notice", id: "b1" }, { text: "soon" });
  ws.tell("whisk.broadcast", { topic: "other", id: "b2" }, 1);
  stop();
  ws.tell("whisk.broadcast", { topic: "notice", id: "b3" }, 2);
  assert.deepEqual(seen, [[{ text: "soon" }, { topic: "notice", id: "b1" }]]);
});

test("a handler of a channel that fails disturbs nobody", async () => {
  const { r, ws, channel } = await joined();
  const seen = [];
  channel.on("t", () => {
    throw new Error("mine");
  });
  channel.on("t", (data) => seen.push(data));
  channel.onStatus(() => {
    throw new Error("mine too");
  });
  say(ws, "room", 1, "x");
  await settled();
  ws.drop();
  await settled();
  assert.deepEqual(seen, ["x"]);
  assert.deepEqual(
    r.of("error").map((error) => error.data.event),
    ["room: t", "status of room"],
  );
});
