// Goal: the client on real sockets and the real clock does what the other tests show on fake ones.
// Method: a scripted ws node in this process, intervals of milliseconds, no sleeping.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import WebSocket from "ws";
import { connect, version } from "../whisk.js";
import { until } from "./support/rig.mjs";
import { next, serve } from "./support/server.mjs";

const quick = { minMs: 10, maxMs: 50 };

/** A client that the test closes at its end. */
function open(t, options) {
  const client = connect({ WebSocket, token: "t1", reconnect: quick, ...options });
  t.after(() => client.close());
  return client;
}

test("confirmed, heard, acknowledged, closed", async (t) => {
  const server = await serve(t, {
    onJoin: (peer) => peer.confirm({ resume: "r1" }),
    onEvent: (peer, name, [payload], id) => {
      if (id !== undefined) peer.ack(id, { got: payload });
      peer.event("world.reply", { name, payload });
    },
  });
  const client = open(t, { url: server.url });
  assert.deepEqual(await next(client, "connect"), {
    userId: 7,
    address: "ws/1/s1",
    resumed: false,
  });
  assert.deepEqual(
    [server.peers[0].query.get("EIO"), server.peers[0].query.get("transport")],
    ["4", "websocket"],
  );
  const reply = next(client, "world.reply");
  assert.deepEqual(await client.emitWithAck("world.say", { message: "grüße 🌍" }), {
    got: { message: "grüße 🌍" },
  });
  assert.deepEqual(await reply, { name: "world.say", payload: { message: "grüße 🌍" } });
  client.close();
  await until(() => server.peers[0].closed !== null);
  assert.equal(server.peers[0].closed, 1000);
  assert.equal(server.peers[0].frames.at(-1), "41");
  assert.deepEqual(server.faults, []);
});

test("asked for its token, then resumed with rotation over three lives", async (t) => {
  let lives = 0;
  const shown = [];
  const accept = (peer, credential) => {
    shown.push(credential);
    peer.accept({ resume: `r${(lives += 1)}` });
  };
  const server = await serve(t, {
    onJoin: (peer, auth) => {
      peer.join();
      if (auth.resume === undefined) peer.event("whisk.auth.request", {}, 0);
      else accept(peer, auth);
    },
    onAck: (peer, id, [answer]) => accept(peer, answer),
  });
  const client = open(t, { url: server.url, lateAuth: true });
  assert.equal((await next(client, "connect")).resumed, false);
  for (const peer of [0, 1]) {
    // lateAuth shows the resume when asked as well: the server asks whoever shows nothing.
    const back = next(client, "connect");
    server.peers[peer].cut();
    assert.equal((await back).resumed, true);
  }
  assert.deepEqual(shown, [{ ws_token: "t1" }, { resume: "r1" }, { resume: "r2" }]);
  assert.deepEqual(server.faults, []);
});

test("a token in CONNECT, then the resume in CONNECT", async (t) => {
  const shown = [];
  const server = await serve(t, {
    onJoin: (peer, auth) => {
      shown.push(auth);
      peer.confirm({ resume: `r${shown.length}` });
    },
  });
  const client = open(t, { url: server.url });
  await next(client, "connect");
  server.peers[0].cut();
  await next(client, "reconnect");
  assert.deepEqual(shown, [{ ws_token: "t1" }, { resume: "r1" }]);
});

test("a node that stops pinging is left, and the next one of the list is taken", async (t) => {
  const join = (peer) => peer.confirm({ resume: "r1" });
  const silent = await serve(t, { handshake: { pingInterval: 30, pingTimeout: 20 }, onJoin: join });
  const healthy = await serve(t, { onJoin: join });
  const client = open(t, { url: [silent.url, healthy.url] });
  const lost = await next(client, "disconnect");
  assert.deepEqual(lost, { reason: "ping timeout", code: null, willReconnect: true });
  await next(client, "connect");
  assert.equal(healthy.peers.length, 1);
});

test("pings keep a connection alive", async (t) => {
  const server = await serve(t, {
    handshake: { pingInterval: 40, pingTimeout: 2000 },
    onJoin: (peer) => {
      peer.confirm();
      peer.frame("2");
    },
  });
  const client = open(t, { url: server.url });
  await next(client, "connect");
  for (let pings = 1; pings <= 3; pings += 1) {
    await until(() => server.peers[0].frames.filter((frame) => frame === "3").length === pings);
    server.peers[0].frame("2");
  }
  assert.equal(client.state, "connected");
});

test("a node that is down is no end: the next answers", async (t) => {
  const down = await serve(t, { onJoin: () => {} });
  down.stop();
  const up = await serve(t, { onJoin: (peer) => peer.confirm() });
  const client = open(t, { url: [down.url, up.url] });
  const failure = await next(client, "error");
  assert.equal(failure.code, "transport");
  await next(client, "connect");
});

test("a drain brings the client back after the delay that it names", async (t) => {
  const server = await serve(t, { onJoin: (peer) => peer.confirm({ resume: "r1" }) });
  const client = open(t, { url: server.url, reconnect: { minMs: 60_000, maxMs: 60_000 } });
  await next(client, "connect");
  const [lost, away] = [next(client, "disconnect"), next(client, "reconnecting")];
  server.peers[0].event("whisk.reconnect", { after_ms: 20 });
  server.peers[0].close(1012);
  assert.deepEqual(await lost, { reason: "transport close", code: 1012, willReconnect: true });
  assert.deepEqual(await away, { attempt: 1, delayMs: 20 });
  assert.equal((await next(client, "connect")).resumed, true);
});

