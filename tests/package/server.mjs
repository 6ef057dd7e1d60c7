// A server for files of a folder, which can be told to misbehave.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

const TYPES = {
  html: 'text/html',
  js: 'text/javascript',
  css: 'text/css',
  json: 'application/json',
  map: 'application/json',
  wasm: 'application/wasm',
};

/**
 * Serves `root` under `base` on a free port of loopback. `headers` go with every answer. `special` maps a file name to
 * what is answered instead: `{ status, type, body }`, each optional.
 */
export async function serve(root, { base = '/', headers = {}, special = {} } = {}) {
  const requested = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requested.push(pathname);
    const path = normalize(pathname.endsWith('/') ? `${pathname}index.html` : pathname);
    const name = path.split('/').pop();
    const trick = Object.entries(special).find(([suffix]) => name.endsWith(suffix))?.[1] ?? {};
    try {
      if (!path.startsWith(base)) throw new Error('not ours');
      const body = trick.body ?? (await readFile(join(root, path.slice(base.length))));
      const type = trick.type ?? TYPES[name.split('.').pop()] ?? 'application/octet-stream';
      response.writeHead(trick.status ?? 200, { 'content-type': type, ...headers }).end(body);
    } catch {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<!doctype html><title>Not found</title>');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${base}`,
    requested,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}
