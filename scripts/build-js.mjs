// Builds `dist/` from `js/` and `pkg/`: one module for the page, one for Node, one for the worker, one for the engine
// without a worker, one that holds everything, one with a network for tests (for pages and for Node), both wasm, the
// types.
//
//   node scripts/build-js.mjs

import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { gluePlugin } from './lib/glue.mjs';
import { inlinedPlugin, withoutText } from './lib/inlined.mjs';
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

/** The facade with another file in the place of js/defaults.ts. */
const withDefaults = (name) => ({
  name: 'defaults',
  setup(build) {
    build.onResolve({ filter: /^\.\/defaults\.js$/ }, () => ({ path: join(root, 'js', name) }));
  },
});

const node = { platform: 'node', target: 'node20', plugins: [withDefaults('defaults.node.ts')] };

/** The network for tests finds the engine where apps find it, as a file of its own. */
const engineBeside = {
  name: 'engine',
  setup(build) {
    build.onResolve({ filter: /^\.\/engine\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

await entry(async () => {
  const elapsed = stopwatch();
  const wasm = join(root, 'pkg', 'mixlet_bg.wasm');
  const testingWasm = join(root, 'pkg', 'testing', 'testing_bg.wasm');
  if (![wasm, testingWasm].every(existsSync)) throw new Complaint('pkg/ lacks a file; run npm run build:wasm first.');
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  await Promise.all([
    build({ ...common, entryPoints: ['js/index.ts'], outfile: 'dist/index.js' }),
    build({ ...common, entryPoints: ['js/worker.ts'], outfile: 'dist/worker.js' }),
    build({ ...common, entryPoints: ['js/engine.ts'], outfile: 'dist/engine.js', plugins: [gluePlugin] }),
    build({ ...common, ...node, entryPoints: ['js/index.ts'], outfile: 'dist/node.js' }),
    build({ ...common, entryPoints: ['js/testing.ts'], outfile: 'dist/testing.js', plugins: [engineBeside] }),
    build({
      ...common,
      ...node,
      entryPoints: ['js/testing.ts'],
      outfile: 'dist/testing-node.js',
      plugins: [engineBeside, ...node.plugins],
    }),
    declarations(),
  ]);
  copyFileSync(wasm, join(dist, 'mixlet.wasm'));
  copyFileSync(testingWasm, join(dist, 'testing.wasm'));
  await build({
    ...common,
    entryPoints: ['js/inline.ts'],
    outfile: 'dist/inline.js',
    plugins: [withDefaults('defaults.inline.ts'), inlinedPlugin],
  });
  const map = join(dist, 'inline.js.map');
  writeFileSync(map, withoutText(readFileSync(map, 'utf8')));
  say(`  dist: ${duration(elapsed())}`);
});

/** The types of all modules, then without those that no module of the package leads to. */
async function declarations() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  try {
    await execute(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root });
  } catch (error) {
    throw new Complaint(`The types do not build:\n${error.stdout ?? error.message}`);
  }
  // Nothing can be imported from it; it is named so that its address can be asked for.
  writeFileSync(join(dist, 'worker.d.ts'), 'export {};\n');
  const reached = new Set();
  const reach = (name) => {
    if (reached.has(name)) return;
    reached.add(name);
    const text = readFileSync(join(dist, `${name}.d.ts`), 'utf8');
    for (const [, next] of text.matchAll(/(?:from |import\()['"]\.\/([\w.-]+)\.js['"]/g)) reach(next);
  };
  for (const name of ['index', 'engine', 'inline', 'testing', 'worker']) reach(name);
  for (const file of readdirSync(dist)) {
    if (/\.d\.ts(\.map)?$/.test(file) && !reached.has(file.replace(/\.d\.ts.*$/, ''))) rmSync(join(dist, file));
  }
}
