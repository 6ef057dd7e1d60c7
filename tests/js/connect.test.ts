import { beforeEach, describe, expect, test, vi } from 'vitest';
import { EnginePanicError, GatewayError, MixTimeoutError, SessionInUseError } from '../../js/errors.js';
import { MixClient } from '../../js/client.js';
import type { ConnectProgress, MixClientOptions, MixEngine } from '../../js/types.js';
import { address, connected, failure, gateway, heard, newClient, open, started, stateOf, stubBrowser } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('connect', () => {
  test('resolves with the address, which then is the client’s, with its gateway', async () => {
    const fake = newClient({ profile: 'alice' });
    expect(fake.client).toMatchObject({ state: 'idle', address: null, gateway: null });
    const states = heard(fake.client, 'statechange');
    const connecting = fake.client.connect();
    expect(fake.client.state).toBe('connecting');
    const worker = await started(fake);
    const request = await worker.request('open');
    expect(request.options).toMatchObject({ profile: 'alice', securePage: false, slotMs: 20, dangerNoPacing: false });
    expect(request.wasm).toEqual({ url: 'http://localhost/mixlet.wasm' });
    worker.answer(request, { address, gateway });
    await expect(connecting).resolves.toBe(address);
    expect(fake.client).toMatchObject({ state: 'ready', address, gateway });
    expect(states).toEqual([
      { state: 'connecting', previous: 'idle' },
      { state: 'ready', previous: 'connecting' },
    ]);
  });

  test('while connecting it returns the same promise, also from within its own event', async () => {
    const fake = newClient();
    let inside: Promise<unknown> | undefined;
    fake.client.addEventListener('statechange', () => (inside ??= fake.client.connect()));
    const connecting = fake.client.connect();
    expect(fake.client.connect({ timeoutMs: 1 })).toBe(connecting);
    expect(inside).toBe(connecting);
    await open(await started(fake));
    await connecting;
    expect(fake.workers).toHaveLength(1);
  });

  test('when connected it resolves at once and starts nothing', async () => {
    const fake = await connected();
    await expect(fake.client.connect()).resolves.toBe(address);
    expect(fake.workers).toHaveLength(1);
  });

  test('reports progress that never goes back and ends at 1', async () => {
    const fake = newClient();
    const seen: ConnectProgress[] = [];
    const events = heard(fake.client, 'progress');
    const connecting = fake.client.connect({ onProgress: (progress) => seen.push(progress) });
    const worker = await started(fake);
    worker.say({ event: 'progress', phase: 'engine', fraction: 0 });
    worker.say({ event: 'progress', phase: 'topology', fraction: 0.5, detail: 'second directory' });
    worker.say({ event: 'progress', phase: 'gateway', fraction: 0.4 });
    await open(worker);
    await connecting;
    expect(seen.map(({ phase, fraction, detail }) => [phase, fraction, detail])).toEqual([
      ['engine', 0, undefined],
      ['topology', 0.5, 'second directory'],
      ['gateway', 0.5, undefined],
      ['gateway', 1, undefined],
    ]);
    expect(events).toEqual(seen);
    expect(seen.every(({ elapsedMs }) => elapsedMs >= 0)).toBe(true);
  });

  test('a failure of the worker rejects with its class; the client is idle again and can try once more', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.say({ event: 'progress', phase: 'gateway', fraction: 0.5 });
    worker.refuse(await worker.request('open'), { code: 'gateway-refused', retriable: true });
    const error = (await failure(connecting)) as GatewayError;
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'gateway-refused', phase: 'gateway', retriable: true });
    expect(fake.client.state).toBe('idle');
    expect(worker.terminated).toBe(true);
    const again = fake.client.connect();
    await open(await started(fake, 2));
    await expect(again).resolves.toBe(address);
  });

  test('a profile in use is a SessionInUseError', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.refuse(await worker.request('open'), { code: 'in-use' });
    expect(await failure(connecting)).toBeInstanceOf(SessionInUseError);
  });

  test('an abort rejects with the reason itself and stops the worker', async () => {
    const fake = newClient();
    const controller = new AbortController();
    const connecting = fake.client.connect({ signal: controller.signal });
    const worker = await started(fake);
    await worker.request('open');
    const reason = { changed: 'my mind' };
    controller.abort(reason);
    expect(await failure(connecting)).toBe(reason);
    expect(worker.terminated).toBe(true);
    expect(fake.client.state).toBe('idle');
  });

  test('an abort before it begins starts nothing', async () => {
    const fake = newClient();
    const reason = new Error('no');
    expect(await failure(fake.client.connect({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(fake.client.state).toBe('idle');
    expect(fake.workers).toHaveLength(0);
  });

  test('an abort after it has succeeded does nothing', async () => {
    const fake = newClient();
    const controller = new AbortController();
    const connecting = fake.client.connect({ signal: controller.signal });
    await open(await started(fake));
    await connecting;
    controller.abort();
    await fake.worker.flush();
    expect(fake.client.state).toBe('ready');
    expect(fake.worker.terminated).toBe(false);
  });

  test('the deadline rejects with a MixTimeoutError that says where the time went and what was wrong', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const fake = newClient();
      const connecting = failure(fake.client.connect());
      await vi.waitFor(() => fake.worker);
      fake.worker.say({ event: 'progress', phase: 'topology', fraction: 0.2 });
      fake.worker.say({
        event: 'state',
        state: 'connecting',
        error: { code: 'directory-unreachable', message: '', retriable: true },
      });
      await fake.worker.flush();
      vi.advanceTimersByTime(59_999);
      expect(fake.client.state).toBe('connecting');
      vi.advanceTimersByTime(1);
      const error = (await connecting) as MixTimeoutError;
      expect(error).toBeInstanceOf(MixTimeoutError);
      expect(error).toMatchObject({ code: 'timeout', phase: 'topology', retriable: true });
      expect(error.message).toContain('60 s');
      expect((error.cause as { code: string }).code).toBe('directory-unreachable');
      expect(fake.worker.terminated).toBe(true);
      expect(fake.client.state).toBe('idle');
    } finally {
      vi.useRealTimers();
    }
  });

  test('timeoutMs: 0 sets no timer', async () => {
    const timer = vi.spyOn(globalThis, 'setTimeout');
    const fake = newClient();
    const connecting = fake.client.connect({ timeoutMs: 0 });
    const worker = await started(fake);
    expect(timer.mock.calls.filter(([, ms]) => (ms ?? 0) >= 1000)).toEqual([]);
    await open(worker);
    await connecting;
    timer.mockRestore();
  });

  test('wrong options reject with config-invalid and start nothing', async () => {
    const fake = newClient();
    for (const options of [{ timeout: 5 }, { timeoutMs: -1 }, { signal: {} }, { onProgress: 7 }, null]) {
      expect(await failure(fake.client.connect(options as never))).toMatchObject({ code: 'config-invalid' });
    }
    expect(fake.client.state).toBe('idle');
    expect(fake.workers).toHaveLength(0);
  });

  test('a progress callback that throws does not stop it', async () => {
    const thrown: unknown[] = [];
    const microtask = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((run) => {
      void Promise.resolve()
        .then(run)
        .catch((error: unknown) => thrown.push(error));
    });
    const fake = newClient();
    const connecting = fake.client.connect({
      onProgress: () => {
        throw new Error('in the callback');
      },
    });
    const worker = await started(fake);
    worker.say({ event: 'progress', phase: 'engine', fraction: 0 });
    await open(worker);
    await expect(connecting).resolves.toBe(address);
    expect(thrown).not.toEqual([]);
    microtask.mockRestore();
  });

  test('ready is reported once, also when the worker had lost the link again by then', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.say({ event: 'state', state: 'ready' });
    worker.say({ event: 'state', state: 'reconnecting' });
    await open(worker);
    await connecting;
    expect(fake.client.state).toBe('reconnecting');
  });
});

