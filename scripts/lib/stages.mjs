// The stages of `npm test`, in their order: what is quick and often wrong comes first, what is slow comes last.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildDevnet, startDevnet, worldsBinary } from './devnet.mjs';
import { Complaint, tail } from './output.mjs';
import { folder, cache, logs, root } from './paths.mjs';
import { isFree } from './ports.mjs';
import { run } from './processes.mjs';
import { anyResults, cargoResults, verdict } from './results.mjs';
import { find, toolEnv } from './tools.mjs';

const MINUTE = 60_000;

/** The published crates of the network bring hundreds of packages; only the last stage pays for them. */
const WITHOUT_ORACLE = ['--workspace', '--exclude', 'mixlet-bench'];
const WASM = ['-p', 'mixlet', '-p', 'mixlet-testing', '--target', 'wasm32-unknown-unknown'];
const DENY = ['--', '-D', 'warnings'];

/**
 * A command that is right when it ends with code 0; it counts as one. With `show` its output is shown in any case. For
 * `aside` see `stages`.
 */
function check(group, name, command, args, { env = {}, show = false, aside = false } = {}) {
  return {
    group,
    name,
    aside,
    run: async () => {
      const result = await logged(name, ...patient(aside, command, args), env, (aside ? 30 : 15) * MINUTE);
      return result.code === 0
        ? { passed: 1, failed: 0, problems: [], notes: show ? result.output.trimEnd().split('\n') : [] }
        : { passed: 0, failed: 1, problems: [`ended with code ${result.code}`], output: result.output };
    },
  };
}

/** A command that runs tests and prints how many. */
function tests(group, name, command, args, { env = {}, results = anyResults, minutes = 15, aside = false } = {}) {
  return {
    group,
    name,
    aside,
    run: async () => {
      const { code, output } = await logged(name, ...patient(aside, command, args), env, minutes * MINUTE);
      return { ...verdict(code, results(output)), output };
    },
  };
}

const script = (group, name, npmScript, options) => tests(group, name, 'npm', ['run', '--silent', npmScript], options);

/** What runs aside takes the processor when nobody else wants it. */
const patient = (aside, command, args) => (aside ? ['nice', ['-n', '15', command, ...args]] : [command, args]);

/**
 * Those with `aside` run one after the other beside the groups of `BESIDE`, which need nothing that they build: links, which
 * occupy one core, and tests of virtual time, of which the last is alone. All others need what they build, or look at the
 * clock, and wait for them.
 */
export const stages = [
  tests('scripts', 'scripts', process.execPath, ['--test', '--test-reporter=tap', 'tests/scripts/']),

  check('rust', 'format', 'cargo', ['fmt', '--all', '--check']),
  check('rust', 'clippy, native', 'cargo', ['clippy', ...WITHOUT_ORACLE, '--all-targets', ...DENY]),
  check('rust', 'clippy, wasm32', 'cargo', ['clippy', ...WASM, '--all-targets', ...DENY]),
  check('rust', 'docs, native', 'cargo', ['doc', ...WITHOUT_ORACLE, '--no-deps'], {
    env: { RUSTDOCFLAGS: '-D warnings' },
  }),
  check('rust', 'docs, wasm32', 'cargo', ['doc', ...WASM, '--no-deps'], { env: { RUSTDOCFLAGS: '-D warnings' } }),
  // Nothing in the core may need an operating system.
  check('rust', 'bare metal', 'cargo', ['check', '-p', 'mixlet', '--lib', '--target', 'thumbv7em-none-eabi']),
  script('rust', 'tests, native', 'test:native', { results: cargoResults, minutes: 30 }),

  browserTests('chrome', () => ['--chromedriver', find('chromedriver')]),
  browserTests('firefox', () => ['--geckodriver', find('geckodriver')]),

  check('js', 'build', 'npm', ['run', '--silent', 'build'], { aside: true }),
  check(
    'js',
    'imports of the wasm',
    process.execPath,
    ['scripts/check-wasm.mjs', 'dist/mixlet.wasm', 'dist/testing.wasm'],
    { show: true, aside: true },
  ),
  check('js', 'sizes', process.execPath, ['scripts/size.mjs'], { show: true, aside: true }),
  check('js', 'types, lint, format', 'npm', ['run', '--silent', 'check'], { aside: true }),
  script('js', 'tests, TypeScript', 'test:js'),
  script('js', 'package', 'test:package'),

  tests('e2e', 'demo command', process.execPath, [
    '--test',
    '--test-concurrency=1',
    '--test-reporter=tap',
    'tests/demo/',
  ]),
  script('e2e', 'end to end, Chromium', 'test:e2e', { minutes: 20 }),
  script('e2e', 'end to end, Firefox', 'test:e2e:firefox', { minutes: 20 }),
  script('nym', 'published Nym client', 'test:nym'),
  tests('differential', 'differential', 'cargo', ['test', '--manifest-path', 'tests/differential/Cargo.toml'], {
    results: cargoResults,
    minutes: 40,
    aside: true,
  }),
  script('starters', 'starter apps', 'test:starters'),
];

