import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Host } from '../../js/host.js';
import { limits } from '../../js/limits.js';
import { loadModule } from '../../js/load.js';
import type { OpenOptions, PageMessage, Post, WasmSource, WorkerMessage } from '../../js/protocol.js';
import { failure, gateway } from './fake.js';
import { FakeLocks } from './fake-locks.js';

/** The smallest wasm: a header and nothing. */
const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
const html = '<!doctype html><title>Not found</title>';

let server: Server;
let base: string;
/** What the server answers, by path. */
const files: Record<string, [status: number, type: string, body: string | Uint8Array]> = {
  '/good.wasm': [200, 'application/wasm', wasm],
  '/mime.wasm': [200, 'application/octet-stream', wasm],
  '/text.wasm': [200, 'text/plain', wasm],
  '/html.wasm': [200, 'text/html', html],
  '/liar.wasm': [200, 'application/wasm', html],
  '/gone.wasm': [404, 'text/html', html],
  '/empty.wasm': [200, 'application/wasm', ''],
  '/damaged.wasm': [200, 'application/wasm', new Uint8Array([...wasm, 1, 2, 3])],
  '/future.wasm': [200, 'text/plain', new Uint8Array([0, 97, 115, 109, 2, 0, 0, 0])],
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const [status, type, body] = files[request.url ?? ''] ?? [500, 'text/plain', ''];
    if (request.url === '/cut.wasm') {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 1000 }).write(wasm);
      setImmediate(() => response.destroy());
      return;
    }
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

