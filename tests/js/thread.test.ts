import { afterEach, describe, expect, test, vi } from 'vitest';
import { MixClient } from '../../js/client.js';
import { guarded } from '../../js/guard.js';
import { Thread } from '../../js/thread.js';
import type { StartEngineHere } from '../../js/thread.js';
import type { PageMessage, Post, Request } from '../../js/protocol.js';
import type { MixEngine } from '../../js/types.js';
import { address, failure, gateway, heard } from './fake.js';

afterEach(() => vi.unstubAllGlobals());

const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));

/** An engine of the test's own, in the place of the compiled one. */
class Engine {
  readonly handled: PageMessage[] = [];
  freed = 0;

  constructor(
    readonly post: Post,
    readonly crash: (detail: string) => void,
    readonly socket: (url: string) => unknown,
  ) {}

  handle(message: PageMessage): void {
    this.handled.push(message);
    if (message.op === 'open') this.post({ id: message.id, ok: { address, gateway } }, []);
    if (message.op === 'send' || message.op === 'close') this.post({ id: message.id, ok: {} }, []);
  }

  free(): void {
    this.freed += 1;
  }
}

class Socket extends EventTarget {
  static readonly made: Socket[] = [];
  readonly readyState = 0;
  readonly bufferedAmount = 0;
  binaryType = 'blob';
  closes = 0;

  constructor(readonly url: string) {
    super();
    Socket.made.push(this);
  }

  send(): void {}

  close(): void {
    this.closes += 1;
  }
}

function newThread(start?: StartEngineHere): { client: MixClient; engines: Engine[] } {
  const engines: Engine[] = [];
  const engine: MixEngine = {
    startInThread: ({ webSocket }) =>
      new Thread(webSocket, (module, post, crash, socket) => {
        if (start) return start(module, post, crash, socket);
        const engine = new Engine(post, crash, socket);
        engines.push(engine);
        return Promise.resolve(engine);
      }),
  };
  const client = new MixClient({
    network: { directories: ['http://127.0.0.1:8080/api'] },
    worker: false,
    engine,
    webSocket: Socket,
    wasm: module,
  });
  return { client, engines };
}

describe('without a worker', () => {
  test('the client connects, sends and closes, and the engine is let go of', async () => {
    const { client, engines } = newThread();
    expect(await client.connect()).toBe(address);
    await client.send(address, 'hello').queued;
    const [engine] = engines as [Engine];
    const sent = engine.handled.find((message): message is Extract<Request, { op: 'send' }> => message.op === 'send');
    expect(new TextDecoder().decode(sent?.body)).toBe('hello');
    await client.close();
    expect(engine.freed).toBe(1);
    await client.connect();
    expect(engines).toHaveLength(2);
    await client.close({ drain: false });
  });

  test('what the caller does with its bytes after sending changes nothing', async () => {
    const { client, engines } = newThread();
    await client.connect();
    const bytes = new Uint8Array([1, 2, 3]);
    const { queued } = client.send(address, bytes);
    bytes.fill(9);
    await queued;
    expect(engines[0]?.handled.at(-1)).toMatchObject({ op: 'send', body: new Uint8Array([1, 2, 3]) });
    await client.close({ drain: false });
  });

  test('messages arrive later and in order', async () => {
    const handled: PageMessage[] = [];
    const thread = new Thread(Socket, (_module, post) =>
      Promise.resolve({ handle: (message) => void handled.push(message), free: () => post, post }),
    );
    const options = { storage: 'memory', profile: 'x' } as never;
    thread.postMessage({ id: 1, op: 'open', options, wasm: { module } });
    await new Promise((resolve) => setTimeout(resolve, 0));
    handled.length = 0;
    for (let id = 2; id < 6; id++) thread.postMessage({ id, op: 'stats' });
    expect(handled).toEqual([]);
    await Promise.resolve();
    expect(handled.map((message) => (message as Request).id)).toEqual([2, 3, 4, 5]);
    thread.terminate();
  });

  test('sockets are of the given class; those still open are closed with the client', async () => {
    const { client, engines } = newThread();
    await client.connect();
    Socket.made.length = 0;
    for (const url of ['ws://one', 'ws://two']) expect(engines[0]?.socket(url)).toBeInstanceOf(Socket);
    expect(Socket.made.map(({ url }) => url)).toEqual(['ws://one', 'ws://two']);
    Socket.made[0]?.dispatchEvent(new Event('close'));
    await client.close({ drain: false });
    expect(Socket.made.map(({ closes }) => closes)).toEqual([0, 1]);
  });

  test('a crash is told once, as that of a worker; the client can connect again', async () => {
    const { client, engines } = newThread();
    await client.connect();
    const errors = heard(client, 'error');
    engines[0]?.socket('ws://one');
    engines[0]?.crash('unreachable');
    engines[0]?.crash('again');
    await vi.waitUntil(() => errors.length > 0);
    expect(errors).toMatchObject([{ code: 'worker-crashed', cause: 'unreachable' }]);
    expect(client.state).toBe('closed');
    expect(engines[0]?.freed, 'nothing is asked of an engine that has crashed').toBe(0);
    expect(Socket.made.at(-1)?.closes).toBe(1);
    await client.connect();
    expect(client.state).toBe('ready');
    await client.close({ drain: false });
  });

  test('an abort while the engine starts lets go of it when it has started', async () => {
    let started: (engine: Engine) => void = () => {};
    let post: Post = () => {};
    const { client } = newThread((_module, given) => {
      post = given;
      return new Promise((resolve) => (started = resolve));
    });
    const controller = new AbortController();
    const connecting = client.connect({ signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 0));
    controller.abort('enough');
    expect(await failure(connecting)).toBe('enough');
    const engine = new Engine(
      post,
      () => {},
      () => {},
    );
    started(engine);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(engine.freed).toBe(1);
    expect(engine.handled).toEqual([]);
  });
});

describe('guarded exports', () => {
  test('pass values through until one throws; that is told once, and nothing is called after it', () => {
    const crashes: string[] = [];
    let calls = 0;
    const memory = new WebAssembly.Memory({ initial: 1 });
    const exports = guarded(
      {
        memory,
        add: (a: number, b: number) => a + b,
        trap: () => {
          calls += 1;
          throw new WebAssembly.RuntimeError('unreachable');
        },
        __wbindgen_malloc: () => 7,
      },
      (detail) => crashes.push(detail),
    ) as Record<string, (...values: number[]) => unknown>;
    expect(exports['memory']).toBe(memory);
    expect(exports['add']?.(2, 3)).toBe(5);
    expect(exports['trap']?.()).toEqual([]);
    expect(exports['trap']?.()).toEqual([]);
    expect(exports['add']?.(2, 3)).toEqual([]);
    expect(exports['__wbindgen_malloc']?.()).toBe(7);
    expect(crashes).toEqual(['unreachable']);
    expect(calls).toBe(1);
  });
});
