// Goal: each message is delivered, or its sender learns what became of it; handlers never break the
// client. Method: a fake WebSocket played by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { rig, settled, until } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

test("emits before confirmation wait and leave in order", async () => {
  const r = rig();
  assert.equal(r.client.emit("a", 1), true);
  const ws = (await r.socket(0)).open();
  r.client.emit("b", { x: 1 }, "two");
  assert.equal(ws.sent.length, 1, "only CONNECT went out");
  r.client.on("connect", () => r.client.emit("c"));
  ws.receive('40{"sid":"s1"}').event("whisk.auth.accept", {
    success: true,
    user_id: 1,
    address: "ws/1/s1",
  });
  assert.deepEqual(ws.sent.slice(1), ['42["a",1]', '42["b",{"x":1},"two"]', '42["c"]']);
});

test("more than 128 waiting emits are refused, and told", async () => {
  const r = rig();
  for (let i = 0; i < 128; i += 1) assert.equal(r.client.emit("n", i), true);
  assert.equal(r.client.emit("n", 128), false);
  assert.deepEqual(r.codes(), ["buffer_full"]);
  await assert.rejects(r.client.emitWithAck("n", 129), code("buffer_full"));
  const ws = await r.confirmed();
  assert.equal(ws.sent.length, 129);
  assert.equal(ws.sent.at(-1), '42["n",127]');
});

test("a transport that does not keep up refuses", async () => {
  const r = rig();
  const ws = await r.confirmed();
  ws.bufferedAmount = 5 * 1024 * 1024;
  assert.equal(r.client.emit("x"), false);
  assert.deepEqual(r.codes(), ["buffer_full"]);
});

test("an acknowledgement resolves with its value", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const answer = r.client.emitWithAck("world.say", { message: "hi" });
  assert.equal(ws.sent.at(-1), '420["world.say",{"message":"hi"}]');
  ws.receive('430[{"at":"now"}]');
  assert.deepEqual(await answer, { at: "now" });
  const nothing = r.client.emitWithAck("ping");
  assert.equal(ws.sent.at(-1), '421["ping"]');
  ws.receive("431[]");
  assert.equal(await nothing, undefined);
  assert.equal(r.clock.pending, 1, "only the heartbeat's timer is left");
});

test("an error acknowledgement rejects with its code and all of its data", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const answer = r.client.emitWithAck("world.say", 3);
  ws.receive('430[{"error":{"code":"bad_payload","message":"no string","path":"/message"}}]');
  await assert.rejects(answer, (error) => {
    assert.deepEqual(
      [error.code, error.message, error.data.path],
      ["bad_payload", "no string", "/message"],
    );
    return true;
  });
  // A value that merely has a field of that name is a value.
  for (const [i, body] of [
    '{"error":null}',
    '{"error":"text"}',
    '{"error":{"code":5}}',
  ].entries()) {
    const value = r.client.emitWithAck("x");
    ws.receive(`43${i + 1}[${body}]`);
    assert.deepEqual(await value, JSON.parse(body));
  }
});

test("no acknowledgement in time is a timeout, and a late one is nobody's", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const first = r.client.emitWithAck("slow", null, { timeoutMs: 100 });
  r.clock.advance(100);
  await assert.rejects(first, code("timeout"));
  const second = r.client.emitWithAck("next");
  ws.receive('430["late"]', '431["mine"]', '431["twice"]');
  assert.equal(await second, "mine");
});

test("what timed out in the queue is never sent", async () => {
  const r = rig();
  const waiting = r.client.emitWithAck("stale", 1, { timeoutMs: 100 });
  r.clock.advance(100);
  await assert.rejects(waiting, code("timeout"));
  assert.equal((await r.confirmed()).sent.length, 1);
});

test("a loss rejects what was sent and keeps what waits; ids are never used again", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const sent = r.client.emitWithAck("sent");
  ws.drop();
  await assert.rejects(sent, code("connection_dropped"));
  const waiting = r.client.emitWithAck("waiting");
  const second = (await r.next()).confirm();
  assert.equal(second.sent.at(-1), '421["waiting"]');
  second.receive('430["old id"]', '431["new id"]');
  assert.equal(await waiting, "new id");
});

test("the end rejects what waits and counts what was dropped", async () => {
  const r = rig();
  const waiting = r.client.emitWithAck("a");
  r.client.emit("b");
  r.client.close();
  await assert.rejects(waiting, code("closed"));
  assert.deepEqual(
    r.of("error").map((error) => [error.code, error.data]),
    [["closed", { dropped: 1 }]],
  );
  assert.equal(r.client.emit("c"), false);
  await assert.rejects(r.client.emitWithAck("d"), code("closed"));
});

test("an emit beyond the server's bound is refused here", async () => {
  const r = rig();
  const early = r.client.emitWithAck("big", "x".repeat(100));
  r.client.emit("big", "x".repeat(100));
  r.client.emit("small");
  const ws = await r.confirmed({}, { maxPayload: 64 });
  await assert.rejects(early, code("payload_too_large"));
  assert.deepEqual(r.codes(), ["payload_too_large"]);
  assert.deepEqual(ws.sent.slice(1), ['42["small"]']);
  // The whole frame counts, in bytes: 42["e","…"] around the text is 10.
  assert.equal(r.client.emit("e", "x".repeat(54)), true);
  assert.equal(Buffer.byteLength(ws.sent.at(-1)), 64);
  assert.equal(r.client.emit("e", "x".repeat(55)), false);
  assert.equal(r.client.emit("e", "ä".repeat(27)), true);
  assert.equal(r.client.emit("e", "ä".repeat(28)), false);
  await assert.rejects(r.client.emitWithAck("e", "x".repeat(60)), code("payload_too_large"));
});

