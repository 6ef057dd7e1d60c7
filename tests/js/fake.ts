import { vi } from 'vitest';
import { MixClient } from '../../js/client.js';
import type {
  GatewayData,
  Op,
  PageMessage,
  Request,
  StatsData,
  WireError,
  WorkerEvent,
  WorkerMessage,
} from '../../js/protocol.js';
import type { MixAddress, MixClientOptions, ReplyTag } from '../../js/types.js';

/** A worker whose other side is the test. Messages really cross a port, so what cannot be cloned fails here too. */
export class FakeWorker extends EventTarget {
  terminated = false;
  /** Everything the page has posted. */
  readonly posted: PageMessage[] = [];
  readonly #channel = new MessageChannel();
  readonly #unread: PageMessage[] = [];
  readonly #waiting: { op: string; resolve: (message: PageMessage) => void }[] = [];

  constructor() {
    super();
    this.#channel.port1.onmessage = ({ data }: MessageEvent) => {
      if (!this.terminated) this.dispatchEvent(new MessageEvent('message', { data }));
    };
    this.#channel.port2.onmessage = ({ data }: MessageEvent<PageMessage>) => {
      this.posted.push(data);
      const index = this.#waiting.findIndex(({ op }) => op === data.op);
      if (index >= 0) this.#waiting.splice(index, 1)[0]?.resolve(data);
      else this.#unread.push(data);
    };
  }

  /** The page's side, as of a `Worker`. */
  postMessage(message: unknown, transfer: Transferable[]): void {
    if (!this.terminated) this.#channel.port1.postMessage(message, transfer as never);
  }

  terminate(): void {
    this.terminated = true;
    this.#channel.port1.close();
  }

  /** The next request with this name that was not looked at before. */
  async request<O extends Op>(op: O): Promise<Extract<Request, { op: O }>> {
    return (await this.next(op)) as Extract<Request, { op: O }>;
  }

  next(op: PageMessage['op']): Promise<PageMessage> {
    const index = this.#unread.findIndex((message) => message.op === op);
    if (index >= 0) return Promise.resolve(this.#unread.splice(index, 1)[0] as PageMessage);
    return new Promise((resolve) => this.#waiting.push({ op, resolve }));
  }

  answer(request: { id: number }, ok: unknown = {}): void {
    this.#say({ id: request.id, ok });
  }

  refuse(request: { id: number }, error: Partial<WireError> & { code: string }): void {
    this.#say({ id: request.id, error: wire(error) });
  }

  say(event: WorkerEvent, transfer: ArrayBuffer[] = []): void {
    this.#say(event, transfer);
  }

  /** Resolves when everything said before has been heard, and everything posted before has been read. */
  async flush(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const { port1, port2 } = new MessageChannel();
      await new Promise((resolve) => {
        port1.onmessage = resolve;
        port2.postMessage(null);
      });
      port1.close();
      await Promise.resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** What the browser does when the script throws or cannot be loaded. */
  raiseError(message?: string): boolean {
    const event = new Event('error', { cancelable: true });
    if (message !== undefined) Object.assign(event, { message });
    this.dispatchEvent(event);
    return event.defaultPrevented;
  }

  #say(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
    this.#channel.port2.postMessage(message, transfer as never);
  }
}

export const address =
  'HoXePMtjuWcpYCkwJCevaheEkHXkQ92PMqYhpEytbk7w.FtUtS2DvwMW56MkcCCUq3hoKxFKbaojC2bVUBXbxBHPE@FnEfYkdoGzq8GK18UkK2SCL2uUHd4Wv81Sy8EXHzPujV' as MixAddress;
export const tag = '8DfbjXLth7APvt3qQPgtf' as ReplyTag;
export const otherTag = 'DXEg6RHrBZA9CLbiQCd1Vm' as ReplyTag;

export const gateway: GatewayData = {
  id: 'FnEfYkdoGzq8GK18UkK2SCL2uUHd4Wv81Sy8EXHzPujV',
  url: 'ws://127.0.0.1:9000',
  host: '127.0.0.1:9000',
  secure: false,
  performance: 100,
  usable: true,
};

export const stats: StatsData = {
  out: { real: 1, reply: 2, retransmission: 3, cover: 4 },
  in: { message: 5, ack: 6, cover: 7, unknown: 8 },
  bytesIn: 9,
  bytesOut: 10,
  queuedBytes: 11,
  inFlight: 12,
  undelivered: 13,
  dropped: { frame: 14 },
  roundTripMs: { p50: 15, p95: 16 },
  reconnects: 17,
  surbsHeld: 18,
  topologyAgeMs: 19,
  wasmBytes: 20,
  kept: null,
};

export const wire = (error: Partial<WireError> & { code: string }): WireError => ({
  message: '',
  retriable: false,
  ...error,
});

/** A browser that has everything, as far as the page looks. */
export function stubBrowser(): void {
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('Worker', class {});
  vi.stubGlobal('WebSocket', class {});
  vi.stubGlobal('indexedDB', {});
  vi.stubGlobal('navigator', { locks: {} });
  vi.stubGlobal('location', { protocol: 'http:', href: 'http://localhost/page' });
  const window = new EventTarget();
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
  vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window));
  vi.stubGlobal('dispatchEvent', window.dispatchEvent.bind(window));
}

export interface Fake {
  client: MixClient;
  /** Those started so far. */
  workers: FakeWorker[];
  /** The one started last. */
  readonly worker: FakeWorker;
}

export function newClient(options: Partial<MixClientOptions> = {}): Fake {
  const workers: FakeWorker[] = [];
  const client = new MixClient({
    network: { directories: ['http://127.0.0.1:8080/api'] },
    worker: () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker as unknown as Worker;
    },
    wasm: 'http://localhost/mixlet.wasm',
    ...options,
  });
  return {
    client,
    workers,
    get worker() {
      const worker = workers.at(-1);
      if (!worker) throw new Error('no worker was started');
      return worker;
    },
  };
}

/** Waits until the page has started the worker with this number. */
export async function started(fake: Fake, count = 1): Promise<FakeWorker> {
  await vi.waitUntil(() => fake.workers.length >= count);
  return fake.worker;
}

export async function open(worker: FakeWorker): Promise<void> {
  worker.answer(await worker.request('open'), { address, gateway });
}

/** A client that has connected. */
export async function connected(options: Partial<MixClientOptions> = {}): Promise<Fake> {
  const fake = newClient(options);
  const connecting = fake.client.connect();
  await open(await started(fake));
  await connecting;
  return fake;
}

/** What a promise has come to by now. */
export async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'fulfilled' | 'rejected'> {
  const mark = Symbol();
  await new Promise((resolve) => setImmediate(resolve));
  return Promise.race([promise, Promise.resolve(mark)]).then(
    (value) => (value === mark ? 'pending' : 'fulfilled'),
    () => 'rejected',
  );
}

/** The error a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

/** The details of all events with this name from now on. */
export function heard(target: EventTarget, type: string): unknown[] {
  const details: unknown[] = [];
  target.addEventListener(type, (event) => details.push((event as CustomEvent).detail));
  return details;
}
