// Goal: the client proves its session in each way that the protocol knows, and stops when it must.
// Method: a fake WebSocket played by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, WhiskError } from "../whisk.js";
import { rig, settled, until } from "./support/rig.mjs";

const refusal = (code, more = {}) =>
  `44${JSON.stringify({ message: "no", data: { code, ...more } })}`;

test("a token in CONNECT is confirmed by the first event", async () => {
  const { client, socket, fired } = rig();
  assert.equal(client.state, "connecting");
  const ws = await socket(0);
  assert.equal(ws.url, "ws://node-a/socket.io/?EIO=4&transport=websocket");
  ws.open();
  assert.equal(client.state, "confirming");
  assert.deepEqual(ws.auth, { ws_token: "t1" });
  ws.receive('40{"sid":"s1"}');
  assert.deepEqual([client.state, fired.length], ["confirming", 0]);
  ws.event("whisk.auth.accept", { success: true, user_id: 7, address: "ws/1/s1", resume: "r1" });
  assert.deepEqual(
    [client.state, client.userId, client.address, client.id],
    ["connected", 7, "ws/1/s1", "s1"],
  );
  assert.deepEqual(fired, [["connect", { userId: 7, address: "ws/1/s1", resumed: false }]]);
});

test("the server's request is acknowledged with the token", async () => {
  const { client, socket } = rig({ lateAuth: true });
  const ws = (await socket(0)).open();
  assert.deepEqual(ws.auth, {});
  ws.receive('40{"sid":"s1"}').event("whisk.auth.request", {}, 5);
  await until(() => ws.sent.length === 2);
  assert.equal(ws.sent[1], '435[{"ws_token":"t1"}]');
  ws.event("whisk.auth.accept", { success: true, user_id: 1, address: "ws/0/s1" });
  assert.equal(client.state, "connected");
});

test("a request after a credential in CONNECT is answered with the same credential", async () => {
  const { socket } = rig();
  const ws = (await socket(0)).open().receive('40{"sid":"s1"}').event("whisk.auth.request", {}, 0);
  await until(() => ws.sent.length === 2);
  assert.equal(ws.sent[1], '430[{"ws_token":"t1"}]');
});

test("a group's handler replaces the answer to the request or asks for the standard one", async () => {
  const asked = [];
  const own = rig({
    token: undefined,
    groups: {
      whisk: {
        "whisk.auth.request": {
          handler: () => ({ ws_token: "mine" }),
          callback: (p) => asked.push(p),
        },
      },
    },
  });
  const ws = (await own.socket(0))
    .open()
    .receive('40{"sid":"s1"}')
    .event("whisk.auth.request", {}, 1);
  await until(() => ws.sent.length === 2);
  assert.equal(ws.sent[1], '431[{"ws_token":"mine"}]');
  assert.deepEqual(asked, [{}]);

  const standard = rig({
    lateAuth: true,
    groups: { whisk: { "whisk.auth.request": (_, next) => next() } },
  });
  const other = (await standard.socket(0))
    .open()
    .receive('40{"sid":"s1"}')
    .event("whisk.auth.request", {}, 1);
  await until(() => other.sent.length === 2);
  assert.equal(other.sent[1], '431[{"ws_token":"t1"}]');
});

test("each reconnection resumes with the newest credential", async () => {
  const r = rig();
  (await r.confirmed()).drop();
  const second = (await r.next()).confirm({ resume: "r2" });
  assert.deepEqual(second.auth, { resume: "r1" });
  assert.deepEqual(
    r.of("connect").map((detail) => detail.resumed),
    [false, true],
  );
  // A new one may also come while connected: that is no new connection.
  second.event("whisk.auth.accept", {
    success: true,
    user_id: 7,
    address: "ws/1/s1",
    resume: "r3",
  });
  assert.equal(r.of("connect").length, 2);
  second.drop();
  const third = (await r.next()).open();
  assert.deepEqual(third.auth, { resume: "r3" });
  // The answer was lost: the same one is good until its successor is used.
  third.drop();
  assert.deepEqual((await r.next()).open().auth, { resume: "r3" });
});

test("a refused resume is forgotten for a fresh token, whose refusal is the end", async () => {
  const r = rig({ getToken: async () => "fresh" });
  (await r.confirmed()).drop();
  (await r.next()).open().receive(refusal("session_refused"));
  assert.deepEqual([r.client.state, r.codes()], ["reconnecting", []]);
  const third = (await r.next()).open();
  assert.deepEqual(third.auth, { ws_token: "fresh" });
  third.receive(refusal("session_refused"));
  assert.equal(r.client.state, "disconnected");
  assert.deepEqual(r.names().slice(-2), ["error", "close"]);
  assert.deepEqual(r.codes(), ["session_refused"]);
  assert.equal(r.clock.pending, 0);
});

