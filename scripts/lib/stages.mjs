// The stages of `npm test`, in their order: what is quick and often wrong comes first, what is slow comes last.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { problemsOf } from '../check-wasm.mjs';
import { buildDevnet, startDevnet } from './devnet.mjs';
import { folder, cache, logs, root } from './paths.mjs';
import { freePorts, isFree } from './ports.mjs';
import { run } from './processes.mjs';
import { anyResults, cargoResults, verdict } from './results.mjs';
import { find, toolEnv } from './tools.mjs';

const MINUTE = 60_000;

/** The oracle crates bring hundreds of packages; only the last stage pays for them. */
const WITHOUT_ORACLE = ['--workspace', '--exclude', 'mixlet-differential'];
const WASM = ['-p', 'mixlet', '--target', 'wasm32-unknown-unknown'];
const DENY = ['--', '-D', 'warnings'];

/** A command that is right when it ends with code 0; it counts as one. */
function check(group, name, command, args, { env = {} } = {}) {
  return {
    group,
    name,
    run: async () => {
      const result = await logged(name, command, args, env, 15 * MINUTE);
      return result.code === 0
        ? { passed: 1, failed: 0, problems: [], output: result.output }
        : { passed: 0, failed: 1, problems: [`ended with code ${result.code}`], output: result.output };
    },
  };
}

/** A command that runs tests and prints how many. */
function tests(group, name, command, args, { env = {}, results = anyResults, minutes = 15 } = {}) {
  return {
    group,
    name,
    run: async () => {
      const { code, output } = await logged(name, command, args, env, minutes * MINUTE);
      return { ...verdict(code, results(output)), output };
    },
  };
}

const script = (group, name, npmScript, options) =>
  tests(group, name, 'npm', ['run', '--silent', npmScript], options);

export const stages = [
  tests('scripts', 'scripts', process.execPath, ['--test', '--test-reporter=tap', 'tests/scripts/']),

  check('rust', 'format', 'cargo', ['fmt', '--all', '--check']),
  check('rust', 'clippy, native', 'cargo', ['clippy', ...WITHOUT_ORACLE, '--all-targets', ...DENY]),
  check('rust', 'clippy, wasm32', 'cargo', ['clippy', ...WASM, '--all-targets', ...DENY]),
  check('rust', 'docs, native', 'cargo', ['doc', ...WITHOUT_ORACLE, '--no-deps'], { env: { RUSTDOCFLAGS: '-D warnings' } }),
  check('rust', 'docs, wasm32', 'cargo', ['doc', ...WASM, '--no-deps'], { env: { RUSTDOCFLAGS: '-D warnings' } }),
  // Nothing in the core may need an operating system.
  check('rust', 'bare metal', 'cargo', ['check', '-p', 'mixlet', '--lib', '--target', 'thumbv7em-none-eabi']),
  tests('rust', 'tests, native', 'cargo', ['test', ...WITHOUT_ORACLE], { results: cargoResults }),

  browserTests('chrome', () => ['--chromedriver', find('chromedriver')]),
  browserTests('firefox', () => ['--geckodriver', find('geckodriver')]),

  check('js', 'build', 'npm', ['run', '--silent', 'build']),
  { group: 'js', name: 'wasm and sizes', run: wasmAndSizes },
  check('js', 'types, lint, format', 'npm', ['run', '--silent', 'check']),
  script('js', 'tests, TypeScript', 'test:js'),
  script('js', 'package', 'test:package'),

  script('e2e', 'end to end, Chromium', 'test:e2e', { minutes: 20 }),
  script('e2e', 'end to end, Firefox', 'test:e2e:firefox', { minutes: 20 }),
  script('nym', 'published Nym client', 'test:nym'),
  script('differential', 'differential', 'test:differential', { minutes: 20 }),
];

/** The Rust tests in a real browser, with a devnet of their own. */
function browserTests(browser, driver) {
  const name = `tests, ${browser}`;
  return {
    group: 'wasm',
    name,
    run: async () => {
      const network = await testNetwork(browser);
      try {
        const env = {
          // Read at build time. The addresses stay the same from run to run while their ports are free, so that the
          // second browser, and the next run, find the tests built.
          MIXLET_DEVNET: network.info.directory,
          MIXLET_DEVNET_CONTROL: network.info.control,
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

function committedCount(browser) {
  return JSON.parse(readFileSync(join(root, 'tests', 'browser-test-counts.json'), 'utf8'))[browser];
}

/** A fresh devnet with the same keys, and if possible the same ports, as last time. */
async function testNetwork(browser) {
  const binary = await buildDevnet();
  const file = join(folder(cache, 'test'), 'ports.json');
  let ports = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
  if (!ports || !(await isFree(ports[0])) || !(await isFree(ports[1]))) {
    ports = await freePorts(2);
    writeFileSync(file, JSON.stringify(ports));
  }
  const flags = ['--directory-port', String(ports[0]), '--control-port', String(ports[1]), '--seed', '1', '--forget'];
  return startDevnet(binary, flags, { log: join(folder(logs), `devnet-${browser}.log`) });
}

/** The built wasm fits browsers, and what users load is not larger than promised. */
async function wasmAndSizes() {
  const limits = JSON.parse(readFileSync(join(root, 'tests', 'size-limits.json'), 'utf8'));
  const result = { passed: 0, failed: 0, problems: [], notes: [], output: '' };
  const expect = (right, problem) => {
    if (right) result.passed += 1;
    else {
      result.failed += 1;
      result.problems.push(problem);
    }
  };
  const wasm = join(root, 'dist', 'mixlet.wasm');
  const parts = [wasm, join(root, 'dist', 'worker.js'), join(root, 'dist', 'index.js')];
  const missing = parts.filter((file) => !existsSync(file));
  if (missing.length > 0) {
    expect(false, `not built: ${missing.join(', ')}`);
    return result;
  }
  const problems = problemsOf(readFileSync(wasm));
  expect(problems.length === 0, `dist/mixlet.wasm: ${problems.join('; ')}`);

  const sizes = parts.map((file) => compressed(readFileSync(file)));
  const total = sizes.reduce((sum, size) => sum + size.brotli, 0);
  const [first] = sizes;
  result.notes.push(`wasm ${first.raw} B, gzip ${first.gzip} B, brotli ${first.brotli} B`);
  result.notes.push(`wasm and JavaScript together, brotli: ${total} B of ${limits.wasmAndJavaScriptBrotli} B`);
  expect(total <= limits.wasmAndJavaScriptBrotli, `${total} B are more than the limit of tests/size-limits.json`);
  return result;
}

function compressed(bytes) {
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length,
  };
}

/** Runs a stage's command with its output in a log file named after the stage. */
function logged(name, command, args, env, timeoutMs) {
  return run(command, args, { env: toolEnv(env), log: logOf(name), timeoutMs });
}

export function logOf(name) {
  return join(folder(logs), `test-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.log`);
}
