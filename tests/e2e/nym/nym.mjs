// The published Nym browser client in a page of headless Chromium, driven from Node.

/* global window */

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const nymPackage = dirname(createRequire(import.meta.url).resolve('@nymproject/nym-client-wasm/package.json'));

const TYPES = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm' };

/** How long a client may take to fetch the topology, register and start. */
const OPEN_MS = 60_000;

/** Serves the page and the client's files on a free port of loopback. */
export async function servePage() {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const file = path.startsWith('/nym/') ? join(nymPackage, path.slice(5)) : join(here, 'page.html');
    try {
      const body = await readFile(file);
      response.writeHead(200, { 'Content-Type': TYPES[file.split('.').pop()] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** Debian's Chromium, quiet and offline but for loopback. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  });
}

/**
 * Opens a client in a profile of its own, registered at the gateway with this id. `lines` collects what the page writes
 * to its console, for the case that something fails.
 */
export async function openNym(browser, url, { directory, gatewayId, name, lines = [] }) {
  const context = await browser.newContext();
  let page;
  const start = async () => {
    page = await context.newPage();
    page.on('console', (message) => lines.push(`${name}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`${name}: ${error.message}`));
    await page.goto(url);
    await page.waitForFunction(() => window.ready, null, { timeout: OPEN_MS });
    const options = { clientId: name, nymApiUrl: directory, preferredGateway: gatewayId };
    const opening = page.evaluate((options) => window.nym.open(options), options);
    return within(OPEN_MS, `${name} starts`, opening);
  };
  const address = await start();
  return {
    address,
    sendPlain: (body, to) => page.evaluate(([body, to]) => window.nym.sendPlain(body, to), [body, to]),
    sendAnonymous: (body, to, surbs) =>
      page.evaluate(([body, to, surbs]) => window.nym.sendAnonymous(body, to, surbs), [body, to, surbs]),
    sendReply: (body, tag) => page.evaluate(([body, tag]) => window.nym.sendReply(body, tag), [body, tag]),
    /** Waits for a message with this body and returns it: `{ body, length, tag }`. */
    receive: async (body, timeout = 60_000) => {
      const found = (body) => window.nym.received().find((message) => message.body === body);
      const handle = await page.waitForFunction(found, body, { timeout });
      return handle.jsonValue();
    },
    received: () => page.evaluate(() => window.nym.received()),
    /** Closes the page; the profile with its keys stays. */
    leave: () => page.close(),
    /** Opens a new page in the same profile and returns the address it has there. */
    comeBack: start,
    close: () => context.close(),
  };
}

/** Fails if a promise takes longer than this. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
