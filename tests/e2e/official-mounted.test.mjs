// The official clients once more, on sockets that are mounted in an actix-web App.
process.env.CONFORMANCE_HOST = 'actix-web';
for (const name of ['node', 'browser', 'cluster', 'python', 'rust']) {
  await import(`./official-${name}.test.mjs`);
}
await import('./bad-input.test.mjs');
await import('./sticky.test.mjs');
