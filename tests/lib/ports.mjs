// Finds free ports on loopback for the programs that a test starts.
import { createServer } from 'node:net';

// Below the range from which the kernel takes ports for outgoing connections (32768 and up on
// Linux), so that no connection of a test takes a port between the finding and the use. Each test
// process begins elsewhere in the range, and none hands a port out twice.
const FIRST = 10_000;
const LAST = 30_000;
let next = FIRST + ((process.pid * 97) % (LAST - FIRST));

/**
 * A port on which nothing listens.
 *
 * @param {{ companion?: number }} [options] a distance at which a second port must be free too
 * @returns {Promise<number>}
 */
export async function freePort({ companion = 0 } = {}) {
  for (let tries = 0; tries < LAST - FIRST; tries += 1) {
    const port = next;
    next = next >= LAST ? FIRST : next + 1;
    if (!(await isFree(port))) continue;
    if (companion === 0 || (await isFree(port + companion))) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST}`);
}

/**
 * Several free ports, all different.
 *
 * @param {number} count
 * @returns {Promise<number[]>}
 */
export async function freePorts(count) {
  const ports = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** Whether a listener could take the port now. */
export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}
