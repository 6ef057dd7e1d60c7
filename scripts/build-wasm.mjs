// Builds the client for browsers into `pkg/` and the network for tests into `pkg/testing/`: cargo and wasm-bindgen
// through wasm-pack, then wasm-opt.
//
//   node scripts/build-wasm.mjs [--dev]       (--dev: quick to build, readable panics, not optimised)

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import { problemsOf } from './check-wasm.mjs';
import { Complaint, duration, entry, say, stopwatch, tail } from './lib/output.mjs';
import { cache, folder, logs, root } from './lib/paths.mjs';
import { run, stopAll, stopOnSignals } from './lib/processes.mjs';
import { targetFolder } from './lib/target.mjs';
import { toolEnv } from './lib/tools.mjs';
import { WASM_OPT } from './lib/wasm-opt.mjs';

async function step(name, command, args, env = {}) {
  const elapsed = stopwatch();
  const log = join(folder(logs), `build-${name.replace(' ', '-')}.log`);
  const result = await run(command, args, { env: toolEnv(env), log });
  if (result.code !== 0) throw new Complaint(`${name} failed:\n${tail(result.output)}`);
  say(`  ${name}: ${duration(elapsed())}`);
}

/**
 * Panics name the source file of a dependency by its full path. Shortened, the wasm does not tell where it was built,
 * and is the same wherever it is built. Cargo adds these flags to those of its own configuration.
 */
function shortPaths() {
  const sources = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry', 'src');
  const folders = existsSync(sources) ? readdirSync(sources) : [];
  const flags = folders.map((name) => JSON.stringify(`--remap-path-prefix=${join(sources, name)}=`));
  return ['--config', `target.wasm32-unknown-unknown.rustflags=[${flags.join(',')}]`];
}

/** The optimiser takes a while and is a function of its input: what it made last time is used again. */
async function optimise(name, file) {
  const hash = createHash('sha256').update(readFileSync(file)).update(WASM_OPT.join(' ')).digest('hex').slice(0, 32);
  const kept = join(folder(cache, 'wasm-opt'), `${hash}.wasm`);
  if (!existsSync(kept)) {
    const fresh = `${kept}.${process.pid}`;
    await step(`wasm-opt ${name}`, 'wasm-opt', [...WASM_OPT, file, '-o', fresh]);
    const problems = problemsOf(readFileSync(fresh));
    if (problems.length > 0) throw new Complaint(`wasm-opt wrote a file that browsers refuse: ${problems.join('; ')}`);
    copyFileSync(fresh, kept);
  }
  copyFileSync(kept, file);
}

/** What is built: the folder of the crate, where it goes, and what the files are called. */
const CRATES = [
  { name: 'mixlet', crate: root, out: join(root, 'pkg'), devFeatures: ['--features', 'panic-hook'] },
  { name: 'testing', crate: join(root, 'testing'), out: join(root, 'pkg', 'testing'), devFeatures: [] },
];

/**
 * Cargo keeps one build of a library that is also a wasm of its own, and the other crate wants it with other features: in
 * one folder each build would undo the other one's. Apart they run beside each other, as most of the time one core links.
 */
const targetOf = async (name) => join(await targetFolder(), ...(name === 'mixlet' ? [] : [name]));

async function buildCrate({ name, crate, out, devFeatures }, dev) {
  // no-install and no-opt: wasm-pack would otherwise download programs.
  const args = ['build', crate, '--target', 'web', '--no-pack', '--no-opt', '--no-gitignore', '--mode', 'no-install'];
  const profile = dev ? ['--dev', '--', ...devFeatures] : ['--release', '--', ...shortPaths()];
  await step(`wasm-pack ${name}`, 'wasm-pack', [...args, '--out-dir', out, '--out-name', name, ...profile], {
    CARGO_TARGET_DIR: await targetOf(name),
  });
  const file = join(out, `${name}_bg.wasm`);
  if (!dev) await optimise(name, file);
  say(`  ${relative(root, file)}: ${readFileSync(file).length} bytes`);
}

await entry(async () => {
  stopOnSignals();
  const dev = process.argv.includes('--dev');
  try {
    await Promise.all(CRATES.map((crate) => buildCrate(crate, dev)));
  } finally {
    await stopAll();
  }
});
