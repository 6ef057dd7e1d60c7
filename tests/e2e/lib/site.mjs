// Serves the test page, the built package and the published Nym client on a free port of loopback.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../../../scripts/lib/paths.mjs';
import { selfSigned } from './certificate.mjs';

const e2e = dirname(dirname(fileURLToPath(import.meta.url)));
const nymPackage = dirname(createRequire(import.meta.url).resolve('@nymproject/nym-client-wasm/package.json'));

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Folders by the beginning of the path. */
const FOLDERS = {
  '/dist/': join(root, 'dist'),
  '/lib/': join(e2e, 'lib'),
  '/nym/': nymPackage,
  '/nym-page/': join(e2e, 'nym'),
  '/page/': join(e2e, 'page'),
};

const wasmFile = join(root, 'dist', 'mixlet.wasm');

/** Things that go wrong with the wasm on real servers. */
const ODD = {
  '/odd/html.wasm': async () => ({ type: 'text/html', body: '<!doctype html><title>Not found</title>' }),
  '/odd/type.wasm': async () => ({ type: 'text/plain', body: await readFile(wasmFile) }),
  '/odd/no-type.wasm': async () => ({ body: await readFile(wasmFile) }),
  '/odd/cut.wasm': async () => ({ type: 'application/wasm', body: (await readFile(wasmFile)).subarray(0, 50_000) }),
  '/odd/other.wasm': async () => ({ type: 'application/wasm', body: Buffer.from('0061736d01000000', 'hex') }),
};

/**
 * Starts the server; `secure` for https with a certificate of its own making. `policy` is sent as the content policy.
 * Gives back `{ url, port, close }`; the page is at `url`.
 */
export async function serveSite({ secure = false, policy } = {}) {
  const answer = async (request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const found = await read(path).catch(() => null);
    if (found === null) {
      response.writeHead(404, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Not found</title>');
      return;
    }
    const headers = { 'Cache-Control': 'no-store' };
    if (found.type) headers['Content-Type'] = found.type;
    if (policy) headers['Content-Security-Policy'] = policy;
    response.writeHead(200, headers).end(found.body);
  };
  const server = secure ? createSecureServer(selfSigned('localhost'), answer) : createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    port,
    url: secure ? `https://localhost:${port}/` : `http://127.0.0.1:${port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function read(path) {
  if (path in ODD) return ODD[path]();
  if (path === '/') return { type: 'text/html', body: await readFile(join(e2e, 'page', 'index.html')) };
  const [begin, folder] = Object.entries(FOLDERS).find(([begin]) => path.startsWith(begin)) ?? [];
  if (!begin) return null;
  const file = join(folder, path.slice(begin.length));
  return { type: TYPES[extname(file)] ?? 'application/octet-stream', body: await readFile(file) };
}
