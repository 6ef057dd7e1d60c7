// What the tests of the package share: a devnet, a browser, and a page that uses the package.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { buildDevnet, startDevnet } from '../../scripts/lib/devnet.mjs';
import { stopAll } from '../../scripts/lib/processes.mjs';
import { find } from '../../scripts/lib/tools.mjs';
import { serve } from './server.mjs';

/** What the README says that a site with a strict content policy needs. */
export const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src";

/** Nobody listens on port 9, and browsers do not even ask there. */
export const NOBODY = 'http://127.0.0.1:9/api';

/** The page's half of each test: a function it can call with an expression over the package. */
export const APP = `
import * as mixlet from 'mixlet';
const { MixClient } = mixlet;
window.mixlet = mixlet;
window.attempt = async (options) => {
  const client = new MixClient({ storage: 'memory', ...options });
  try {
    const address = await client.connect({ timeoutMs: 60_000 });
    return { address, client };
  } catch (error) {
    return { code: error.code, name: error.name, isMixError: error instanceof mixlet.MixError, message: error.message };
  }
};
window.ready = true;
`;
export const HTML =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="./app.js"></script>';

/** Filled by `startUp`. */
export let devnet;
let browser;

export async function startUp({ args = [] } = {}) {
  devnet = await startDevnet(await buildDevnet(), ['--forget'], {});
  browser = await chromium.launch({
    executablePath: find('chromium') ?? undefined,
    args: [...CHROMIUM_FLAGS, ...args],
  });
}

export async function shutDown() {
  await browser?.close();
  await stopAll();
}

/** Quiet, and offline but for loopback. */
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
];

/** Serves the folder, opens its page and hands it to `use`. */
export async function withPage(site, options, use, pageOptions) {
  const server = await serve(site, options);
  try {
    await withPageAt(server.url, use, pageOptions);
  } finally {
    await server.close();
  }
}

/** Opens the page and fails on anything in its console but the browser's own lines about the network. */
export async function withPageAt(url, use, { ignore, prepare, ready = appIsReady } = {}) {
  const context = await browser.newContext();
  const lines = [];
  try {
    const page = await context.newPage();
    page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`uncaught: ${error.message}`));
    await prepare?.(page, context);
    await page.goto(url, { timeout: 60_000 });
    await ready(page);
    await use(page);
  } finally {
    await context.close();
  }
  const ours = lines.filter((line) => !/Failed to load resource|ERR_|CORS policy/.test(line) && !ignore?.test(line));
  assert.deepEqual(ours, []);
}

const appIsReady = (page) => page.waitForFunction(() => window.ready, null, { timeout: 60_000 });

/** Tries to connect with these options and tells how that ended. */
export const attempt = (page, options) =>
  page.evaluate(async (options) => {
    const { client, ...result } = await window.attempt(options);
    await client?.close({ drain: false });
    return result;
  }, options);

/** Connects to the devnet and sends a message to the page's own address. */
export async function talksToItself(page) {
  const text = await page.evaluate(async (directory) => {
    const { client, address, code } = await window.attempt({ network: { directories: [directory] } });
    if (!client) return code;
    const messages = client.messages();
    await client.send(address, 'to myself').delivered;
    const { value } = await messages.next();
    await client.close({ drain: false });
    return value.text();
  }, devnet.info.directory);
  assert.equal(text, 'to myself');
}
