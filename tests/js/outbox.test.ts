import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import { OUTBOX_MESSAGES } from '../../js/protocol.js';
import type { Errand, OutboxData } from '../../js/protocol.js';
import { address, connected, failure, heard, newClient, open, started, stateOf, stubBrowser } from './fake.js';
import type { Fake, FakeWorker } from './fake.js';

beforeEach(stubBrowser);
afterEach(() => vi.unstubAllGlobals());

const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const number = (place: number) => OUTBOX_MESSAGES + place;

/** A message as the store has it. */
const stored = (id: string, place: number, rest: Partial<OutboxData> = {}): OutboxData => ({
  message: number(place),
  id,
  to: address,
  bytes: 5,
  createdAt: 1_000,
  expiresAt: 87_400,
  acked: 0,
  total: 0,
  state: 'queued',
  ...rest,
});

async function crashed(fake: Fake): Promise<FakeWorker> {
  const count = fake.workers.length;
  fake.worker.say({ event: 'crashed', detail: '' });
  const next = await started(fake, count + 1);
  await open(next);
  return next;
}

describe('a message with persist', () => {
  test('is queued when it is in the store, under an id for ever', async () => {
    const fake = await connected();
    const before = Date.now();
    const sent = fake.client.send(address, 'hello', { persist: true, priority: 'bulk' });
    const request = await fake.worker.request('persist');
    expect(sent.id).toBe(hex(request.key));
    expect(text(request.body)).toBe('hello');
    expect(request.options).toMatchObject({ priority: 2, reliable: true });
    const seconds = request.expiresAt - before / 1000;
    expect(seconds).toBeGreaterThanOrEqual(86_400);
    expect(seconds).toBeLessThan(86_410);
    expect(await stateOf(sent.queued)).toBe('pending');
    fake.worker.answer(request, { message: number(3) });
    await sent.queued;
    fake.worker.say({ event: 'fragments', message: number(3), sent: 1, acked: 1, total: 2, retransmissions: 0 });
    fake.worker.say({ event: 'sent', message: number(3) });
    await sent.sent;
    fake.worker.say({
      event: 'delivered',
      message: number(3),
      roundTripMs: 5,
      retransmissions: 0,
      receipt: true,
    });
    expect(await sent.delivered).toMatchObject({ roundTripMs: 5 });
    fake.worker.say({ event: 'receipted', message: number(3), roundTripMs: 9 });
    expect(await sent.received).toMatchObject({ roundTripMs: 9 });
  });

  test('has a deadline of its own, or none', async () => {
    const { client, worker } = await connected();
    client.send(address, 'x', { persist: true, timeoutMs: 0 });
    expect((await worker.request('persist')).expiresAt).toBe(0);
    client.send(address, 'x', { persist: true, timeoutMs: 60_000 });
    expect((await worker.request('persist')).expiresAt - Date.now() / 1000).toBeLessThan(62);
  });

  test.each(['storage-quota', 'storage-blocked', 'queue-full'])('fails with %s', async (code) => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    const sent = client.send(address, 'x', { persist: true });
    worker.refuse(await worker.request('persist'), { code });
    expect(await failure(sent.queued)).toMatchObject({ code });
    expect(await failure(sent.delivered)).toMatchObject({ code });
    await worker.flush();
    expect(undelivered).toMatchObject([{ id: sent.id, error: { code } }]);
  });

  test('needs a store, and is reliable', async () => {
    const { client } = await connected({ storage: 'memory' });
    expect(() => client.send(address, 'x', { persist: true })).toThrow(TypeError);
    const other = await connected();
    const refused = other.client.send(address, 'x', { persist: true, reliable: false });
    expect(await failure(refused.queued)).toMatchObject({ code: 'config-invalid' });
  });

  test('stays in the store when the client is closed, and no undelivered event says otherwise', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    const sent = client.send(address, 'x', { persist: true });
    worker.answer(await worker.request('persist'), { message: number(0) });
    await sent.queued;
    const closing = client.close();
    const request = await worker.request('close');
    const error = { code: 'closed-before-delivery', message: '', retriable: false };
    worker.say({ event: 'undelivered', message: number(0), error, acked: 0, total: 1 });
    worker.answer(request);
    await closing;
    expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery' });
    expect(undelivered).toEqual([]);
  });

  test('is not sent twice when the worker crashes: the store has it, or the page has', async () => {
    const fake = await connected();
    const has = fake.client.send(address, 'stored', { persist: true });
    const request = await fake.worker.request('persist');
    fake.worker.answer(request, { message: number(1) });
    await has.queued;
    // One that reached the store without the page hearing of it, one that did not reach it, one that ended unheard.
    const unheard = fake.client.send(address, 'unheard', { persist: true });
    const unstored = fake.client.send(address, 'unstored', { persist: true });
    const gone = fake.client.send(address, 'gone', { persist: true });
    await fake.worker.request('persist');
    await fake.worker.request('persist');
    fake.worker.answer(await fake.worker.request('persist'), { message: number(4) });
    await gone.queued;
    const next = await crashed(fake);
    next.answer(await next.request('outbox'), [
      stored(has.id, 1, { acked: 3, total: 9, state: 'sending' }),
      stored(unheard.id, 2),
    ]);
    await unheard.queued;
    const again = await next.request('persist');
    expect([text(again.body), hex(again.key)]).toEqual(['unstored', unstored.id]);
    expect(await failure(gone.delivered)).toMatchObject({ code: 'worker-crashed' });
    expect(next.posted.filter(({ op }) => op === 'persist')).toHaveLength(1);
    next.say({ event: 'delivered', message: number(1), roundTripMs: 1, retransmissions: 0 });
    expect(await failure(has.received)).toMatchObject({ code: 'no-receipt-support' });
    await has.delivered;
  });

  test('many are handed over in parts, large ones as well', async () => {
    const { client, worker } = await connected();
    const count = limits.eventsAtOnce + 5;
    for (let place = 0; place < count; place++) client.send(address, `${place}`, { persist: true });
    client.send(address, new Uint8Array(limits.copiedBytes + 1).fill(7), { persist: true });
    for (let place = 0; place < count; place++) {
      expect(text((await worker.request('persist')).body)).toBe(`${place}`);
    }
    expect((await worker.request('persist')).body).toHaveLength(limits.copiedBytes + 1);
  });

  test('is cancelled by its handle, its signal, or its id', async () => {
    const { client, worker } = await connected();
    const abort = new AbortController();
    const sent = [
      client.send(address, 'a', { persist: true }),
      client.send(address, 'b', { persist: true, signal: abort.signal }),
      client.send(address, 'c', { persist: true }),
    ];
    for (const [place, { queued }] of sent.entries()) {
      worker.answer(await worker.request('persist'), { message: number(place) });
      await queued;
    }
    sent[0]?.cancel('why');
    abort.abort('enough');
    const cancelling = client.outbox.cancel(sent[2]!.id, 'no more');
    for (const [place, reason] of ['why', 'enough', 'no more'].entries()) {
      const request = await worker.request('cancel');
      expect(request.message).toBe(number(place));
      worker.answer(request);
      expect(await failure(sent[place]!.delivered)).toBe(reason);
    }
    await cancelling;
  });

  test('that is cancelled before it is stored is forgotten when it is', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'x', { persist: true });
    const request = await worker.request('persist');
    sent.cancel('why');
    worker.answer(request, { message: number(6) });
    expect((await worker.request('cancel')).message).toBe(number(6));
  });
});

