// What a user writes against whisk.d.ts: it must compile, and each marked line must not.
import {
  connect,
  clientSecret,
  closeCodes,
  comesBack,
  version,
  Client,
  WhiskError,
  type Channel,
  type ChannelStatus,
  type Feed,
  type Member,
  type Message,
  type MessageHandler,
  type Published,
  type Reply,
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

// ---- asks and tells

const asked: { at: string } = await client.ask(
  "world.say",
  { message: "hi" },
  { timeoutMs: 100, whenAway: "fail" },
);
const told: boolean = client.tell("world.say", { message: "hi" }, { whenAway: "fail" });
const dealt: { at: string } = await client.tell("world.say", { message: "hi" }, { ack: true });
void [asked, told, dealt];
// @ts-expect-error there are two choices
client.ask("world.say", { message: "hi" }, { whenAway: "never" });
// @ts-expect-error a payload that does not fit
client.tell("world.say", { text: "hi" }, { ack: true });

// ---- channels

type Exam = {
  notice: (notice: { text: string }) => void;
  "speed.check": (ask: { sent: number }) => { received: number };
};
type Seat = { seat: number };

const secret: string = clientSecret();
connect({ url: "ws://127.0.0.1", token: "x", client: secret });

const exam: Channel<Exam, Seat> = await client.subscribe<Exam, Seat>("exam:42", {
  query: { room: 3 },
  presence: { label: "Ann", meta: { seat: 2 } },
  timeoutMs: 2000,
});
await client.subscribe("exam:42", { presence: false });
// @ts-expect-error an option that does not exist
await client.subscribe("exam:42", { qery: 1 });
// @ts-expect-error what a member shows is typed
await client.subscribe<Exam, Seat>("exam:42", { presence: { meta: { row: 2 } } });

const handle: MessageHandler<Exam["notice"]> = ({ text }, { user, at, offset }) =>
  void [text, user, at, offset];
exam
  .on("notice", handle)
  .once("notice", ({ text }, message: Message) => void [text.length, message.direct])
  .off("notice", handle)
  .on("speed.check", ({ sent }) => ({ received: sent }))
  .on("speed.check", async () => undefined)
  .on("speed.check", (_, message) => {
    if (message.ask) message.refuse?.("busy", "later");
    const answered: boolean | undefined = message.reply?.({ received: 1 });
    void answered;
  });
// @ts-expect-error an answer that does not fit
exam.on("speed.check", () => ({ sent: 1 }));
// @ts-expect-error a topic that this channel does not have
exam.on("grades", () => {});
const unhear: () => void = exam.onMessage((data, { topic }) => void [data, topic]);
const unwatch: () => void = exam.onStatus((status: ChannelStatus, error) => [status, error?.code]);
const [status, why]: [ChannelStatus, WhiskError | null] = [exam.status, exam.error];
const where: string | undefined = exam.position?.epoch;

const published: Published = await exam.publish("notice", { text: "soon" }, { to: "c7" });
const offset: number | undefined = published.position?.offset;
const reply: Reply<{ received: number }> = await exam.request(
  "speed.check",
  { sent: 1 },
  { to: "c7", timeoutMs: 800, whenAway: "fail" },
);
const took: number = reply.tookMs - reply.data.received;
// @ts-expect-error a request that does not fit its topic
await exam.request("speed.check", { sent: "now" });
const stop: () => void = exam.every<{ received: number }>(
  2000,
  async () => (Math.random() < 0.5 ? { topic: "speed.check", data: { sent: 1 }, to: "c7" } : null),
  ({ data, tookMs }) => void [data.received, tookMs],
  { onError: (error) => void error },
);
exam.every(
  100,
  () => {},
  () => {},
);
// @ts-expect-error what is asked has a topic
exam.every(100, async () => ({ data: 1 }), console.log);
const confirmed: boolean = await exam.leave();

// ---- private channels, broadcasts, the session

const mine: Feed = client.user;
mine.on("mail", (data, { from }) => [data, from]).onMessage(() => {});
client.session.on("cart", (data) => data);
const deaf: () => void = client.onBroadcast<{ text: string }>(
  "notice",
  ({ text }, { topic, id }) => [text, topic, id],
);
client
  .on("session", ({ userId, data }) => [userId, data.role])
  .on("close", ({ reason, bootReason }) => reason === "booted" && bootReason?.length);

// ---- presence

const { presence } = await exam.presence.ready.then(() => exam);
presence
  .on("client.connected", ({ client: id, member }) => [id, member.label, member.meta?.seat])
  .once("client.removed", ({ channel, member: { first_seen } }) => [channel, first_seen])
  .on("seen", ({ seen }) => seen.map(([id, at]) => [id, at]))
  .off("client.updated");
const member: Member<Seat> | undefined = presence.get("c7");
for (const { user, state: there, clients } of presence.users) {
  void [user, there === "connected", clients.map(({ client: id, last_seen }) => [id, last_seen])];
}
const { connected }: { connected: number } = await presence.count({ timeoutMs: 100 });
await presence.update({ label: "Ann", meta: { seat: 3 } });
await presence.knock();
// @ts-expect-error a state is one of two
const asleep: "asleep" | undefined = member?.state;
// @ts-expect-error an event that presence does not have
presence.on("client.exploded", () => {});
// @ts-expect-error nobody changes the roster from here
presence.members.push(member);
void [unhear, unwatch, status, why, where, offset, took, stop, confirmed, deaf, connected];
void [presence.members.length, presence.size, presence.complete, presence.truncated];
