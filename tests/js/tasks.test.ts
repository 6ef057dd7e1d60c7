// No handler of ours on the page copies, raises or parses much in one task.

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { MixClient } from '../../js/client.js';
import { limits } from '../../js/limits.js';
import type { Request } from '../../js/protocol.js';
import { Jobs, nextTask } from '../../js/tasks.js';
import type { ReceivedMessage, SentMessage } from '../../js/types.js';
import { FakeWorker, address, gateway, stubBrowser, tag } from './fake.js';

/** Begins anew with each task of the page. */
const seen = vi.hoisted(() => {
  const now = { copied: 0, raised: 0, posted: 0, parsed: 0, settled: 0 };
  const most = { ...now };
  const keys = Object.keys(now) as (keyof typeof now)[];
  /** A task ends, and another one begins. */
  const begin = () => {
    for (const key of keys) {
      most[key] = Math.max(most[key], now[key]);
      now[key] = 0;
    }
  };
  // Taken by js/tasks.ts when it is loaded, so that each of its tasks is noticed.
  const { setImmediate } = globalThis;
  Object.assign(globalThis, {
    setImmediate: (task: () => void) =>
      setImmediate(() => {
        begin();
        task();
      }),
  });
  return {
    now,
    begin,
    /** What one task has done at most since the last time. */
    take() {
      begin();
      const result = { ...most };
      for (const key of keys) most[key] = 0;
      return result;
    },
  };
});

const bytesOf = (data: unknown) => (data instanceof ArrayBuffer || ArrayBuffer.isView(data) ? data.byteLength : 0);

/** Ids and what else is small does not count. */
function copied(bytes: number): void {
  if (bytes >= 1_000) seen.now.copied += bytes;
}

/** Copies what a message holds and its transfer list does not. */
function clone(message: unknown, transfer: Transferable[]): void {
  if (ArrayBuffer.isView(message)) clone(message.buffer, transfer);
  else if (message instanceof ArrayBuffer) copied(transfer.includes(message) ? 0 : message.byteLength);
  else if (typeof message === 'object' && message !== null) {
    for (const value of Object.values(message)) clone(value, transfer);
  }
}

/** Each message of the worker is a task of its own, as in a browser. */
class Counted extends FakeWorker {
  override dispatchEvent(event: Event): boolean {
    seen.begin();
    return super.dispatchEvent(event);
  }

  override postMessage(message: unknown, transfer: Transferable[]): void {
    seen.now.posted += Array.isArray((message as { items?: unknown[] }).items)
      ? (message as { items: unknown[] }).items.length
      : 1;
    clone(message, transfer);
    super.postMessage(message, transfer);
  }
}

const workers: Counted[] = [];
const worker = () => workers.at(-1)!;

function newClient(options = {}): MixClient {
  const client = new MixClient({
    network: { directories: ['http://127.0.0.1:8080/api'] },
    worker: () => {
      const made = new Counted();
      workers.push(made);
      return made as unknown as Worker;
    },
    wasm: 'http://localhost/mixlet.wasm',
    ...options,
  });
  const dispatch = client.dispatchEvent.bind(client);
  client.dispatchEvent = (event) => {
    seen.now.raised++;
    return dispatch(event);
  };
  return client;
}

/** What the caller does in a call of its own is not counted. */
function called<T>(call: () => T): T {
  seen.begin();
  const before = { ...seen.now };
  const result = call();
  Object.assign(seen.now, before);
  return result;
}

/** Waits until a worker has been asked so many of them, and answers. */
async function answerAll(op: Request['op'], count: number, ok: unknown = {}): Promise<Request[]> {
  const at = worker();
  const asked: Request[] = [];
  while (asked.length < count) {
    const request: Request = await at.request(op);
    asked.push(request);
    at.answer(request, ok);
  }
  return asked;
}

async function connected(options = {}): Promise<MixClient> {
  const client = newClient(options);
  const connecting = client.connect();
  await vi.waitUntil(() => workers.length > 0);
  await answerAll('open', 1, { address, gateway });
  await connecting;
  await worker().flush();
  return client;
}

