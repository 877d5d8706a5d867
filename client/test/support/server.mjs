// A ws node for tests: real sockets on loopback, the protocol's server side, scripted by each test.
import { createServer } from "node:http";
import { once } from "node:events";
import { WebSocketServer } from "ws";

/**
 * Listens on a free port. `onJoin(peer, auth)` is called with each CONNECT, whose secret of the
 * client is `peer.client`; it speaks through `peer.confirm`, `peer.event`, `peer.frame`,
 * `peer.close`. `onEvent(peer, name, args, id)` is
 * called with each event and `onAck(peer, id, args)` with each acknowledgement.
 */
export async function serve(
  t,
  { handshake = {}, onJoin, onEvent = () => {}, onAck = () => {}, onHttp } = {},
) {
  const http = createServer(onHttp ?? ((_, response) => response.writeHead(404).end()));
  const wss = new WebSocketServer({ server: http, path: "/socket.io/" });
  const peers = [];
  const faults = [];
  let sids = 0;
  wss.on("connection", (ws, request) => {
    const peer = {
      sid: `s${(sids += 1)}`,
      frames: [],
      closed: null,
      query: new URL(request.url, "http://x").searchParams,
      frame: (text) => ws.send(text),
      event: (name, payload, id = "") => ws.send(`42${id}${JSON.stringify([name, payload])}`),
      ack: (id, value) => ws.send(`43${id}${JSON.stringify([value])}`),
      close: (code) => ws.close(code),
      cut: () => ws.terminate(),
      join: () => ws.send(`40${JSON.stringify({ sid: peer.sid })}`),
      accept: (more = {}) =>
        peer.event("whisk.auth.accept", {
          success: true,
          user_id: 7,
          address: `ws/1/${peer.sid}`,
          ...more,
        }),
      confirm: (more) => {
        peer.join();
        peer.accept(more);
      },
    };
    peers.push(peer);
    ws.on("close", (code) => {
      peer.closed = code;
    });
    ws.on("message", (data) => {
      const text = String(data);
      peer.frames.push(text);
      const [, type, id, body] = /^4([0-4])(\d*)(.*)$/s.exec(text) ?? [];
      if (type === "0") {
        const { whisk_client: client, ...auth } = JSON.parse(body);
        peer.client = client;
        onJoin(peer, auth);
      } else if (type === "2") {
        const [name, ...args] = JSON.parse(body);
        onEvent(peer, name, args, id === "" ? undefined : Number(id));
      } else if (type === "3") onAck(peer, Number(id), JSON.parse(body));
      else if (type !== "1" && text !== "3") faults.push(text);
    });
    ws.send(
      `0${JSON.stringify({
        sid: `e-${peer.sid}`,
        upgrades: [],
        pingInterval: 25000,
        pingTimeout: 20000,
        maxPayload: 262144,
        ...handshake,
      })}`,
    );
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const stop = () => {
    for (const ws of wss.clients) ws.terminate();
    http.closeAllConnections();
    http.close();
  };
  t.after(stop);
  const { port } = http.address();
  return { url: `ws://127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}`, peers, faults, stop };
}

/** The next occurrence of one of the client's events, or a failure when it does not come. */
export function next(client, event, ms = 5000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${event}" within ${ms} ms`)), ms);
    client.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args.length > 1 ? args : args[0]);
    });
  });
}
