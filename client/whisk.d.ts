/** Types of `whisk.js`: the client of Whisk for browsers and Node. */

/** The version of this library. */
export const version: string;

/** The named close codes. For numbers outside of it see `comesBack`. */
export const closeCodes: ReadonlyMap<number, { readonly name: string; readonly comeBack: boolean }>;

/** Whether a client comes back after a close with this code. */
export function comesBack(code: number): boolean;

/** A new secret for the option `client`, which may be kept, as in `sessionStorage`. */
export function clientSecret(): string;

/** Codes that the client itself gives; a server adds its own. */
export type LocalErrorCode =
  | "timeout"
  | "connection_dropped"
  | "away"
  | "closed"
  | "buffer_full"
  | "payload_too_large"
  | "not_serializable"
  | "protocol"
  | "transport"
  | "no_credential"
  | "no_session"
  | "forbidden"
  | "unavailable"
  | "connect_refused"
  | "dismissed"
  | "reconnect_failed"
  | "handler_failed"
  | "no_websocket"
  | "bad_option"
  | "bad_channel"
  | "not_subscribed"
  | "no_presence"
  | "removed"
  | "booted";

/** Codes of refusals and error acknowledgements that Whisk's servers give. */
export type ServerErrorCode =
  | "session_refused"
  | "auth_timeout"
  | "auth_expired"
  | "refused"
  | "too_many_channels"
  | "unavailable"
  | "not_confirmed"
  | "revoked"
  | "unknown_event"
  | "bad_payload"
  | "internal"
  | "overloaded"
  | "no_session"
  | "rate_limited"
  | "timeout";

/** Every failure that Whisk reports. Match on `code`, never on `message`. */
export class WhiskError extends Error {
  constructor(code: string, message?: string, data?: unknown, options?: { cause?: unknown });
  readonly name: "WhiskError";
  /** What happened. The names known here complete in an editor; any other text is possible. */
  readonly code: LocalErrorCode | ServerErrorCode | (string & {});
  /** The server's whole error object, or details such as `{ limit }` or `{ dropped }`. */
  readonly data: any;
}

/**
 * Events by name, each as the function that takes its arguments and returns its acknowledgement.
 */
export type EventMap = { [event: string]: (...args: any[]) => any };

/** Any event with any arguments: what is assumed where no map is given. */
export type AnyEvents = Record<string, (...args: any[]) => any>;

/** The client's life. `disconnected` is for good. */
export type State = "connecting" | "confirming" | "connected" | "reconnecting" | "disconnected";

/** The client's own events. The server can neither send nor trigger them. */
export interface Lifecycle {
  /** The session is confirmed: for the first time, or again. */
  connect(detail: ConnectDetail): void;
  /** A confirmed connection was lost. */
  disconnect(detail: DisconnectDetail): void;
  /** The next attempt starts in `delayMs`. */
  reconnecting(detail: { attempt: number; delayMs: number }): void;
  /** Confirmed again, after `connect`. */
  reconnect(detail: { attempt: number }): void;
  /** The session changed, and the server asked its gates again. `data` is all that it told. */
  session(detail: { userId: any; data: Record<string, any> }): void;
  /** Something failed. Whether the client goes on is told by `state`. */
  error(error: WhiskError): void;
  /** The end: the client was closed, booted, dismissed or refused, or gave up. */
  close(detail: CloseDetail): void;
}

export interface ConnectDetail {
  /** The session's user as the server names it; null in a namespace without session. */
  userId: any;
  /** The socket's address on the bus, `ws/<nid>/<sid>`; null in a namespace without session. */
  address: string | null;
  /** Whether the client came back on its `resume` credential instead of a token. */
  resumed: boolean;
}

export interface DisconnectDetail {
  reason: CloseReason;
  /** The WebSocket's close code, where there was one: see `closeCodes`. */
  code: number | null;
  willReconnect: boolean;
}

export interface CloseDetail {
  reason: CloseReason;
  code: number | null;
  /** Why the server put this client out, if it did and said so. */
  bootReason?: string;
}

export type CloseReason =
  | "client closed"
  | "booted"
  | "server disconnect"
  | "transport close"
  | "ping timeout"
  | "protocol error"
  | "refused"
  | "timeout"
  | "not opened";

