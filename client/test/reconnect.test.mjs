// Goal: the client comes back when it should, as fast as it may, and stays away when it is told to.
// Method: a fake WebSocket, a clock and a dice in the test's hands.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { closeCodes, comesBack } from "../whisk.js";
import { rig, until } from "./support/rig.mjs";

test("delays are anywhere below a ceiling that doubles up to its bound", async () => {
  const r = rig({ reconnect: { minMs: 100, maxMs: 1000 } });
  r.dice.value = 1;
  (await r.socket(0)).drop();
  for (let i = 0; i < 5; i += 1) (await r.next()).drop();
  assert.deepEqual(
    r.of("reconnecting").map((detail) => detail.delayMs),
    [100, 200, 400, 800, 1000, 1000],
  );
  assert.deepEqual(
    r.of("reconnecting").map((detail) => detail.attempt),
    [1, 2, 3, 4, 5, 6],
  );
  r.dice.value = 0.25;
  (await r.next()).drop();
  assert.equal(r.of("reconnecting").at(-1).delayMs, 250);
  r.dice.value = 0;
  (await r.next()).drop();
  assert.equal(r.of("reconnecting").at(-1).delayMs, 50, "never a busy loop");
});

test("the back-off starts anew only after a connection that lived", async () => {
  const r = rig();
  (await r.confirmed()).drop();
  (await r.next()).confirm().drop();
  assert.deepEqual(
    r.of("reconnecting").map((detail) => detail.attempt),
    [1, 2],
  );
  const third = (await r.next()).confirm();
  r.clock.advance(5000);
  third.drop();
  assert.equal(r.of("reconnecting").at(-1).attempt, 1);
});

test("a loss and a return are told in order", async () => {
  const r = rig();
  (await r.confirmed()).drop(1006);
  assert.deepEqual([r.client.state, r.client.address, r.client.id], ["reconnecting", null, null]);
  (await r.next()).confirm({ address: "ws/2/s1" });
  assert.deepEqual(r.names(), ["connect", "disconnect", "reconnecting", "connect", "reconnect"]);
  assert.deepEqual(r.of("disconnect"), [
    { reason: "transport close", code: 1006, willReconnect: true },
  ]);
  assert.deepEqual(r.of("reconnect"), [{ attempt: 1 }]);
  assert.equal(r.client.address, "ws/2/s1");
});

test("the number of a close tells whether to come back", async () => {
  const away = [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4100, 4101, 4102, 4103, 4150];
  const back = [
    1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4004, 4029, 4005, 4050, 3000,
  ];
  for (const [codes, want] of [
    [away, false],
    [back, true],
  ]) {
    for (const code of codes) {
      assert.equal(comesBack(code), want, `${code}`);
      const r = rig();
      (await r.confirmed()).drop(code);
      assert.equal(r.client.state, want ? "reconnecting" : "disconnected", `${code}`);
      assert.deepEqual(r.of("disconnect"), [
        { reason: "transport close", code, willReconnect: want },
      ]);
      const named = want || code === 1000 ? [] : [closeCodes.get(code)?.name ?? "dismissed"];
      assert.deepEqual(r.codes(), named, `${code}`);
      assert.equal(r.of("close").length, want ? 0 : 1);
    }
  }
  assert.deepEqual(closeCodes.get(4102), { name: "session_ended", comeBack: false });
});

test("the table of close codes is the server's", async () => {
  const source = await readFile(new URL("../../wire/src/close.rs", import.meta.url), "utf8");
  const rows = [...source.matchAll(/^\/\/\/ \| (\d+) \| `(\w+)`.* \| (yes|no) \|$/gm)].map(
    ([, code, name, back]) => [Number(code), { name, comeBack: back === "yes" }],
  );
  const named = [...source.matchAll(/^ +[A-Z_]+ = (\d+), "(\w+)", /gm)].map(([, code, name]) => [
    Number(code),
    name,
  ]);
  assert.ok(named.length > 20);
  assert.deepEqual([...closeCodes], rows);
  assert.deepEqual(
    [...closeCodes].map(([code, { name }]) => [code, name]),
    named,
  );
});

test("after a DISCONNECT the client stays away and tells the close code", async () => {
  const r = rig();
  const ws = (await r.confirmed()).receive("41");
  assert.equal(r.client.emit("late"), true, "it waits, and is counted below");
  ws.receive('42["after"]').drop(4102);
  assert.deepEqual(r.of("disconnect"), [
    { reason: "server disconnect", code: 4102, willReconnect: false },
  ]);
  assert.deepEqual(r.codes(), ["session_ended", "closed"]);
  assert.deepEqual(r.of("error")[1].data, { dropped: 1 });
  assert.ok(!ws.sent.some((frame) => frame.includes("late")));
});

test("after a DISCONNECT without a close the client closes by itself", async () => {
  const r = rig();
  const ws = (await r.confirmed()).receive("41");
  r.clock.advance(1000);
  assert.deepEqual(
    [r.client.state, ws.closedWith, r.codes()],
    ["disconnected", 1000, ["dismissed"]],
  );
});

test("a drain is honoured instead of the back-off, once", async () => {
  const r = rig();
  (await r.confirmed()).event("whisk.reconnect", { after_ms: 7321 }).drop(1012);
  assert.equal(r.of("reconnecting")[0].delayMs, 7321);
  r.clock.advance(7320);
  assert.equal(r.sockets.length, 1);
  r.clock.advance(1);
  (await r.socket(1)).drop();
  assert.equal(r.of("reconnecting")[1].delayMs, 500);
});

