// Goal: a channel's handles hear each message once and in order, and know at each moment how their
// subscription stands. Method: a fake WebSocket played by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { rig, settled, until } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

/** A message as the server sends it. */
const say = (ws, channel, offset, data, more = {}) =>
  ws.tell("whisk.message", { channel, topic: "t", offset, id: `m${offset}`, at: 5, ...more }, data);

async function joined(options, answer) {
  const r = rig();
  const ws = await r.confirmed();
  const channel = await r.subscribed("room", options, answer);
  await settled();
  return { r, ws, channel };
}

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
  ws.tell("whisk.position", { channel: "room", epoch: "e2", offset: 0 });
  say(ws, "room", 1, "new epoch");
  ws.tell("whisk.message", { channel: "room", topic: "t", direct: true, id: "d" }, "direct");
  assert.deepEqual(seen, ["a", "new epoch", "direct"]);
  assert.deepEqual(channel.position, { epoch: "e2", offset: 1 });
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

test("a refusal rejects with its code, and what may be mended is tried again", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const no = r.client.subscribe("private-a");
  await settled();
  ws.refuse("whisk.subscribe", "refused", { why: "not yours" });
  await assert.rejects(no, (error) => error.code === "refused" && error.data.why === "not yours");

  const yes = r.client.subscribe("room");
  await settled();
  ws.refuse("whisk.subscribe", "unavailable");
  r.clock.advance(250);
  assert.equal(ws.heard("whisk.subscribe").length, 3);
  // Another code is worth another try when the server says when.
  ws.refuse("whisk.subscribe", "gate_hangs", { retry_after_ms: 4000 });
  r.clock.advance(3999);
  assert.equal(ws.heard("whisk.subscribe").length, 3);
  r.clock.advance(1);
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  assert.equal((await yes).status, "active");

  // So is what this side could not send just now.
  ws.bufferedAmount = 5 * 1024 * 1024;
  const full = r.client.subscribe("other");
  ws.bufferedAmount = 0;
  r.clock.advance(250);
  ws.ack("whisk.subscribe", { channel: "other", epoch: "e1", offset: 0 });
  assert.equal((await full).status, "active");
});

test("a subscription that takes too long is given up and taken back", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const slow = r.client.subscribe("room", { timeoutMs: 3000 });
  await settled();
  ws.refuse("whisk.subscribe", "overloaded", { retry_after_ms: 60_000 });
  r.clock.advance(3000);
  await assert.rejects(
    slow,
    (error) => error.code === "timeout" && error.cause.code === "overloaded",
  );
  assert.equal(ws.heard("whisk.unsubscribe").length, 1);
  r.clock.advance(60_000);
  assert.equal(ws.heard("whisk.subscribe").length, 1);
});

test("an answer that cannot be understood is the end of that subscription alone", async () => {
  const r = rig();
  const ws = await r.confirmed();
  for (const answer of [null, {}, { epoch: "e", offset: -1 }, { epoch: 5, offset: 1 }, [1]]) {
    const joining = r.client.subscribe("room");
    await settled();
    ws.ack("whisk.subscribe", answer);
    await assert.rejects(joining, code("protocol"));
  }
  assert.equal(r.client.state, "connected");
});

test("a subscription before the connection is asked for once it is confirmed", async () => {
  const r = rig();
  const joining = r.client.subscribe("room");
  const ws = await r.confirmed();
  assert.equal(ws.heard("whisk.subscribe").length, 1);
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  assert.equal((await joining).status, "active");
});