type MaybePromise<T> = T | PromiseLike<T>;

/** One event of a handler group: `handler` does the work, `callback` is called besides. */
export interface GroupEntry<H extends (...args: any[]) => any, C = H> {
  handler?: H;
  callback?: C;
}

/** What proves the session to the server. */
export type Credential = { ws_token: string } | { resume: string };

/** Handlers that are in place before the first packet and survive every reconnection. */
export interface HandlerGroups<ServerEvents extends EventMap = AnyEvents> {
  /** The client's own events. */
  base?: { [K in keyof Lifecycle]?: Lifecycle[K] | GroupEntry<Lifecycle[K]> };
  /** The session's handshake. The client's own part of it always runs. */
  whisk?: {
    /** The handler replaces the client's answer; `standard` gives what that would have been. */
    "whisk.auth.request"?:
      AuthRequestHandler | GroupEntry<AuthRequestHandler, (payload: unknown) => void>;
    "whisk.auth.accept"?: WhiskEntry<{ user_id: any; address: string; success: true }>;
    "whisk.auth.error"?: WhiskEntry<{ error: { code: string; message: string } }>;
    "whisk.reconnect"?: WhiskEntry<{ after_ms: number }>;
    [event: `whisk.${string}`]: any;
  };
  /** The application's events. The handler's value, or its promise, is the acknowledgement. */
  app?: { [K in keyof ServerEvents]?: ServerEvents[K] | GroupEntry<ServerEvents[K]> };
}

export type AuthRequestHandler = (
  payload: unknown,
  standard: () => Promise<Credential>,
) => MaybePromise<Record<string, unknown>>;

type WhiskEntry<P> = ((payload: P) => void) | GroupEntry<(payload: P) => void>;

/** The part of the WebSocket interface that the client uses. */
export interface WebSocketLike {
  binaryType: any;
  readonly readyState: number;
  readonly bufferedAmount?: number;
  onmessage: any;
  onclose: any;
  onerror: any;
  send(data: string): void;
  close(code?: number): void;
  terminate?(): void;
}

export interface ConnectOptions<ServerEvents extends EventMap = AnyEvents> {
  /**
   * Where the ws nodes are, as ws(s) or http(s) URL; in a browser also relative to the page. The
   * path is `/socket.io/` unless one is given. Of a list the next one is tried after each loss or
   * failure; a function is asked before each attempt.
   */
  url: string | readonly string[] | (() => MaybePromise<string>);
  /** The session-sync token that came with the page. It is used once. */
  token?: string;
  /**
   * Gives a fresh token when there is no `resume` to come back on. An empty answer means that there
   * is no session any more; a `WhiskError` with the code `no_session` or `forbidden` ends the
   * client, any other failure is tried again.
   */
  getToken?: () => MaybePromise<string | null | undefined>;
  /**
   * Where the web-service renews tokens, `/whisk/api/renew_ws_session` in browsers. Not used with
   * `getToken`.
   */
  renewUrl?: string;
  /**
   * False for a namespace that confirms no session: `connect` then means that the server admitted.
   * Default true.
   */
  session?: boolean;
  /** Connect first and show the token when the server asks for it. Default false. */
  lateAuth?: boolean;
  /** More of what CONNECT's `auth` holds; a function is asked before each attempt. */
  auth?: Record<string, unknown> | (() => MaybePromise<Record<string, unknown> | undefined>);
  /**
   * The secret that makes this client the same one to the server when it comes back: 16 to 128
   * characters. Default: a new `clientSecret()`, which lasts as long as the `Client`.
   */
  client?: string;
  /** The Socket.IO namespace. Default `/`. */
  namespace?: string;
  groups?: HandlerGroups<ServerEvents>;
  /**
   * How long an attempt may take to get ready, and again to open and be confirmed. Default 10,000.
   */
  timeoutMs?: number;
  reconnect?: {
    /** The ceiling of the first delay; it doubles with each attempt. Default 500. */
    minMs?: number;
    /** The highest ceiling. Default 20,000. */
    maxMs?: number;
    /** Attempts in a row before giving up. Default: no end. */
    attempts?: number;
  };
  /** The WebSocket class where the platform has none: that of the npm package `ws`. */
  WebSocket?: new (url: string) => WebSocketLike;
  /** For tests: a clock of their own. */
  timers?: {
    setTimeout(fn: () => void, ms: number): any;
    clearTimeout(timer: any): void;
    now(): number;
  };
  /** For tests: numbers from 0 to 1 for the jitter. */
  random?: () => number;
}