describe('without a connection', () => {
  type OutboxErrand = Extract<Errand, { task: 'outbox' }>;

  /** The errand of the nth worker. */
  async function errand(
    fake: Fake,
    nth: number,
  ): Promise<{ worker: FakeWorker; request: OutboxErrand & { id: number } }> {
    const worker = await started(fake, nth);
    const request = await worker.request('vault');
    expect(request).toMatchObject({ task: 'outbox', profile: 'default' });
    return { worker, request: request as OutboxErrand & { id: number } };
  }

  const answer = (request: OutboxErrand) => ({
    outbox: request.letters.map(({ key }, place) => stored(hex(key), place)),
    refused: [],
  });

  test.each(['idle', 'closed'])('a message is stored, and sent after the next connect: %s', async (state) => {
    const fake = state === 'idle' ? newClient() : await connected();
    if (state === 'closed') {
      void fake.client.close();
      fake.worker.answer(await fake.worker.request('close'));
      await fake.client.close();
    }
    const before = fake.workers.length;
    const sent = [1, 2].map((part) => fake.client.send(address, `part ${part}`, { persist: true, priority: 'high' }));
    const { worker, request } = await errand(fake, before + 1);
    expect(request).toMatchObject({ alone: true, cancelled: [] });
    expect(request.letters.map(({ body }) => text(body))).toEqual(['part 1', 'part 2']);
    expect(request.letters[0]).toMatchObject({ to: address, options: { priority: 0 } });
    expect(await stateOf(sent[0]!.queued)).toBe('pending');
    // Nobody else is let into the profile before.
    const connecting = fake.client.connect();
    await worker.flush();
    expect(fake.workers).toHaveLength(before + 1);
    worker.answer(request, answer(request));
    await Promise.all(sent.map(({ queued }) => queued));
    const next = await started(fake, before + 2);
    expect(worker.terminated).toBe(true);
    await open(next);
    await connecting;
    next.answer(await next.request('outbox'), [stored(sent[0]!.id, 0), stored(sent[1]!.id, 1)]);
    await next.flush();
    next.say({ event: 'delivered', message: number(1), roundTripMs: 1, retransmissions: 0 });
    await sent[1]!.delivered;
    expect(next.posted.filter(({ op }) => op === 'persist')).toEqual([]);
    expect(await stateOf(sent[0]!.delivered)).toBe('pending');
  });

  test('what is refused fails alone, and what cannot be stored fails together', async () => {
    const fake = newClient();
    const undelivered = heard(fake.client, 'undelivered');
    const sent = [1, 2].map((part) => fake.client.send(address, `part ${part}`, { persist: true }));
    const { worker, request } = await errand(fake, 1);
    const { outbox } = answer(request);
    const error = { code: 'queue-full', message: '', retriable: true };
    worker.answer(request, { outbox: outbox.slice(1), refused: [{ id: sent[0]!.id, error }] });
    expect(await failure(sent[0]!.queued)).toMatchObject({ code: 'queue-full' });
    await sent[1]!.queued;
    const third = fake.client.send(address, 'part 3', { persist: true });
    const next = await errand(fake, 2);
    next.worker.refuse(next.request, { code: 'in-use' });
    expect(await failure(third.delivered)).toMatchObject({ code: 'in-use' });
    await next.worker.flush();
    expect(undelivered).toMatchObject([{ id: sent[0]!.id }, { id: third.id }]);
  });

  test('many are stored in parts, and a large one alone', async () => {
    const fake = newClient();
    const count = limits.eventsAtOnce + 1;
    const sent = Array.from({ length: count }, () => fake.client.send(address, 'x', { persist: true }));
    sent.push(fake.client.send(address, new Uint8Array(limits.copiedBytes + 1), { persist: true }));
    const counts = [];
    for (let nth = 1; nth <= 3; nth++) {
      const { worker, request } = await errand(fake, nth);
      counts.push(request.letters.length);
      worker.answer(request, answer(request));
    }
    expect(counts).toEqual([limits.eventsAtOnce, 1, 1]);
    await Promise.all(sent.map(({ queued }) => queued));
  });

  test('what could not be connected goes to the store all the same, unless the store is the trouble', async () => {
    const fake = newClient();
    for (const [nth, phase] of ['gateway', 'storage'].entries()) {
      const first = fake.workers.length + 1;
      const connecting = failure(fake.client.connect());
      const sent = fake.client.send(address, 'x', { persist: true });
      const worker = await started(fake, first);
      worker.refuse(await worker.request('open'), { code: nth === 0 ? 'gateway-timeout' : 'storage-blocked', phase });
      await connecting;
      if (phase === 'storage') {
        expect(await failure(sent.queued)).toMatchObject({ code: 'storage-blocked' });
      } else {
        const next = await errand(fake, first + 1);
        next.worker.answer(next.request, answer(next.request));
        await sent.queued;
        expect(await stateOf(sent.delivered)).toBe('pending');
      }
    }
  });

  test('a message sent while the client closes is stored when it has', async () => {
    const fake = await connected();
    const closing = fake.client.close();
    const sent = fake.client.send(address, 'late', { persist: true });
    const request = await fake.worker.request('close');
    expect(fake.workers).toHaveLength(1);
    fake.worker.answer(request);
    await closing;
    const next = await errand(fake, 2);
    next.worker.answer(next.request, answer(next.request));
    await sent.queued;
    expect(await stateOf(sent.delivered)).toBe('pending');
  });

  test('the outbox is listed, searched and thinned out', async () => {
    const fake = newClient();
    const id = '00112233445566778899aabbccddeeff';
    const listing = fake.client.outbox.list();
    const list = await errand(fake, 1);
    expect(list.request).toMatchObject({ alone: false, letters: [], cancelled: [] });
    list.worker.answer(list.request, { outbox: [stored(id, 3, { acked: 1, total: 2 })], refused: [] });
    expect(await listing).toMatchObject([{ id, fragmentsAcked: 1 }]);
    const finding = fake.client.outbox.find(id);
    const find = await errand(fake, 2);
    find.worker.answer(find.request, { outbox: [stored(id, 3)], refused: [] });
    const found = await finding;
    await found?.queued;
    const cancelling = fake.client.outbox.cancel(id, 'enough');
    const cancel = await errand(fake, 3);
    expect(cancel.request).toMatchObject({ alone: true, letters: [] });
    expect(cancel.request.cancelled.map(hex)).toEqual([id]);
    cancel.worker.answer(cancel.request, { outbox: [], refused: [] });
    await cancelling;
    expect(await failure(found!.delivered)).toBe('enough');
    // No key of any message.
    await fake.client.outbox.cancel('ff');
    expect(fake.workers).toHaveLength(3);
  });

  test('a message that is cancelled between two workers is forgotten by the second', async () => {
    const fake = await connected();
    const sent = fake.client.send(address, 'x', { persist: true });
    fake.worker.answer(await fake.worker.request('persist'), { message: number(5) });
    await sent.queued;
    fake.worker.say({ event: 'crashed', detail: '' });
    const next = await started(fake, 2);
    sent.cancel('why');
    expect(await failure(sent.delivered)).toBe('why');
    await open(next);
    next.answer(await next.request('outbox'), [stored(sent.id, 5)]);
    expect((await next.request('cancel')).message).toBe(number(5));
  });

  test('in memory there is none', async () => {
    const { client, workers } = newClient({ storage: 'memory' });
    expect([await client.outbox.list(), await client.outbox.find('00'), workers.length]).toEqual([[], null, 0]);
  });
});

