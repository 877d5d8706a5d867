// The Python client of Socket.IO as a peer: by both transports, and with the upgrade.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startConformance } from '../lib/conformance.mjs';
import { ROOT, run } from '../lib/process.mjs';

const PYTHON = join(ROOT, 'tests', '.venv', 'bin', 'python');

let server;
before(async () => {
  assert.ok(existsSync(PYTHON), `${PYTHON} is missing: run cargo xtask setup first`);
  server = await startConformance();
});
after(() => server?.stop());

for (const transports of ['polling', 'websocket', 'polling,websocket']) {
  test(`python-socketio by ${transports}`, async () => {
    const peer = join(ROOT, 'tests', 'python', 'peer.py');
    await run(PYTHON, [peer, server.url, transports], { name: 'peer.py', deadline: 60_000 });
  });
}
