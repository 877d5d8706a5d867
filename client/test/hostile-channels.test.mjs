// Goal: nothing that a server or a peer says on a channel breaks the connection, the other channels
// or a prototype. Method: tables of malformed events and hostile names against a fake WebSocket.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rig, settled } from "./support/rig.mjs";

const NAMES = ["constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "then"];

const prototypes = () =>
  [Object.prototype, Array.prototype, Function.prototype, Map.prototype, Promise.prototype].map(
    (proto) => Reflect.ownKeys(proto).length,
  );

const member = (client, version, more = {}) => ({
  client,
  state: "connected",
  first_seen: 1,
  last_seen: 1,
  version,
  ...more,
});

const roster = (members, more = {}) => ({
  client: "me",
  presence: { epoch: "p1", version: 10, members, ...more },
});

/** A client on `room`, whose handlers note all that they hear. */
async function bystander() {
  const r = rig();
  const ws = await r.confirmed();
  const channel = await r.subscribed("room", {}, roster([member("a", 1)]));
  await settled();
  const heard = [];
  channel.onMessage((data) => heard.push(data));
  r.client.user.onMessage((data) => heard.push(data));
  r.client.session.onMessage((data) => heard.push(data));
  channel.onStatus((status) => heard.push(status));
  for (const event of ["client.connected", "client.removed", "client.updated", "seen"]) {
    channel.presence.on(event, (detail) => heard.push(detail));
  }
  return { r, ws, channel, heard };
}

/** The connection and the channel work as if nothing had been. */
async function unharmed({ r, ws, channel, heard }, what) {
  heard.length = 0;
  ws.tell("whisk.message", { channel: "room", topic: "t", offset: 500 }, "still here");
  assert.deepEqual(heard, ["still here"], what);
  assert.deepEqual([r.client.state, channel.status, r.sockets.length], ["connected", "active", 1]);
  assert.deepEqual(
    channel.presence.members.map(({ client }) => client),
    ["a"],
    what,
  );
  const answer = r.client.ask("alive");
  ws.ack("alive", "yes");
  assert.equal(await answer, "yes");
}

test("a malformed event is ignored and reported, and harms nobody", async () => {
  const heads = [
    "null",
    "5",
    '"room"',
    "[]",
    "{}",
    '{"channel":5}',
    '{"channel":""}',
    '{"channel":null}',
    '{"__proto__":{"channel":"room","topic":"t","epoch":"e2","offset":1}}',
  ];
  const bodies = {
    "whisk.message": [
      ...heads,
      '{"channel":"room"}',
      '{"channel":"room","topic":5}',
      '{"channel":"room","topic":"t","offset":-1}',
      '{"channel":"room","topic":"t","offset":1.5}',
      '{"channel":"room","topic":"t","offset":"1"}',
      '{"channel":"room","topic":"t","offset":9007199254740993}',
      '{"channel":"room","topic":"t","id":5}',
      '{"channel":"room","topic":"t","from":{}}',
      '{"channel":"room","topic":"t","client":[]}',
      '{"channel":"room","topic":"t","at":"now"}',
      '{"channel":"room","topic":"t","ask":true}',
      '{"channel":"room","topic":"t","ask":true,"id":"q"}',
      '{"channel":"_user","topic":5}',
      '{"channel":"_session"}',
    ],
    "whisk.position": [
      ...heads,
      '{"channel":"room","epoch":"e1"}',
      '{"channel":"room","epoch":5,"offset":1}',
      '{"channel":"room","epoch":5,"offset":1}',
      '{"channel":"room","epoch":"e1","offset":-1}',
    ],
    "whisk.unsubscribed": heads,
    "whisk.presence": [
      ...heads,
      '{"channel":"room"}',
      '{"channel":"room","event":"client.exploded","epoch":"p1","version":11,"member":{}}',
      '{"channel":"room","event":"constructor","epoch":"p1","version":11,"member":{}}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":11}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":11,"member":{"client":5}}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":"11","member":{"client":"b","state":"connected","first_seen":1,"last_seen":1}}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":11,"member":{"client":"b","state":"asleep","first_seen":1,"last_seen":1}}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":11,"member":{"client":"b","state":"connected","first_seen":"x","last_seen":1}}',
      '{"channel":"room","event":"client.connected","epoch":"p1","version":11,"member":{"client":"b","state":"connected","first_seen":1,"last_seen":1,"label":5}}',
      '{"channel":"room","event":"client.connected","version":11,"member":{"client":"b","state":"connected","first_seen":1,"last_seen":1}}',
      '{"channel":"room","event":"seen"}',
      '{"channel":"room","event":"seen","seen":{"a":5}}',
      '{"channel":"room","event":"seen","seen":[["a"]]}',
      '{"channel":"room","event":"seen","seen":[null]}',
    ],
    "whisk.broadcast": ["null", "5", "[]", "{}", '{"topic":5}', '{"topic":"t","id":5}'],
    "whisk.session": ["null", "5", '"x"', "[]"],
  };
  for (const [event, list] of Object.entries(bodies)) {
    const one = await bystander();
    for (const body of list) {
      const before = one.r.fired.length;
      one.ws.receive(`42["${event}",${body},"data"]`);
      await settled();
      const what = `${event} ${body}`;
      assert.deepEqual(
        one.r.fired.slice(before).map(([name, error]) => [name, error.code, error.data]),
        [["error", "protocol", { event }]],
        what,
      );
      assert.deepEqual(one.heard, [], what);
    }
    one.ws.receive(`42["${event}"]`);
    await unharmed(one, event);
  }
});

test("events of channels that nobody is on concern nobody", async () => {
  const one = await bystander();
  for (const channel of ["other", "_other", "__proto__", ...NAMES]) {
    const head = {
      channel,
      topic: "t",
      offset: 1,
      epoch: "e",
      version: 99,
      event: "client.removed",
    };
    for (const event of ["message", "position", "unsubscribed", "presence"]) {
      one.ws.tell(`whisk.${event}`, head, "x");
    }
    one.ws.tell("whisk.unsubscribed", { channel, error: { code: "gone" } });
  }
  // A private channel is nothing that could be left or have a roster.
  for (const channel of ["_user", "_session"]) {
    one.ws.tell("whisk.unsubscribed", { channel });
    one.ws.tell("whisk.presence", { channel, event: "seen", seen: [] });
  }
  assert.deepEqual([one.heard, one.r.codes()], [[], []]);
  await unharmed(one);
});

test("hostile names are only names, and reach no prototype", async () => {
  const before = prototypes();
  const r = rig();
  const ws = await r.confirmed();
  const body = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
  for (const name of NAMES) {
    const channel = await r.subscribed(name, {}, roster([]));
    await settled();
    const heard = [];
    for (const topic of ["__proto__", ...NAMES]) channel.on(topic, (data) => heard.push(data));
    channel.presence.on("client.connected", ({ client }) => heard.push(client));
    let offset = 0;
    for (const topic of ["__proto__", ...NAMES]) {
      offset += 1;
      const head = `{"channel":"${name}","topic":"${topic}","offset":${offset},"id":"__proto__","from":"__proto__","client":"${name}","user":${body}}`;
      ws.receive(`42["whisk.message",${head},${body}]`);
      const one = `{"client":"${topic}","user":"${topic}","meta":${body},"label":"${topic}","state":"connected","first_seen":1,"last_seen":1}`;
      ws.receive(
        `42["whisk.presence",{"channel":"${name}","epoch":"p1","version":${10 + offset},"event":"client.connected","member":${one},"__proto__":{"polluted":1}}]`,
      );
      ws.receive(
        `42["whisk.presence",{"channel":"${name}","event":"seen","seen":[["${topic}",5]],"__proto__":{"polluted":1}}]`,
      );
      assert.equal(channel.presence.get(topic).last_seen, 5);
    }
    assert.equal(heard.length, 2 * (NAMES.length + 1), name);
    assert.equal(channel.presence.users.length, NAMES.length + 1);
    assert.equal(channel.presence.get("isPrototypeOf"), undefined);
    assert.ok(Object.hasOwn(heard[0], "__proto__"), "a value that was sent as one");
  }
  r.client.onBroadcast("__proto__", () => {});
  ws.receive(`42["whisk.broadcast",{"topic":"__proto__","id":"__proto__"},${body}]`);
  ws.receive(`42["whisk.session",{"user_id":${body},"__proto__":{"polluted":1}}]`);
  ws.receive(`42["whisk.unsubscribed",{"channel":"constructor","error":${body}}]`);
  assert.deepEqual(r.codes(), []);
  assert.equal({}.polluted, undefined);
  assert.deepEqual(prototypes(), before);
});

test("a field that is only inherited is no field", async () => {
  const one = await bystander();
  const head = '{"channel":"room","topic":"t","__proto__":{"ask":true,"direct":true,"offset":7}}';
  one.channel.onMessage((_, message) => one.heard.push(message));
  one.ws.receive(`42["whisk.message",${head},"x"]`);
  const [, message] = one.heard;
  assert.deepEqual(
    [message.ask, message.direct, message.offset, message.reply],
    [false, false, undefined, undefined],
  );
});

test("a roster that cannot be understood is no roster, and the channel goes on", async () => {
  const good = JSON.stringify(member("b", 2));
  const pages = [
    "5",
    "[]",
    "{}",
    '{"epoch":"p1","version":1}',
    '{"epoch":"p1","version":1,"members":{}}',
    '{"epoch":"p1","version":-1,"members":[]}',
    `{"epoch":"p1","version":1,"members":[${good},null]}`,
    `{"epoch":"p1","version":1,"members":[${good},{"client":"c"}]}`,
    `{"epoch":"p1","version":1,"members":[${good}],"next":5}`,
    '{"epoch":"p1","version":1,"members":[],"next":"z"}',
  ];
  for (const page of pages) {
    const r = rig();
    const ws = await r.confirmed();
    const joining = r.client.subscribe("room");
    await settled();
    const { id } = ws.heard("whisk.subscribe")[0];
    ws.receive(`43${id}[{"channel":"room","epoch":"e1","offset":0,"presence":${page}}]`);
    const channel = await joining;
    await assert.rejects(channel.presence.ready, { code: "protocol" });
    assert.deepEqual([channel.status, channel.presence.members], ["active", []], page);
    assert.deepEqual(r.codes(), ["protocol"]);
    assert.equal(r.clock.pending, 1, "only the heartbeat's timer: it is not asked for for ever");
  }
});

test("pages without end, floods and depths stay within bounds", async () => {
  const one = await bystander();
  const { r, ws, channel } = one;
  // An epoch that changes with each answer is asked for ever more slowly.
  for (let i = 0; i < 51; i += 1) {
    ws.tell("whisk.presence", {
      channel: "room",
      epoch: `x${i}`,
      version: 1,
      event: "client.connected",
      member: member("a", 1),
    });
  }
  assert.equal(ws.heard("whisk.presence").length, 0);
  assert.equal(r.clock.pending, 2, "the heartbeat's timer, and one more");
  r.clock.advance(9_999);
  assert.equal(ws.heard("whisk.presence").length, 0);
  r.clock.advance(1);
  ws.ack("whisk.presence", { epoch: "p9", version: 1, members: [member("a", 1)] });

  const deep = "[".repeat(5000) + "]".repeat(5000);
  ws.receive(
    `42["whisk.message",{"channel":"room","topic":"t","offset":1,"user":${deep}},${deep}]`,
  );
  for (const version of [20, 21]) {
    ws.receive(
      `42["whisk.presence",{"channel":"room","epoch":"p9","version":${version},"event":"client.connected","member":{"client":"deep","user":${deep},"meta":${deep},"state":"connected","first_seen":1,"last_seen":1}}]`,
    );
  }
  assert.equal(channel.presence.users.length, 2);
  ws.tell("whisk.presence", {
    channel: "room",
    epoch: "p9",
    version: 22,
    event: "client.removed",
    member: member("deep", 22),
  });
  for (let i = 0; i < 2000; i += 1) {
    ws.tell("whisk.message", { channel: `c${i}`, topic: "t", offset: i }, "to nobody");
  }
  await unharmed(one);
  assert.deepEqual(r.codes(), []);
});

test("a delay without end is no busy loop", async () => {
  const r = rig();
  const ws = await r.confirmed({}, { pingInterval: 0, pingTimeout: 0 });
  const joining = r.client.subscribe("room", { timeoutMs: 2 ** 30 });
  await settled();
  ws.refuse("whisk.subscribe", "overloaded", { retry_after_ms: 1e300 });
  r.clock.advance(299_999);
  assert.equal(ws.heard("whisk.subscribe").length, 1);
  r.clock.advance(1);
  ws.ack("whisk.subscribe", {
    channel: "room",
    epoch: "e1",
    offset: 0,
    ...roster([member("a", 1)], { next: "a" }),
  });
  await joining;
  ws.refuse("whisk.presence", "overloaded", { retry_after_ms: 1e300 });
  r.clock.advance(299_999);
  assert.equal(ws.heard("whisk.presence").length, 1);
  r.clock.advance(1);
  assert.equal(ws.heard("whisk.presence").length, 2);
});

test("answers to questions that were never asked are nobody's", async () => {
  const one = await bystander();
  one.ws.receive("4399[{}]", "430[{}]", '431[{"channel":"room","epoch":"e9","offset":0}]');
  assert.deepEqual(one.channel.position, { epoch: "e1", offset: 0 });
  await unharmed(one);
});
