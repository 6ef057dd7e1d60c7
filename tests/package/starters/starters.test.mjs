// The starters: each is built with its own tools from the packed package, served under a path of its own with a strict
// content policy, and talks to itself through a mix network; after a reload it has the same address.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { root } from '../../../scripts/lib/paths.mjs';
import { freePorts } from '../../../scripts/lib/ports.mjs';
import { end, run, start } from '../../../scripts/lib/processes.mjs';
import { toolEnv } from '../../../scripts/lib/tools.mjs';
import { POLICY, devnet, shutDown, startUp, withPageAt } from '../harness.mjs';
import { installStarters, npm, pack } from '../packed.mjs';
import { serve } from '../server.mjs';
import { withWebKit } from './webkit.mjs';

const BASE = '/some/where/';
const PATIENCE_MS = 60_000;

let packed;
let starter;

before(async () => {
  packed = await pack();
  starter = await installStarters(packed);
  await startUp({
    args: [
      // Whatever is not on this machine has no address.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      // Pages whose answers pass through the test come from nowhere, and may not ask loopback unless this is off.
      '--disable-features=LocalNetworkAccessChecks',
    ],
  });
});

after(async () => {
  await shutDown();
  await packed?.remove();
});

describe('built and served as files', () => {
  for (const name of ['vite', 'webpack', 'rollup', 'esbuild']) {
    test(name, () => asFiles(name, strict()));
  }

  test('without a bundler', async () => {
    const html = await readFile(join(starter('bare'), 'index.html'), 'utf8');
    const map = /<script type="importmap">([^]*?)<\/script>/.exec(html)[1];
    const hash = createHash('sha256').update(map).digest('base64');
    await asFiles('bare', strict().replace("'wasm-unsafe-eval'", `$& 'sha256-${hash}'`));
  });

  test('in one module', () => asFiles('inline', inlined()));

  test('in a service worker', () => asFiles('service-worker', strict()));
});

describe('in WebKit', () => {
  for (const [name, policy] of [
    ['esbuild', () => strict()],
    ['inline', () => inlined()],
    ['service-worker', () => strict()],
  ]) {
    test(name, () =>
      served(name, policy(), (url) =>
        withWebKit(`${url}?directory=${devnet.info.directory}`, async ({ run, reload }) => {
          const shown = async () => {
            const deadline = performance.now() + PATIENCE_MS;
            for (;;) {
              const values = await run(`return (${readPage})()`);
              if (values.error || (values.state && values.received) || performance.now() > deadline) return values;
              await new Promise((resolve) => setTimeout(resolve, 100));
            }
          };
          const first = await shown();
          checkShown(first);
          await reload();
          assert.deepEqual(await shown(), first);
        }),
      ),
    );
  }
});

test('Vite’s dev server', async () => {
  const [port] = await freePorts(1);
  const args = ['--host', '127.0.0.1', '--port', String(port), '--strictPort', '--base', BASE];
  const server = startTool('vite', ['vite', ...args]);
  await untilAnswering(`http://127.0.0.1:${port}${BASE}`, server);
  try {
    // It has no setting for headers on its command line.
    const policed = (_page, context) =>
      context.route('**/*', async (route) => {
        const response = await route.fetch();
        const headers = { ...response.headers(), 'content-security-policy': strict() };
        await route.fulfill({ response, headers });
      });
    await talksAndReloads(`http://127.0.0.1:${port}${BASE}`, { ignore: /^debug: \[vite\]/, prepare: policed });
  } finally {
    await end(server.child);
  }
});

test('Next.js, built for production', async () => {
  await npm(starter('next'), 'run', 'build');
  const [port] = await freePorts(1);
  const env = { MIX_NETWORK: network().join(' '), NEXT_TELEMETRY_DISABLED: '1' };
  const server = startTool('next', ['next', 'start', '--hostname', '127.0.0.1', '--port', String(port)], env);
  const url = `http://127.0.0.1:${port}${BASE.slice(0, -1)}`;
  try {
    const page = await untilAnswering(url, server);
    assert.match(page.headers.get('content-security-policy'), /script-src 'self' 'nonce-[^']+' 'wasm-unsafe-eval'/);
    assert.match(await page.text(), /mixlet knows \d+ kinds of trouble/, 'the server has imported the package');
    await talksAndReloads(url);
  } finally {
    await end(server.child);
  }
});

describe('without a page', () => {
  test('Node 20 with a WebSocket class', async () => {
    assert.match(process.versions.node, /^2[01]\./, 'run the tests with Node 20');
    await inNode(process.execPath);
  });

  test('Node 22 with its own WebSocket', async () => {
    const { arch, platform } = process;
    const binary = join(starter('.'), 'node_modules', `node-${platform}-${arch}`, 'bin', 'node');
    await inNode(binary);
  });

  test('workerd', async () => {
    await npm(starter('workerd'), 'run', 'build');
    const [port] = await freePorts(1);
    const args = ['workerd', 'serve', 'config.capnp', '--socket-addr', `http=127.0.0.1:${port}`];
    const server = startTool('workerd', args);
    try {
      const url = `http://127.0.0.1:${port}/?directory=${devnet.info.directory}`;
      const answer = await (await untilAnswering(url, server)).json();
      assert.equal(answer.received, 'hello from workerd', JSON.stringify(answer));
    } finally {
      await end(server.child);
    }
  });
});

