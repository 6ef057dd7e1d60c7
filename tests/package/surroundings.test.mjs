// Pages and browsers that lack something: each failure is typed, says what to do, and leaves the console alone.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { root } from '../../scripts/lib/paths.mjs';
import {
  APP,
  HTML,
  NOBODY,
  attempt,
  devnet,
  shutDown,
  startUp,
  talksToItself,
  withPage,
  withPageAt,
} from './harness.mjs';
import { serve } from './server.mjs';

let site;

before(async () => {
  site = await mkdtemp(join(tmpdir(), 'mixlet-surroundings-'));
  for (const name of ['index.js', 'worker.js', 'engine.js', 'mixlet.wasm'])
    await copyFile(join(root, 'dist', name), join(site, name));
  await writeFile(join(site, 'app.js'), APP.replace("'mixlet'", "'./index.js'"));
  await writeFile(join(site, 'index.html'), HTML);
  // Names that are not this machine's own, although they lead to it: pages under them are not trusted like localhost.
  // Pages that come from nowhere may not ask loopback unless this check is off.
  await startUp({
    args: ['--host-resolver-rules=MAP *.test 127.0.0.1', '--disable-features=LocalNetworkAccessChecks'],
  });
});

after(async () => {
  await shutDown();
  await rm(site, { recursive: true, force: true });
});

describe('a page over plain http', () => {
  test('is unsupported-runtime, with https as the advice', async () => {
    const server = await serve(site);
    try {
      await withPageAt(server.url.replace('127.0.0.1', 'insecure.test'), async (page) => {
        const { ok, missing } = await page.evaluate(() => window.mixlet.MixClient.isSupported());
        assert.equal(ok, false);
        assert.ok(missing.includes('secure-context'));
        const result = await attempt(page, { network: { directories: [NOBODY] } });
        assert.deepEqual([result.code, result.name], ['unsupported-runtime', 'UnsupportedRuntimeError']);
        assert.match(result.message, /https/);
      });
    } finally {
      await server.close();
    }
  });
});

describe('a page over https', () => {
  test('cannot use gateways without wss: mixed-content', async () => {
    await onSecurePage(async (page) => {
      const result = await attempt(page, { network: { directories: [devnet.info.directory] } });
      assert.deepEqual([result.code, result.name], ['mixed-content', 'GatewayError']);
      assert.match(result.message, /wss|secure/);
    });
  });

  test('cannot use a directory over http: mixed-content', async () => {
    await onSecurePage(async (page) => {
      const result = await attempt(page, { network: { directories: ['http://directory.test/api'] } });
      assert.deepEqual([result.code, result.name], ['mixed-content', 'GatewayError']);
      assert.match(result.message, /directory/);
    });
  });
});

describe('a browser without storage', () => {
  test('where IndexedDB is missing, connect is storage-blocked; in memory it works', async () => {
    const prepare = (page) =>
      page.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }));
    await inPage({ prepare }, async (page) => {
      const result = await attempt(page, { storage: 'indexeddb', network: { directories: [devnet.info.directory] } });
      assert.deepEqual([result.code, result.name], ['storage-blocked', 'StorageError']);
      assert.match(result.message, /storage: 'memory'/);
      await talksToItself(page);
    });
  });

  test('where only the worker notices, it is storage-blocked too', async () => {
    const broken = {
      'missing altogether': "Object.defineProperty(globalThis, 'indexedDB', { value: undefined });",
      'refusing with an exception':
        "indexedDB.constructor.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };",
      'refusing with an event': `indexedDB.constructor.prototype.open = function () {
        const request = new EventTarget();
        request.error = new DOMException('A mutation operation was attempted on a database that did not allow mutations.', 'InvalidStateError');
        queueMicrotask(() => { const event = new Event('error'); request.onerror?.(event); request.dispatchEvent(event); });
        return request;
      };`,
    };
    for (const [how, script] of Object.entries(broken)) {
      await withWorker(script, async (page) => {
        const result = await attemptWithWorker(page, { storage: 'indexeddb', network: { directories: [NOBODY] } });
        assert.deepEqual([result.code, result.name], ['storage-blocked', 'StorageError'], how);
      });
    }
  });
});

