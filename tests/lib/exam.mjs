// The proctor example under test, and people in it: in pages, by the official client, by our own.
import WebSocket from 'ws';
import { connect } from '../../client/whisk.js';
import { Peer } from './conformance.mjs';
import { startAlone, startProcesses, Visitor } from './example.mjs';

/** Times so short that a test need not wait long for what takes them. */
export const TIMES = {
  WHISK_EXAMPLE__PING_INTERVAL: '300ms',
  WHISK_EXAMPLE__DISCONNECT_THRESHOLD: '2s',
  WHISK_EXAMPLE__REMOVAL_THRESHOLD: '60s',
};

export const startExam = ({ env = {}, ...options } = {}) =>
  startAlone('proctor', { env: { ...TIMES, ...env }, ...options });
export const startExamOnRedis = ({ env = {}, ...options } = {}) =>
  startProcesses('proctor', { env: { ...TIMES, ...env }, ...options });

/** What the page of somebody who just entered gives to its script. */
async function entered(system, role, name, room = 'algebra') {
  const visitor = new Visitor(system.url);
  await visitor.post('/enter', { name, role, room });
  return { visitor, settings: await visitor.page('/exam') };
}

let secrets = 0;
/** Whatever makes a client the same one when it comes back. */
const secret = () => `a-secret-of-its-own-${process.pid}-${(secrets += 1)}`;

/** Somebody by the official client, on the node of this number. */
export async function official(system, role, name, { nid = 0, room } = {}) {
  const { visitor, settings } = await entered(system, role, name, room);
  const client = secret();
  const dial = async (nid, ws_token) => {
    const url = `http://127.0.0.1:${system.wsPorts[nid]}`;
    const peer = new Peer(url, { transports: ['websocket'], auth: { ws_token, whisk_client: client } });
    peer.user = settings.user_id;
    // The same one again, by another socket.
    peer.again = async (nid) => dial(nid, (await visitor.page('/exam')).ws_token);
    await peer.next('connect');
    return peer;
  };
  return dial(nid, settings.ws_token);
}

/**
 * Somebody by our own client, on the node of this number first, then on the others.
 *
 * @param {{ nid?: number, room?: string }} [options]
 */
export async function person(system, role, name, { nid = 0, room, ...options } = {}) {
  const { visitor, settings } = await entered(system, role, name, room);
  const ports = [...system.wsPorts.slice(nid), ...system.wsPorts.slice(0, nid)];
  const client = connect({
    WebSocket,
    url: ports.map((port) => `ws://127.0.0.1:${port}`),
    getToken: async () => (await visitor.page('/exam')).ws_token,
    token: settings.ws_token,
    reconnect: { minMs: 100, maxMs: 500 },
    ...options,
  });
  client.problems = [];
  client.on('error', (error) => client.problems.push(error.code));
  await new Promise((resolve, reject) => client.once('connect', resolve).once('close', reject));
  return client;
}
