// Goal: what only a browser has is used: its network events, its page's visibility, its cookie.
// Method: stand-ins for the few globals that the client looks at.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rig, until } from "./support/rig.mjs";

/** Puts globals in place for one test. */
function globals(t, values) {
  const before = Object.keys(values).map((name) => [
    name,
    Object.getOwnPropertyDescriptor(globalThis, name),
  ]);
  Object.assign(globalThis, values);
  t.after(() => {
    for (const [name, old] of before) {
      if (old) Object.defineProperty(globalThis, name, old);
      else delete globalThis[name];
    }
  });
}

test("a page without a token asks its own web-service, with its cookie", async (t) => {
  const asked = [];
  globals(t, {
    location: new URL("https://page.example/room?x=1"),
    fetch: async (url, { credentials, cache }) => {
      asked.push([url, credentials, cache]);
      return new Response('{"success":true,"ws_token":"renewed","user_id":7}');
    },
  });
  const r = rig({ url: "/", token: undefined });
  const ws = (await r.socket(0)).open();
  assert.equal(ws.url, "wss://page.example/socket.io/?EIO=4&transport=websocket");
  assert.deepEqual(ws.auth, { ws_token: "renewed" });
  assert.deepEqual(asked, [["/whisk/api/renew_ws_session", "same-origin", "no-store"]]);
  r.client.close();
});

test("a failing handler is shown where nobody listens for errors", async (t) => {
  const shown = [];
  globals(t, { reportError: (error) => shown.push(error.message) });
  const r = rig({
    groups: {
      app: {
        x: () => {
          throw new Error("mine");
        },
      },
    },
  });
  r.client.off("error");
  (await r.confirmed()).event("x");
  await until(() => shown.length === 1);
  assert.deepEqual(shown, ["mine"]);
  r.client.close();
});

test("the network's return ends a back-off, and waking up finds a dead connection", async (t) => {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  globals(t, {
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
    document,
  });
  const r = rig();
  (await r.socket(0)).drop();
  window.dispatchEvent(new Event("online"));
  const second = (await r.socket(1)).confirm({}, { pingInterval: 300, pingTimeout: 200 });
  assert.equal(r.client.state, "connected");

  r.clock.time += 10_000;
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(r.client.state, "connected", "a hidden page waits");
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual([r.client.state, second.closedWith], ["reconnecting", 4002]);

  // A wait that the server asked for is kept.
  (await r.next()).confirm().event("whisk.reconnect", { after_ms: 9000 }).drop(1012);
  window.dispatchEvent(new Event("online"));
  assert.equal(r.client.state, "reconnecting");
  r.client.close();
  window.dispatchEvent(new Event("online"));
  assert.equal(r.client.state, "disconnected");
});