test("a booted client stays away", async (t) => {
  const server = await serve(t, { onJoin: (peer) => peer.confirm({ resume: "r1" }) });
  const client = open(t, { url: server.url });
  await next(client, "connect");
  const [error, closed] = [next(client, "error"), next(client, "close")];
  server.peers[0].frame("41");
  server.peers[0].close(4100);
  assert.equal((await error).code, "booted");
  assert.deepEqual(await closed, { reason: "server disconnect", code: 4100 });
  assert.equal(client.state, "disconnected");
});

test("the token is renewed through the web-service", async (t) => {
  const asked = [];
  const answers = [
    [503, "busy"],
    [200, "<html>"],
    [200, '{"success":true,"ws_token":"renewed","user_id":7}'],
  ];
  const tokens = [];
  const server = await serve(t, {
    onHttp: (request, response) => {
      asked.push([request.method, request.url]);
      const [status, body] = answers.shift();
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    },
    onJoin: (peer, auth) => {
      tokens.push(auth.ws_token);
      if (auth.ws_token === "renewed") peer.confirm();
      else peer.frame('44{"message":"refused","data":{"code":"session_refused"}}');
    },
  });
  const client = open(t, {
    url: server.url,
    renewUrl: `${server.origin}/whisk/api/renew_ws_session`,
  });
  const errors = [];
  client.on("error", (error) => errors.push(error.code));
  await next(client, "connect");
  assert.deepEqual(tokens, ["t1", "renewed"]);
  assert.deepEqual(asked, Array(3).fill(["GET", "/whisk/api/renew_ws_session"]));
  assert.deepEqual(errors, ["unavailable", "unavailable"]);
});

test("without a session, or from a foreign page, the renewal is the end", async (t) => {
  for (const [status, code] of [
    [401, "no_session"],
    [403, "forbidden"],
  ]) {
    const server = await serve(t, {
      onHttp: (_, response) =>
        response.writeHead(status).end(`{"error":{"code":"${code}","message":"no"}}`),
      onJoin: () => assert.fail("nothing to show"),
    });
    const client = open(t, {
      url: server.url,
      token: undefined,
      renewUrl: `${server.origin}/renew`,
    });
    const closed = next(client, "close");
    assert.equal((await next(client, "error")).code, code);
    await closed;
  }
});

test("a healthy neighbour notices nothing of a hostile server", async (t) => {
  const good = await serve(t, {
    onJoin: (peer) => peer.confirm(),
    onEvent: (peer, _, [n], id) => peer.ack(id, n),
  });
  const bad = await serve(t, {
    onJoin: (peer) => {
      peer.confirm();
      peer.frame("42[]");
    },
  });
  const [neighbour, victim] = [
    open(t, { url: good.url }),
    open(t, { url: bad.url, getToken: () => "again" }),
  ];
  await next(neighbour, "connect");
  for (let n = 0; n < 20; n += 1) assert.equal(await neighbour.emitWithAck("echo", n), n);
  await until(() => bad.peers.length >= 3);
  assert.equal(neighbour.state, "connected");
  victim.close();
});

test("a channel over several connections, with messages right behind the acknowledgement", async (t) => {
  const secrets = [];
  const server = await serve(t, {
    onJoin: (peer) => {
      secrets.push(peer.client);
      peer.confirm({ resume: `r${secrets.length}` });
    },
    onEvent: (peer, name, [head, data], id) => {
      const say = (offset) =>
        peer.frame(
          `42["whisk.message",{"channel":"room","topic":"n","offset":${offset},"id":"m"},${offset}]`,
        );
      if (name === "whisk.subscribe") {
        // All in one turn, so that they leave in one write.
        const offset = 10 * secrets.length;
        say(offset + 1);
        peer.ack(id, { channel: head.channel, epoch: "e1", offset });
        say(offset + 2);
        say(offset + 2);
        say(offset + 3);
      } else if (name === "whisk.request") {
        peer.ack(id, { id: "q", at: 1, from: `ws/1/${peer.sid}`, data: [head.topic, data] });
      } else peer.ack(id, {});
    },
  });
  const client = open(t, { url: server.url });
  const channel = await client.subscribe("room");
  const seen = [];
  channel.on("n", (n) => seen.push(n));
  for (const life of [1, 2, 3]) {
    await until(() => seen.length === 3 * life);
    const reply = await channel.request("speed", life);
    assert.deepEqual(reply.data, ["speed", life]);
    server.peers.at(-1).cut();
    await until(() => channel.status === "dropped");
  }
  assert.deepEqual(seen, [11, 12, 13, 21, 22, 23, 31, 32, 33]);
  await until(() => channel.status === "active");
  assert.equal(await channel.leave(), true);
  assert.equal(new Set(secrets).size, 1);
  assert.deepEqual(server.faults, []);
});

test("the version is the package's", async () => {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(version, manifest.version);
});
