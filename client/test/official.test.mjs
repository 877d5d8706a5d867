// Goal: the client speaks the protocol of the official Socket.IO server, not only our reading of
// it. Method: a real socket.io server that confirms sessions as Whisk does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Server } from "socket.io";
import WebSocket from "ws";
import { connect } from "../whisk.js";
import { until } from "./support/rig.mjs";
import { next } from "./support/server.mjs";

async function official(t, setUp, options = {}) {
  const http = createServer();
  const io = new Server(http, { transports: ["websocket"], ...options });
  setUp(io);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => io.close());
  return { io, url: `http://127.0.0.1:${http.address().port}` };
}

function open(t, options) {
  const client = connect({
    WebSocket,
    token: "good",
    reconnect: { minMs: 10, maxMs: 50 },
    ...options,
  });
  t.after(() => client.close());
  return client;
}

const accept = (socket) =>
  socket.emit("whisk.auth.accept", {
    success: true,
    user_id: 3,
    address: `ws/0/${socket.id}`,
    resume: "again",
  });

/** Refuses in CONNECT, or confirms at once. */
const confirming = (io) => {
  io.use((socket, done) => {
    const { ws_token, resume } = socket.handshake.auth;
    if (ws_token === "good" || resume === "again") return done();
    return done(Object.assign(new Error("refused"), { data: { code: "session_refused" } }));
  });
  io.on("connection", (socket) => {
    accept(socket);
    socket.on("echo", (...args) => args.at(-1)(args[0]));
    socket.on("fails", (_, ack) =>
      ack({ error: { code: "bad_payload", message: "no", path: "/x" } }),
    );
    socket.on("tell", (...args) => socket.emit("told", ...args));
    socket.on("silent", () => {});
  });
};

test("events, acknowledgements both ways, and error acknowledgements", async (t) => {
  const { io, url } = await official(t, confirming);
  const client = open(t, { url });
  client.on("ask", async (question) => ({ to: question }));
  await next(client, "connect");
  const [socket] = await io.fetchSockets();
  assert.equal(client.id, socket.id);
  assert.deepEqual(await client.emitWithAck("echo", { deep: ["ünï", 1, null] }), {
    deep: ["ünï", 1, null],
  });
  await assert.rejects(
    client.emitWithAck("fails", {}),
    (error) => error.code === "bad_payload" && error.data.path === "/x",
  );
  await assert.rejects(client.emitWithAck("silent", 1, { timeoutMs: 20 }), { code: "timeout" });
  const told = next(client, "told");
  client.emit("tell", 1, "two", [3]);
  assert.deepEqual(await told, [1, "two", [3]]);
  assert.deepEqual(await io.timeout(5000).emitWithAck("ask", "why"), [{ to: "why" }]);
  assert.deepEqual(await Promise.all([..."abc"].map((x) => client.emitWithAck("echo", x))), [
    "a",
    "b",
    "c",
  ]);
});

test("the request with an acknowledgement id, as the official server sends it", async (t) => {
  const { url } = await official(t, (io) =>
    io.on("connection", async (socket) => {
      const answer = await socket.timeout(5000).emitWithAck("whisk.auth.request", {});
      if (answer.ws_token === "good") accept(socket);
    }),
  );
  const client = open(t, { url, lateAuth: true });
  assert.equal((await next(client, "connect")).userId, 3);
});

test("a middleware's refusal, a server's disconnect, a lost transport", async (t) => {
  const { io, url } = await official(t, confirming);
  const refused = open(t, { url, token: "bad" });
  assert.equal((await next(refused, "error")).code, "session_refused");
  assert.equal(refused.state, "disconnected");

  const client = open(t, { url });
  await next(client, "connect");
  const back = next(client, "reconnect");
  io.sockets.sockets.get(client.id).conn.close();
  await back;
  const closed = next(client, "close");
  io.sockets.sockets.get(client.id).disconnect();
  assert.equal((await closed).reason, "server disconnect");

  const leaving = open(t, { url });
  await next(leaving, "connect");
  const gone = once(io.sockets.sockets.get(leaving.id), "disconnect");
  leaving.close();
  assert.deepEqual((await gone)[0], "client namespace disconnect");
});

test("the official heartbeat keeps a connection, in a namespace of its own", async (t) => {
  let pongs = 0;
  const { url } = await official(
    t,
    (io) =>
      io.of("/custom").on("connection", (socket) => {
        socket.conn.on("heartbeat", () => {
          pongs += 1;
        });
        socket.on("echo", (value, ack) => ack(value));
      }),
    { pingInterval: 20, pingTimeout: 1000 },
  );
  const client = open(t, { url, token: undefined, session: false, namespace: "/custom" });
  await next(client, "connect");
  await until(() => pongs >= 3, "three heartbeats");
  assert.equal(await client.emitWithAck("echo", "alive"), "alive");
  assert.equal(client.state, "connected");
});

test("a channel as the official server speaks it, both ways", async (t) => {
  const { url } = await official(t, (io) => {
    confirming(io);
    io.on("connection", (socket) => {
      socket.on("whisk.subscribe", ({ channel }, ack) => {
        socket.join(channel);
        ack({ channel, epoch: "e1", offset: 0 });
        const head = { channel, topic: "speed", offset: 1, id: "q1", from: "ws/0/x", ask: true };
        socket.emit("whisk.message", head, { at: 5 });
      });
      socket.on("whisk.reply", (head, data, ack) => {
        ack({});
        socket.emit("whisk.broadcast", { topic: "replied", id: "b" }, [head, data]);
      });
    });
  });
  const client = open(t, { url });
  const replied = new Promise((resolve) => {
    client.onBroadcast("replied", resolve);
  });
  const channel = await client.subscribe("room");
  channel.on("speed", ({ at }) => ({ at, here: true }));
  assert.deepEqual(await replied, [
    { channel: "room", to: "ws/0/x", re: "q1" },
    { at: 5, here: true },
  ]);
});