test("a server without a bound takes anything", async () => {
  const r = rig();
  await r.confirmed({}, { maxPayload: 0 });
  assert.equal(r.client.emit("big", "x".repeat(1_000_000)), true);
});

test("what JSON cannot say is refused instead of mangled", async () => {
  const r = rig();
  await r.confirmed();
  const loop = {};
  loop.loop = loop;
  for (const value of [
    loop,
    1n,
    new Uint8Array(1),
    { deep: [new ArrayBuffer(1)] },
    Buffer.from("x"),
  ]) {
    assert.equal(r.client.emit("x", value), false);
    await assert.rejects(r.client.emitWithAck("x", value), code("not_serializable"));
  }
  assert.deepEqual(new Set(r.codes()), new Set(["not_serializable"]));
  assert.throws(() => r.client.emit("x", () => {}), TypeError);
  assert.throws(() => r.client.emit(3), TypeError);
  assert.throws(() => r.client.emit("disconnect"), TypeError);
});

test("handlers get all arguments, once and off do as they say", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const seen = [];
  const on = (...args) => seen.push(["on", ...args]);
  r.client.on("e", on).once("e", (...args) => seen.push(["once", ...args]));
  ws.receive('42["e",1,{"a":2}]', '42["e"]');
  assert.deepEqual(seen, [["on", 1, { a: 2 }], ["once", 1, { a: 2 }], ["on"]]);
  r.client.off("e", on);
  r.client.on("e", () => seen.push("left")).off("e");
  ws.receive('42["e"]');
  assert.equal(seen.length, 3);
});

test("what a handler returns is the acknowledgement", async () => {
  const r = rig();
  const ws = await r.confirmed();
  r.client.on("value", (n) => n + 1).on("value", () => "second");
  r.client.on("promise", async () => ({ yes: true }));
  r.client.on("nothing", () => {});
  r.client.on("refuses", () => {
    throw new WhiskError("busy", "later");
  });
  r.client.on("fails", async () => {
    throw new Error("inner detail");
  });
  r.client.on("unsayable", () => 1n);
  const answers = [
    ["value", "431[2]"],
    ["promise", '431[{"yes":true}]'],
    ["nothing", "431[]"],
    ["refuses", '431[{"error":{"code":"busy","message":"later"}}]'],
    ["fails", '431[{"error":{"code":"internal","message":"the handler failed"}}]'],
    ["unsayable", '431[{"error":{"code":"internal","message":"the handler failed"}}]'],
    ["unknown", '431[{"error":{"code":"unknown_event","message":"no handler for this event"}}]'],
  ];
  for (const [event, want] of answers) {
    const before = ws.sent.length;
    ws.event(event, 1, 1);
    await until(() => ws.sent.length > before);
    assert.equal(ws.sent.at(-1), want);
  }
  assert.deepEqual(
    r.of("error").map((error) => [error.code, error.data.event]),
    [
      ["handler_failed", "fails"],
      ["handler_failed", "unsayable"],
    ],
  );
});

test("an answer that is ready after a loss goes nowhere", async () => {
  const r = rig();
  let answer;
  r.client.on(
    "ask",
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  (await r.confirmed()).event("ask", 1, 4).drop();
  const second = (await r.next()).confirm();
  const before = second.sent.length;
  answer("late");
  await settled();
  assert.equal(second.sent.length, before);
});

test("a handler that throws disturbs neither its neighbours nor the client", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const seen = [];
  r.client
    .on("e", () => {
      throw new Error("mine");
    })
    .on("e", () => seen.push("neighbour"));
  r.client.on("connect", () => {
    throw new WhiskError("mine");
  });
  ws.receive('42["e"]').drop();
  (await r.next()).confirm();
  await settled();
  assert.deepEqual(seen, ["neighbour"]);
  assert.deepEqual(r.codes(), ["handler_failed", "handler_failed"]);
  assert.equal(r.client.state, "connected");
});

test("the server cannot trigger the client's own events", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const before = r.fired.length;
  for (const name of ["connect", "disconnect", "reconnecting", "reconnect", "error", "close"]) {
    ws.event(name, { code: "forged" });
  }
  assert.equal(r.fired.length, before);
  assert.equal(r.client.state, "connected");
});

test("groups are there before the first packet and never doubled by a reconnection", async () => {
  const seen = [];
  const note =
    (name) =>
    (...args) =>
      void seen.push([name, ...args]);
  const r = rig({
    groups: {
      base: {
        disconnect: note("lost"),
        reconnecting: { callback: note("away") },
        reconnect: { handler: note("again"), callback: note("again too") },
        close: note("end"),
      },
      whisk: {
        "whisk.auth.accept": { handler: ({ user_id }) => void seen.push(["user", user_id]) },
      },
      app: { "world.reply": { handler: note("reply"), callback: note("also") } },
    },
  });
  const ws = await r.confirmed();
  ws.event("world.reply", 1).drop();
  const second = (await r.next()).confirm();
  second.event("world.reply", 2);
  r.client.off("world.reply");
  second.event("world.reply", 3);
  r.client.close();
  assert.deepEqual(
    seen.map(([name]) => name),
    [
      "user",
      "reply",
      "also",
      "lost",
      "away",
      "again",
      "again too",
      "user",
      "reply",
      "also",
      "reply",
      "also",
      "lost",
      "end",
    ],
  );
});

test("a group's handler answers, its callback and the handlers of on do not", async () => {
  const r = rig({
    groups: { app: { ask: { handler: () => "group", callback: () => "callback" } } },
  });
  r.client.on("ask", () => "on");
  const ws = await r.confirmed();
  ws.event("ask", null, 3);
  await until(() => ws.sent.length === 2);
  assert.equal(ws.sent[1], '433["group"]');
});