/** What becomes of something said while there is no connection: it waits, or fails as `away`. */
export type WhenAway = "wait" | "fail";

export interface AskOptions {
  /** From the call, waiting included. Default 5,000. */
  timeoutMs?: number;
  /** Default `wait`. */
  whenAway?: WhenAway;
}

/** An event's first argument. */
type Payload<F> = F extends (...args: infer A) => any ? A[0] : never;
/** An event's acknowledgement. */
type Ack<F> = F extends (...args: any[]) => infer R ? Awaited<R> : never;

/** A connection to Whisk that outlives its transports. Made by `connect`. */
export class Client<
  ServerEvents extends EventMap = AnyEvents,
  ClientEvents extends EventMap = AnyEvents,
> {
  private constructor();

  readonly state: State;
  /** The socket's address on the bus while connected. */
  readonly address: string | null;
  /** The session's user, as the last confirmation told. */
  readonly userId: any;
  /** The socket's id while connected. */
  readonly id: string | null;

  /**
   * Adds a handler of the client's own events or of an event from the server. If the server awaits
   * an acknowledgement, it gets what the event's first handler returns, or its promise.
   */
  on<K extends keyof Lifecycle>(event: K, handler: Lifecycle[K]): this;
  on<K extends keyof ServerEvents & string>(event: K, handler: ServerEvents[K]): this;
  /** Like `on`, for one time. */
  once<K extends keyof Lifecycle>(event: K, handler: Lifecycle[K]): this;
  once<K extends keyof ServerEvents & string>(event: K, handler: ServerEvents[K]): this;
  /** Removes a handler, or all of an event; those given as `groups` stay. */
  off(
    event: keyof Lifecycle | (keyof ServerEvents & string),
    handler?: (...args: any[]) => any,
  ): this;

  /**
   * Sends an event at most once, or queues it while away. False, and the event `error`, if neither.
   */
  emit<K extends keyof ClientEvents & string>(
    event: K,
    ...args: Parameters<ClientEvents[K]>
  ): boolean;

  /**
   * Sends an event and awaits its acknowledgement; rejects with a `WhiskError`. Default 5,000 ms.
   */
  emitWithAck<K extends keyof ClientEvents & string>(
    event: K,
    payload?: Payload<ClientEvents[K]>,
    options?: { timeoutMs?: number },
  ): Promise<Ack<ClientEvents[K]>>;

  /** Asks the server and promises its answer; rejects with a `WhiskError`. */
  ask<K extends keyof ClientEvents & string>(
    topic: K,
    payload?: Payload<ClientEvents[K]>,
    options?: AskOptions,
  ): Promise<Ack<ClientEvents[K]>>;

  /** Tells the server something; with `ack` it promises that it was dealt with. */
  tell<K extends keyof ClientEvents & string>(
    topic: K,
    payload: Payload<ClientEvents[K]> | undefined,
    options: AskOptions & { ack: true },
  ): Promise<Ack<ClientEvents[K]>>;
  tell<K extends keyof ClientEvents & string>(
    topic: K,
    payload?: Payload<ClientEvents[K]>,
    options?: { ack?: false; whenAway?: WhenAway },
  ): boolean;

  /** Subscribes to a channel, and again by itself after each loss. Rejects with the refusal. */
  subscribe<Topics extends EventMap = AnyEvents, Meta = any>(
    name: string,
    options?: SubscribeOptions<Meta>,
  ): Promise<Channel<Topics, Meta>>;

  /** What is said to this client's user, wherever that is connected. */
  readonly user: Feed;
  /** What is said to this client's session, in all of its pages. */
  readonly session: Feed;
  /** Adds a handler of what is said to everybody. Returns what removes it. */
  onBroadcast<T = any>(
    topic: string,
    handler: (data: T, message: { topic: string; id?: string }) => unknown,
  ): () => void;

  /** Leaves for good. */
  close(): void;
}

