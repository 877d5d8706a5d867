// A real nginx in front of several nodes, in plain round-robin: it knows nothing of sessions.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.mjs';
import { start } from './process.mjs';
import { until } from './until.mjs';

/**
 * Starts nginx before nodes on these ports.
 *
 * @param {number[]} ports of the nodes, on loopback
 * @param {{ retries?: boolean }} [options] `retries`: a node that cannot be reached is passed over, as
 *   nginx does by default; without, each failure is seen
 */
export async function startNginx(ports, { retries = false } = {}) {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'whisk-nginx-'));
  await writeFile(join(folder, 'nginx.conf'), config({ port, ports, folder, retries }));
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'];
  const nginx = new Nginx(port, folder, start('nginx', args, { name: 'nginx' }));
  try {
    // Asked at a path of its own, so that no node hears of it.
    await until('nginx answers', async () => (await fetch(`${nginx.url}/nginx`)).ok);
  } catch (error) {
    await nginx.stop();
    throw error;
  }
  return nginx;
}

/** One nginx. */
class Nginx {
  #folder;

  constructor(port, folder, program) {
    this.port = port;
    this.program = program;
    this.#folder = folder;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The requests that are over: `{ status, method, uri, node }`. A WebSocket's comes at its end. */
  async requests() {
    const log = await readFile(join(this.#folder, 'access.log'), 'utf8');
    // The last piece is empty, or a line that is not whole yet.
    return log.split('\n').slice(0, -1).map((line) => {
      const [status, method, uri, node] = line.split(' ');
      return { status: Number(status), method, uri, node };
    });
  }

  /** Ends it and removes its folder. */
  async stop() {
    await this.program.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const config = ({ port, ports, folder, retries }) => `
daemon off;
worker_processes 2;
worker_rlimit_nofile 8192;
pid ${folder}/nginx.pid;
events { worker_connections 4096; }
http {
  log_format whisk '$status $request_method $request_uri $upstream_addr';
  access_log ${folder}/access.log whisk;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  upstream nodes {
    # One count for all worker processes, so that it is a round-robin indeed.
    zone nodes 64k;
${ports.map((at) => `    server 127.0.0.1:${at}${retries ? '' : ' max_fails=0'};`).join('\n')}
  }
  server {
    listen 127.0.0.1:${port};
    location = /nginx { access_log off; return 200; }
    location / {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 120s;
      proxy_buffering off;
      proxy_next_upstream ${retries ? 'error timeout' : 'off'};
    }
  }
}
`;
