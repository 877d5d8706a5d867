// Goal: who asks gets an answer or a typed error, on the client's own events and on channels, and
// what repeats does not pile up. Method: a fake WebSocket and a clock in the test's hands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WhiskError } from "../whisk.js";
import { joined, rig, settled, until } from "./support/rig.mjs";

const code = (want) => (error) => error instanceof WhiskError && error.code === want;

/** A request of another client, or a question of the server. */
const asked = (ws, more = {}, data = "why") =>
  ws.tell(
    "whisk.message",
    { channel: "room", topic: "speed", id: "q1", from: "ws/2/b", at: 5, ask: true, ...more },
    data,
  );

test("an ask gets its answer or the handler's error", async () => {
  const r = rig();
  const ws = await r.confirmed();
  const answer = r.client.ask("exam.time", { of: 42 });
  assert.equal(ws.sent.at(-1), '420["exam.time",{"of":42}]');
  ws.ack("exam.time", { left: 60 });
  assert.deepEqual(await answer, { left: 60 });
  for (const want of ["unknown_event", "overloaded", "timeout", "mine"]) {
    const refused = r.client.ask("exam.time");
    ws.refuse("exam.time", want, { more: 1 });
    await assert.rejects(refused, (error) => error.code === want && error.data.more === 1);
  }
  const late = r.client.ask("slow", 1, { timeoutMs: 100 });
  const lost = r.client.ask("lost", 1);
  r.clock.advance(100);
  await assert.rejects(late, code("timeout"));
  ws.drop();
  await assert.rejects(lost, code("connection_dropped"));
});

test("while away an ask waits or fails at once, as the caller chose", async () => {
  const r = rig();
  await assert.rejects(r.client.ask("a", 1, { whenAway: "fail" }), code("away"));
  assert.equal(r.client.tell("a", 1, { whenAway: "fail" }), false);
  assert.deepEqual(r.codes(), ["away"]);
  await assert.rejects(r.client.ask("a", 1, { whenAway: "?" }), TypeError);
  assert.throws(() => r.client.tell("a", 1, { whenAway: "?" }), TypeError);
  const waiting = r.client.ask("b", 2);
  assert.equal(r.client.tell("c", 3), true);
  const ws = await r.confirmed();
  assert.deepEqual(ws.sent.slice(1), ['421["b",2]', '42["c",3]']);
  ws.ack("b", "yes");
  assert.equal(await waiting, "yes");
  // A connection that is about to close takes nothing new either.
  ws.event("whisk.reconnect", { after_ms: 10 });
  await assert.rejects(r.client.ask("a", 1, { whenAway: "fail" }), code("away"));
});

test("a tell says nothing more unless an acknowledgement is asked for", async () => {
  const r = rig();
  const ws = await r.confirmed();
  assert.equal(r.client.tell("seat.taken", { seat: 3 }), true);
  assert.equal(ws.sent.at(-1), '42["seat.taken",{"seat":3}]');
  assert.equal(r.client.tell("ping"), true);
  assert.equal(ws.sent.at(-1), '42["ping"]');
  const told = r.client.tell("seat.taken", { seat: 3 }, { ack: true });
  assert.equal(ws.sent.at(-1), '420["seat.taken",{"seat":3}]');
  ws.ack("seat.taken", "handled");
  assert.equal(await told, "handled");
  await assert.rejects(
    Promise.resolve(r.client.tell("x", 1, { ack: true, timeoutMs: -1 })),
    TypeError,
  );
  assert.throws(() => r.client.tell("disconnect", 1), TypeError);
});

test("an acknowledgement's id is never used again on a connection", async () => {
  const { r, ws, channel } = await joined();
  const ids = () => ws.sent.map((frame) => /^42(\d+)/.exec(frame)?.[1]).filter(Boolean);
  for (let i = 0; i < 20; i += 1) {
    const asks = [r.client.ask("a"), channel.request("b"), channel.publish("c")];
    ws.ack("a", 1);
    ws.ack("whisk.request", { id: "m", at: 1 });
    ws.ack("whisk.publish", { id: "m", at: 1 });
    await Promise.all(asks);
  }
  assert.deepEqual(
    ids(),
    Array.from({ length: 61 }, (_, i) => String(i)),
  );
});

test("a request is promised its first reply, with who gave it", async () => {
  const { r, ws, channel } = await joined();
  const reply = channel.request("speed", { n: 1 }, { to: "c7", timeoutMs: 800 });
  assert.deepEqual(ws.heard("whisk.request")[0].args, [
    { channel: "room", topic: "speed", to: "c7", timeout_ms: 800 },
    { n: 1 },
  ]);
  r.clock.advance(30);
  ws.ack("whisk.request", { id: "m1", at: 9, from: "ws/2/b", client: "c7", user: 4, data: [1] });
  assert.deepEqual(await reply, {
    data: [1],
    id: "m1",
    at: 9,
    from: "ws/2/b",
    client: "c7",
    user: 4,
    tookMs: 30,
  });
  // A handler of the server has no address.
  const served = channel.request("speed");
  ws.ack("whisk.request", { id: "m2", at: 9, data: null });
  assert.deepEqual(await served, {
    data: null,
    id: "m2",
    at: 9,
    from: undefined,
    client: undefined,
    user: null,
    tookMs: 0,
  });
});

