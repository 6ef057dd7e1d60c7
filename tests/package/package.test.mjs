// Packs the package, installs it elsewhere as a user would, and loads it in a real browser.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import { REPORT, apiReport } from '../../scripts/api.mjs';
import { sizes } from '../../scripts/size.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/processes.mjs';
import { toolEnv } from '../../scripts/lib/tools.mjs';
import { APP, HTML, NOBODY, POLICY, attempt, devnet, shutDown, startUp, withPage } from './harness.mjs';
import { emptyProject, pack } from './packed.mjs';
import { serve } from './server.mjs';

const execute = promisify(execFile);

/** What is built of each module. */
const MODULES = ['index', 'node', 'worker', 'engine', 'inline', 'testing', 'testing-node'];

let packed;

before(async () => {
  packed = await pack();
  await startUp();
});

after(async () => {
  await shutDown();
  await packed?.remove();
});

describe('the tarball', () => {
  test('holds what users need and nothing else', () => {
    const { files } = packed;
    for (const wanted of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE-MIT', 'LICENSE-APACHE'])
      assert.ok(files.includes(wanted), wanted);
    for (const name of MODULES)
      for (const end of ['', '.map']) assert.ok(files.includes(`dist/${name}.js${end}`), name);
    for (const name of ['index', 'engine', 'inline', 'testing']) {
      for (const end of ['', '.map']) assert.ok(files.includes(`dist/${name}.d.ts${end}`), name);
    }
    const needless = files.filter(
      (path) => !/^(dist|js)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE-\w+)$/.test(path),
    );
    assert.deepEqual(needless, []);
    assert.deepEqual(
      files.filter((path) => path.endsWith('.wasm')),
      ['dist/mixlet.wasm', 'dist/testing.wasm'],
      'one copy of each wasm',
    );
  });

  test('each map leads to a source that is inside, or holds it', async () => {
    const { files } = packed;
    for (const path of files.filter((path) => path.endsWith('.map'))) {
      const map = JSON.parse(await readFile(join(root, path), 'utf8'));
      assert.ok(map.sources.length > 0, path);
      for (const [index, source] of map.sources.entries()) {
        // Made by the build: the glue, whose text is in the map, and the text of the inlined files, which nobody reads.
        if (source === 'inlined:dist') continue;
        const inside = files.includes(normalize(join('dist', source)));
        assert.ok(inside || map.sourcesContent?.[index], `${path} names ${source}`);
      }
    }
  });

  test('names no folder of this machine', async () => {
    for (const path of packed.files.filter((path) => path.startsWith('dist/'))) {
      const text = await readFile(join(root, path), 'latin1');
      assert.ok(!text.includes(root), `${path} names ${root}`);
      assert.ok(!text.includes(process.env.HOME ?? '/root'), `${path} names the home folder`);
    }
  });

  test('has no run-time dependencies and no install scripts', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    assert.equal(manifest.dependencies, undefined);
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) assert.ok(!(script in manifest.scripts));
    assert.equal(manifest.sideEffects, false);
  });

  test('publint finds nothing', () => tool('publint', 'run', packed.tarball, '--strict'));

  // ES modules only, and wasm is none.
  test('the types of each module are found, as those of an ES module', () =>
    tool('attw', packed.tarball, '--profile', 'esm-only', '--exclude-entrypoints', 'mixlet.wasm', 'testing.wasm'));

  test('is as large as the README says', async () => {
    const said = await readFile(join(root, 'README.md'), 'utf8');
    const numbers = (text) => text.match(/(?<=\| )\d+(?= \|)/g).map(Number);
    for (const row of sizes()) {
      const line = said.split('\n').find((line) => line.startsWith(`| \`${row.file}\` |`));
      assert.ok(line, `README.md has no line for ${row.file}: run npm run size -- --readme`);
      for (const [index, kB] of numbers(line).entries()) {
        const is = [row.raw, row.gzip, row.brotli][index] / 1000;
        assert.ok(Math.abs(is - kB) <= 1 + is * 0.1, `${row.file}: ${line}: run npm run size -- --readme`);
      }
    }
  });

  test('exports what docs/API-REPORT.txt says', async () => {
    assert.equal(apiReport(), await readFile(REPORT, 'utf8'), 'the API has changed; look at it and run npm run api');
  });
});