describe('compiled in a strict project that knows only ES2022 and the DOM', () => {
  const strict = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    target: 'ES2022',
    lib: ['ES2022', 'DOM'],
    types: [],
  };
  const resolutions = [
    { module: 'NodeNext', moduleResolution: 'NodeNext' },
    { module: 'ESNext', moduleResolution: 'Bundler' },
  ];
  const compilers = {
    5.4: () => join(starter('.'), 'node_modules', 'typescript-5.4'),
    5.9: () => join(root, 'node_modules', 'typescript'),
    7: () => join(starter('.'), 'node_modules', 'typescript-7'),
  };
  for (const [version, folder] of Object.entries(compilers)) {
    test(`TypeScript ${version}`, async () => {
      const tsc = join(folder(), 'bin', 'tsc');
      const { output } = await run(process.execPath, [tsc, '--version']);
      assert.ok(output.startsWith(`Version ${version}.`), output);
      for (const resolution of resolutions) await compile(tsc, { ...strict, ...resolution }, 'app.ts');
      await compile(tsc, { ...strict, ...resolutions[0], types: ['node'] }, 'node.ts');
    });
  }

  async function compile(tsc, compilerOptions, file) {
    const cwd = starter('types');
    await writeFile(join(cwd, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
    const { code, output } = await run(process.execPath, [tsc, '-p', '.'], { cwd });
    assert.deepEqual([code, output], [0, '']);
  }
});

/** The directory and the gateways, as a content policy names them. */
function network() {
  const { directory, gateways } = devnet.info;
  return [new URL(directory).origin, ...gateways.map(({ url }) => url)];
}

const strict = () => `${POLICY} 'self' ${network().join(' ')}; img-src data:`;

const inlined = () => strict().replace("worker-src 'self'", 'worker-src blob:');

const asFiles = (name, policy) => served(name, policy, talksAndReloads);

/** Builds a starter and serves what came out. */
async function served(name, policy, use) {
  await npm(starter(name), 'run', 'build');
  const headers = { 'content-security-policy': policy };
  const server = await serve(join(starter(name), 'dist'), { base: BASE, headers });
  try {
    await use(server.url);
  } finally {
    await server.close();
  }
}

/** Opens the page twice in one browser: it talks to itself both times, under one address, and asks nobody else. */
async function talksAndReloads(url, options) {
  const asked = new Set();
  const prepare = async (page, context) => {
    await options?.prepare?.(page, context);
    context.on('request', (request) => asked.add(request.url()));
    page.on('websocket', (socket) => asked.add(socket.url()));
  };
  const ready = (page) => page.waitForFunction(isFinished, null, { timeout: PATIENCE_MS });
  await withPageAt(
    `${url}?directory=${devnet.info.directory}`,
    async (page) => {
      const first = await page.evaluate(readPage);
      checkShown(first);
      await page.reload();
      await ready(page);
      assert.deepEqual(await page.evaluate(readPage), first);
    },
    { ...options, prepare, ready },
  );
  const allowed = [new URL(url).origin, ...network()].map((entry) => new URL(entry).host);
  const foreign = [...asked].filter((entry) => /^(https?|wss?):/.test(entry) && !allowed.includes(new URL(entry).host));
  assert.deepEqual(foreign, []);
  assert.ok(
    [...asked].some((entry) => entry.startsWith(devnet.info.directory)),
    'requests of workers are seen',
  );
}

/** What the page shows. Runs there. */
const readPage = () =>
  Object.fromEntries(
    ['address', 'received', 'state', 'error'].map((id) => [id, document.getElementById(id)?.textContent]),
  );

/** Whether the page has shown everything, or an error. Runs there. */
const isFinished = () => {
  const text = (id) => document.getElementById(id)?.textContent;
  return text('error') || (text('state') && text('received'));
};

function checkShown({ address, received, state, error }) {
  assert.equal(error, '');
  assert.match(address, /^\w+\.\w+@\w+$/);
  assert.match(received, /^hello (at|from) /);
  assert.equal(state, 'delivered');
}

async function inNode(binary) {
  const options = { cwd: starter('node'), env: toolEnv(), timeoutMs: PATIENCE_MS };
  const version = await run(binary, ['--version'], options);
  const { code, output } = await run(binary, ['main.mjs', devnet.info.directory], options);
  assert.equal(code, 0, output);
  assert.match(
    output,
    new RegExp(`^address \\w+\\.\\w+@\\w+\nreceived hello from Node ${version.stdout.trim().slice(1)}\n$`),
  );
}

/** Starts a program of a starter; `output()` is what it has said. */
function startTool(name, args, env = {}) {
  let output = '';
  const started = start('npx', ['--no-install', ...args], {
    cwd: starter(name),
    env: toolEnv(env),
    onOutput: (text) => (output += text),
  });
  let hasEnded = false;
  void started.ended.then(() => (hasEnded = true));
  return { ...started, output: () => output, hasEnded: () => hasEnded };
}

/** Asks until something answers. */
async function untilAnswering(url, server) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      if (server.hasEnded() || performance.now() > deadline) throw new Error(server.output(), { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
