// The demo page's server.

import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Complaint, stopwatch, tail } from './output.mjs';
import { folder, logs } from './paths.mjs';
import { isFree } from './ports.mjs';
import { start } from './processes.mjs';
import { toolEnv } from './tools.mjs';

/** How long Vite may take until it answers. */
const PAGE_READY_MS = 60_000;

/** Serves the demo page for the network with this directory; resolves when it answers. */
export async function startPage(port, directory) {
  if (!(await isFree(port))) throw new Complaint(`Port ${port} is taken; give another one with --port.`);
  const args = ['www', '--host', '127.0.0.1', '--port', String(port), '--strictPort', '--clearScreen', 'false'];
  const log = join(folder(logs), 'demo-page.log');
  const env = toolEnv({ VITE_MIXLET_DIRECTORY: directory });
  // Vite ends when its standard input does.
  const page = start('vite', args, { env, log, stdin: 'pipe' });
  await Promise.race([
    answers(`http://127.0.0.1:${port}/`, PAGE_READY_MS),
    page.ended.then(() => {
      throw new Complaint(`The page’s server did not start:\n${tail(readFileSync(log, 'utf8'), 40)}`);
    }),
  ]);
  return page;
}

/** Waits until a URL answers with 200. */
export async function answers(url, withinMs) {
  const elapsed = stopwatch();
  let status = 0;
  while (elapsed() < withinMs) {
    status = await statusOf(url);
    if (status === 200) return;
    await sleep(100);
  }
  throw new Complaint(`${url} does not answer (last status ${status || 'none'}).`);
}

function statusOf(url) {
  return new Promise((resolve) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once('error', () => resolve(0));
  });
}
