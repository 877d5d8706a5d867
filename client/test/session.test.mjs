// Goal: a living connection follows its session: changed, renewed in place, run out, put out; and a
// client is the same one to the server whenever it comes back. Method: a fake WebSocket by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientSecret, connect, WhiskError } from "../whisk.js";
import { rig, settled, until } from "./support/rig.mjs";

test("each client has a secret of its own, the same over reconnections", async () => {
  const [one, other] = [rig(), rig()];
  const first = (await one.socket(0)).open().said.whisk_client;
  assert.match(first, /^[0-9a-f]{32}$/);
  assert.notEqual((await other.socket(0)).open().said.whisk_client, first);
  one.sockets[0].drop();
  assert.equal((await one.next()).open().said.whisk_client, first);
  assert.notEqual(clientSecret(), clientSecret());
});

test("a secret may be given, and nothing else in auth replaces it", async () => {
  const client = clientSecret();
  const r = rig({ client, auth: { whisk_client: "another one of the page", device: "d" } });
  const { said } = (await r.socket(0)).open();
  assert.deepEqual(said, { whisk_client: client, device: "d", ws_token: "t1" });
  class WebSocket {}
  for (const wrong of ["", "x".repeat(15), "x".repeat(129), 5, null]) {
    assert.throws(
      () => connect({ url: "ws://x", token: "t", WebSocket, client: wrong }),
      (error) => error.code === "bad_option" && /client/.test(error.message),
    );
  }
});

test("a booted client hears the reason and stays away", async () => {
  const endings = [
    (ws) => ws.receive("41").drop(4100),
    (ws) => ws.drop(4100),
    (ws) => ws.drop(1006),
    (ws, { clock }) => clock.advance(1000),
  ];
  for (const end of endings) {
    const r = rig();
    const ws = await r.confirmed();
    const channel = await r.subscribed("room");
    const waiting = r.client.ask("x");
    const told = [];
    channel.onStatus((status) => told.push(status));
    const before = ws.sent.length;
    ws.event("whisk.boot", { reason: "the exam is over" });
    assert.equal(r.client.emit("late"), true, "it waits, and is counted below");
    assert.equal(ws.sent.length, before);
    end(ws, r);
    assert.equal(r.client.state, "disconnected");
    await assert.rejects(waiting, { code: "connection_dropped" });
    const [closed] = r.of("close");
    assert.deepEqual([closed.reason, closed.bootReason], ["booted", "the exam is over"]);
    assert.deepEqual(r.codes(), ["booted", "closed"]);
    assert.equal(r.of("error")[0].message, "the exam is over");
    assert.deepEqual([told, channel.error.code], [["booted"], "booted"]);
    assert.equal(r.of("disconnect")[0].willReconnect, false);
    assert.equal(r.clock.pending, 0);
  }
});

test("a boot without a reason that is one is a boot all the same", async () => {
  for (const payload of [undefined, null, {}, { reason: 5 }, { __proto__: { reason: "x" } }, []]) {
    const r = rig();
    (await r.confirmed()).event("whisk.boot", payload).drop(4100);
    assert.deepEqual(r.of("close"), [{ reason: "booted", code: 4100, bootReason: "" }]);
  }
});

test("a changed session is told with its user", async () => {
  const seen = [];
  const r = rig({ groups: { base: { session: (detail) => seen.push(["base", detail.userId]) } } });
  r.client.on("session", (detail) => seen.push(detail));
  const ws = await r.confirmed();
  ws.event("whisk.session", { user_id: 9, role: "proctor" });
  assert.equal(r.client.userId, 9);
  ws.event("whisk.session", {});
  assert.equal(r.client.userId, null);
  assert.deepEqual(seen, [
    ["base", 9],
    { userId: 9, data: { user_id: 9, role: "proctor" } },
    ["base", null],
    { userId: null, data: {} },
  ]);
  // The server's application has no event of that name.
  ws.event("session", { user_id: 1 });
  assert.equal(seen.length, 4);
});