describe('in Node', () => {
  test('importing does nothing, and a client can be made; connect says what is missing', async () => {
    const project = await emptyProject(packed, 'node');
    const script = `
      const before = Object.getOwnPropertyNames(globalThis).sort().join();
      const { MixClient, MixError } = await import('mixlet');
      if (Object.getOwnPropertyNames(globalThis).sort().join() !== before) throw new Error('importing left a global');
      const client = new MixClient({ network: { directories: ['http://127.0.0.1:9/api'] } });
      const error = await client.connect().catch((error) => error);
      console.log(error instanceof MixError, error.code, MixClient.isSupported().ok, import.meta.resolve('mixlet/worker'), import.meta.resolve('mixlet/mixlet.wasm'));`;
    const { stdout, stderr } = await execute(process.execPath, ['--input-type=module', '-e', script], { cwd: project });
    assert.match(stdout, /^true unsupported-runtime false file:\S+\/dist\/worker\.js file:\S+\/dist\/mixlet\.wasm\n$/);
    assert.equal(stderr, '');
  });

  test('a test of an app finds a network in memory', async () => {
    const project = await emptyProject(packed, 'testing');
    const script = `
      import { MixClient } from 'mixlet';
      import { TestNetwork } from 'mixlet/testing';
      const net = await TestNetwork.create();
      const [alice, bob] = [new MixClient(net.options()), new MixClient(net.options())];
      await alice.connect();
      bob.addEventListener('message', ({ detail }) => console.log(detail.text()));
      await alice.send(await bob.connect(), 'hello').delivered;
      await Promise.all([alice.close(), bob.close()]);
      await net.close();`;
    const { stdout, stderr } = await execute(process.execPath, ['--input-type=module', '-e', script], { cwd: project });
    assert.deepEqual({ stdout, stderr }, { stdout: 'hello\n', stderr: '' });
  });

  test('the engine runs without a worker; the wasm comes from disk, or from inside the module', async () => {
    const project = await emptyProject(packed, 'engine');
    for (const module of ['mixlet', 'mixlet/inline']) {
      const script = `
        import { MixClient } from '${module}';
        import * as engine from 'mixlet/engine';
        const before = Object.getOwnPropertyNames(globalThis).sort().join();
        const options = { network: { directories: ['${NOBODY}'] }, worker: false, engine, webSocket: class {} };
        const client = new MixClient(options);
        const phases = [];
        const error = await client.connect({ onProgress: ({ phase }) => phases.push(phase) }).catch((error) => error);
        if (Object.getOwnPropertyNames(globalThis).sort().join() !== before) throw new Error('it left a global');
        console.log(MixClient.isSupported(options).ok, error.code, phases.join());`;
      const { stdout, stderr } = await execute(process.execPath, ['--input-type=module', '-e', script], {
        cwd: project,
      });
      assert.match(stdout, /^true directory-unreachable engine,\S*topology\n$/, module);
      assert.equal(stderr, '');
    }
  });
});

describe('in Node, with the sockets of ws', () => {
  test('an abort at any moment of connecting throws nothing, and Node ends by itself', async () => {
    const project = await emptyProject(packed, 'ws');
    const ws = pathToFileURL(join(root, 'node_modules', 'ws', 'wrapper.mjs'));
    const script = `
      import { MixClient } from 'mixlet';
      import * as engine from 'mixlet/engine';
      import { WebSocket } from '${ws}';
      const network = { directories: ['${devnet.info.directory}'] };
      const client = new MixClient({ network, worker: false, engine, webSocket: WebSocket });
      const seen = new Map();
      // Not by the clock, which depends on the machine: at each report of progress, and a few turns of the loop later.
      for (let turns = 0; turns < 12; turns++) {
        for (const phase of ['engine', 'topology', 'gateway', 'auth']) {
          const controller = new AbortController();
          const onProgress = async (progress) => {
            if (progress.phase !== phase) return;
            for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
            controller.abort(new Error('enough'));
          };
          const outcome = await client.connect({ signal: controller.signal, onProgress }).then(
            () => client.close({ drain: false }).then(() => 'connected'),
            (error) => error.message,
          );
          seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        }
      }
      console.log(seen.size, (seen.get('enough') ?? 0) > 12, client.state === 'idle' || client.state === 'closed');`;
    const { code, output } = await run(process.execPath, ['--input-type=module', '-e', script], {
      cwd: project,
      timeoutMs: 60_000,
    });
    assert.match(output, /^[12] true true\n$/);
    assert.equal(code, 0);
  });
});

