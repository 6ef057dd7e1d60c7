import { beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import type { ReceivedMessage } from '../../js/types.js';
import type { FakeWorker } from './fake.js';
import { connected, failure, heard, newClient, open, otherTag, started, stateOf, stubBrowser, tag } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('a received message', () => {
  test('has its bytes, as text and JSON too, and who it is from', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, '{"a":1}', tag);
    const message = (await messages.next()).value as ReceivedMessage;
    expect(message).toMatchObject({ from: tag, canReply: true, receivedAt: expect.any(Date) as Date });
    expect(message.data).toEqual(new TextEncoder().encode('{"a":1}'));
    expect(message.text()).toBe('{"a":1}');
    expect(message.json()).toEqual({ a: 1 });
  });

  test('that is not JSON or not UTF-8 says so in the usual way', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    worker.say({
      event: 'received',
      via: 'plain',
      address: null,
      body: new Uint8Array([0xff]),
      tag: null,
      canReply: false,
    });
    const message = (await messages.next()).value as ReceivedMessage;
    expect(message.text()).toBe('\ufffd');
    expect(() => message.json()).toThrow(SyntaxError);
  });

  test('is answered through its tag', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, 'hi', tag);
    const message = (await messages.next()).value as ReceivedMessage;
    const sent = message.reply('got it', { priority: 'high' });
    const request = await worker.request('send');
    expect(request).toMatchObject({ to: tag, message: Number(sent.id), options: { priority: 0 } });
  });

  test('without a tag cannot be answered', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, 'hi', null);
    const message = (await messages.next()).value as ReceivedMessage;
    expect(message).toMatchObject({ from: null, canReply: false });
    expect(await failure(message.reply('x').queued)).toMatchObject({ code: 'no-surbs', name: 'DeliveryError' });
    expect(() => message.reply(7 as never)).toThrow(TypeError);
  });

  test('canReply is live: it follows what later messages bring and failures take', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, 'one', tag);
    const one = (await messages.next()).value as ReceivedMessage;
    const reply = one.reply('x');
    worker.refuse(await worker.request('send'), { code: 'no-surbs' });
    await failure(reply.queued);
    await worker.flush();
    expect(one.canReply).toBe(false);
    arrive(worker, 'other', otherTag);
    await messages.next();
    expect(one.canReply).toBe(false);
    arrive(worker, 'two', tag);
    const two = (await messages.next()).value as ReceivedMessage;
    expect([one.canReply, two.canReply]).toEqual([true, true]);
  });

  test('canReply follows what the worker tells of the reply blocks', async () => {
    const { client, worker } = await connected();
    const stocks = heard(client, 'surbs');
    const messages = client.messages();
    arrive(worker, 'one', tag);
    const one = (await messages.next()).value as ReceivedMessage;
    worker.say({ event: 'surbs', tag: otherTag, held: 0, canReply: false });
    await worker.flush();
    expect(one.canReply).toBe(true);
    worker.say({ event: 'surbs', tag, held: 0, canReply: false });
    await worker.flush();
    expect(one.canReply).toBe(false);
    // None is held, but some are on their way.
    worker.say({ event: 'surbs', tag, held: 0, canReply: true });
    await worker.flush();
    expect(one.canReply).toBe(true);
    expect(stocks).toEqual([
      { from: otherTag, held: 0 },
      { from: tag, held: 0 },
      { from: tag, held: 0 },
    ]);
  });

  test('of more senders than are watched the oldest counts as one that cannot be answered', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, 'one', tag);
    const one = (await messages.next()).value as ReceivedMessage;
    for (let number = 0; number < limits.watchedTags - 1; number++) {
      worker.say({ event: 'surbs', tag: `tag ${number}`, held: 1, canReply: true });
    }
    await worker.flush();
    expect(one.canReply).toBe(true);
    worker.say({ event: 'surbs', tag: otherTag, held: 1, canReply: true });
    await worker.flush();
    expect(one.canReply).toBe(false);
  });

  test('canReply ends with the client', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    arrive(worker, 'one', tag);
    const one = (await messages.next()).value as ReceivedMessage;
    const closing = client.close({ drain: false });
    worker.answer(await worker.request('close'));
    await closing;
    expect(one.canReply).toBe(false);
    expect(await failure(one.reply('x').queued)).toMatchObject({ code: 'closed' });
  });
});