export interface SubscribeOptions<Meta = any> {
  /** What the channel's gate is asked with, each time. Any JSON. */
  query?: unknown;
  /** How this client stands on the roster; `false` to watch without being on it. */
  presence?: { label?: string; meta?: Meta } | false;
  /** How long to wait for the server's answer, retries included. Default 10,000. */
  timeoutMs?: number;
}

/**
 * How far a channel is. Offsets of two epochs say nothing about each other; the epoch is "" while
 * nothing was ever said there.
 */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** What is known of a message besides its data. All of it is the server's word. */
export interface Message {
  readonly channel: string;
  readonly topic: string;
  /** Its place on the channel; absent on what was meant for this socket alone. */
  readonly epoch?: string;
  readonly offset?: number;
  readonly id?: string;
  /** The sending socket's address; absent when a process of the server spoke. */
  readonly from?: string;
  /** The sender's public client id, on a channel with presence. */
  readonly client?: string;
  /** The sender's user, or null. */
  readonly user: any;
  /** When the server took it, in milliseconds since 1970. */
  readonly at?: number;
  /** Meant for this socket alone. */
  readonly direct: boolean;
  /** Somebody waits for an answer: `reply` and `refuse` are there. */
  readonly ask: boolean;
  /** Answers, once. False, and the event `error`, if it could not be sent. */
  readonly reply?: (data?: unknown) => boolean;
  /** Answers with an error, once. */
  readonly refuse?: (code: string, text?: string) => boolean;
}

/**
 * Takes a message. What it returns, or its promise, answers a message with `ask`; `undefined` is no
 * answer, and a `WhiskError` that it throws is a refusal.
 */
export type MessageHandler<F extends (...args: any[]) => any = (data: any) => any> = (
  data: Payload<F>,
  message: Message,
) => MaybePromise<Ack<F> | void>;

/** What is said on one channel. */
export interface Feed<Topics extends EventMap = AnyEvents> {
  readonly name: string;
  /** Adds a handler of a topic. Any name is as good as another. */
  on<K extends keyof Topics & string>(topic: K, handler: MessageHandler<Topics[K]>): this;
  /** Like `on`, for one time. */
  once<K extends keyof Topics & string>(topic: K, handler: MessageHandler<Topics[K]>): this;
  /** Removes a handler, or all of a topic. */
  off<K extends keyof Topics & string>(topic: K, handler?: MessageHandler<Topics[K]>): this;
  /** Adds a handler of what no handler takes by its topic. Returns what removes it. */
  onMessage(handler: MessageHandler): () => void;
}

/** Where a subscription stands. The last five are the end of it. */
export type ChannelStatus =
  | "subscribing"
  | "active"
  | "dropped"
  | "retrying"
  | "refused"
  | "removed"
  | "unsubscribed"
  | "booted"
  | "closed";

export interface ToOptions extends AskOptions {
  /** A client id of the roster, or a socket's address. Default: all others on the channel. */
  to?: string;
}

/** What a publication became. */
export interface Published {
  id: string;
  at: number;
  /** Null for what went to one receiver alone. */
  position: Position | null;
  /** Where it was kept when this was answered, as `memory`. */
  level: string | null;
}

/** The first reply to a request. */
export interface Reply<T = any> {
  data: T;
  id: string;
  at: number;
  /** Absent when a handler of the server answered. */
  from: string | undefined;
  client: string | undefined;
  user: any;
  /** From the call to the reply, in milliseconds. */
  tookMs: number;
}

/** What `every` asks at one beat. */
export interface Request {
  topic: string;
  data?: unknown;
  to?: string;
  timeoutMs?: number;
}

