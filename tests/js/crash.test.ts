import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import { address, connected, failure, heard, open, started, stateOf, stubBrowser, tag, wire } from './fake.js';
import type { Fake, FakeWorker } from './fake.js';

beforeEach(stubBrowser);
afterEach(() => vi.unstubAllGlobals());

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);

/** A client whose worker has crashed and was replaced. */
async function replaced(fake: Fake): Promise<FakeWorker> {
  const count = fake.workers.length;
  fake.worker.say({ event: 'crashed', detail: 'unreachable' });
  const next = await started(fake, count + 1);
  await open(next);
  await vi.waitUntil(() => fake.client.state === 'ready');
  return next;
}

describe('a worker that crashes', () => {
  test('is replaced under the same identity', async () => {
    const fake = await connected();
    const states = heard(fake.client, 'statechange');
    const errors = heard(fake.client, 'error');
    await replaced(fake);
    expect(states).toMatchObject([
      { state: 'reconnecting', previous: 'ready', error: { code: 'worker-crashed', cause: 'unreachable' } },
      { state: 'ready', previous: 'reconnecting' },
    ]);
    expect(errors).toEqual([]);
    expect(fake.workers[0]?.terminated).toBe(true);
    expect(await fake.client.connect()).toBe(address);
  });

  test('messages with an envelope go again under their ids, with the same bytes', async () => {
    const fake = await connected();
    const small = fake.client.send(address, 'small', { receipt: true });
    const large = fake.client.send(address, new Uint8Array(limits.copiedBytes + 1).fill(7), { receipt: true });
    const first = [await fake.worker.request('send'), await fake.worker.request('send')];
    fake.worker.answer(first[0]!, { receipt: true });
    await small.queued;
    const next = await replaced(fake);
    const again = [await next.request('send'), await next.request('send')];
    for (const { wire: id, body } of first) {
      const other = again.find(({ wire: same }) => same.join() === id.join());
      expect(Buffer.compare(other!.body, body)).toBe(0);
    }
    for (const request of again) {
      next.answer(request, { receipt: true });
      next.say({ event: 'delivered', message: request.message, roundTripMs: 1, retransmissions: 0 });
      next.say({ event: 'receipted', message: request.message, roundTripMs: 1 });
    }
    await Promise.all([small.received, large.received]);
  });

  test('a message that waits for its receipt goes again too', async () => {
    const fake = await connected();
    const sent = fake.client.send(address, 'x', { receipt: true });
    const request = await fake.worker.request('send');
    fake.worker.answer(request, { receipt: true });
    fake.worker.say({ event: 'delivered', message: request.message, roundTripMs: 5, retransmissions: 0 });
    await sent.delivered;
    const next = await replaced(fake);
    const again = await next.request('send');
    expect(again.wire).toEqual(request.wire);
    next.answer(again, { receipt: true });
    next.say({ event: 'receipted', message: again.message, roundTripMs: 9 });
    expect(await sent.received).toMatchObject({ roundTripMs: 9 });
  });

  test('bare bytes go again as they are where nothing of them has left', async () => {
    const fake = await connected();
    const sent = fake.client.send(address, 'bare');
    const large = fake.client.send(address, new Uint8Array(limits.copiedBytes + 1).fill(7), { reliable: false });
    const first = await fake.worker.request('send');
    expect(first).toMatchObject({ planned: true, begun: false });
    fake.worker.answer(first, { receipt: false });
    await sent.queued;
    await fake.worker.request('send');
    const next = await replaced(fake);
    const again = await next.request('send');
    expect(text(again.body)).toBe('bare');
    expect(again).toMatchObject({ message: first.message, planned: true, begun: false });
    expect((await next.request('send')).body).toHaveLength(limits.copiedBytes + 1);
    expect(await stateOf(large.delivered)).toBe('pending');
  });

  test('bare bytes that were cut go again by their plan, as often as it takes', async () => {
    const fake = await connected();
    const plan = (index: number) => new Uint8Array(index * limits.copiedBytes + 5).fill(index + 1);
    const sent = [0, 3].map((index) => ({ index, sent: fake.client.send(address, `bare ${index}`) }));
    for (const { index } of sent) {
      const request = await fake.worker.request('send');
      fake.worker.answer(request, { receipt: false });
      const bytes = plan(index);
      fake.worker.say({ event: 'planned', message: request.message, plan: bytes }, [bytes.buffer]);
      expect(await fake.worker.next('kept')).toEqual({ op: 'kept', message: request.message });
    }
    for (let crash = 0; crash < 2; crash++) {
      const next = await replaced(fake);
      for (const { index } of sent) {
        const again = await next.request('send');
        expect(again).toMatchObject({ planned: false, begun: true });
        expect(Buffer.compare(again.body, plan(index))).toBe(0);
        next.answer(again, { receipt: false });
        if (crash === 1) next.say({ event: 'delivered', message: again.message, roundTripMs: 1, retransmissions: 0 });
      }
    }
    await Promise.all(sent.map(({ sent: { delivered } }) => delivered));
  });

  test('what is not to leave twice fails once it was cut', async () => {
    const fake = await connected();
    const undelivered = heard(fake.client, 'undelivered');
    const sent = fake.client.send(address, 'once', { reliable: false });
    const { message } = await fake.worker.request('send');
    fake.worker.say({ event: 'planned', message, plan: bytes('plan') });
    await fake.worker.next('kept');
    const next = await replaced(fake);
    expect(await failure(sent.delivered)).toMatchObject({ code: 'worker-crashed', retriable: true });
    expect(undelivered).toHaveLength(1);
    expect(next.posted.filter(({ op }) => op === 'send')).toEqual([]);
  });

  test('what is known of a peer outlives it', async () => {
    const fake = await connected();
    fake.worker.say({ event: 'peer', speaks: 'mixlet', features: 7, tag, address: null });
    await fake.worker.flush();
    const next = await replaced(fake);
    fake.client.send(tag, 'x');
    expect((await next.request('send')).options.receipt).toBe(true);
  });

  test('requests are asked again under their ids, or fail as they were told to', async () => {
    const fake = await connected();
    const retried = fake.client.request(address, 'again');
    const failing = failure(fake.client.request(address, 'not again', { onDisconnect: 'fail' }));
    const first = await fake.worker.request('request');
    await fake.worker.request('request');
    const next = await replaced(fake);
    const { items } = await next.request('request');
    expect(items).toHaveLength(1);
    expect(items[0]!.wire).toEqual(first.items[0]!.wire);
    expect(text(items[0]!.body)).toBe('again');
    expect(await failing).toMatchObject({ code: 'worker-crashed' });
    next.say({ event: 'response', message: items[0]!.message, body: bytes('yes'), tag: null, address });
    expect((await retried).text()).toBe('yes');
  });

  test('services and listeners are announced to the next one', async () => {
    const fake = await connected();
    fake.client.serve(() => 'x', { service: 'a' });
    fake.client.listen({ service: 'b' });
    const next = await replaced(fake);
    expect(await next.request('serve')).toMatchObject({ service: 'a' });
    expect(await next.request('acceptStreams')).toMatchObject({ service: 'b' });
  });

  test('what others asked meanwhile is answered before it is connected', async () => {
    const fake = await connected();
    fake.client.serve(() => 'yes');
    fake.worker.say({ event: 'crashed', detail: '' });
    const next = await started(fake, 2);
    await next.request('serve');
    next.say({ event: 'request', request: 1, service: '', body: bytes('?'), tag, address: null });
    expect(text((await next.request('respond')).body)).toBe('yes');
    await open(next);
    await vi.waitUntil(() => fake.client.state === 'ready');
  });

  test('a message of a peer that comes again is seen once', async () => {
    const fake = await connected();
    const seen = heard(fake.client, 'message');
    const message = { event: 'received', via: 'mixlet', wire: bytes('0123456789abcdef'), tag, address: null } as const;
    fake.worker.say({ ...message, body: bytes('x'), canReply: true });
    await fake.worker.flush();
    const next = await replaced(fake);
    next.say({ ...message, body: bytes('x'), canReply: true });
    await next.flush();
    expect(seen).toHaveLength(1);
  });

  test('again and again ends the client', async () => {
    const fake = await connected();
    const errors = heard(fake.client, 'error');
    for (let i = 0; i < limits.crashes; i++) await replaced(fake);
    const sent = fake.client.send(address, 'x', { receipt: true });
    fake.worker.say({ event: 'crashed', detail: 'again' });
    expect(await failure(sent.delivered)).toMatchObject({ code: 'worker-crashed' });
    expect(fake.client.state).toBe('closed');
    expect(errors).toHaveLength(1);
  });

  test('the next one is tried for until it connects', async () => {
    const fake = await connected({ reconnect: { minMs: 1, maxMs: 2 } });
    const sent = fake.client.send(address, 'x', { receipt: true });
    fake.worker.say({ event: 'crashed', detail: '' });
    for (let count = 2; count < 4; count++) {
      const worker = await started(fake, count);
      worker.refuse(await worker.request('open'), { code: 'gateway-timeout', retriable: true });
    }
    await open(await started(fake, 4));
    await vi.waitUntil(() => fake.client.state === 'ready');
    expect(await stateOf(sent.delivered)).toBe('pending');
  });

  test('an answer that no trying mends ends the client', async () => {
    const fake = await connected();
    const sent = fake.client.send(address, 'x', { receipt: true });
    fake.worker.say({ event: 'crashed', detail: '' });
    const worker = await started(fake, 2);
    worker.refuse(await worker.request('open'), { code: 'identity-corrupt' });
    expect(await failure(sent.delivered)).toMatchObject({ code: 'identity-corrupt' });
    expect(fake.client.state).toBe('closed');
  });

  test('close ends the trying', async () => {
    const fake = await connected({ reconnect: { minMs: 60_000 } });
    const sent = fake.client.send(address, 'x', { receipt: true });
    fake.worker.say({ event: 'crashed', detail: '' });
    const worker = await started(fake, 2);
    worker.refuse(await worker.request('open'), wire({ code: 'gateway-timeout', retriable: true }));
    await worker.flush();
    await fake.client.close();
    expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery' });
    const connecting = fake.client.connect();
    await open(await started(fake, 3));
    await connecting;
    expect(fake.client.state).toBe('ready');
  });
});
