import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ReceivedMessage } from '../../js/types.js';
import { connected, newClient, open, started, stateOf, stubBrowser, tag } from './fake.js';
import type { Fake, FakeWorker } from './fake.js';

beforeEach(stubBrowser);
afterEach(() => vi.unstubAllGlobals());

const durable = { inbox: 'durable' } as const;
/** When it came, by the store. */
const at = Date.UTC(2026, 10, 28);

/** The worker gives a message: its number in the store, and what names it for ever. */
function give(worker: FakeWorker, kept: number, name = kept, via: 'mixlet' | 'plain' = 'plain'): void {
  const [body, wire] = [new Uint8Array([name]), new Uint8Array(16).fill(name)];
  worker.say({ event: 'received', body, via, wire, kept, at, canReply: true, tag, address: null });
}

/** What the worker was told of taking and of what is done; the latter it has done now. */
async function told(worker: FakeWorker): Promise<unknown[]> {
  await worker.flush();
  finish(worker);
  return worker.posted.flatMap((message): unknown[] => {
    if (message.op === 'take') return [message.taking ? 'take' : 'leave'];
    return message.op === 'done' ? [message.kept] : [];
  });
}

/** The store lets go of what is done. */
function finish(worker: FakeWorker): void {
  for (const message of worker.posted) {
    if (message.op !== 'done' || finished.has(message)) continue;
    finished.add(message);
    worker.answer(message);
  }
}

const finished = new WeakSet();

/** The next message, as soon as the worker has let go of the last one. */
async function next(messages: AsyncIterator<ReceivedMessage>, worker?: FakeWorker): Promise<ReceivedMessage> {
  const coming = messages.next();
  if (worker) await told(worker);
  return (await coming).value as ReceivedMessage;
}

async function replaced(fake: Fake): Promise<FakeWorker> {
  const count = fake.workers.length;
  fake.worker.say({ event: 'crashed', detail: 'unreachable' });
  const worker = await started(fake, count + 1);
  await open(worker);
  await vi.waitUntil(() => fake.client.state === 'ready');
  return worker;
}