test("a stale page token is replaced once", async () => {
  const r = rig({ getToken: () => "fresh" });
  (await r.socket(0)).open().receive(refusal("session_refused"));
  const ws = (await r.next()).confirm();
  assert.deepEqual(ws.auth, { ws_token: "fresh" });
  assert.equal(r.client.state, "connected");
});

test("a refused token with nothing else to show is the end", async () => {
  const r = rig();
  (await r.socket(0)).open().receive(refusal("session_refused"));
  assert.deepEqual([r.client.state, r.codes()], ["disconnected", ["session_refused"]]);
});

test("a refusal after the request is read from whisk.auth.error", async () => {
  const r = rig({ lateAuth: true });
  const ws = (await r.socket(0))
    .open()
    .receive('40{"sid":"s1"}')
    .event("whisk.auth.request", {}, 1);
  await until(() => ws.sent.length === 2);
  ws.event("whisk.auth.error", { error: { code: "session_refused", message: "no" } });
  assert.deepEqual([r.client.state, r.codes()], ["disconnected", ["session_refused"]]);
});

test("a close as unauthorized without another word is a refusal too", async () => {
  const r = rig({ getToken: () => "fresh" });
  (await r.socket(0)).open().drop(4101);
  assert.equal(r.client.state, "reconnecting");
  (await r.next()).open().drop(4101);
  assert.deepEqual([r.client.state, r.codes()], ["disconnected", ["session_refused"]]);
});

test("a revoked session is the end, also while connected", async () => {
  const r = rig({ getToken: () => "fresh" });
  (await r.confirmed()).event("whisk.auth.error", {
    error: { code: "revoked", message: "logout" },
  });
  assert.equal(r.client.state, "disconnected");
  assert.deepEqual(r.names(), ["connect", "disconnect", "error", "close"]);
  assert.deepEqual(r.of("disconnect"), [{ reason: "refused", code: null, willReconnect: false }]);
  assert.deepEqual(r.codes(), ["revoked"]);
});

test("an unavailable store is waited for, no sooner than the server asks", async () => {
  const r = rig();
  (await r.socket(0)).open().receive(refusal("unavailable", { retry_after_ms: 4000 }));
  assert.deepEqual([r.client.state, r.codes()], ["reconnecting", ["unavailable"]]);
  assert.equal(r.of("reconnecting")[0].delayMs, 4000);
  // The token is all there is: it may not have been looked at.
  assert.deepEqual((await r.next()).open().auth, { ws_token: "t1" });
});

test("a refusal without a code is the end", async () => {
  const r = rig();
  (await r.socket(0)).open().receive('44{"message":"Invalid namespace"}');
  assert.deepEqual([r.client.state, r.codes()], ["disconnected", ["connect_refused"]]);
  assert.equal(r.of("error")[0].message, "Invalid namespace");
});

test("what getToken throws decides between waiting and the end", async () => {
  const answers = [
    () => Promise.reject(new Error("network")),
    () => {
      throw new WhiskError("unavailable");
    },
    () => "good",
  ];
  const r = rig({ token: undefined, getToken: () => answers.shift()() });
  await until(() => r.of("reconnecting").length === 1);
  assert.deepEqual(r.codes(), ["unavailable"]);
  assert.equal(r.of("error")[0].cause.message, "network");
  r.clock.advance(r.of("reconnecting")[0].delayMs);
  await until(() => r.of("reconnecting").length === 2);
  assert.deepEqual((await r.next()).open().auth, { ws_token: "good" });

  for (const end of [() => null, () => Promise.reject(new WhiskError("forbidden"))]) {
    const stopped = rig({ token: undefined, getToken: end });
    await until(() => stopped.client.state === "disconnected");
    assert.equal(stopped.sockets.length, 0);
    assert.match(stopped.codes()[0], /^(no_session|forbidden)$/);
  }
});

test("a getToken that never answers is given up and tried again", async () => {
  let calls = 0;
  const r = rig({
    token: undefined,
    timeoutMs: 100,
    getToken: () => {
      calls += 1;
      return new Promise(() => {});
    },
  });
  await until(() => calls === 1);
  r.clock.advance(100);
  await until(() => r.of("reconnecting").length === 1);
  assert.deepEqual(r.codes(), ["unavailable"]);
});