describe('messages()', () => {
  test('each iterator and each listener sees each message from the moment it began', async () => {
    const { client, worker } = await connected();
    const first = client.messages();
    arrive(worker, 'one');
    expect(await text(first)).toBe('one');
    const second = client.messages();
    const events = heard(client, 'message') as ReceivedMessage[];
    arrive(worker, 'two');
    expect(await text(first)).toBe('two');
    expect(await text(second)).toBe('two');
    expect(events.map((message) => message.text())).toEqual(['two']);
  });

  test('the first listener gets what was kept, the second does not', async () => {
    const { client, worker } = await connected();
    arrive(worker, 'kept');
    await worker.flush();
    const first = client.messages();
    const second = client.messages();
    expect(await text(first)).toBe('kept');
    expect(await stateOf(second.next())).toBe('pending');
  });

  test('a first event listener gets what was kept, after addEventListener has returned', async () => {
    const { client, worker } = await connected();
    arrive(worker, 'kept');
    await worker.flush();
    const events = heard(client, 'message') as ReceivedMessage[];
    expect(events).toEqual([]);
    arrive(worker, 'new');
    await worker.flush();
    expect(events.map((message) => message.text())).toEqual(['kept', 'new']);
  });

  test('messages are kept again when the last iterator has gone', async () => {
    const { client, worker } = await connected();
    arrive(worker, 'one');
    for await (const message of client.messages()) {
      expect(message.text()).toBe('one');
      break;
    }
    arrive(worker, 'two');
    await worker.flush();
    expect(await text(client.messages())).toBe('two');
  });

  test('what an iterator had not handed out when it was left is kept for the next', async () => {
    const { client, worker } = await connected();
    for (const content of ['one', 'two', 'three']) arrive(worker, content);
    await worker.flush();
    for await (const message of client.messages()) {
      expect(message.text()).toBe('one');
      break;
    }
    const controller = new AbortController();
    const second = client.messages({ signal: controller.signal });
    expect(await text(second)).toBe('two');
    controller.abort();
    const third = client.messages();
    expect(await text(third)).toBe('three');
    expect(await stateOf(third.next())).toBe('pending');
  });

  test('an iterator that is aborted before it begins takes nothing', async () => {
    const { client, worker } = await connected();
    arrive(worker, 'one');
    await worker.flush();
    expect((await client.messages({ signal: AbortSignal.abort() }).next()).done).toBe(true);
    expect(await text(client.messages())).toBe('one');
  });

  test('at most 1,024 are kept; what there is no room for is an overflow event', async () => {
    const { client, worker } = await connected();
    const overflow = heard(client, 'overflow');
    for (let i = 0; i < limits.keptMessages + 2; i++) arrive(worker, String(i), i === limits.keptMessages ? tag : null);
    await worker.flush();
    expect(overflow).toEqual([
      { reason: 'kept', from: tag, messages: 1, bytes: 4 },
      { reason: 'kept', from: null, messages: 1, bytes: 4 },
    ]);
    const messages = client.messages();
    for (let i = 0; i < limits.keptMessages; i++) expect(await text(messages)).toBe(String(i));
    expect(await stateOf(messages.next())).toBe('pending');
  });

  test('at most 16 MiB are kept', async () => {
    const { client, worker } = await connected();
    const overflow = heard(client, 'overflow') as { bytes: number }[];
    const half = limits.keptBytes / 2;
    for (const size of [half, half, 1]) receive(worker, new Uint8Array(size));
    await worker.flush();
    expect(overflow.map(({ bytes }) => bytes)).toEqual([1]);
  });

  test('a slow iterator loses what it has no room for, and only it', async () => {
    const { client, worker } = await connected();
    const slow = client.messages();
    const size = limits.iteratorBytes / 4;
    const events = heard(client, 'message') as ReceivedMessage[];
    const overflow = heard(client, 'overflow');
    for (let i = 0; i < 5; i++) receive(worker, new Uint8Array(size));
    await worker.flush();
    expect(events).toHaveLength(5);
    expect(overflow).toEqual([{ reason: 'iterator', from: null, messages: 1, bytes: size }]);
    for (let i = 0; i < 4; i++) expect((await slow.next()).done).toBe(false);
  });

  test('ends when the client closes, after what had arrived', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    const waiting = client.messages();
    const last = waiting.next();
    arrive(worker, 'last');
    expect((await last).done).toBe(false);
    const end = waiting.next();
    const closing = client.close();
    worker.answer(await worker.request('close'));
    await closing;
    expect(await end).toEqual({ value: undefined, done: true });
    expect(await text(messages)).toBe('last');
    expect((await messages.next()).done).toBe(true);
    expect((await client.messages().next()).done).toBe(true);
  });

  test('ends when the signal aborts, and takes nothing more', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const messages = client.messages({ signal: controller.signal });
    const next = messages.next();
    controller.abort();
    expect((await next).done).toBe(true);
    expect((await client.messages({ signal: AbortSignal.abort() }).next()).done).toBe(true);
    arrive(worker, 'kept for the next');
    await worker.flush();
    expect((await messages.next()).done).toBe(true);
    expect(await text(client.messages())).toBe('kept for the next');
  });

  test('begun before connect sees the first message', async () => {
    const fake = newClient();
    const messages = fake.client.messages();
    void fake.client.connect();
    const worker = await started(fake);
    await open(worker);
    arrive(worker, 'first');
    expect(await text(messages)).toBe('first');
  });

  test('several next() at once are answered in turn', async () => {
    const { client, worker } = await connected();
    const messages = client.messages();
    const both = [text(messages), text(messages)];
    arrive(worker, 'one');
    arrive(worker, 'two');
    expect(await Promise.all(both)).toEqual(['one', 'two']);
  });

  test('refuses unknown options', () => {
    const { client } = newClient();
    expect(() => client.messages({ once: true } as never)).toThrow('"once"');
  });
});

const receive = (worker: FakeWorker, body: Uint8Array<ArrayBuffer>, from: string | null = null) =>
  worker.say({ event: 'received', via: 'plain', address: null, body, tag: from, canReply: from !== null }, [
    body.buffer,
  ]);

const arrive = (worker: FakeWorker, content: string, from: string | null = null) =>
  receive(worker, new TextEncoder().encode(content), from);

async function text(messages: AsyncIterator<ReceivedMessage>): Promise<string> {
  const { value, done } = await messages.next();
  if (done) throw new Error('the iterator has ended');
  return value.text();
}