const sender = { tag, address: null };
const received = (number: number) =>
  ({
    event: 'received',
    body: Uint8Array.of(number, number >> 8),
    via: 'plain',
    wire: null,
    canReply: true,
    ...sender,
  }) as const;
const numberOf = ({ data }: ReceivedMessage) => data[0]! + data[1]! * 256;
const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);

beforeEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  stubBrowser();
  workers.length = 0;

  const { slice, set } = Uint8Array.prototype;
  vi.spyOn(Uint8Array.prototype, 'slice').mockImplementation(function (this: Uint8Array, from, to) {
    const result = slice.call(this, from, to);
    copied(result.byteLength);
    return result;
  });
  vi.spyOn(Uint8Array.prototype, 'set').mockImplementation(function (this: Uint8Array, source, at) {
    copied(source.length);
    set.call(this, source, at);
  });
  const { slice: sliceBuffer } = ArrayBuffer.prototype;
  vi.spyOn(ArrayBuffer.prototype, 'slice').mockImplementation(function (this: ArrayBuffer, from, to) {
    const result = sliceBuffer.call(this, from, to);
    copied(result.byteLength);
    return result;
  });
  const Bytes = globalThis.Uint8Array;
  vi.stubGlobal(
    'Uint8Array',
    new Proxy(Bytes, {
      construct(target, parts: unknown[], self) {
        // A view of a buffer copies nothing, another view or a list does.
        if (ArrayBuffer.isView(parts[0]) || Array.isArray(parts[0])) copied((parts[0] as Uint8Array).length);
        return Reflect.construct(target, parts, self === target ? target : (self as typeof target)) as object;
      },
    }),
  );
  const OwnBlob = globalThis.Blob;
  vi.stubGlobal(
    'Blob',
    new Proxy(OwnBlob, {
      construct(target, [parts = [], ...more]: [unknown[]?, ...unknown[]]) {
        for (const part of parts) copied(bytesOf(part));
        return Reflect.construct(target, [parts, ...more]) as object;
      },
    }),
  );
  const { decode } = TextDecoder.prototype;
  vi.spyOn(TextDecoder.prototype, 'decode').mockImplementation(function (this: TextDecoder, ...values) {
    seen.now.parsed++;
    return decode.apply(this, values);
  });
  const { parse } = JSON;
  vi.spyOn(JSON, 'parse').mockImplementation((...values) => {
    seen.now.parsed++;
    return parse(...values) as unknown;
  });
  seen.take();
});

test('what is copied, raised, posted and parsed is noticed', async () => {
  const client = await connected();
  const large = new Uint8Array(limits.copiedBytes + 1);
  const copies = [
    () => large.slice(),
    () => new Uint8Array(large),
    () => new Uint8Array(large.byteLength).set(large),
    () => large.buffer.slice(0),
    () => new Blob([large]),
    () => worker().postMessage({ op: 'online', more: [large] }, []),
  ];
  for (const copy of copies) {
    copy();
    // Node makes more than one of them for a Blob.
    expect(seen.take().copied, String(copy)).toBeGreaterThanOrEqual(large.byteLength);
  }
  worker().postMessage({ op: 'online', more: large }, [large.buffer]);
  for (let i = 0; i < 65; i++) client.dispatchEvent(new Event('x'));
  new TextDecoder().decode(large);
  expect(seen.take()).toMatchObject({ copied: 0, posted: 1, raised: 65, parsed: 1 });
  client.dispatchEvent(new Event('x'));
  await nextTask();
  client.dispatchEvent(new Event('x'));
  expect(seen.take().raised).toBe(1);
});