describe('the outbox', () => {
  const id = '00112233445566778899aabbccddeeff';

  test('lists what is stored', async () => {
    const { client, worker } = await connected();
    const listing = client.outbox.list();
    worker.answer(await worker.request('outbox'), [
      stored(id, 0, { acked: 1, total: 4, state: 'sending' }),
      stored('ff', 1, { expiresAt: 0 }),
      stored('aa', 2, { state: 'writing' }),
    ]);
    expect(await listing).toEqual([
      {
        id,
        to: address,
        bytes: 5,
        createdAt: new Date(1_000_000),
        expiresAt: new Date(87_400_000),
        fragmentsAcked: 1,
        fragmentsTotal: 4,
        state: 'sending',
      },
      expect.objectContaining({ id: 'ff', expiresAt: null, state: 'queued' }),
    ]);
  });

  test('finds a message of an earlier run, with its progress', async () => {
    const { client, worker } = await connected();
    const finding = client.outbox.find(id);
    worker.answer(await worker.request('outbox'), [stored(id, 7, { acked: 1, total: 4, state: 'sending' })]);
    const found = await finding;
    expect(found?.id).toBe(id);
    await found?.queued;
    const progress = found!.progress();
    expect((await progress.next()).value).toMatchObject({ fragmentsAcked: 1, fragmentsTotal: 4 });
    expect(await client.outbox.find(id)).toBe(found);
    worker.say({ event: 'delivered', message: number(7), roundTripMs: 2, retransmissions: 0 });
    await found?.delivered;
    const missing = client.outbox.find(id);
    worker.answer(await worker.request('outbox'), []);
    expect(await missing).toBeNull();
  });

  test('cancels a message that nobody has a handle of', async () => {
    const { client, worker } = await connected();
    const cancelling = client.outbox.cancel(id);
    worker.answer(await worker.request('outbox'), [stored(id, 9)]);
    const request = await worker.request('cancel');
    expect(request.message).toBe(number(9));
    worker.answer(request);
    await cancelling;
  });
});