export const BESIDE = ['scripts', 'rust'];

/** The Rust tests in a real browser, with a devnet of their own. */
function browserTests(browser, driver) {
  const name = `tests, ${browser}`;
  return {
    group: 'wasm',
    name,
    aside: false,
    run: async () => {
      const network = await testNetwork(browser);
      try {
        const env = {
          // Read at build time. The addresses stay the same from run to run while their ports are free, so that the
          // second browser, and the next run, find the tests built.
          MIXLET_DEVNET: network.info.directory,
          MIXLET_DEVNET_CONTROL: network.info.control,
          MIXLET_TRACE: await nativeTrace(),
          // The runner's own limits (20 s for all tests of a file, 5 s for the driver) are for idle machines.
          WASM_BINDGEN_TEST_TIMEOUT: '300',
          WASM_BINDGEN_TEST_DRIVER_TIMEOUT: '60',
        };
        // no-install: a missing tool is an error here, never a download.
        const args = ['test', '--headless', `--${browser}`, ...driver(), '--mode', 'no-install'];
        const { code, output } = await logged(name, 'wasm-pack', args, env, 15 * MINUTE);
        const result = verdict(code, cargoResults(output));
        const least = committedCount(browser);
        const notes = [`${browser} ran ${result.passed + result.failed} tests, at least ${least} are expected`];
        if (result.passed + result.failed < least) {
          result.failed += 1;
          result.problems.push(`fewer than the ${least} tests of tests/browser-test-counts.json were run`);
        }
        return { ...result, notes, output };
      } finally {
        await network.stop();
      }
    },
  };
}

/** The hash of a short simulated run in the native build, which browsers have to give too. */
async function nativeTrace() {
  const { code, output } = await run(await worldsBinary(), ['trace'], { env: toolEnv(), timeoutMs: MINUTE });
  if (code !== 0) throw new Complaint(`mixlet-worlds failed:\n${tail(output)}`);
  return output.trim();
}

function committedCount(browser) {
  return JSON.parse(readFileSync(join(root, 'tests', 'browser-test-counts.json'), 'utf8'))[browser];
}

/** A fresh devnet with the same keys as in earlier runs, and their ports where these are still free. */
async function testNetwork(browser) {
  const binary = await buildDevnet();
  const file = join(folder(cache, 'test'), 'ports.json');
  const kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const free = kept.length === 2 && (await Promise.all(kept.map(isFree))).every(Boolean);
  const ports = free ? ['--directory-port', String(kept[0]), '--control-port', String(kept[1])] : [];
  const log = join(folder(logs), `devnet-${browser}.log`);
  const network = await startDevnet(binary, ['--seed', '1', ...ports], { log });
  const used = [network.info.directory, network.info.control].map((url) => Number(new URL(url).port));
  writeFileSync(file, JSON.stringify(used));
  return network;
}

/** Runs a stage's command with its output in a log file named after the stage. */
function logged(name, command, args, env, timeoutMs) {
  return run(command, args, { env: toolEnv(env), log: logOf(name), timeoutMs });
}

export function logOf(name) {
  return join(folder(logs), `test-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.log`);
}
