// socket.io as a peer of the benchmark: what the conformance program does on connect, for `bcast` and
// for `echo`. `node server.mjs PORT [REDIS]`; prints a line when it listens.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const [port, bus] = process.argv.slice(2);
const http = createServer();
// No ping comes into a measurement.
const io = new Server(http, { pingInterval: 3_600_000, serveClient: false });
if (bus) {
  const clients = [createClient({ url: bus }), createClient({ url: bus })];
  await Promise.all(clients.map((client) => client.connect()));
  io.adapter(createAdapter(...clients));
}
io.on('connection', (socket) => {
  socket.on('bcast', (body) => io.emit('msg', body));
  socket.on('echo', (body, acknowledge) => acknowledge(body));
  socket.emit('auth', socket.handshake.auth);
});
// More than Node's 511, for when all clients come at once.
http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 }, () => console.log('listening'));
