// What a user writes against whisk.d.ts: it must compile, and each marked line must not.
import {
  connect,
  closeCodes,
  comesBack,
  version,
  Client,
  WhiskError,
  type State,
} from "../../whisk.js";

type FromServer = {
  "world.reply": (reply: { message: string; originating_user_id: number }) => void;
  "poll.ask": (question: { text: string }) => Promise<{ yes: boolean }>;
};
type ToServer = {
  "world.say": (say: { message: string }) => { at: string };
  "room.move": (x: number, y: number) => void;
};

const client = connect<FromServer, ToServer>({
  url: ["ws://127.0.0.1:8889", "ws://127.0.0.1:8890"],
  token: "from the page",
  getToken: async () => "fresh",
  reconnect: { minMs: 100, maxMs: 5000, attempts: 3 },
  WebSocket,
  groups: {
    base: {
      disconnect: ({ reason, willReconnect }) => void [reason, willReconnect],
      close: { callback: () => {} },
    },
    whisk: {
      "whisk.auth.request": {
        handler: async (_payload, standard) => standard(),
        callback: () => {},
      },
      "whisk.auth.accept": ({ user_id, address }) => void [user_id, address.length],
    },
    app: {
      "world.reply": { handler: ({ message }) => void message.length },
      "poll.ask": async ({ text }) => ({ yes: text !== "" }),
    },
  },
});

client
  .on("connect", ({ userId, address, resumed }) => void [userId, address, resumed])
  .on("reconnecting", ({ attempt, delayMs }) => void (attempt + delayMs))
  .on("error", (error) => void (error.code === "session_refused" && error.data))
  .on("world.reply", ({ message }) => void message.length)
  .once("poll.ask", async () => ({ yes: true }))
  .off("world.reply");

const state: State = client.state;
const sent: boolean = client.emit("world.say", { message: "hello" });
client.emit("room.move", 1, 2);
const said: { at: string } = await client.emitWithAck(
  "world.say",
  { message: "hi" },
  { timeoutMs: 100 },
);
const same: Client<FromServer, ToServer> = client;
const known: string | undefined = closeCodes.get(4102)?.name;
const back: boolean = comesBack(1012);
void [state, sent, said, same, known, back, version, new WhiskError("mine", "text", { x: 1 }).code];

// @ts-expect-error an event that this server does not know
client.emit("world.shout", {});
// @ts-expect-error a payload that does not fit
client.emit("world.say", { text: "hello" });
// @ts-expect-error the server's event has no such field
client.on("world.reply", ({ nothing }) => nothing);
// @ts-expect-error a state is not anything
const wrong: "open" = client.state;
// @ts-expect-error a client is made by connect
new Client();
// @ts-expect-error an option that does not exist
connect({ url: "ws://127.0.0.1", tokn: "x" });

// Without maps any event goes.
const loose = connect({
  url: () => "/",
  session: false,
  auth: async () => ({ key: "k" }),
  namespace: "/admin",
});
loose.on("anything", (a, b) => [a, b]);
loose.emit("anything", 1, "two");
const answer = await loose.emitWithAck("anything");
void answer;