describe('in one task of the page', () => {
  test('the bounds are those that are promised', () => {
    expect([limits.eventsAtOnce, limits.copiedBytes]).toEqual([64, 256 * 1024]);
  });

  test('at most 64 of the kept messages are raised, in their order, and what comes meanwhile after them', async () => {
    const client = await connected();
    for (const number of upTo(1_000)) worker().say(received(number));
    await worker().flush();
    seen.take();
    const numbers: number[] = [];
    called(() => client.addEventListener('message', ({ detail }) => numbers.push(numberOf(detail))));
    for (const number of upTo(100)) worker().say(received(1_000 + number));
    await vi.waitUntil(() => numbers.length === 1_100);
    expect(numbers).toEqual(upTo(1_100));
    expect(seen.take()).toMatchObject({ raised: limits.eventsAtOnce, parsed: 0, copied: 0 });
  });

  test('a large message that arrives is neither copied nor parsed', async () => {
    const client = await connected();
    const messages: ReceivedMessage[] = [];
    client.addEventListener('message', ({ detail }) => messages.push(detail));
    const body = new Uint8Array(10_000_000);
    seen.take();
    worker().say({ ...received(0), body }, [body.buffer]);
    await vi.waitUntil(() => messages.length === 1);
    expect(messages[0]!.data.byteLength).toBe(10_000_000);
    expect(seen.take()).toMatchObject({ raised: 1, parsed: 0, copied: 0 });
  });

  test('at most 64 of the messages that waited are handed over, in their order', async () => {
    const client = newClient();
    const connecting = client.connect();
    const sent = called(() => upTo(500).map((number) => client.send(address, Uint8Array.of(number))));
    await vi.waitUntil(() => workers.length > 0);
    await answerAll('open', 1, { address, gateway });
    await connecting;
    const asked = await answerAll('send', 500, { receipt: false });
    expect(asked.map((request) => (request as { message: number }).message)).toEqual(sent.map(({ id }) => Number(id)));
    expect(seen.take()).toMatchObject({ posted: limits.eventsAtOnce, copied: 0 });
  });

  test('at most 256 kB of what is kept is copied, also for a worker that takes over', async () => {
    const client = newClient({ reconnect: { minMs: 100 } });
    const connecting = client.connect();
    const bodies = [200_000, 50_000, 100_000, 256 * 1024, 1, 300_000, 100_000, 200_000, 10_000_000, 70_000];
    const sent = called(() => bodies.map((length) => client.send(address, new Uint8Array(length), { receipt: true })));
    const wires = (requests: Request[]) => requests.map((request) => (request as { message: number }).message).sort();
    const ids = sent.map(({ id }) => Number(id)).sort();
    await vi.waitUntil(() => workers.length === 1);
    await answerAll('open', 1, { address, gateway });
    await connecting;
    expect(wires(await answerAll('send', bodies.length, { receipt: true }))).toEqual(ids);
    worker().say({ event: 'crashed', detail: '' });
    await vi.waitUntil(() => workers.length === 2);
    await answerAll('open', 1, { address, gateway });
    expect(wires(await answerAll('send', bodies.length, { receipt: true }))).toEqual(ids);
    const { copied } = seen.take();
    expect(copied).toBeGreaterThan(200_000);
    expect(copied).toBeLessThanOrEqual(limits.copiedBytes);
  });

  test('at most 64 requests and 256 kB of them are handed over, in their order', async () => {
    const client = newClient();
    const connecting = client.connect();
    const items = [...upTo(200).map(() => new Uint8Array(10)), ...upTo(20).map(() => new Uint8Array(100_000))];
    called(() => void client.requestAll(address, items));
    await vi.waitUntil(() => workers.length > 0);
    await answerAll('open', 1, { address, gateway });
    await connecting;
    const lengths: number[] = [];
    while (lengths.length < items.length) {
      const request = await worker().request('request');
      worker().answer(request);
      lengths.push(...request.items.map(({ body }) => body.byteLength));
    }
    expect(lengths).toEqual(items.map(({ byteLength }) => byteLength));
    const { posted, copied } = seen.take();
    expect(posted).toBe(limits.eventsAtOnce);
    expect(copied).toBeLessThanOrEqual(limits.copiedBytes);
  });

  test('at most 64 messages and requests fail, and each of them does', async () => {
    const client = await connected();
    const failed: string[] = [];
    client.addEventListener('undelivered', ({ detail }) => failed.push(detail.id));
    const count = (promise: Promise<unknown>) =>
      promise.catch(() => {
        seen.now.settled++;
      });
    const sent: SentMessage[] = called(() => upTo(1_000).map(() => client.send(address, 'x')));
    const settled = sent.map(({ delivered }) => count(delivered));
    const asked = called(() => upTo(1_000).map(() => client.request(address, 'x'))).map(count);
    await worker().flush();
    seen.take();
    const closing = client.close({ drain: false });
    worker().answer(await worker().request('close'));
    await closing;
    await Promise.all([...settled, ...asked]);
    await vi.waitUntil(() => failed.length === sent.length);
    expect(failed).toEqual(sent.map(({ id }) => id));
    const most = seen.take();
    expect(most.raised).toBeLessThanOrEqual(limits.eventsAtOnce);
    // Messages and requests each.
    expect(most.settled).toBeLessThanOrEqual(2 * limits.eventsAtOnce);
  });

  test('at most 64 messages that are refused at once are told of', async () => {
    const client = newClient();
    const failed: string[] = [];
    client.addEventListener('undelivered', ({ detail }) => failed.push(detail.id));
    called(() => upTo(500).map(() => client.send(address, 'x')));
    await vi.waitUntil(() => failed.length === 500);
    expect(seen.take().raised).toBe(limits.eventsAtOnce);
  });

  test('at most 256 kB of an answer is copied, also when it has to wait for room', async () => {
    const client = await connected();
    const answer = new Uint8Array(5_000_000).fill(7);
    const blob = new Blob([answer]);
    // Node's own reading copies in this thread.
    blob.arrayBuffer = () => Promise.resolve(called(() => answer.slice().buffer));
    client.serve(() => blob);
    await worker().flush();
    seen.take();
    worker().say({ event: 'request', request: 1, service: '', body: new Uint8Array(1), ...sender });
    worker().refuse(await worker().request('respond'), { code: 'queue-full' });
    await worker().flush();
    worker().say({ event: 'room' });
    const { body } = await worker().request('respond');
    expect(Buffer.compare(body!, answer)).toBe(0);
    expect(seen.take().copied).toBe(limits.copiedBytes);
  });

  test('at most 64 kB of what is written to a stream is copied', async () => {
    const client = await connected();
    const opening = client.openStream(address);
    const request = await worker().request('openStream');
    worker().answer(request);
    worker().say({ event: 'streamReady', stream: request.stream });
    const stream = await opening;
    seen.take();
    const writer = stream.writable.getWriter();
    const writing = writer.write(new Uint8Array(1_000_000));
    await answerAll('streamWrite', Math.ceil(1_000_000 / limits.streamWriteBytes), { room: true });
    await writing;
    expect(seen.take().copied).toBe(limits.streamWriteBytes);
  });

  test('at most 256 kB of the wasm is copied', async () => {
    const wasm = new Uint8Array(1_000_000).fill(3);
    seen.take();
    void newClient({ wasm })
      .connect()
      .catch(() => {});
    await vi.waitUntil(() => workers.length > 0);
    const open = await worker().request('open');
    expect(seen.take().copied).toBe(limits.copiedBytes);
    expect('bytes' in open.wasm && Buffer.compare(new Uint8Array(open.wasm.bytes), wasm)).toBe(0);
  });
});

test('jobs are done in their order, the first at once', async () => {
  const jobs = new Jobs();
  const done: number[] = [];
  for (const number of upTo(200)) jobs.do(() => done.push(number));
  expect(done).toEqual(upTo(limits.eventsAtOnce));
  expect(jobs.isBusy).toBe(true);
  await vi.waitUntil(() => done.length === 200);
  expect(done).toEqual(upTo(200));
  expect(jobs.isBusy).toBe(false);
});
