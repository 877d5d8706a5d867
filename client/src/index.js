/**
 * The client of Whisk for browsers and Node: one module, no dependencies.
 *
 * It speaks Socket.IO 5 over Engine.IO 4 on a WebSocket, confirms the page's session, comes back by
 * itself after a loss, and says honestly what became of each message. Its modules stand in the order
 * of reading:
 *
 *   limits, close, values, errors, json     what the outside can name, and what may be told of it
 *   packets                                 text in, checked packets out
 *   listeners, handlers, urls, options      who hears of what, and what `connect` takes
 *   timing, platform, credentials, link     small parts, and one transport up to its loss
 *   outbox                                  what leaves, and what became of it
 *   connection                              many links, one after the other
 *   events, stream, feed                    what is said on channels, in order, and to whom
 *   roster, reader, presence                who is on a channel
 *   subscription, repeat, channel, channels channels on the network, and their handles
 *   client                                  all of it behind one interface
 *
 * Names that came over the network are only ever keys of a `Map`, never of a plain object, and
 * nothing received is merged into another object: no prototype can be reached from outside.
 *
 * @module whisk
 */

// The order of these lines is the order of the modules in the file that is made of them.
import "./limits.js";
import { closeCodes, comesBack } from "./close.js";
import "./values.js";
import { WhiskError } from "./errors.js";
import "./json.js";
import "./packets.js";
import "./listeners.js";
import "./handlers.js";
import "./urls.js";
import { clientSecret } from "./options.js";
import "./timing.js";
import "./platform.js";
import "./credentials.js";
import "./link.js";
import "./outbox.js";
import "./connection.js";
import "./events.js";
import "./stream.js";
import "./feed.js";
import "./roster.js";
import "./reader.js";
import "./presence.js";
import "./subscription.js";
import "./repeat.js";
import "./channel.js";
import "./channels.js";
import { Client } from "./client.js";

/** The version of this library. */
const version = "0.1.0";

/**
 * Connects to a ws-service and returns the client at once; `connect` fires when the session is
 * confirmed. The options are described in `whisk.d.ts` and the README.
 *
 * @param {object} options
 * @returns {Client}
 * @throws {WhiskError} `bad_option`, `no_credential` or `no_websocket`, before anything is opened
 */
function connect(options) {
  return new Client(options);
}

export { Client, clientSecret, closeCodes, comesBack, connect, version, WhiskError };