describe('a worker that dies', () => {
  test('while connecting is worker-crashed', async () => {
    await withWorker('setTimeout(() => { throw new Error("a task has failed"); }, 0);', async (page) => {
      const result = await attemptWithWorker(page, { network: { directories: [NOBODY] } });
      assert.deepEqual([result.code, result.name], ['worker-crashed', 'EnginePanicError']);
    });
  });

  test('in the middle of its work closes the client, which can connect again', async () => {
    // As a panic does: every later entry into the wasm throws.
    const script = `${MORTAL}
      addEventListener('message', ({ data }) => { if (data.op === 'cancel') globalThis.dead = true; });`;
    await withWorker(script, async (page) => {
      const result = await page.evaluate(async (directory) => {
        const { MixClient } = window.mixlet;
        const client = new MixClient({
          storage: 'memory',
          network: { directories: [directory] },
          worker: window.makeWorker,
        });
        const address = await client.connect();
        const error = new Promise((resolve) =>
          client.addEventListener('error', ({ detail }) => resolve(detail.code), { once: true }),
        );
        const large = client.send(address, new Uint8Array(500_000));
        // Before, it would end on the page, and the worker would not hear of it.
        await large.queued;
        large.cancel();
        const lost = client.send(address, 'lost');
        const codes = [await error, await lost.delivered.catch(({ code }) => code), client.state];
        await client.connect();
        codes.push(client.state);
        await client.close({ drain: false });
        return codes;
      }, devnet.info.directory);
      assert.deepEqual(result, ['worker-crashed', 'worker-crashed', 'closed', 'ready']);
    });
  });
});

describe('a page without a worker', () => {
  test('talks to itself, and keeps its address', async () => {
    await inPage({}, async (page) => {
      const result = await page.evaluate(async (directory) => {
        const engine = await import(new URL('engine.js', location.href));
        const options = { storage: 'indexeddb', network: { directories: [directory] }, worker: false, engine };
        const { client, address } = await window.attempt(options);
        const second = await window.attempt(options);
        const messages = client.messages();
        await client.send(address, 'to myself').delivered;
        const { value } = await messages.next();
        await client.close();
        // Closed, it has let go of the profile.
        const again = await window.attempt(options);
        await again.client.close({ drain: false });
        return { text: value.text(), second: second.code, same: again.address === address };
      }, devnet.info.directory);
      assert.deepEqual(result, { text: 'to myself', second: 'in-use', same: true });
    });
  });

  test('a crash is worker-crashed, takes no other client with it, and says nothing in the console', async () => {
    const prepare = (page) => page.addInitScript(MORTAL);
    await inPage({ prepare }, async (page) => {
      const result = await page.evaluate(async (directory) => {
        const engine = await import(new URL('engine.js', location.href));
        const options = { network: { directories: [directory] }, worker: false, engine };
        const [first, other] = [await window.attempt(options), await window.attempt(options)];
        const error = new Promise((resolve) =>
          first.client.addEventListener('error', ({ detail }) => resolve(detail.code), { once: true }),
        );
        window.dead = true;
        const lost = first.client.send(first.address, 'lost');
        const codes = [await error, await lost.delivered.catch(({ code }) => code), first.client.state];
        window.dead = false;
        const messages = other.client.messages();
        await first.client.connect();
        first.client.send(other.address, 'alive');
        const { value } = await messages.next();
        for (const { client } of [first, other]) await client.close({ drain: false });
        return [...codes, value.text()];
      }, devnet.info.directory);
      assert.deepEqual(result, ['worker-crashed', 'worker-crashed', 'closed', 'alive']);
    });
  });
});

/** A script after which every entry into the wasm throws while `dead` is set. */
const MORTAL = `const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...values) => {
    const instance = await instantiate(...values);
    const handle = Object.keys(instance.exports).find((name) => name.endsWith('_handle'));
    const exports = { ...instance.exports, [handle]: (...values) => { if (globalThis.dead) throw new WebAssembly.RuntimeError('unreachable'); return instance.exports[handle](...values); } };
    return { exports, __proto__: WebAssembly.Instance.prototype };
  };`;

const inPage = (pageOptions, use) => withPage(site, {}, use, pageOptions);

/** A page under an https address; its files come from the folder and not from a server. */
async function onSecurePage(use) {
  const prepare = (_page, context) =>
    context.route('https://secure.test/**', async (route) => {
      const name = new URL(route.request().url()).pathname.slice(1) || 'index.html';
      const type = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm' }[name.split('.').pop()];
      await route.fulfill({ body: await readFile(join(site, name)), contentType: type });
    });
  await withPageAt('https://secure.test/', use, { prepare });
}

/** A page whose `makeWorker` starts the worker in a global where `script` has run before. */
async function withWorker(script, use) {
  const first = `data:text/javascript,${encodeURIComponent(script)}`;
  await inPage({}, async (page) => {
    await page.evaluate((first) => {
      const code = `import ${JSON.stringify(first)}; import ${JSON.stringify(new URL('worker.js', location.href).href)};`;
      const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
      window.makeWorker = () => new Worker(url, { type: 'module' });
    }, first);
    await use(page);
  });
}

const attemptWithWorker = (page, options) =>
  page.evaluate(async (options) => {
    const { client, ...result } = await window.attempt({ ...options, worker: window.makeWorker });
    await client?.close({ drain: false });
    return result;
  }, options);