describe('the worker', () => {
  test('that cannot be loaded is worker-crashed with advice, and the browser’s own report is suppressed', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    expect(worker.raiseError()).toBe(true);
    const error = (await failure(connecting)) as EnginePanicError;
    expect(error).toBeInstanceOf(EnginePanicError);
    expect(error.code).toBe('worker-crashed');
    expect(error.message).toContain('dist/worker.js');
    expect(fake.client.state).toBe('idle');
  });

  test('that cannot be made is worker-crashed', async () => {
    const cause = new DOMException('no', 'SecurityError');
    const { client } = newClient({
      worker: () => {
        throw cause;
      },
    });
    expect(await failure(client.connect())).toMatchObject({ code: 'worker-crashed', cause });
  });

  test('that panics while connecting rejects connect', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.say({ event: 'crashed', detail: 'unreachable' });
    expect(await failure(connecting)).toMatchObject({ code: 'worker-crashed', cause: 'unreachable' });
    expect(fake.client.state).toBe('idle');
  });
});

describe('what the browser lacks', () => {
  test('is named by isSupported, and nothing is missing in a whole one', () => {
    expect(MixClient.isSupported()).toEqual({ ok: true, missing: [] });
    vi.stubGlobal('isSecureContext', false);
    vi.stubGlobal('indexedDB', undefined);
    expect(MixClient.isSupported()).toEqual({ ok: false, missing: ['secure-context', 'indexeddb'] });
  });

  test('a getter that throws counts as missing', () => {
    Object.defineProperty(globalThis, 'indexedDB', {
      configurable: true,
      get: () => {
        throw new DOMException('', 'SecurityError');
      },
    });
    expect(MixClient.isSupported().missing).toEqual(['indexeddb']);
    Reflect.deleteProperty(globalThis, 'indexedDB');
  });

  test('an insecure page is unsupported-runtime, with https as the advice', async () => {
    vi.stubGlobal('isSecureContext', false);
    const error = (await failure(newClient().client.connect())) as Error;
    expect(error).toMatchObject({ code: 'unsupported-runtime', name: 'UnsupportedRuntimeError' });
    expect(error.message).toContain('https');
  });

  test('no IndexedDB is storage-blocked, and no trouble with storage in memory', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const error = (await failure(newClient().client.connect())) as Error;
    expect(error).toMatchObject({ code: 'storage-blocked', phase: 'storage' });
    expect(error.message).toContain("storage: 'memory'");
    await connected({ storage: 'memory' });
  });

  test('Node has no worker: connect rejects, and importing and making a client was no trouble', async () => {
    vi.unstubAllGlobals();
    const client = new MixClient({ network: { directories: ['http://127.0.0.1:1/api'] } });
    const error = (await failure(client.connect())) as Error;
    expect(error).toMatchObject({ code: 'unsupported-runtime' });
    expect(error.message).toContain("import * as engine from 'mixlet/engine'");
  });

  test('isSupported says what a client with such options lacks', () => {
    vi.unstubAllGlobals();
    vi.stubGlobal('WebSocket', undefined);
    const webSocket = class {} as never;
    const missing = (options: Partial<MixClientOptions>) => MixClient.isSupported(options).missing;
    expect(MixClient.isSupported({ worker: false, webSocket })).toEqual({ ok: true, missing: [] });
    expect(missing({ worker: false })).toEqual(['websocket']);
    expect(missing({ webSocket })).toEqual(['worker']);
    expect(missing({})).toEqual(['worker', 'websocket']);
    expect(missing({ worker: false, webSocket, storage: 'indexeddb' })).toContain('indexeddb');
  });

  test('without a worker and without a WebSocket the text names the option', async () => {
    vi.unstubAllGlobals();
    vi.stubGlobal('WebSocket', undefined);
    const engine = { startInThread: () => expect.unreachable() } as MixEngine;
    const network = { directories: ['http://127.0.0.1:1/api'] };
    const error = (await failure(new MixClient({ network, worker: false, engine }).connect())) as Error;
    expect(error).toMatchObject({ code: 'unsupported-runtime' });
    expect(error.message).toContain('webSocket');
  });
});