describe('loading the wasm', () => {
  const quiet = ['log', 'info', 'warn', 'error', 'debug'] as const;
  beforeEach(() => quiet.forEach((level) => vi.spyOn(console, level)));
  afterEach(() => {
    for (const level of quiet) expect(console[level]).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  test('compiles while streaming when the type is right', async () => {
    const streaming = vi.spyOn(WebAssembly, 'compileStreaming');
    expect(await load('/good.wasm')).toBeInstanceOf(WebAssembly.Module);
    expect(streaming).toHaveBeenCalledOnce();
  });

  test('works with a wrong type, in silence', async () => {
    expect(await load('/mime.wasm')).toBeInstanceOf(WebAssembly.Module);
    expect(await load('/text.wasm')).toBeInstanceOf(WebAssembly.Module);
  });

  test('takes bytes and modules', async () => {
    expect(await loadModule({ bytes: wasm.slice().buffer })).toBeInstanceOf(WebAssembly.Module);
    const module = new WebAssembly.Module(wasm);
    expect(await loadModule({ module })).toBe(module);
  });

  const failures: [string, RegExp][] = [
    ['/html.wasm', /is an HTML page/],
    ['/liar.wasm', /is an HTML page/],
    ['/gone.wasm', /status 404/],
    ['/empty.wasm', /is no wasm/],
    ['/damaged.wasm', /could not be compiled.*wasm-unsafe-eval/],
    ['/future.wasm', /could not be compiled/],
    ['/cut.wasm', /broke off/],
  ];
  test.each(failures)('%s is a refusal that says what to do', async (path, text) => {
    const refusal = (await failure(load(path))) as Error;
    expect(refusal).toMatchObject({ code: 'wasm-load', phase: 'engine' });
    expect(refusal.message).toMatch(text);
    expect(refusal.message).toContain(`${base}${path}`);
  });

  test('a server that is not there is a refusal', async () => {
    const refusal = (await failure(loadModule({ url: 'http://127.0.0.1:1/m.wasm' }))) as Error;
    expect(refusal).toMatchObject({ code: 'wasm-load' });
    expect(refusal.message).toMatch(/could not be fetched/);
  });

  const load = (path: string) => loadModule({ url: base + path });
});

describe('the worker’s host', () => {
  test('reports the engine phase, then passes open on without the wasm, and everything after it', async () => {
    const { posted, say, engine } = host();
    await say(openRequest());
    expect(posted).toEqual([{ event: 'progress', phase: 'engine', fraction: 0 }]);
    const { tabs: _tabs, ...passed } = options;
    expect(engine.handled).toEqual([{ id: 1, op: 'open', options: passed }]);
    await say({ id: 2, op: 'stats' });
    await say({ op: 'online' });
    expect(engine.handled.slice(1)).toEqual([{ id: 2, op: 'stats' }, { op: 'online' }]);
  });

  test('passes what the engine posts to the page, with its buffers', async () => {
    const { say, engine, transfers, posted } = host();
    await say(openRequest());
    const body = new Uint8Array(3);
    engine.post({ event: 'received', via: 'plain', wire: null, address: null, body, tag: null, canReply: false }, [
      body.buffer,
    ]);
    expect(posted.at(-1)).toMatchObject({ event: 'received' });
    expect(transfers.at(-1)).toEqual([body.buffer]);
  });

  test('answers what comes before open with not-connected', async () => {
    const { say, posted, engine } = host();
    await say({ id: 5, op: 'stats' });
    await say({ op: 'online' });
    expect(posted).toMatchObject([{ id: 5, error: { code: 'not-connected' } }]);
    expect(engine.handled).toEqual([]);
  });

  test('takes the profile’s lock and holds it until the answer to close', async () => {
    const { say, locks, engine } = host();
    await say(openRequest());
    expect(locks.held).toEqual(['mixlet:alice']);
    await say({ id: 2, op: 'close', drain: true, timeoutMs: 0 });
    expect(locks.held).toEqual(['mixlet:alice']);
    engine.post({ id: 2, ok: {} }, []);
    await settled();
    expect(locks.held).toEqual([]);
  });

  test('a lock that stays taken is in-use, before the wasm is fetched', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { say, locks, posted, engine } = host();
    locks.take('mixlet:alice');
    await say(openRequest({ url: `${base}/gone.wasm` }));
    await vi.advanceTimersByTimeAsync(limits.lockGraceMs - 1);
    expect(posted).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    await settled();
    expect(posted.at(-1)).toMatchObject({ id: 1, error: { code: 'in-use', phase: 'storage', retriable: true } });
    expect(engine.handled).toEqual([]);
    expect(locks.held).toEqual(['mixlet:alice']);
  });

  test('a lock that becomes free in time is taken: the page was reloaded', async () => {
    const { say, locks, engine } = host();
    const free = locks.take('mixlet:alice');
    await say(openRequest());
    expect(engine.handled).toEqual([]);
    free();
    await settled();
    expect(engine.handled).toHaveLength(1);
    expect(locks.held).toEqual(['mixlet:alice']);
  });

  test('another profile is another lock, and memory needs none', async () => {
    const { say, locks, engine } = host();
    locks.take('mixlet:bob');
    await say(openRequest());
    expect(engine.handled).toHaveLength(1);
    const memory = host();
    memory.locks.take('mixlet:alice');
    await memory.say({ ...openRequest(), options: { ...options, storage: 'memory' } });
    expect(memory.engine.handled).toHaveLength(1);
    expect(memory.locks.held).toEqual(['mixlet:alice']);
  });

  test('a browser without locks is unsupported-runtime', async () => {
    const { say, posted } = host({ withoutLocks: true });
    await say(openRequest());
    expect(posted.at(-1)).toMatchObject({ id: 1, error: { code: 'unsupported-runtime' } });
  });

  test('a wasm that cannot be loaded or started answers open and frees the lock', async () => {
    const missing = host();
    await missing.say(openRequest({ url: `${base}/html.wasm` }));
    await vi.waitUntil(() => missing.posted.length === 2);
    expect(missing.posted.at(-1)).toMatchObject({ id: 1, error: { code: 'wasm-load' } });
    await settled();
    expect(missing.locks.held).toEqual([]);

    const broken = host({ start: () => Promise.reject(new WebAssembly.LinkError('no such import')) });
    await broken.say(openRequest());
    expect(broken.posted.at(-1)).toMatchObject({ id: 1, error: { code: 'wasm-load' } });
    expect(JSON.stringify(broken.posted.at(-1))).toContain('no such import');
  });

  test('an engine that throws has crashed: told once, asked nothing more, lock freed', async () => {
    const { say, posted, engine, locks } = host();
    await say(openRequest());
    engine.broken = true;
    await say({ id: 2, op: 'stats' });
    await say({ id: 3, op: 'stats' });
    expect(posted.slice(1)).toMatchObject([
      { event: 'crashed', detail: 'unreachable' },
      { id: 3, error: { code: 'not-connected' } },
    ]);
    expect(locks.held).toEqual([]);
  });

  test('what a task of the engine throws is a crash, and the browser’s own report is suppressed', async () => {
    for (const type of ['error', 'unhandledrejection']) {
      const { say, posted, scope } = host();
      await say(openRequest());
      const event = Object.assign(new Event(type, { cancelable: true }), { message: 'panic', reason: 'panic' });
      scope.dispatchEvent(event);
      scope.dispatchEvent(new Event(type, { cancelable: true }));
      expect(event.defaultPrevented).toBe(true);
      expect(posted.slice(1)).toEqual([{ event: 'crashed', detail: 'panic' }]);
    }
  });
});

describe('what the host does beside the engine', () => {
  /** Answers at once. */
  class NearSocket extends EventTarget {
    constructor() {
      super();
      setImmediate(() => this.dispatchEvent(new Event('open')));
    }

    send(): void {
      setImmediate(() => this.dispatchEvent(new Event('message')));
    }

    close(): void {}
  }
  class SilentSocket extends EventTarget {
    close(): void {}
  }
  const offered = [gateway, { ...gateway, id: 'plain', usable: false }];

  beforeEach(() => vi.stubGlobal('WebSocket', NearSocket));
  afterEach(() => vi.unstubAllGlobals());

  test('measures what the engine lists, and answers the page', async () => {
    const { say, engine, posted } = host();
    await say(openRequest());
    await say({ id: 2, op: 'gateways' });
    await say({ id: 3, op: 'gateways', measure: { call: 1, timeoutMs: 0 } });
    expect(engine.handled.slice(1)).toEqual([
      { id: 2, op: 'gateways' },
      { id: -1, op: 'gateways' },
    ]);
    engine.post({ id: -1, ok: offered }, []);
    await vi.waitUntil(() => posted.length > 1);
    expect(posted.slice(1)).toEqual([
      { id: 3, ok: [{ ...gateway, latencyMs: expect.any(Number) as number }, offered[1]] },
    ]);
  });

  test('passes the engine’s refusal on', async () => {
    const { say, engine, posted } = host();
    await say(openRequest());
    await say({ id: 3, op: 'gateways', measure: { call: 1, timeoutMs: 0 } });
    const error = { code: 'not-connected', message: '', retriable: true };
    engine.post({ id: -1, error }, []);
    await settled();
    expect(posted.slice(1)).toEqual([{ id: 3, error }]);
  });

  test('stops measuring when the page says so', async () => {
    vi.stubGlobal('WebSocket', SilentSocket);
    const { say, engine, posted } = host();
    await say(openRequest());
    await say({ id: 3, op: 'gateways', measure: { call: 9, timeoutMs: 0 } });
    engine.post({ id: -1, ok: offered }, []);
    await settled();
    expect(posted).toHaveLength(1);
    await say({ op: 'stop', call: 8 });
    expect(posted).toHaveLength(1);
    await say({ op: 'stop', call: 9 });
    expect(posted.slice(1)).toEqual([{ id: 3, ok: offered }]);
  });

  test('chooses the fastest gateway itself, and leaves other choices to the page', async () => {
    const { say, engine, posted } = host();
    await say({ ...openRequest(), options: { ...options, gatewaySelect: 'fastest' } });
    engine.post({ event: 'choose-gateway', gateways: offered }, []);
    await vi.waitUntil(() => engine.handled.length > 1);
    expect(engine.handled.slice(1)).toEqual([{ op: 'choose', gatewayId: gateway.id }]);
    expect(posted).toHaveLength(1);
    // None can be reached: any is as good.
    engine.post({ event: 'choose-gateway', gateways: offered.slice(1) }, []);
    await settled();
    expect(engine.handled.slice(2)).toEqual([{ op: 'choose', gatewayId: null }]);

    const asking = host();
    await asking.say({ ...openRequest(), options: { ...options, gatewaySelect: 'ask' } });
    asking.engine.post({ event: 'choose-gateway', gateways: offered }, []);
    expect(asking.posted.at(-1)).toEqual({ event: 'choose-gateway', gateways: offered });
  });
});

const options: OpenOptions = {
  directories: ['http://127.0.0.1:8080/api'],
  profile: 'alice',
  storage: 'indexeddb',
  tabs: 'exclusive',
  slotMs: 20,
  loopMs: 200,
  hopDelayMs: 15,
  ackDelayMs: 15,
  dangerNoPacing: false,
  reconnect: { minMs: 500, maxMs: 60_000, maxAttempts: null },
  securePage: false,
  inbox: 'memory',
  pseudonym: 'fresh',
  stats: 'visit',
  askForMore: true,
  gatewaySelect: 'random',
  trace: false,
};

/** A module, since compiling bytes takes a thread and a while. */
const openRequest = (source: WasmSource = { module: new WebAssembly.Module(wasm) }) =>
  ({ id: 1, op: 'open', options, wasm: source }) as const;

function host({ withoutLocks = false, start }: { withoutLocks?: boolean; start?: () => Promise<never> } = {}) {
  const posted: WorkerMessage[] = [];
  const transfers: Transferable[][] = [];
  const locks = new FakeLocks();
  const target = new EventTarget();
  const scope = Object.assign(target, {
    navigator: withoutLocks ? {} : { locks: locks as unknown as LockManager },
    postMessage: (message: WorkerMessage, transfer: Transferable[]) => {
      posted.push(message);
      transfers.push(transfer);
    },
  });
  const engine = {
    handled: [] as PageMessage[],
    broken: false,
    post: (() => {}) as Post,
    handle(message: PageMessage) {
      if (engine.broken) throw new WebAssembly.RuntimeError('unreachable');
      engine.handled.push(message);
    },
    free: () => {},
  };
  new Host(scope, (_module, post) => {
    engine.post = post;
    return start?.() ?? Promise.resolve(engine);
  });
  const say = async (data: PageMessage) => {
    target.dispatchEvent(new MessageEvent('message', { data }));
    await settled();
  };
  return { scope: target, posted, transfers, locks, engine, say };
}

/** Long enough for every chain of promises that waits for nothing outside. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