test("what is emitted between a drain and its close waits for the next connection", async () => {
  const r = rig();
  const leaving = await r.confirmed();
  leaving.event("whisk.reconnect", { after_ms: 100 });
  const before = leaving.sent.length;
  assert.equal(r.client.emit("n", 1), true);
  assert.equal(leaving.sent.length, before);
  leaving.drop(1012);
  r.clock.advance(100);
  const next = (await r.socket(1)).confirm();
  await until(() => next.sent.includes('42["n",1]'));
});

test("a drain's delay that is none is ignored, and a huge one is bounded", async () => {
  for (const [afterMs, want] of [
    [-1, 250],
    ["9", 250],
    [null, 250],
    [1e12, 300_000],
  ]) {
    const r = rig();
    (await r.confirmed()).event("whisk.reconnect", { after_ms: afterMs }).drop(1012);
    assert.equal(r.of("reconnecting")[0].delayMs, want);
  }
});

test("attempts are counted and end", async () => {
  const r = rig({ reconnect: { attempts: 2 } });
  (await r.socket(0)).drop();
  (await r.next()).drop();
  (await r.next()).drop();
  assert.equal(r.client.state, "disconnected");
  assert.deepEqual(r.codes(), ["transport", "transport", "reconnect_failed"]);
  assert.equal(r.of("close").length, 1);

  const never = rig({ reconnect: { attempts: 0 } });
  (await never.confirmed()).drop();
  assert.deepEqual(never.names(), ["connect", "disconnect", "error", "close"]);
});

test("a list of URLs turns with each loss, and a function is asked each time", async () => {
  const list = rig({ url: ["ws://a", "ws://b"] });
  (await list.confirmed()).drop();
  (await list.next()).drop();
  await list.next();
  assert.deepEqual(
    list.sockets.map((ws) => new URL(ws.url).hostname),
    ["a", "b", "a"],
  );

  const names = ["x", "y"];
  const asked = rig({ url: async () => `ws://${names.shift()}` });
  (await asked.socket(0)).drop();
  await asked.next();
  assert.deepEqual(
    asked.sockets.map((ws) => new URL(ws.url).hostname),
    ["x", "y"],
  );
});

test("a URL that turns out wrong is the end, a function that fails is tried again", async () => {
  const wrong = rig({ url: () => "ftp://x" });
  await until(() => wrong.client.state === "disconnected");
  assert.deepEqual(wrong.codes(), ["bad_option"]);
  const failing = rig({ url: () => Promise.reject(new Error("lookup")) });
  await until(() => failing.client.state === "reconnecting");
  assert.deepEqual(failing.codes(), ["unavailable"]);
});

test("pings are answered, and their absence is a loss", async () => {
  const r = rig();
  const ws = await r.confirmed({}, { pingInterval: 300, pingTimeout: 200 });
  for (let i = 0; i < 5; i += 1) {
    r.clock.advance(400);
    ws.receive("2");
  }
  assert.deepEqual(ws.sent.slice(1), ["3", "3", "3", "3", "3"]);
  r.clock.advance(499);
  assert.equal(r.client.state, "connected");
  r.clock.advance(1);
  assert.deepEqual([r.client.state, ws.closedWith], ["reconnecting", 4002]);
  assert.deepEqual(r.of("disconnect"), [
    { reason: "ping timeout", code: null, willReconnect: true },
  ]);
});

test("an emit after a sleep does not go into a dead connection", async () => {
  const r = rig();
  const ws = await r.confirmed({}, { pingInterval: 300, pingTimeout: 200 });
  r.clock.time += 10_000; // The machine slept: no timer ran.
  assert.equal(r.client.emit("awake"), true);
  assert.equal(r.client.state, "reconnecting");
  assert.ok(!ws.sent.some((frame) => frame.includes("awake")));
  const second = (await r.next()).confirm();
  assert.equal(second.sent.at(-1), '42["awake"]');
});

test("an old connection's late words reach nobody", async () => {
  const r = rig();
  const first = await r.confirmed();
  const { onmessage, onclose } = first;
  let heard = 0;
  r.client.on("x", () => {
    heard += 1;
  });
  first.drop();
  onmessage({ data: '42["x"]' });
  onclose({ code: 4102 });
  assert.deepEqual([heard, r.client.state], [0, "reconnecting"]);
});

test("close says good-bye and is for good", async () => {
  const r = rig();
  const ws = await r.confirmed();
  r.client.close();
  r.client.close();
  assert.equal(ws.sent.at(-1), "41");
  assert.deepEqual([ws.closedWith, r.client.state, r.clock.pending], [1000, "disconnected", 0]);
  assert.deepEqual(r.names(), ["connect", "disconnect", "close"]);
  assert.deepEqual(r.of("disconnect"), [
    { reason: "client closed", code: 1000, willReconnect: false },
  ]);
});

test("a handler may close the client at any event", async () => {
  for (const event of ["connect", "disconnect", "reconnecting", "error"]) {
    const r = rig();
    r.client.on(event, () => r.client.close());
    const ws = await r.socket(0);
    if (event === "error") ws.drop();
    else ws.confirm().drop();
    assert.equal(r.client.state, "disconnected", event);
    assert.equal(r.clock.pending, 0, event);
    assert.equal(r.of("close").length, 1, event);
  }
});