test("a request nobody answers, or that is refused, rejects with its code", async () => {
  const { r, ws, channel } = await joined();
  const refused = channel.request("speed");
  assert.equal(ws.heard("whisk.request")[0].args[0].timeout_ms, 5000);
  ws.refuse("whisk.request", "busy", { retry: false });
  await assert.rejects(refused, (error) => error.code === "busy" && error.data.retry === false);
  const there = channel.request("speed");
  ws.refuse("whisk.request", "timeout");
  await assert.rejects(there, code("timeout"));
  const here = channel.request("speed");
  r.clock.advance(5000);
  await assert.rejects(here, code("timeout"));
  for (const answer of [null, { id: "m" }, { at: 1 }, { id: "m", at: 1, from: 5 }]) {
    const odd = channel.request("speed");
    ws.ack("whisk.request", answer);
    await assert.rejects(odd, code("protocol"));
  }
  await assert.rejects(channel.request("speed", 1, { timeoutMs: 60_001 }), TypeError);
});

test("a handler answers by what it returns, by reply, or by a refusal", async () => {
  const { r, ws, channel } = await joined();
  const cases = [
    [() => ({ ms: 3 }), [{ channel: "room", to: "ws/2/b", re: "q1" }, { ms: 3 }]],
    [async () => "later", [{ channel: "room", to: "ws/2/b", re: "q1" }, "later"]],
    [() => null, [{ channel: "room", to: "ws/2/b", re: "q1" }, null]],
    [(_, message) => void message.reply(), [{ channel: "room", to: "ws/2/b", re: "q1" }]],
    [
      (_, message) => void message.refuse("busy", "ask again"),
      [{ channel: "room", to: "ws/2/b", re: "q1", error: { code: "busy", message: "ask again" } }],
    ],
    [
      async () => {
        throw new WhiskError("not_here", "moved");
      },
      [{ channel: "room", to: "ws/2/b", re: "q1", error: { code: "not_here", message: "moved" } }],
    ],
  ];
  for (const [handler, want] of cases) {
    channel.once("speed", handler);
    asked(ws);
    await settled();
    assert.deepEqual(ws.heard("whisk.reply").at(-1).args, want);
  }
  assert.equal(ws.heard("whisk.reply").length, cases.length);
  assert.ok(
    ws.heard("whisk.reply").every(({ id }) => id !== ""),
    "each can be acknowledged",
  );
  assert.deepEqual(r.codes(), []);
});

test("who returns nothing leaves the answer to others, and one answer goes out", async () => {
  const { r, ws, channel } = await joined();
  const results = [];
  channel.on("speed", () => {});
  asked(ws);
  await settled();
  assert.equal(ws.heard("whisk.reply").length, 0);
  channel.on("speed", (_, { reply, refuse }) => {
    results.push(reply(1), reply(2), refuse("x"));
    return 3;
  });
  channel.on("speed", () => 4);
  asked(ws);
  await settled();
  assert.deepEqual(
    ws.heard("whisk.reply").map(({ args }) => args[1]),
    [1],
  );
  assert.deepEqual(results, [true, false, false]);
  // What nobody waits for has no answer, whatever is returned.
  channel.off("speed").on("speed", (_, message) => [message.reply, message.refuse]);
  ws.tell("whisk.message", { channel: "room", topic: "speed", id: "n" }, 1);
  await settled();
  assert.equal(ws.heard("whisk.reply").length, 1);
  assert.deepEqual(r.codes(), []);
});

test("who is asked alone says so when it cannot answer; one of many stays silent", async () => {
  const { r, ws, channel } = await joined();
  const last = () => ws.heard("whisk.reply").at(-1)?.args[0].error?.code;
  asked(ws);
  await settled();
  assert.equal(last(), undefined);
  asked(ws, { direct: true });
  await settled();
  assert.equal(last(), "unknown_event");
  channel.on("speed", () => {
    throw new Error("inner detail");
  });
  asked(ws);
  await settled();
  assert.equal(ws.heard("whisk.reply").length, 1);
  asked(ws, { direct: true });
  await settled();
  assert.equal(last(), "internal");
  channel.off("speed").on("speed", () => 1n);
  asked(ws, { direct: true });
  await settled();
  assert.equal(ws.heard("whisk.reply").length, 3);
  assert.deepEqual(r.codes(), ["handler_failed", "handler_failed", "not_serializable"]);
  channel.off("speed").once("speed", () => {
    throw new WhiskError("");
  });
  asked(ws, { direct: true });
  await settled();
  assert.equal(last(), "internal");
  channel.on("speed", (_, { refuse }) => void refuse());
  asked(ws, { direct: true });
  await settled();
  assert.equal(last(), "internal");
});