describe('a page served over https', () => {
  beforeEach(() => vi.stubGlobal('location', { protocol: 'https:', href: 'https://example.org/page' }));

  test('cannot use directories served over http', async () => {
    const fake = newClient({ network: { directories: ['http://example.org/api'] } });
    expect(await failure(fake.client.connect())).toMatchObject({ code: 'mixed-content', phase: 'topology' });
    expect(fake.workers).toHaveLength(0);
  });

  test('asks the secure ones among them, and those of this machine', async () => {
    const secure = ['https://example.org/api', 'http://127.0.0.1:8080/api', 'http://localhost:1/', 'http://[::1]:1/'];
    const fake = newClient({ network: { directories: ['http://example.org/api', ...secure] } });
    void fake.client.connect().catch(() => {});
    const request = await (await started(fake)).request('open');
    expect(request.options).toMatchObject({ directories: secure, securePage: true });
  });
});

describe('the wasm', () => {
  test('as a relative URL is made absolute on the page', async () => {
    expect(await wasmOf('assets/mixlet.wasm')).toEqual({ url: 'http://localhost/assets/mixlet.wasm' });
    expect(await wasmOf(new URL('https://cdn.example/m.wasm'))).toEqual({ url: 'https://cdn.example/m.wasm' });
  });

  test('by default lies beside the package’s own file', async () => {
    expect(((await wasmOf(undefined)) as { url: string }).url).toMatch(/^file:.*\/js\/mixlet\.wasm$/);
  });

  test('as bytes is copied, so that it can be used again', async () => {
    const bytes = new Uint8Array([9, 0, 97, 115, 109, 9]).subarray(1, 5);
    const fake = newClient({ wasm: bytes });
    for (const count of [1, 2]) {
      const connecting = failure(fake.client.connect());
      const worker = await started(fake, count);
      const request = await worker.request('open');
      expect([...new Uint8Array((request.wasm as { bytes: ArrayBuffer }).bytes)]).toEqual([0, 97, 115, 109]);
      worker.refuse(request, { code: 'wasm-load' });
      await connecting;
    }
  });

  test('as a Response is read, each time anew', async () => {
    const fake = newClient({ wasm: new Response(new Uint8Array([1, 2])) });
    for (const count of [1, 2]) {
      const connecting = failure(fake.client.connect());
      const worker = await started(fake, count);
      const request = await worker.request('open');
      expect((request.wasm as { bytes: ArrayBuffer }).bytes.byteLength).toBe(2);
      worker.refuse(request, { code: 'wasm-load' });
      await connecting;
    }
  });

  test('as a Response that was read already is wasm-load', async () => {
    const wasm = new Response(new Uint8Array([1, 2]));
    await wasm.arrayBuffer();
    const fake = newClient({ wasm });
    expect(await failure(fake.client.connect())).toMatchObject({ code: 'wasm-load', phase: 'engine' });
    expect(await stateOf(Promise.resolve())).toBe('fulfilled');
    expect(fake.client.state).toBe('idle');
  });

  test('as a module is handed over', async () => {
    const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
    expect((await wasmOf(module)) as object).toHaveProperty('module');
  });

  async function wasmOf(wasm: URL | string | WebAssembly.Module | undefined) {
    const fake = newClient({ wasm });
    void fake.client.connect().catch(() => {});
    return (await (await started(fake)).request('open')).wasm;
  }
});