test("after a loss each channel is asked for again and hears its own result", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const told = [];
  const channels = [];
  for (const name of ["a", "b", "c"]) {
    const channel = await r.subscribed(name, { query: { of: name } }, { offset: 5 });
    channel.onStatus((status, error) => told.push([name, status, error?.code]));
    channels.push(channel);
  }
  const [a, b, c] = channels;
  ws.drop();
  assert.deepEqual(
    channels.map(({ status }) => status),
    ["dropped", "dropped", "dropped"],
  );
  const second = (await r.next()).confirm();
  const asked = second.heard("whisk.subscribe");
  assert.deepEqual(
    asked.map(({ args }) => args[0]),
    ["a", "b", "c"].map((channel) => ({ channel, query: { of: channel } })),
  );
  second.receive(
    `43${asked[0].id}[{"channel":"a","epoch":"e1","offset":8}]`,
    `43${asked[1].id}[{"error":{"code":"refused","message":"not any more"}}]`,
    `43${asked[2].id}[{"error":{"code":"rate_limited","message":"later"}}]`,
  );
  assert.deepEqual(
    [a.status, a.position, b.status, b.error.code, c.status, c.error.code],
    ["active", { epoch: "e1", offset: 8 }, "refused", "refused", "retrying", "rate_limited"],
  );
  await assert.rejects(b.publish("t"), code("not_subscribed"));
  r.clock.advance(250);
  second.ack("whisk.subscribe", { channel: "c", epoch: "e2", offset: 0 });
  assert.deepEqual([c.status, c.error, c.position.epoch], ["active", null, "e2"]);
  assert.deepEqual(told, [
    ["a", "dropped", undefined],
    ["b", "dropped", undefined],
    ["c", "dropped", undefined],
    ["a", "subscribing", undefined],
    ["b", "subscribing", undefined],
    ["c", "subscribing", undefined],
    ["a", "active", undefined],
    ["b", "refused", "refused"],
    ["c", "retrying", "rate_limited"],
    ["c", "subscribing", "rate_limited"],
    ["c", "active", undefined],
  ]);
  assert.deepEqual(r.codes(), []);
});

test("a status is told after the client's own events, and not once it has changed", async () => {
  const { r, ws, channel } = await joined();
  const order = [];
  for (const event of ["disconnect", "reconnecting", "connect", "reconnect"]) {
    r.client.on(event, () => order.push(`${event}: ${channel.status}`));
  }
  channel.onStatus((status) => order.push(status));
  ws.drop();
  (await r.next()).confirm();
  assert.deepEqual(order, [
    "disconnect: dropped",
    "dropped",
    "reconnecting: dropped",
    "connect: subscribing",
    "reconnect: subscribing",
    "subscribing",
  ]);
  r.client.once("disconnect", () => void channel.leave());
  r.sockets.at(-1).drop();
  assert.deepEqual(order.slice(6), [
    "disconnect: dropped",
    "unsubscribed",
    "reconnecting: unsubscribed",
  ]);
});

test("what came early on a lost connection is not heard on the next", async () => {
  const { r, ws, channel } = await joined();
  const seen = [];
  channel.on("t", (data) => seen.push(data));
  ws.drop();
  const second = (await r.next()).confirm();
  say(second, "room", 3, "heard and forgotten");
  second.drop();
  const third = (await r.next()).confirm();
  say(third, "room", 4, "before the position, and yet missed until now");
  say(third, "room", 6, "after");
  third.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 5 });
  assert.deepEqual(seen, ["before the position, and yet missed until now", "after"]);
  assert.deepEqual(channel.position, { epoch: "e1", offset: 6 });
});

test("the server may take a client off a channel", async () => {
  const { r, ws, channel } = await joined();
  const told = [];
  channel.onStatus((status, error) => told.push([status, error.code, error.data]));
  const failure = { code: "role_changed", message: "no", role: "guest" };
  const waiting = channel.request("t", 1);
  ws.tell("whisk.unsubscribed", { channel: "room", error: failure });
  assert.deepEqual(told, [["removed", "role_changed", failure]]);
  await assert.rejects(channel.publish("t"), (error) => error.cause.code === "role_changed");
  ws.refuse("whisk.request", "not_subscribed");
  await assert.rejects(waiting, code("not_subscribed"));
  ws.tell("whisk.unsubscribed", { channel: "room", error: failure });
  assert.equal(told.length, 1);
  // While it is asked for again, an older removal does not concern it.
  const again = r.client.subscribe("room");
  await settled();
  ws.tell("whisk.unsubscribed", { channel: "room" });
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  assert.equal((await again).status, "active");
  ws.tell("whisk.unsubscribed", { channel: "room" });
  assert.deepEqual([(await again).status, (await again).error.code], ["removed", "removed"]);
});

