// Ports on the loopback interface.

import { createServer } from 'node:net';

/** Whether nobody listens on this port of 127.0.0.1. */
export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** `count` different free ports. All are held until the last is known, so none is given out twice. */
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port: 0, host: '127.0.0.1' }, resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The wanted port, or the first free one of the ten after it, or any free one. */
export async function portNear(wanted) {
  for (let port = wanted; port <= Math.min(wanted + 10, 65535); port += 1) if (await isFree(port)) return port;
  return (await freePorts(1))[0];
}
