// Builds `dist/` from `js/` and `pkg/`: one module for the page, one for the worker, the wasm, the types.
//
//   node scripts/build-js.mjs

import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { Complaint, duration, entry, say, stopwatch } from './lib/output.mjs';
import { root } from './lib/paths.mjs';

const execute = promisify(execFile);
const dist = join(root, 'dist');

/** What the oldest supported browsers understand. */
const TARGET = ['chrome100', 'firefox100', 'safari16.4'];

const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  target: TARGET,
  platform: 'browser',
  // Pages without a bundler load the files as they are; the maps lead back to readable code.
  minify: true,
  sourcemap: true,
  sourcesContent: true,
  charset: 'utf8',
  logLevel: 'warning',
};

await entry(async () => {
  const elapsed = stopwatch();
  const wasm = join(root, 'pkg', 'mixlet_bg.wasm');
  if (!existsSync(wasm)) throw new Complaint('pkg/ is empty; run npm run build:wasm first.');
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  await Promise.all([
    build({ ...common, entryPoints: ['js/index.ts'], outfile: 'dist/index.js' }),
    build({ ...common, entryPoints: ['js/worker.ts'], outfile: 'dist/worker.js' }),
    declarations(),
  ]);
  copyFileSync(wasm, join(dist, 'mixlet.wasm'));
  say(`  dist: ${duration(elapsed())}`);
});

async function declarations() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  try {
    await execute(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root });
  } catch (error) {
    throw new Complaint(`The types do not build:\n${error.stdout ?? error.message}`);
  }
}