test("the private channels are asked and answer like any other", async () => {
  const r = rig();
  const ws = await r.confirmed();
  r.client.user.on("speed", (data) => `${data}!`);
  asked(ws, { channel: "_user" });
  await settled();
  assert.deepEqual(ws.heard("whisk.reply")[0].args, [
    { channel: "_user", to: "ws/2/b", re: "q1" },
    "why!",
  ]);
  ws.refuse("whisk.reply", "rate_limited");
  assert.deepEqual(r.codes(), ["rate_limited"]);
  asked(ws, { channel: "_user" });
  await settled();
  ws.drop();
  assert.deepEqual(r.codes(), ["rate_limited"], "what became of it is the asker's to learn");
});

test("an answer after the end of the channel goes nowhere", async () => {
  const { r, ws, channel } = await joined();
  let answer;
  channel.on("speed", (_, message) => {
    answer = message.reply;
  });
  asked(ws);
  void channel.leave();
  assert.equal(answer(1), false);
  assert.equal(ws.heard("whisk.reply").length, 0);
  assert.deepEqual(r.codes(), []);
});

test("every asks anew each time, and leaves a beat out instead of piling up", async () => {
  const { r, ws, channel } = await joined();
  const replies = [];
  let n = 0;
  const stop = channel.every(
    1000,
    () => ({ topic: "speed", data: (n += 1), to: "c7" }),
    ({ data, tookMs }) => replies.push([data, tookMs]),
  );
  const requests = () => ws.heard("whisk.request").map(({ args }) => args[1]);
  assert.deepEqual(requests(), []);
  r.clock.advance(1000);
  await until(() => requests().length === 1);
  // Unanswered for two beats.
  r.clock.advance(2500);
  await settled();
  assert.deepEqual(requests(), [1]);
  ws.ack("whisk.request", { id: "m", at: 1, data: "one" });
  await settled();
  r.clock.advance(499);
  assert.equal(requests().length, 1);
  r.clock.advance(1);
  await until(() => requests().length === 2);
  stop();
  ws.ack("whisk.request", { id: "m", at: 1, data: "late" });
  await settled();
  r.clock.advance(10_000);
  await settled();
  assert.deepEqual([requests(), replies], [[1, 2], [["one", 2500]]]);
});

test("every leaves out what is nothing, rests while away, and ends with its channel", async () => {
  const { r, ws, channel } = await joined();
  let calls = 0;
  channel.every(
    100,
    async () => {
      calls += 1;
      return calls === 1 ? null : { topic: "t" };
    },
    () => {},
  );
  const requests = (socket) => socket.heard("whisk.request").length;
  r.clock.advance(100);
  await settled();
  assert.deepEqual([calls, requests(ws)], [1, 0]);
  ws.drop();
  r.clock.advance(200);
  await settled();
  assert.equal(calls, 1);
  const second = (await r.next()).confirm();
  second.ack("whisk.subscribe", { channel: "room", epoch: "e1", offset: 0 });
  r.clock.advance(100);
  await until(() => requests(second) === 1);
  second.ack("whisk.request", { id: "m", at: 1 });
  await settled();
  void channel.leave();
  r.clock.advance(1000);
  await settled();
  assert.deepEqual([calls, requests(second)], [2, 1]);
  channel.every(
    100,
    () => ({ topic: "t" }),
    () => {},
  );
  r.clock.advance(1000);
  await settled();
  assert.equal(requests(second), 1);
  r.client.close();
  assert.equal(r.clock.pending, 0);
});

test("what fails in every goes to its onError, or is an error of the client, and it goes on", async () => {
  const { r, ws, channel } = await joined();
  const failures = [];
  const bad = [
    () => {
      throw new Error("mine");
    },
    () => "no object",
    () => ({ topic: "t", timeoutMs: 50 }),
  ];
  for (const onError of [(error) => failures.push(error.code ?? error.message), undefined]) {
    const makes = [...bad];
    const stop = channel.every(
      100,
      () => makes.shift()?.(),
      () => {},
      { onError },
    );
    for (let i = 0; i < 4; i += 1) {
      r.clock.advance(100);
      await settled();
    }
    stop();
  }
  assert.deepEqual(failures, ["mine", "what every asks is an object with a topic", "timeout"]);
  assert.deepEqual(r.codes(), ["handler_failed", "handler_failed", "timeout"]);
  assert.equal(ws.heard("whisk.request").length, 2);
  assert.throws(
    () =>
      channel.every(
        0,
        () => {},
        () => {},
      ),
    TypeError,
  );
  assert.throws(() => channel.every(10, () => {}), TypeError);
});