describe('in Chromium, without a bundler', () => {
  let site;

  before(async () => {
    site = join(await emptyProject(packed, 'bare'), 'site');
    await mkdir(site);
    for (const name of ['index.js', 'worker.js', 'mixlet.wasm'])
      await copyFile(join(site, '..', 'node_modules', 'mixlet', 'dist', name), join(site, name));
    await writeFile(join(site, 'app.js'), APP.replace("'mixlet'", "'./index.js'"));
    await writeFile(join(site, 'index.html'), HTML);
  });

  test('everything needed is there, and a dead directory is a typed error', async () => {
    await withPage(site, {}, async (page) => {
      assert.deepEqual(await page.evaluate(() => window.mixlet.MixClient.isSupported()), { ok: true, missing: [] });
      const result = await attempt(page, { network: { directories: [NOBODY] } });
      assert.deepEqual(
        { code: result.code, name: result.name, isMixError: result.isMixError },
        { code: 'directory-unreachable', name: 'TopologyError', isMixError: true },
      );
      assert.match(result.message, /directory/i);
    });
  });

  test('a network in memory works in a page too, and no link of it leaves the page', async () => {
    const tests = join(site, '..', 'tests');
    await mkdir(tests);
    for (const name of ['index.js', 'engine.js', 'testing.js', 'mixlet.wasm', 'testing.wasm'])
      await copyFile(join(site, '..', 'node_modules', 'mixlet', 'dist', name), join(tests, name));
    await writeFile(join(tests, 'index.html'), HTML);
    await writeFile(
      join(tests, 'app.js'),
      `import { MixClient } from './index.js';
       import { TestNetwork } from './testing.js';
       window.talk = async () => {
         const net = await TestNetwork.create();
         const client = new MixClient(net.options());
         const messages = client.messages();
         await client.send(await client.connect(), 'in memory').delivered;
         const { value } = await messages.next();
         await client.close();
         await net.close();
         return value.text();
       };
       window.ready = true;`,
    );
    const headers = { 'content-security-policy': `${POLICY} 'self'; img-src data:` };
    await withPage(tests, { headers }, async (page) => {
      assert.equal(await page.evaluate(() => window.talk()), 'in memory');
    });
  });

  test('a policy without wasm-unsafe-eval is wasm-load, and the text names it', async () => {
    const policy = "script-src 'self'; worker-src 'self'; connect-src 'self'";
    await withPage(
      site,
      { headers: { 'content-security-policy': policy } },
      async (page) => {
        const result = await attempt(page, { network: { directories: [NOBODY] } });
        assert.equal(result.code, 'wasm-load');
        assert.match(result.message, /wasm-unsafe-eval/);
      },
      { ignore: /Content Security Policy/ },
    );
  });

  test('a wrong MIME type of the wasm works, in silence', async () => {
    for (const type of ['application/octet-stream', 'text/plain']) {
      await withPage(site, { special: { '.wasm': { type } } }, async (page) => {
        assert.equal((await attempt(page, { network: { directories: [NOBODY] } })).code, 'directory-unreachable');
      });
    }
  });

  test('HTML in place of the wasm is wasm-load, with what to do', async () => {
    const page404 = { type: 'text/html', body: '<!doctype html><title>My app</title>' };
    for (const trick of [page404, { ...page404, type: 'application/wasm' }, { ...page404, status: 404 }]) {
      await withPage(site, { special: { '.wasm': trick } }, async (page) => {
        const result = await attempt(page, { network: { directories: [NOBODY] } });
        assert.equal(result.code, 'wasm-load');
        assert.match(result.message, /Serve the file mixlet\.wasm/);
      });
    }
  });

  test('HTML in place of the worker is worker-crashed, with what to do', async () => {
    const special = { 'worker.js': { type: 'text/html', body: '<!doctype html>' } };
    await withPage(
      site,
      { special },
      async (page) => {
        const result = await attempt(page, { network: { directories: [NOBODY] } });
        assert.equal(result.code, 'worker-crashed');
        assert.match(result.message, /dist\/worker\.js/);
      },
      { ignore: /MIME type/ },
    );
  });

  test('HTML, junk and nothing in place of the directory are directory-invalid', async () => {
    const tricks = [
      { type: 'text/html', body: '<!doctype html>' },
      { type: 'application/json', body: '{}' },
      { type: 'application/json', body: '' },
      { status: 500, body: 'oh' },
    ];
    for (const trick of tricks) {
      const headers = { 'access-control-allow-origin': '*' };
      const directory = await serve(site, { headers, special: { '': trick } });
      try {
        await withPage(site, {}, async (page) => {
          const result = await attempt(page, { network: { directories: [`${directory.url}api`] } });
          assert.equal(result.code, 'directory-invalid', JSON.stringify(trick));
          assert.equal(result.name, 'TopologyError');
        });
      } finally {
        await directory.close();
      }
    }
  });

  test('minified once more, errors still have their names', async () => {
    const { outputFiles } = await bundle(
      "import { errorCodes, errorTable } from 'mixlet'; export const names = errorCodes.map((code) => new errorTable[code].type(code).name);",
    );
    const { names } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
    assert.ok(names.includes('SessionInUseError'));
    assert.ok(names.every((name) => name.length > 6));
  });

  test('an unused import leaves nothing in a bundle', async () => {
    const { outputFiles } = await bundle(
      "import { MixClient } from 'mixlet'; import * as engine from 'mixlet/engine'; console.log('hello');",
    );
    assert.ok(outputFiles[0].text.length < 100, outputFiles[0].text);
  });
});

/** A program of the development tools; what it finds fault with makes it fail. */
async function tool(name, ...args) {
  const { code, output } = await run(name, args, { env: toolEnv() });
  assert.equal(code, 0, output);
}

let projects = 0;

async function bundle(code) {
  const project = await emptyProject(packed, `bundle${++projects}`);
  return esbuild.build({
    stdin: { contents: code, resolveDir: project },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
  });
}
