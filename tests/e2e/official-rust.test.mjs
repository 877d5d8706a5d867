// The Rust client of Socket.IO as a peer: a program of its own in tests/rust.
import { after, before, test } from 'node:test';
import { startConformance } from '../lib/conformance.mjs';
import { bin, run } from '../lib/process.mjs';

let server;
before(async () => {
  server = await startConformance();
});
after(() => server?.stop());

for (const transport of ['any', 'websocket', 'polling']) {
  for (const nsp of ['/', '/custom']) {
    test(`rust_socketio by ${transport} in ${nsp}`, async () => {
      await run(bin('rust-peer'), [server.url, transport, nsp], { deadline: 60_000 });
    });
  }
}
