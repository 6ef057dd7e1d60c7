// The parts of the scripts that decide what to install and where, and how processes are ended.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { problemsOf } from '../../scripts/check-wasm.mjs';
import { duration } from '../../scripts/lib/output.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { freePorts, isFree, portNear } from '../../scripts/lib/ports.mjs';
import { end, run, start } from '../../scripts/lib/processes.mjs';
import { atLeast, lockedVersion, searchPath, toolEnv } from '../../scripts/lib/tools.mjs';

test('versions are compared by number', () => {
  assert.ok(atLeast('1.95.0', '1.89'));
  assert.ok(atLeast('1.89.0', '1.89'));
  assert.ok(!atLeast('1.9.0', '1.89'));
  assert.ok(atLeast('20.20.2', '20'));
  assert.ok(!atLeast('18.20.0', '20'));
});

test('the version of wasm-bindgen is the one that the crate is pinned to', () => {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8');
  const manifest = readFileSync(join(root, 'Cargo.toml'), 'utf8');
  const pinned = /wasm-bindgen = "=([^"]+)"/.exec(manifest)?.[1];
  assert.equal(lockedVersion(lock, 'wasm-bindgen'), pinned);
});

test('a package whose name begins like the wanted one is not taken for it', () => {
  const lock = '[[package]]\nname = "ab-c"\nversion = "1.0.0"\n\n[[package]]\nname = "ab"\nversion = "2.0.0"\n';
  assert.equal(lockedVersion(lock, 'ab'), '2.0.0');
  assert.equal(lockedVersion(lock, 'a'), null);
});

test('cargo’s folder is searched even when it is not on PATH', () => {
  assert.ok(searchPath().some((folder) => folder.endsWith('/bin') && folder.includes('cargo')));
});

test('compiler flags of the environment do not replace those of the project', () => {
  process.env.RUSTFLAGS = '-C opt-level=0';
  try {
    assert.equal(toolEnv().RUSTFLAGS, undefined);
    assert.equal(toolEnv({ A: '1' }).A, '1');
  } finally {
    delete process.env.RUSTFLAGS;
  }
});

test('free ports differ, and a taken one is passed over', async () => {
  const ports = await freePorts(3);
  assert.equal(new Set(ports).size, 3);
  const server = createServer();
  await new Promise((resolve) => server.listen({ port: ports[0], host: '127.0.0.1' }, resolve));
  try {
    assert.equal(await isFree(ports[0]), false);
    assert.notEqual(await portNear(ports[0]), ports[0]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  assert.equal(await isFree(ports[0]), true);
});

test('a command gives its code and output, also when it does not exist', async () => {
  const good = await run('/bin/sh', ['-c', 'echo out; echo err >&2; exit 3']);
  assert.equal(good.code, 3);
  assert.equal(good.stdout, 'out\n');
  assert.match(good.output, /err/);
  const none = await run('/no/such/program', []);
  assert.equal(none.code, 127);
});

test('a command that takes too long is ended and counts as failed', async () => {
  const result = await run('/bin/sh', ['-c', 'exec sleep 60'], { timeoutMs: 50 });
  assert.equal(result.code, 124);
  assert.match(result.output, /time limit/);
});

test('ending a process ends what it started', async () => {
  let output = '';
  let seen;
  const line = new Promise((resolve) => {
    seen = resolve;
  });
  const { child, ended } = start('/bin/sh', ['-c', 'sleep 60 & echo $!; wait'], {
    onStdout: (text) => {
      output += text;
      if (output.includes('\n')) seen();
    },
  });
  await line;
  const grandchild = Number(output);
  assert.ok(process.kill(grandchild, 0));
  await end(child);
  await ended;
  // Its output is closed by now; the last steps of dying take the kernel a moment more.
  for (let turn = 0; turn < 1000 && alive(grandchild); turn += 1) await new Promise(setImmediate);
  assert.ok(!alive(grandchild));
});

/** Whether a process runs; one that ended but has not been collected does not. */
function alive(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('durations are readable', () => {
  assert.equal(duration(400), '0.4 s');
  assert.equal(duration(12_300), '12 s');
  assert.equal(duration(185_000), '3 min 05 s');
});

test('a wasm that imports from env is refused, as is one that is none', () => {
  // (module (import "env" "now" (func)))
  const env = Buffer.from('0061736d01000000010401600000020b0103656e76036e6f770000', 'hex');
  assert.deepEqual(problemsOf(env), ['it imports now from ‘env’']);
  assert.deepEqual(problemsOf(Buffer.from('0061736d01000000', 'hex')), []);
  assert.equal(problemsOf(Buffer.from('<!doctype html>')).length, 1);
});
