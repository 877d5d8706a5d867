// Goal: nothing that a server sends breaks the client or reaches a prototype.
// Method: tables of malformed frames and of hostile names against a fake WebSocket.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rig, settled } from "./support/rig.mjs";

test("a malformed opening is a protocol error, and the client comes back", async () => {
  const frames = [
    "",
    "x",
    "2",
    "40",
    "0",
    "0{}",
    "0[]",
    "0null",
    '0{"sid":""}',
    '0{"sid":"a","pingInterval":-1,"pingTimeout":1}',
    '0{"sid":"a","pingInterval":"1","pingTimeout":1}',
    '0{"sid":"a","pingInterval":1,"pingTimeout":1,"maxPayload":"x"}',
    '0{"__proto__":{"sid":"a","pingInterval":1,"pingTimeout":1}}',
    new ArrayBuffer(1),
  ];
  for (const frame of frames) {
    const r = rig();
    const ws = await r.socket(0);
    ws.readyState = 1;
    ws.receive(frame);
    assert.deepEqual(
      [r.client.state, r.codes(), ws.closedWith],
      ["reconnecting", ["protocol"], 4000],
      String(frame),
    );
  }
});

test("a malformed packet is a protocol error, and the client comes back", async () => {
  const frames = [
    "",
    "4",
    "47",
    "4x",
    "3",
    "5",
    "7",
    "2probe",
    '0{"sid":"e1","pingInterval":1,"pingTimeout":1}',
    "42",
    "42{}",
    "42[]",
    "42[1]",
    '42["x"',
    '42["x"]x',
    "42null",
    '42-1["x"]',
    '429007199254740993["x"]',
    "43[]",
    "430",
    "430{}",
    '43"x"',
    "410",
    "41[]",
    '41"x"',
    "44",
    "44{}",
    '44"text"',
    '44{"message":1}',
    '40{"sid":"again"}',
    '44{"message":"late"}',
    '451-["x",{"_placeholder":true,"num":0}]',
    "460-[]",
    '42/["x"]',
    '42/chat["x"]',
    new Uint8Array(3).buffer,
    '42["whisk.auth.request",{}]',
    '42["whisk.auth.accept",{"success":false}]',
    '42["whisk.auth.accept"]',
    '42["whisk.auth.accept",{"success":true,"address":"a","resume":5}]',
    '42["whisk.auth.accept",{"__proto__":{"success":true,"address":"a"}}]',
  ];
  for (const frame of frames) {
    const r = rig();
    const ws = await r.confirmed();
    ws.receive(frame);
    assert.deepEqual([r.client.state, ws.closedWith], ["reconnecting", 4000], String(frame));
    assert.deepEqual(r.codes(), ["protocol"], String(frame));
    assert.equal(r.of("disconnect")[0].reason, "protocol error");
    (await r.next()).confirm();
    assert.equal(r.client.state, "connected");
  }
});

test("events and acknowledgements before CONNECT's answer are out of turn", async () => {
  for (const frame of ['42["x"]', "430[]"]) {
    const r = rig();
    (await r.socket(0)).open().receive(frame);
    assert.deepEqual(r.codes(), ["protocol"]);
  }
});

test("packets of other namespaces concern nobody", async () => {
  const r = rig();
  let heard = 0;
  r.client.on("x", () => {
    heard += 1;
  });
  const ws = (await r.confirmed()).receive('42/chat,["x"]', "41/chat", '40/chat,{"sid":"y"}', "6");
  assert.deepEqual([heard, r.client.state], [0, "connected"]);
  ws.receive('42["x"]');
  assert.equal(heard, 1);
});

test("hostile names and keys reach no prototype and no handler", async () => {
  const names = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "then",
  ];
  const snapshot = () =>
    [Object.prototype, Array.prototype, Function.prototype, Map.prototype].map(
      (proto) => Reflect.ownKeys(proto).length,
    );
  const before = snapshot();
  const r = rig();
  const ws = await r.confirmed();
  const body = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
  for (const name of names) {
    ws.receive(`42["${name}",${body}]`, `425["${name}",${body}]`);
    await settled();
    assert.match(ws.sent.at(-1), /unknown_event/, name);
  }
  const ack = r.client.emitWithAck("x");
  ws.receive(`430[{"error":{"code":"__proto__","message":"m","__proto__":{"polluted":1}}}]`);
  await assert.rejects(ack, (error) => error.code === "__proto__" && error.polluted === undefined);
  const inherited = r.client.emitWithAck("x");
  ws.receive('431[{"__proto__":{"error":{"code":"forged"}}}]');
  assert.ok(Object.hasOwn(await inherited, "__proto__"), "a value, not a failure");
  ws.receive(
    `42["whisk.auth.accept",{"success":true,"user_id":{"__proto__":{"polluted":1}},"address":"ws/1/a","resume":"__proto__"}]`,
  );
  ws.receive(`42["whisk.auth.error",{"error":${body}}]`);
  assert.equal({}.polluted, undefined);
  assert.deepEqual(snapshot(), before);
});

test("hostile names work as names", async () => {
  const r = rig();
  const seen = [];
  for (const name of ["__proto__", "constructor", "toString"])
    r.client.on(name, (value) => seen.push([name, value]));
  const ws = await r.confirmed();
  ws.receive('42["__proto__",1]', '42["constructor",2]', '42["toString",3]');
  assert.deepEqual(seen, [
    ["__proto__", 1],
    ["constructor", 2],
    ["toString", 3],
  ]);
  r.client.emit("__proto__", JSON.parse('{"__proto__":1}'));
  assert.equal(ws.sent.at(-1), '42["__proto__",{"__proto__":1}]');
});

test("deep and wide JSON is only a value", async () => {
  const r = rig();
  let depth = 0;
  r.client.on("deep", (value) => {
    for (let v = value; Array.isArray(v); v = v[0]) depth += 1;
  });
  (await r.confirmed()).receive(`42["deep",${"[".repeat(5000)}${"]".repeat(5000)}]`);
  assert.deepEqual([depth, r.client.state], [5000, "connected"]);
});
