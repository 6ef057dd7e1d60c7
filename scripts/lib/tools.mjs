// The programs the project needs: where they are, whether they fit, and how each is installed.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Complaint } from './output.mjs';
import { root, tools } from './paths.mjs';

const execute = promisify(execFile);

const cargoBin = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');

/**
 * The folders in which programs are looked for: ours, npm's, those on PATH, and the places where rustup and apt put
 * things, which a shell started by npm or a service may not have on its PATH.
 */
export function searchPath() {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const all = [
    join(tools, 'bin'),
    join(root, 'node_modules', '.bin'),
    ...onPath,
    cargoBin,
    '/usr/local/bin',
    '/usr/bin',
    '/bin',
  ];
  return [...new Set(all)];
}

/** The environment for everything the scripts start. `more` is added to it. */
export function toolEnv(more = {}) {
  const env = { ...process.env, PATH: searchPath().join(delimiter), ...more };
  // These would silently replace the flags of .cargo/config.toml, and with them SIMD.
  delete env.RUSTFLAGS;
  delete env.CARGO_ENCODED_RUSTFLAGS;
  delete env.CARGO_BUILD_TARGET;
  return env;
}

/** The full path of a program, or null. */
export function find(program) {
  for (const folder of searchPath()) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

/** What a program prints, or null when it is missing or fails. */
async function ask(program, ...args) {
  try {
    const { stdout } = await execute(program, args, { env: toolEnv(), cwd: root });
    return stdout.trim();
  } catch {
    return null;
  }
}

/** The version of a package in the text of a Cargo.lock. */
export function lockedVersion(lock, name) {
  for (const block of lock.split('[[package]]')) {
    if (block.includes(`name = "${name}"\n`)) return /version = "([^"]+)"/.exec(block)?.[1] ?? null;
  }
  return null;
}

export function wasmBindgenVersion() {
  const version = lockedVersion(readFileSync(join(root, 'Cargo.lock'), 'utf8'), 'wasm-bindgen');
  if (version === null) throw new Complaint('Cargo.lock names no wasm-bindgen.');
  return version;
}

/** Compares dotted versions; missing parts count as 0. */
export function atLeast(version, least) {
  const [a, b] = [version, least].map((text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0));
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  }
  return true;
}

let sysroot;

/** Fails with a text that says what to do when Node, npm or Rust are missing or too old: these we do not install. */
export async function checkBasics() {
  if (!atLeast(process.versions.node, '20')) {
    throw new Complaint(`mixlet needs Node 20 or newer; this is ${process.versions.node}.`);
  }
  if (!find('cargo') || !find('rustc')) {
    throw new Complaint(
      'Rust is missing. Install it with rustup (see rustup.rs: the stable toolchain is enough) and run this again.',
    );
  }
  const least = /rust-version = "([^"]+)"/.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1] ?? '1';
  const version = /rustc (\S+)/.exec((await ask('rustc', '--version')) ?? '')?.[1];
  if (!version || !atLeast(version, least)) {
    throw new Complaint(
      `mixlet needs Rust ${least} or newer; found ${version ?? 'a rustc that does not run'}. Run: rustup update stable`,
    );
  }
  sysroot = await ask('rustc', '--print', 'sysroot');
}

const target = (triple) => ({
  name: `Rust target ${triple}`,
  how: 'rustup',
  args: ['target', 'add', triple],
  present: async () => existsSync(join(sysroot, 'lib', 'rustlib', triple, 'lib')),
});

const toolchain = (name) => ({
  name: `Rust ${name}`,
  how: 'rustup',
  args: ['toolchain', 'install', name, '--profile', 'minimal'],
  present: async () => (await ask('cargo', `+${name}`, '--version')) !== null,
});

const component = (name, program) => ({
  name,
  how: 'rustup',
  args: ['component', 'add', name],
  present: async () => existsSync(join(sysroot, 'bin', program)),
});

const debian = (name, packages, present) => ({ name, how: 'apt', packages, present });