/** One handle of a channel. Several share one subscription, which ends with the last of them. */
export interface Channel<Topics extends EventMap = AnyEvents, Meta = any> extends Feed<Topics> {
  readonly status: ChannelStatus;
  /** Why it is being tried again, or why it ended. */
  readonly error: WhiskError | null;
  /** How far it was heard; null while nothing is known. */
  readonly position: Position | null;
  readonly presence: Presence<Meta>;
  /** Adds a handler of status changes. Returns what removes it. */
  onStatus(handler: (status: ChannelStatus, error: WhiskError | null) => unknown): () => void;
  /** Publishes to the others, or to one of them, where the channel's rules allow it. */
  publish<K extends keyof Topics & string>(
    topic: K,
    data?: Payload<Topics[K]>,
    options?: ToOptions,
  ): Promise<Published>;
  /** Asks the others, or one of them, and promises the first reply. At most 60,000 ms. */
  request<K extends keyof Topics & string>(
    topic: K,
    data?: Payload<Topics[K]>,
    options?: ToOptions,
  ): Promise<Reply<Ack<Topics[K]>>>;
  /**
   * Asks every `ms` what `make` gives then, if anything. A beat is left out while the former one is
   * unanswered or the channel is not active. Returns what stops it; it ends with the handle.
   */
  every<T = any>(
    ms: number,
    make: () => MaybePromise<Request | null | undefined | void>,
    onReply: (reply: Reply<T>) => unknown,
    options?: { onError?: (error: any) => unknown },
  ): () => void;
  /** Ends this handle, gracefully. True if the server confirmed it; never rejects. */
  leave(): Promise<boolean>;
}

/** Somebody on a channel. Times are in milliseconds since 1970. */
export interface Member<Meta = any> {
  /** The public client id. */
  readonly client: string;
  readonly user: any;
  readonly label: string | null;
  readonly meta: Meta | null;
  readonly state: "connected" | "disconnected";
  readonly first_seen: number;
  readonly last_seen: number;
  readonly version: number;
}

/** All clients of one user. */
export interface MemberUser<Meta = any> {
  readonly user: any;
  /** `connected` if one of them is. */
  readonly state: "connected" | "disconnected";
  readonly clients: readonly Member<Meta>[];
}

interface MemberChange<Meta> {
  channel: string;
  client: string;
  member: Member<Meta>;
}

/** What a roster tells. */
export interface PresenceEvents<Meta = any> {
  "client.connected"(detail: MemberChange<Meta>): unknown;
  "client.disconnected"(detail: MemberChange<Meta>): unknown;
  "client.reconnected"(detail: MemberChange<Meta>): unknown;
  "client.removed"(detail: MemberChange<Meta>): unknown;
  "client.updated"(detail: MemberChange<Meta>): unknown;
  /** Clients that were seen after a knock, each with the time. */
  seen(detail: { channel: string; seen: readonly (readonly [string, number])[] }): unknown;
}

/** A live roster, and the own entry in it. */
export interface Presence<Meta = any> {
  /** The own public id; null where the channel keeps no roster. */
  readonly client: string | null;
  /** Whether it is whole and up to date. What is shown else is the last that was. */
  readonly complete: boolean;
  /** Whether it has more members than are kept. */
  readonly truncated: boolean;
  readonly size: number;
  /** Resolves once it is whole; rejects with `no_presence` where the channel keeps none. */
  readonly ready: Promise<this>;
  /** Everybody, in the order in which they came. */
  readonly members: readonly Member<Meta>[];
  /** One entry per user with its clients beneath. */
  readonly users: readonly MemberUser<Meta>[];
  get(client: string): Member<Meta> | undefined;
  on<K extends keyof PresenceEvents>(event: K, handler: PresenceEvents<Meta>[K]): this;
  once<K extends keyof PresenceEvents>(event: K, handler: PresenceEvents<Meta>[K]): this;
  off<K extends keyof PresenceEvents>(event: K, handler?: PresenceEvents<Meta>[K]): this;
  /** How many there are, asked of the server, without who they are. */
  count(options?: AskOptions): Promise<{ connected: number; disconnected: number; users: number }>;
  /** Changes the own entry; what is left out stays. */
  update(changes: { label?: string | null; meta?: Meta }, options?: AskOptions): Promise<void>;
  /** Has everybody asked for a sign of life now, told as `seen`. */
  knock(options?: AskOptions): Promise<void>;
}

/**
 * Connects to a ws-service and returns the client at once; `connect` fires when the session is
 * confirmed.
 * @throws {WhiskError} `bad_option`, `no_credential` or `no_websocket`
 */
export function connect<
  ServerEvents extends EventMap = AnyEvents,
  ClientEvents extends EventMap = AnyEvents,
>(options: ConnectOptions<ServerEvents>): Client<ServerEvents, ClientEvents>;