describe('a durable inbox', () => {
  test('is told to the worker, and who takes messages', async () => {
    const fake = newClient({ ...durable, pseudonym: 'kept' });
    const connecting = fake.client.connect();
    const worker = await started(fake);
    await open(worker);
    await connecting;
    const opening = worker.posted.find((message) => message.op === 'open');
    expect(opening?.options).toMatchObject({ inbox: 'durable', pseudonym: 'kept' });
    expect(await told(worker)).toEqual([]);
    const messages = fake.client.messages();
    expect(await told(worker)).toEqual(['take']);
    await messages.return?.();
    expect(await told(worker)).toEqual(['take', 'leave']);
  });

  test('a message has the id and the time it has in the store', async () => {
    const { client, worker } = await connected(durable);
    const messages = client.messages();
    give(worker, 7, 0xab, 'mixlet');
    const message = await next(messages);
    expect(message).toMatchObject({ id: 'ab'.repeat(16), receivedAt: new Date(at), via: 'mixlet', from: tag });
  });

  test('a message is done at the next next()', async () => {
    const { client, worker } = await connected(durable);
    const messages = client.messages();
    give(worker, 1);
    give(worker, 2);
    await next(messages);
    expect(await told(worker)).toEqual(['take']);
    await next(messages, worker);
    expect(await told(worker)).toEqual(['take', 1]);
    const waiting = messages.next();
    expect(await told(worker)).toEqual(['take', 1, 2]);
    give(worker, 3);
    await waiting;
    expect(await told(worker)).toEqual(['take', 1, 2]);
    void messages.next();
    expect(await told(worker)).toEqual(['take', 1, 2, 3]);
  });

  test('a message is done at done(), and no second time', async () => {
    const { client, worker } = await connected(durable);
    const messages = client.messages();
    give(worker, 1);
    const message = await next(messages);
    void message.done();
    void message.done();
    void messages.next();
    expect(await told(worker)).toEqual(['take', 1]);
  });

  test('the next message is given when the store has let go of the last one, in the order of the calls', async () => {
    const { client, worker } = await connected(durable);
    const messages = client.messages();
    for (const kept of [1, 2, 3]) give(worker, kept);
    const first = await next(messages);
    const calls = [next(messages), next(messages)];
    const done = first.done();
    await worker.flush();
    expect(await Promise.all([...calls, done].map(stateOf))).toEqual(['pending', 'pending', 'pending']);
    finish(worker);
    await done;
    expect((await Promise.all(calls)).map(({ data }) => data[0])).toEqual([2, 3]);
  });

  test('a worker that dies before it has let go of a message does not hold up the next one', async () => {
    const fake = await connected(durable);
    const messages = fake.client.messages();
    const { worker } = fake;
    for (const kept of [1, 2]) give(worker, kept);
    await next(messages);
    const coming = next(messages);
    await worker.flush();
    expect(await stateOf(coming)).toBe('pending');
    const another = await replaced(fake);
    expect((await coming).data).toEqual(new Uint8Array([2]));
    give(another, 1);
    expect(await told(another)).toEqual(['take', 1]);
  });

  test('what a loop leaves is given to the next one, also what it had in hand', async () => {
    const { client, worker } = await connected(durable);
    let seen: ReceivedMessage | undefined;
    give(worker, 1);
    give(worker, 2);
    for await (const message of client.messages()) {
      seen = message;
      break;
    }
    expect(await told(worker)).toEqual(['take', 'leave']);
    const messages = client.messages();
    // What was on its way when the first loop was left comes twice.
    for (const kept of [1, 2, 1, 2]) give(worker, kept);
    expect(await next(messages)).toMatchObject({ id: seen?.id });
    expect((await next(messages, worker)).data).toEqual(new Uint8Array([2]));
    expect(await stateOf(messages.next())).toBe('pending');
    // Of what comes after it is done the worker is told so once more.
    expect(await told(worker)).toEqual(['take', 'leave', 'take', 1, 1, 2]);
  });

  test('what comes while nobody listens stays where it is', async () => {
    const { client, worker } = await connected(durable);
    give(worker, 1);
    await worker.flush();
    const messages = client.messages();
    expect(await stateOf(messages.next())).toBe('pending');
  });

  test('one loop at a time takes messages', async () => {
    const { client } = await connected(durable);
    const messages = client.messages();
    expect(() => client.messages()).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
    await messages.return?.();
    client.messages();
  });

  test('listeners take messages too, and say themselves when they are done', async () => {
    const { client, worker } = await connected(durable);
    const seen: ReceivedMessage[] = [];
    const listener = (event: CustomEvent<ReceivedMessage>) => void seen.push(event.detail);
    client.addEventListener('message', listener);
    give(worker, 1);
    give(worker, 2);
    await vi.waitUntil(() => seen.length === 2);
    expect(await told(worker)).toEqual(['take']);
    void seen[1]?.done();
    client.removeEventListener('message', listener);
    expect(await told(worker)).toEqual(['take', 2, 'leave']);
    client.addEventListener('message', listener, { once: true });
    give(worker, 1);
    await vi.waitUntil(() => seen.length === 3);
    expect(seen[2]).toMatchObject({ id: seen[0]?.id });
    expect(await told(worker)).toEqual(['take', 2, 'leave', 'take', 'leave']);
  });

  test('another worker gives what is not done, and is told what the last one did not hear', async () => {
    const fake = await connected(durable);
    const messages = fake.client.messages();
    const [first] = fake.workers as [FakeWorker];
    for (const kept of [1, 2, 3]) give(first, kept);
    await next(messages);
    const inHand = await next(messages, first);
    expect(await told(first)).toEqual(['take', 1]);
    const worker = await replaced(fake);
    expect(await told(worker)).toEqual(['take']);
    // It numbers them anew.
    give(worker, 11, 1);
    give(worker, 12, 2);
    give(worker, 13, 3);
    expect(await told(worker)).toEqual(['take', 11]);
    void inHand.done();
    expect(await told(worker)).toEqual(['take', 11, 12]);
    expect((await next(messages)).data).toEqual(new Uint8Array([3]));
    void messages.next();
    expect(await told(worker)).toEqual(['take', 11, 12, 13]);
  });
});

test('what a durable inbox has left is given to one in memory, and done at once', async () => {
  const { client, worker } = await connected();
  give(worker, 1);
  expect(await told(worker)).toEqual([1]);
  expect((await next(client.messages())).data).toEqual(new Uint8Array([1]));
});

test('in memory done() does nothing', async () => {
  const { client, worker } = await connected();
  const messages = client.messages();
  worker.say({
    event: 'received',
    body: new Uint8Array(1),
    via: 'plain',
    wire: null,
    canReply: true,
    tag,
    address: null,
  });
  await (await next(messages)).done();
  expect(await told(worker)).toEqual([]);
});