const cargoTool = ({ name, minutes, optLevel, args, present, place = async () => null }) => ({
  name,
  how: 'cargo',
  minutes,
  optLevel,
  args,
  present,
  place,
});

/** The lock file that the installed npm packages came from is remembered in this file. */
const npmStamp = join(root, 'node_modules', '.installed-from');

function npmWanted() {
  const hash = createHash('sha256');
  hash.update(readFileSync(join(root, 'package-lock.json')));
  hash.update(process.versions.modules);
  return hash.digest('hex');
}

export function stampNpm() {
  writeFileSync(npmStamp, npmWanted());
}

const all = {
  compiler: debian('C compiler and linker', ['build-essential'], async () => {
    // A compiler without the C library's start files links nothing.
    const startFile = await ask('cc', '-print-file-name=crt1.o');
    return startFile !== null && startFile.startsWith('/');
  }),
  wasmTarget: target('wasm32-unknown-unknown'),
  bareTarget: target('thumbv7em-none-eabi'),
  rustfmt: component('rustfmt', 'rustfmt'),
  clippy: component('clippy', 'cargo-clippy'),
  wasmBindgen: cargoTool({
    name: 'wasm-bindgen',
    minutes: 2,
    optLevel: 1,
    // Its own lock file names a crate version that is no longer offered, hence no --locked.
    args: () => ['wasm-bindgen-cli', '--version', `=${wasmBindgenVersion()}`],
    present: async () =>
      find('wasm-bindgen-test-runner') !== null &&
      (await ask('wasm-bindgen', '--version')) === `wasm-bindgen ${wasmBindgenVersion()}`,
    // Must equal the version of the crate. Where the user has another one, theirs stays and ours goes into the cache.
    place: async () => (find('wasm-bindgen') === null ? null : tools),
  }),
  wasmPack: cargoTool({
    name: 'wasm-pack',
    minutes: 1,
    optLevel: 0,
    args: () => ['wasm-pack', '--locked'],
    present: async () => find('wasm-pack') !== null,
  }),
  npmPackages: {
    name: 'npm packages',
    how: 'npm',
    present: async () => existsSync(npmStamp) && readFileSync(npmStamp, 'utf8') === npmWanted(),
  },
  chromium: debian(
    'Chromium and its driver',
    ['chromium', 'chromium-driver'],
    async () => find('chromium') !== null && find('chromedriver') !== null,
  ),
  firefox: debian('Firefox ESR', ['firefox-esr'], async () => find('firefox-esr') !== null),
  webkit: debian('WebKit and its driver', ['webkit2gtk-driver', 'xvfb', 'xauth'], async () =>
    ['WebKitWebDriver', 'xvfb-run', 'xauth'].every((program) => find(program) !== null),
  ),
  nightly: toolchain('nightly'),
  cargoFuzz: cargoTool({
    name: 'cargo-fuzz',
    minutes: 2,
    optLevel: 0,
    args: () => ['cargo-fuzz', '--locked'],
    present: async () => find('cargo-fuzz') !== null,
  }),
  geckodriver: cargoTool({
    name: 'geckodriver',
    minutes: 1,
    optLevel: 0,
    args: () => ['geckodriver', '--locked'],
    present: async () => find('geckodriver') !== null,
  }),
};

/** What each command needs. */
export const toolSets = {
  rust: [all.compiler, all.wasmTarget, all.bareTarget, all.rustfmt, all.clippy],
  build: [all.compiler, all.wasmTarget, all.wasmBindgen, all.wasmPack, all.npmPackages],
  fuzz: [all.compiler, all.nightly, all.cargoFuzz],
  browsers: [all.chromium, all.firefox, all.geckodriver],
  webkit: [all.webkit],
};
toolSets.demo = toolSets.build;
toolSets.test = [...new Set([...toolSets.build, ...toolSets.rust, ...toolSets.browsers, ...toolSets.webkit])];
