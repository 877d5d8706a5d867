/** Types of `whisk.js`: the client of Whisk for browsers and Node. */

/** The version of this library. */
export const version: string;

/** The named close codes. For numbers outside of it see `comesBack`. */
export const closeCodes: ReadonlyMap<number, { readonly name: string; readonly comeBack: boolean }>;

/** Whether a client comes back after a close with this code. */
export function comesBack(code: number): boolean;

/** Codes that the client itself gives; a server adds its own. */
export type LocalErrorCode =
  | "timeout"
  | "connection_dropped"
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
  | "bad_option";

/** Codes of refusals and error acknowledgements that Whisk's servers give. */
export type ServerErrorCode =
  | "session_refused"
  | "auth_timeout"
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
  /** Something failed. Whether the client goes on is told by `state`. */
  error(error: WhiskError): void;
  /** The end: the client was closed, dismissed or refused, or gave up. */
  close(detail: { reason: CloseReason; code: number | null }): void;
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

export type CloseReason =
  | "client closed"
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

  /** Leaves for good. */
  close(): void;
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