test("the client's end is the end of its channels", async () => {
  const { r, ws, channel } = await joined();
  const waiting = r.client.subscribe("other");
  await settled();
  const told = [];
  channel.onStatus((status, error) => told.push([status, error.code]));
  r.client.close();
  await assert.rejects(waiting, code("closed"));
  await assert.rejects(r.client.subscribe("third"), code("closed"));
  assert.deepEqual(told, [["closed", "closed"]]);
  assert.equal(ws.heard("whisk.unsubscribe").length, 0, "without presence nobody waits for it");
  assert.equal(r.clock.pending, 0);
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

test("what is published while the channel is away waits for it, or fails at once", async () => {
  const { r, ws, channel } = await joined();
  ws.drop();
  await assert.rejects(channel.publish("t", 0, { whenAway: "fail" }), code("away"));
  const waiting = [channel.publish("t", 1), channel.publish("t", 2)];
  const late = channel.publish("t", 3, { timeoutMs: 100 });
  r.clock.advance(100);
  await assert.rejects(late, code("timeout"));
  const second = (await r.next()).confirm();
  r.client.emit("plain");
  assert.equal(second.heard("whisk.publish").length, 0, "the server would refuse it now");
  await assert.rejects(channel.publish("t", 4, { whenAway: "fail" }), code("away"));
  second.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  void channel.publish("t", 5).catch(() => {});
  assert.deepEqual(
    second.heard("whisk.publish").map(({ args }) => args[1]),
    [1, 2, 5],
  );
  assert.equal(second.heard("plain").length, 1);
  r.client.close();
  for (const one of waiting) await assert.rejects(one, code("connection_dropped"));
});

test("what an active channel lets go does not leave on a connection that takes nothing new", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const joining = r.client.subscribe("room");
  await settled();
  ws.event("whisk.reconnect", { after_ms: 10 });
  r.client.emit("plain");
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  const said = (await joining).publish("t", 1);
  assert.deepEqual([ws.heard("plain"), ws.heard("whisk.publish")], [[], []]);
  ws.drop(1012);
  const second = (await r.next()).confirm();
  assert.equal(second.heard("plain").length, 1);
  second.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  second.ack("whisk.publish", { id: "m", at: 1 });
  await said;
});

test("a handler of a status may find out that the connection is dead", async () => {
  const { r, ws, channel } = await joined({ presence: { label: "x" } });
  const told = [];
  channel.onStatus((status) => {
    told.push(status);
    if (status !== "active" || told.length > 3) return;
    r.clock.time += 100_000; // The machine sleeps just now.
    r.client.emit("x");
  });
  ws.drop();
  const second = (await r.next()).confirm();
  second.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    client: "me",
    presence: { epoch: "p", version: 1, members: [] },
  });
  assert.deepEqual(told, ["dropped", "subscribing", "active", "dropped"]);
  const third = (await r.next()).confirm();
  third.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  assert.equal(channel.status, "active");
});

test("what waits for a channel is rejected when that ends", async () => {
  const { r, ws, channel } = await joined();
  ws.drop();
  const waiting = channel.publish("t", 1);
  const second = (await r.next()).confirm();
  second.refuse("whisk.subscribe", "refused");
  await assert.rejects(waiting, (e) => e.code === "not_subscribed" && e.cause.code === "refused");
});

test("the private channels of user and session are always there", async () => {
  const r = rig();
  const seen = [];
  r.client.user.on("mail", (data, { channel }) => seen.push([channel, data]));
  r.client.session.onMessage((data, { channel, topic }) => seen.push([channel, topic, data]));
  const ws = await r.confirmed();
  assert.deepEqual([r.client.user.name, r.client.user.position], ["_user", null]);
  say(ws, "_user", 5, "a", { topic: "mail" });
  say(ws, "_user", 5, "double", { topic: "mail" });
  say(ws, "_session", 5, "b");
  ws.tell("whisk.position", { channel: "_user", epoch: "e2", offset: 1 });
  assert.deepEqual(r.client.user.position, { epoch: "e2", offset: 1 });
  say(ws, "_user", 2, "c", { topic: "mail" });
  ws.drop();
  // Nobody says in which epoch the next connection is: the first message is new in any case.
  const second = (await r.next()).confirm();
  say(second, "_user", 1, "d", { topic: "mail" });
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