test("a fresh token that was not sent is used again while it is young", async () => {
  let tokens = 0;
  const r = rig({ token: undefined, getToken: () => `f${(tokens += 1)}` });
  (await r.socket(0)).drop();
  (await r.next()).drop();
  assert.equal(tokens, 1);
  const third = await r.next();
  r.clock.advance(5000);
  third.drop();
  const fourth = (await r.next()).open();
  assert.deepEqual(fourth.auth, { ws_token: "f2" });
});

test("an attempt that is never confirmed times out and is tried again", async () => {
  const r = rig({ timeoutMs: 3000, getToken: () => "fresh" });
  const ws = (await r.socket(0)).open().receive('40{"sid":"s1"}');
  r.clock.advance(3000);
  assert.deepEqual([r.client.state, r.codes(), ws.closedWith], ["reconnecting", ["timeout"], 4003]);
  assert.deepEqual((await r.next()).open().auth, { ws_token: "fresh" });
});

test("more auth goes along in CONNECT and cannot replace the credential", async () => {
  const r = rig({ auth: async () => ({ device: "d", ws_token: "other" }) });
  assert.deepEqual((await r.socket(0)).open().auth, { device: "d", ws_token: "t1" });
});

test("a namespace without session is connected by CONNECT alone", async () => {
  const r = rig({ token: undefined, session: false, namespace: "/open", auth: { key: "k" } });
  const ws = (await r.socket(0)).open();
  assert.ok(ws.sent[0].startsWith('40/open,{"key":"k",'));
  assert.deepEqual(ws.auth, { key: "k" });
  ws.receive('40{"sid":"root"}');
  assert.equal(r.client.state, "confirming");
  ws.receive('40/open,{"sid":"s1"}');
  assert.equal(r.client.state, "connected");
  r.client.emit("hello");
  assert.equal(ws.sent[1], '42/open,["hello"]');
  r.client.close();
  assert.equal(ws.sent[2], "41/open,");
});

test("late answers of an earlier life change nothing", async () => {
  let give;
  const r = rig({
    token: undefined,
    getToken: () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  });
  await until(() => give);
  r.client.close();
  give("late");
  await settled();
  assert.equal(r.sockets.length, 0);
});

test("wrong options are refused by name before anything is opened", () => {
  class WebSocket {}
  const good = { url: "ws://x", token: "t", WebSocket };
  const cases = [
    [{ ...good, tokn: "x" }, "bad_option", /tokn/],
    [{ ...good, url: "ftp://x" }, "bad_option", /ftp/],
    [{ ...good, url: [] }, "bad_option", /empty/],
    [{ ...good, url: "not a url" }, "bad_option", /not a url/],
    [{ ...good, url: undefined }, "bad_option", /URL/],
    [{ ...good, reconnect: { min: 1 } }, "bad_option", /reconnect\.min/],
    [{ ...good, timeoutMs: 0 }, "bad_option", /timeoutMs/],
    [{ ...good, namespace: "chat" }, "bad_option", /namespace/],
    [{ ...good, renewUrl: "/relative" }, "bad_option", /relative/],
    [{ ...good, groups: { other: {} } }, "bad_option", /other/],
    [{ ...good, groups: { app: { connect: () => {} } } }, "bad_option", /connect/],
    [{ ...good, groups: { app: { x: { handler: 3 } } } }, "bad_option", /x/],
    [{ ...good, token: undefined }, "no_credential", /getToken/],
    [{ ...good, WebSocket: null }, "no_websocket", /connect\(\{ WebSocket \}\)/],
  ];
  for (const [options, code, text] of cases) {
    assert.throws(
      () => connect(options),
      (error) => {
        assert.ok(error instanceof WhiskError);
        assert.equal(error.code, code);
        assert.match(error.message, text);
        return true;
      },
    );
  }
});

test("URLs are taken as people write them", async () => {
  const cases = [
    ["http://h:1", "ws://h:1/socket.io/?EIO=4&transport=websocket"],
    ["https://h", "wss://h/socket.io/?EIO=4&transport=websocket"],
    ["wss://h/mine/?site=a#x", "wss://h/mine/?site=a&EIO=4&transport=websocket"],
  ];
  for (const [url, want] of cases) assert.equal((await rig({ url }).socket(0)).url, want);
});
