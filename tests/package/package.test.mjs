// Packs the package, installs it elsewhere as a user would, and loads it in a real browser.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import * as vite from 'vite';
import { root } from '../../scripts/lib/paths.mjs';
import { freePorts } from '../../scripts/lib/ports.mjs';
import { toolEnv } from '../../scripts/lib/tools.mjs';
import {
  APP,
  HTML,
  NOBODY,
  POLICY,
  attempt,
  devnet,
  shutDown,
  startUp,
  talksToItself,
  withPage,
  withPageAt,
} from './harness.mjs';
import { serve } from './server.mjs';

const execute = promisify(execFile);

let folder;
let tarball;
let files;

before(async () => {
  assert.ok(existsSync(join(root, 'dist', 'mixlet.wasm')), 'dist/ is empty; run npm run build first');
  folder = await mkdtemp(join(tmpdir(), 'mixlet-package-'));
  const { stdout } = await npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  const [packed] = JSON.parse(stdout);
  tarball = join(folder, packed.filename);
  files = packed.files.map(({ path }) => path);
  await startUp();
});

after(async () => {
  await shutDown();
  await rm(folder, { recursive: true, force: true });
});

describe('the tarball', () => {
  test('holds what users need and nothing else', () => {
    for (const wanted of ['package.json', 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE'])
      assert.ok(files.includes(wanted), wanted);
    const scripts = ['index.js', 'node.js', 'worker.js', 'engine.js', 'testing.js', 'testing-node.js'];
    const others = ['index.d.ts', 'engine.d.ts', 'testing.d.ts', 'mixlet.wasm', 'testing.wasm'];
    for (const name of [...scripts, ...scripts.map((script) => `${script}.map`), ...others]) {
      assert.ok(files.includes(`dist/${name}`), name);
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

  test('names no folder of this machine', async () => {
    const names = files.filter((path) => /^dist\/.*\.(js|map|wasm|d\.ts)$/.test(path)).map((path) => path.slice(5));
    assert.ok(names.length > 20);
    for (const name of names) {
      const text = await readFile(join(root, 'dist', name), 'latin1');
      assert.ok(!text.includes(root), `${name} names ${root}`);
      assert.ok(!text.includes(process.env.HOME ?? '/root'), `${name} names the home folder`);
    }
  });

  test('has no run-time dependencies and no install scripts', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    assert.equal(manifest.dependencies, undefined);
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) assert.ok(!(script in manifest.scripts));
    assert.equal(manifest.sideEffects, false);
  });
});

describe('in Node', () => {
  test('importing does nothing, and a client can be made; connect says what is missing', async () => {
    const project = await emptyProject('node');
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
    const project = await emptyProject('testing');
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

  test('the types check in a strict project that knows only ES2022 and the DOM', async () => {
    const project = await emptyProject('types');
    await writeFile(
      join(project, 'app.ts'),
      `import { MixClient, MixError, parseAddress, type ReceivedMessage } from 'mixlet';
       import { TestNetwork } from 'mixlet/testing';
       const client = new MixClient({ network: { directories: ['http://127.0.0.1:9/api'] }, privacy: { dangerNoPacing: true } });
       export const address: string = await client.connect({ signal: AbortSignal.timeout(1), onProgress: (p) => p.fraction.toFixed() });
       export const sent = client.send(parseAddress(address), new Uint8Array(3), { priority: 'bulk' });
       client.addEventListener('message', ({ detail }) => detail.reply('x'));
       for await (const message of client.messages()) show(message);
       function show(message: ReceivedMessage): string { return message.text(); }
       const net: TestNetwork = await TestNetwork.create({ loss: 0.1 });
       export const tested = new MixClient({ ...net.options({ gateway: 1 }), askForMore: false });
       // @ts-expect-error text is not an address
       client.send('x', 'y');
       export const code = new MixError('timeout').code;`,
    );
    const options = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
      target: 'ES2022',
      lib: ['ES2022', 'DOM'],
      types: [],
    };
    for (const resolution of [
      { module: 'NodeNext', moduleResolution: 'NodeNext' },
      { module: 'ESNext', moduleResolution: 'Bundler' },
    ]) {
      const config = { compilerOptions: { ...options, ...resolution }, files: ['app.ts'] };
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify(config));
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      const { stdout } = await execute(process.execPath, [tsc, '-p', '.'], { cwd: project }).catch((error) => error);
      assert.equal(stdout, '');
    }
  });
});

describe('in Chromium, from an empty Vite project', () => {
  let built;

  before(async () => {
    const project = await emptyProject('vite');
    await writeApp(project);
    await vite.build({ root: project, configFile: false, logLevel: 'error', base: './', build: { target: 'esnext' } });
    built = join(project, 'dist');
  });

  test('the build without any setting loads, and a dead directory is a typed error', async () => {
    const names = (await readdir(built, { recursive: true })).join(' ');
    assert.match(names, /mixlet-\S+\.wasm/);
    await withPage(built, {}, async (page) => {
      assert.deepEqual(await page.evaluate(() => window.mixlet.MixClient.isSupported()), { ok: true, missing: [] });
      const result = await attempt(page, { network: { directories: [NOBODY] } });
      assert.deepEqual(
        { code: result.code, name: result.name, isMixError: result.isMixError },
        { code: 'directory-unreachable', name: 'TopologyError', isMixError: true },
      );
      assert.match(result.message, /directory/i);
    });
  });

  test('it talks through a mixnet', async () => {
    await withPage(built, {}, talksToItself);
  });

  test('minified as it is, errors still have their names', async () => {
    await withPage(built, {}, async (page) => {
      const names = await page.evaluate(() =>
        window.mixlet.errorCodes.map((code) => new window.mixlet.errorTable[code].type(code).name),
      );
      assert.ok(names.includes('SessionInUseError'));
      assert.ok(names.every((name) => name.length > 6));
    });
  });

  test('a network in memory works in a page too', async () => {
    const project = await emptyProject('vite-testing');
    await writeApp(project);
    await writeFile(
      join(project, 'app.js'),
      `import { MixClient } from 'mixlet';
       import { TestNetwork } from 'mixlet/testing';
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
    await vite.build({ root: project, configFile: false, logLevel: 'error', base: './', build: { target: 'esnext' } });
    // No link of it leaves the page.
    const headers = { 'content-security-policy': `${POLICY} 'self'; img-src data:` };
    await withPage(join(project, 'dist'), { headers }, async (page) => {
      assert.equal(await page.evaluate(() => window.talk()), 'in memory');
    });
  });

  test('the dev server works with the one line of the README', async () => {
    const project = await emptyProject('vite-dev');
    await writeApp(project);
    const server = await vite.createServer({
      root: project,
      configFile: false,
      logLevel: 'error',
      cacheDir: join(project, '.vite'),
      optimizeDeps: { exclude: ['mixlet'] },
      server: { host: '127.0.0.1', port: (await freePorts(1))[0], strictPort: true },
    });
    try {
      await server.listen();
      await withPageAt(server.resolvedUrls.local[0], talksToItself, { ignore: /^debug: \[vite\]/ });
    } finally {
      await server.close();
    }
  });
});

describe('in Chromium, without a bundler', () => {
  let site;

  before(async () => {
    site = join(await emptyProject('bare'), 'site');
    await mkdir(site);
    for (const name of ['index.js', 'worker.js', 'mixlet.wasm'])
      await copyFile(join(site, '..', 'node_modules', 'mixlet', 'dist', name), join(site, name));
    await writeFile(join(site, 'app.js'), APP.replace("'mixlet'", "'./index.js'"));
    await writeFile(join(site, 'index.html'), HTML);
  });

  test('three files beside the page are enough, under the content policy of the README', async () => {
    const { directory, gateways } = devnet.info;
    const policy = `${POLICY} 'self' ${new URL(directory).origin} ${gateways.map(({ url }) => url).join(' ')}; img-src data:`;
    await withPage(site, { headers: { 'content-security-policy': policy } }, talksToItself);
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

  test('esbuild and the two copied files work', async () => {
    const project = await emptyProject('esbuild');
    await writeApp(project);
    const out = join(project, 'out');
    await esbuild.build({
      absWorkingDir: project,
      entryPoints: ['app.js'],
      bundle: true,
      format: 'esm',
      outdir: out,
      logLevel: 'error',
    });
    for (const name of ['worker.js', 'mixlet.wasm'])
      await copyFile(join(project, 'node_modules', 'mixlet', 'dist', name), join(out, name));
    await writeFile(join(out, 'index.html'), HTML);
    await withPage(out, {}, talksToItself);
  });

  test('an unused import leaves nothing in a bundle', async () => {
    const project = await emptyProject('unused');
    await writeFile(join(project, 'app.js'), "import { MixClient } from 'mixlet'; console.log('hello');");
    const { outputFiles } = await esbuild.build({
      absWorkingDir: project,
      entryPoints: ['app.js'],
      bundle: true,
      format: 'esm',
      write: false,
    });
    assert.ok(outputFiles[0].text.length < 100, outputFiles[0].text);
  });
});

/** A project with nothing but the package, installed from the tarball. */
async function emptyProject(name) {
  const project = join(folder, name);
  await mkdir(project);
  await writeFile(join(project, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }));
  await npm(project, 'install', '--ignore-scripts', '--offline', '--no-audit', '--no-fund', tarball);
  return project;
}

async function writeApp(project) {
  await writeFile(join(project, 'app.js'), APP);
  await writeFile(join(project, 'index.html'), HTML);
}

function npm(cwd, ...args) {
  return execute('npm', args, { cwd, env: toolEnv(), maxBuffer: 16 * 1024 * 1024 });
}
