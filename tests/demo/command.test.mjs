// `npm run demo` as a person uses it: it prints two links, what they need answers, Ctrl-C ends all of it, and the next
// run is the same network again.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Complaint } from '../../scripts/lib/output.mjs';
import { freePorts, isFree } from '../../scripts/lib/ports.mjs';
import { start, stopAll } from '../../scripts/lib/processes.mjs';
import { toolEnv } from '../../scripts/lib/tools.mjs';

/** Building is quick, as the stages before have done it; a cold machine gets its time all the same. */
const READY_MS = 600_000;
/** Ctrl-C means now. */
const STOP_MS = 10_000;

let state;
let port;

before(async () => {
  state = mkdtempSync(join(tmpdir(), 'mixlet-demo-'));
  [port] = await freePorts(1);
});

after(async () => {
  await stopAll();
  rmSync(state, { recursive: true, force: true });
});

/** Starts the command and waits for its second link. */
async function demo() {
  const args = ['run', '--silent', 'demo', '--', '--port', String(port), '--state', state];
  let output = '';
  let onLinks;
  const links = new Promise((resolve) => {
    onLinks = resolve;
  });
  const { child, ended } = start('npm', args, {
    env: toolEnv(),
    onOutput: (text) => {
      output += text;
      if (output.includes('Ctrl-C')) onLinks(true);
    },
  });
  const ready = await within(READY_MS, Promise.race([links, ended.then(() => false)]));
  if (!ready) throw new Complaint(`the demo did not start:\n${output}`);
  return {
    urls: [...output.matchAll(/http:\S+me=\w+/g)].map(([url]) => url),
    /** What a terminal does on Ctrl-C: a signal to every process of the foreground group. */
    interrupt: async () => {
      process.kill(-child.pid, 'SIGINT');
      const { code, signal } = await within(STOP_MS, ended);
      // npm itself ends as a program does that was interrupted.
      assert.ok(code === 0 || signal === 'SIGINT', `ended with ${code ?? signal}`);
      assert.match(output, /stopping …\nstopped\n$/);
    },
    /** What a service manager does: a signal to npm alone. */
    terminate: async () => {
      process.kill(child.pid, 'SIGTERM');
      await within(STOP_MS, ended);
      assert.match(output, /stopping …\nstopped\n$/);
    },
  };
}

/** The network as the page is told of it, and the gateways that its directory lists. */
async function networkOf(url) {
  const { directory } = await (await fetch(new URL('config.json', url))).json();
  const answer = await fetch(`${directory}/v2/unstable/nym-nodes/skimmed/entry-gateways?page=0`);
  assert.equal(answer.status, 200);
  const { nodes } = await answer.json();
  return { directory, gateways: JSON.stringify(nodes.data.map((node) => node.ed25519_identity_pubkey).sort()) };
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

test('two links are printed, Ctrl-C stops everything, and the next run is the same network', async () => {
  const first = await demo();
  assert.deepEqual(first.urls, [`http://127.0.0.1:${port}/?me=alice`, `http://127.0.0.1:${port}/?me=bob`]);
  for (const url of first.urls) {
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<script/);
  }
  const before = await networkOf(first.urls[0]);
  assert.ok(before.gateways.length > 10);

  await first.interrupt();
  const ports = [port, Number(new URL(before.directory).port)];
  assert.deepEqual(await Promise.all(ports.map(isFree)), [true, true]);

  const second = await demo();
  const again = await networkOf(second.urls[0]);
  assert.deepEqual(again, before);
  await second.terminate();
  assert.deepEqual(await Promise.all(ports.map(isFree)), [true, true]);
});

test('a taken port is named in the complaint', async () => {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise((resolve) => server.listen({ port, host: '127.0.0.1' }, resolve));
  try {
    await assert.rejects(demo(), new RegExp(`Port ${port} is taken`));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