test("a confirmation that runs out is renewed in place with a fresh token", async () => {
  let tokens = 0;
  const r = rig({ getToken: () => `f${(tokens += 1)}` });
  const ws = await r.confirmed();
  for (const n of [1, 2]) {
    ws.event("whisk.auth.request", {}, n);
    await until(() => ws.sent.includes(`43${n}[{"ws_token":"f${n}"}]`));
    ws.event("whisk.auth.accept", {
      success: true,
      user_id: 7 + n,
      address: "ws/1/s1",
      resume: `n${n}`,
    });
    r.clock.advance(20_000);
    ws.receive("2");
  }
  assert.deepEqual([r.client.state, r.client.userId, r.sockets.length], ["connected", 9, 1]);
  assert.deepEqual(r.names(), ["connect"]);
  ws.drop();
  assert.deepEqual((await r.next()).open().auth, { resume: "n2" });
});

test("a renewal without fresh tokens shows the resume", async () => {
  const r = rig();
  const ws = await r.confirmed();
  ws.event("whisk.auth.request", {}, 1);
  await until(() => ws.sent.at(-1) === '431[{"resume":"r1"}]');
  const failing = rig({ getToken: () => Promise.reject(new Error("network")) });
  const other = await failing.confirmed();
  other.event("whisk.auth.request", {}, 1);
  await until(() => other.sent.at(-1) === '431[{"resume":"r1"}]');
  assert.deepEqual(failing.codes(), []);
});

test("a renewal may be answered by a handler, which gets the standard answer on demand", async () => {
  const handler = async (_, standard) => ({ ...(await standard()), more: 1 });
  const r = rig({ getToken: () => "fresh", groups: { whisk: { "whisk.auth.request": handler } } });
  const ws = await r.confirmed();
  ws.event("whisk.auth.request", {}, 1);
  await until(() => ws.sent.at(-1) === '431[{"ws_token":"fresh","more":1}]');
});

test("what the server's own gate admitted is renewed by a handler, also without a session", async () => {
  const handler = ({ for: what }) => ({ pass: what });
  const groups = { whisk: { "whisk.auth.request": handler } };
  const r = rig({ token: undefined, session: false, groups });
  const ws = (await r.socket(0)).open().receive('40{"sid":"s1"}');
  ws.event("whisk.auth.request", { for: "admission" }, 1);
  await until(() => ws.sent.at(-1) === '431[{"pass":"admission"}]');
  assert.equal(r.client.state, "connected");
});

test("a renewal that fails is told, and the connection goes on until the server ends it", async () => {
  const ends = [
    (ws) =>
      ws
        .event("whisk.auth.error", { error: { code: "auth_expired", message: "too late" } })
        .drop(4005),
    (ws) => ws.drop(4005),
  ];
  for (const [i, end] of ends.entries()) {
    const tokens = [
      () => {
        throw new WhiskError("no_session");
      },
      () => "fresh",
    ];
    const r = rig({ getToken: () => tokens.shift()() });
    const ws = await r.confirmed();
    const before = ws.sent.length;
    ws.event("whisk.auth.request", {}, 1);
    await until(() => r.codes().length === 1);
    assert.deepEqual([r.codes(), r.client.state], [["no_session"], "connected"]);
    assert.equal(ws.sent.length, before);
    r.client.emit("still here");
    assert.equal(ws.sent.at(-1), '42["still here"]');
    end(ws);
    assert.equal(r.client.state, "reconnecting");
    assert.deepEqual(r.codes().slice(1), i === 0 ? ["auth_expired"] : []);
    // What came with a confirmation that ran out is not worth another round.
    assert.deepEqual((await r.next()).open().auth, { ws_token: "fresh" });
  }
  const r = rig();
  (await r.confirmed()).drop(4005);
  assert.deepEqual((await r.next()).open().auth, { resume: "r1" }, "it is all there is");
});

test("a late answer to a renewal does not go out on another connection", async () => {
  let give;
  const r = rig({
    getToken: () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  });
  const ws = await r.confirmed();
  ws.event("whisk.auth.request", {}, 1);
  await until(() => give);
  ws.drop();
  const second = (await r.next()).confirm();
  const before = second.sent.length;
  give("late");
  await settled();
  assert.equal(second.sent.length, before);
});
