// Goal: a subscription stands as it says, over refusals, losses, removals and the client's end.
// Method: a fake WebSocket and a clock in the test's hands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { joined, rig, settled } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

/** A message as the server sends it. */
const say = (ws, channel, offset, data, more = {}) =>
  ws.tell("whisk.message", { channel, topic: "t", offset, id: `m${offset}`, at: 5, ...more }, data);

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

test("a server that could not judge in this moment is asked again", async () => {
  const { r, ws, channel } = await joined();
  const told = [];
  channel.onStatus((status, error) => told.push([status, error?.code]));
  const failure = { code: "unavailable", message: "try later" };
  ws.tell("whisk.unsubscribed", { channel: "room", error: failure });
  assert.deepEqual([channel.status, channel.error.code], ["retrying", "unavailable"]);
  r.clock.advance(250);
  assert.equal(ws.heard("whisk.subscribe").length, 2);
  ws.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 3 });
  const codes = ["retrying", "subscribing", "active"];
  assert.deepEqual(told.map(([status]) => status), codes);
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
