import { beforeEach, describe, expect, test, vi } from 'vitest';
import { DeliveryError, MixError } from '../../js/errors.js';
import { limits } from '../../js/limits.js';
import type { SentMessage, Undelivered } from '../../js/types.js';
import {
  address,
  connected,
  failure,
  heard,
  newClient,
  open,
  started,
  stateOf,
  stubBrowser,
  tag,
  wire,
} from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('send', () => {
  test('queued, sent and delivered resolve at their events', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const request = await worker.request('send');
    expect(request).toMatchObject({ message: Number(sent.id), to: address });
    expect(new TextDecoder().decode(request.body)).toBe('hello');
    expect(request.options).toEqual({
      timeoutMs: null,
      replies: 'auto',
      reliable: true,
      priority: 1,
      receipt: null,
      watched: false,
    });
    expect(await states(sent)).toEqual(['pending', 'pending', 'pending']);
    worker.answer(request);
    await sent.queued;
    expect(await states(sent)).toEqual(['fulfilled', 'pending', 'pending']);
    worker.say({ event: 'sent', message: request.message });
    await sent.sent;
    expect(await states(sent)).toEqual(['fulfilled', 'fulfilled', 'pending']);
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 120, retransmissions: 2 });
    const delivery = await sent.delivered;
    expect(delivery).toEqual({ at: expect.any(Date) as Date, roundTripMs: 120, retransmissions: 2 });
  });

  test('they settle in this order, whatever the order of the events', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const order: string[] = [];
    void sent.delivered.then(() => order.push('delivered'));
    void sent.sent.then(() => order.push('sent'));
    void sent.queued.then(() => order.push('queued'));
    const request = await worker.request('send');
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 1, retransmissions: 0 });
    worker.say({ event: 'sent', message: request.message });
    worker.answer(request);
    await worker.flush();
    expect(order).toEqual(['queued', 'sent', 'delivered']);
  });

  test('a failure rejects what is still open with the same error and raises one event', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered') as Undelivered[];
    const sent = client.send(address, 'hello');
    const request = await worker.request('send');
    worker.answer(request);
    await sent.queued;
    const { message } = request;
    const error = wire({ code: 'no-acks', phase: 'network', retriable: true });
    worker.say({ event: 'undelivered', message, error, acked: 1, total: 3, retransmissions: 20 });
    worker.say({ event: 'undelivered', message, error, acked: 1, total: 3, retransmissions: 20 });
    const failed = await failure(sent.delivered);
    expect(failed).toBeInstanceOf(DeliveryError);
    expect(failed).toMatchObject({ code: 'no-acks', phase: 'network' });
    expect(await failure(sent.sent)).toBe(failed);
    expect(await stateOf(sent.queued)).toBe('fulfilled');
    await worker.flush();
    expect(undelivered).toEqual([{ id: sent.id, error: failed, fragmentsAcked: 1, fragmentsTotal: 3 }]);
    expect(undelivered[0]?.error).toBe(failed);
  });

  test('a refusal by the worker rejects all three and raises one event', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered') as Undelivered[];
    const sent = client.send(address, 'hello');
    worker.refuse(await worker.request('send'), { code: 'address-invalid' });
    const error = await failure(sent.queued);
    expect(error).toMatchObject({ code: 'address-invalid' });
    expect(await failure(sent.sent)).toBe(error);
    expect(await failure(sent.delivered)).toBe(error);
    expect(undelivered.map(({ id }) => id)).toEqual([sent.id]);
  });

  test('options cross as the worker wants them', async () => {
    const { client, worker } = await connected();
    client.send(tag, 'x', { timeoutMs: 5000, priority: 'high', replies: 0, reliable: false });
    const request = await worker.request('send');
    expect(request.to).toBe(tag);
    expect(request.options).toMatchObject({ timeoutMs: 5000, replies: 0, reliable: false, priority: 0 });
  });

  test('every kind of data becomes its bytes, and the caller keeps the buffer', async () => {
    const { client, worker } = await connected();
    const bytes = new Uint8Array([0, 1, 2, 3, 4]);
    const cases: [Parameters<typeof client.send>[1], number[]][] = [
      ['é', [0xc3, 0xa9]],
      ['', []],
      [bytes, [0, 1, 2, 3, 4]],
      [bytes.buffer, [0, 1, 2, 3, 4]],
      [bytes.subarray(1, 3), [1, 2]],
      [new DataView(bytes.buffer, 3), [3, 4]],
      [new Uint16Array([0x0201]), [1, 2]],
      [new Blob(['ab', 'c']), [97, 98, 99]],
    ];
    for (const [data, expected] of cases) {
      client.send(address, data);
      const { body } = await worker.request('send');
      expect(body).toBeInstanceOf(Uint8Array);
      expect([...body]).toEqual(expected);
    }
    expect(bytes.byteLength).toBe(5);
  });

  test('bytes changed after the call are not those that are sent', async () => {
    const fake = newClient();
    void fake.client.connect();
    const bytes = new Uint8Array([1]);
    fake.client.send(address, bytes);
    bytes[0] = 2;
    await open(await started(fake));
    expect([...(await fake.worker.request('send')).body]).toEqual([1]);
  });

  test('while connecting it waits for the worker; a failed connect fails it with the same error', async () => {
    const fake = newClient();
    const connecting = failure(fake.client.connect());
    const undelivered = heard(fake.client, 'undelivered') as Undelivered[];
    const sent = fake.client.send(address, 'early');
    expect(await stateOf(sent.queued)).toBe('pending');
    const worker = await started(fake);
    worker.refuse(await worker.request('open'), { code: 'directory-unreachable' });
    expect(await failure(sent.delivered)).toBe(await connecting);
    expect(undelivered).toHaveLength(1);
  });

  test('throws only TypeError, for arguments of the wrong type', async () => {
    const { client } = await connected();
    const send = client.send.bind(client) as (...values: unknown[]) => SentMessage;
    const wrong = [[7, 'x'], [undefined, 'x'], [address, 7], [address], [address, { data: 'x' }], [address, null]];
    for (const values of wrong) expect(() => send(...values)).toThrow(TypeError);
    expect(() => send(address, 'x', 7)).toThrow(TypeError);
    expect(() => send(address, 'x', null)).toThrow(TypeError);
    expect(() => send(address, 'x', { signal: {} })).toThrow(TypeError);
  });

  test('everything else that is wrong is on the handle', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered') as Undelivered[];
    const cases: [SentMessage, string][] = [
      [client.send('nobody' as never, 'x'), 'address-invalid'],
      [client.send('' as never, 'x'), 'address-invalid'],
      [client.send(address, 'x', { persist: true } as never), 'config-invalid'],
      [client.send(address, 'x', { replies: 101 }), 'config-invalid'],
      [client.send(address, new Uint8Array(limits.messageBytes + 1)), 'too-large'],
      [client.send(address, 'é'.repeat(limits.messageBytes / 2 + 1)), 'too-large'],
      [client.send(address, 'x'.repeat(limits.messageBytes + 1)), 'too-large'],
      [client.send(address, { size: limits.messageBytes + 1, __proto__: Blob.prototype } as never), 'too-large'],
    ];
    for (const [sent, code] of cases) {
      const error = await failure(sent.queued);
      expect(error).toBeInstanceOf(MixError);
      expect(error).toMatchObject({ code });
      expect(await failure(sent.delivered)).toBe(error);
    }
    expect(undelivered.map(({ id }) => id)).toEqual(cases.map(([sent]) => sent.id));
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'send')).toEqual([]);
  });

  test('the largest message is not too large', async () => {
    const { client, worker } = await connected();
    client.send(address, new Uint8Array(limits.messageBytes));
    expect((await worker.request('send')).body.byteLength).toBe(limits.messageBytes);
  });

  test('a Blob that cannot be read fails', async () => {
    const { client } = await connected();
    const blob = new Blob(['x']);
    blob.arrayBuffer = () => Promise.reject(new DOMException('gone', 'NotReadableError'));
    expect(await failure(client.send(address, blob).queued)).toMatchObject({ code: 'config-invalid' });
  });

  test('ignored handles raise no unhandled rejection', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const fake = newClient();
    fake.client.send(address, 'x');
    const { client, worker } = await connected();
    client.send(address, 'x').cancel();
    client.send('' as never, 'x');
    client.send(address, 'x', { signal: AbortSignal.abort() });
    await worker.flush();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('cancelling', () => {
  test('rejects what is open with the reason and tells the worker', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered') as Undelivered[];
    const sent = client.send(address, 'hello');
    const request = await worker.request('send');
    worker.answer(request);
    await sent.queued;
    const reason = new Error('changed my mind');
    sent.cancel(reason);
    sent.cancel('again');
    expect(await failure(sent.delivered)).toBe(reason);
    expect((await worker.request('cancel')).message).toBe(request.message);
    await worker.flush();
    expect(undelivered).toEqual([{ id: sent.id, error: reason, fragmentsAcked: 0, fragmentsTotal: 0 }]);
    expect(worker.posted.filter(({ op }) => op === 'cancel')).toHaveLength(1);
  });

  test('without a reason rejects with an AbortError', async () => {
    const { client } = await connected();
    const sent = client.send(address, 'hello');
    sent.cancel();
    expect(((await failure(sent.queued)) as Error).name).toBe('AbortError');
  });

  test('by signal does the same, with signal.reason itself', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const sent = client.send(address, 'hello', { signal: controller.signal });
    await worker.request('send');
    const reason = { why: 'because' };
    controller.abort(reason);
    expect(await failure(sent.queued)).toBe(reason);
    await worker.request('cancel');
  });

  test('before it has begun nothing is sent', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello', { signal: AbortSignal.abort('never') });
    expect(await failure(sent.queued)).toBe('never');
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'send')).toEqual([]);
  });

  test('while connecting nothing is sent later', async () => {
    const fake = newClient();
    void fake.client.connect();
    fake.client.send(address, 'first').cancel();
    fake.client.send(address, 'second');
    await open(await started(fake));
    const { body } = await fake.worker.request('send');
    expect(new TextDecoder().decode(body)).toBe('second');
    await fake.worker.flush();
    expect(fake.worker.posted.map(({ op }) => op)).toEqual(['open', 'send']);
  });

  test('after delivery does nothing, nor does a late abort', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    const controller = new AbortController();
    const sent = client.send(address, 'hello', { signal: controller.signal });
    const request = await worker.request('send');
    worker.answer(request);
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 1, retransmissions: 0 });
    await sent.delivered;
    sent.cancel();
    controller.abort();
    await worker.flush();
    expect(undelivered).toEqual([]);
    expect(worker.posted.map(({ op }) => op)).toEqual(['open', 'send']);
  });

  test('a message whose delivery comes in too late stays cancelled', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const { message } = await worker.request('send');
    sent.cancel('too late');
    worker.say({ event: 'delivered', message, roundTripMs: 1, retransmissions: 0 });
    await worker.flush();
    expect(await failure(sent.delivered)).toBe('too late');
  });
});

describe('a full queue', () => {
  test('makes queued wait until what is before it is finished', async () => {
    const { client, worker } = await connected();
    const half = limits.keptBodiesBytes / 2;
    const big = [client.send(address, new Uint8Array(half)), client.send(address, new Uint8Array(half))];
    const small = client.send(address, 'small');
    const first = await worker.request('send');
    const second = await worker.request('send');
    worker.answer(first);
    worker.answer(second);
    await Promise.all(big.map((sent) => sent.queued));
    await worker.flush();
    expect(await stateOf(small.queued)).toBe('pending');
    expect(worker.posted.filter(({ op }) => op === 'send')).toHaveLength(2);
    worker.say({ event: 'delivered', message: first.message, roundTripMs: 1, retransmissions: 0 });
    worker.answer(await worker.request('send'));
    await small.queued;
  });

  test('does not stop a deadline, which counts the time with the link up and goes on in the worker', async () => {
    const { client, worker } = await connected();
    const half = limits.keptBodiesBytes / 2;
    for (let i = 0; i < 2; i++) client.send(address, new Uint8Array(half));
    const first = await worker.request('send');
    worker.answer(first);
    worker.answer(await worker.request('send'));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const late = client.send(address, 'too late', { timeoutMs: 1_000 });
      const timely = client.send(address, 'in time', { timeoutMs: 5_000 });
      client.send(address, 'at any time', { timeoutMs: 0 });
      vi.advanceTimersByTime(999);
      worker.say({ event: 'state', state: 'reconnecting' });
      await worker.flush();
      vi.advanceTimersByTime(3_600_000);
      expect(await stateOf(late.queued)).toBe('pending');
      worker.say({ event: 'state', state: 'ready' });
      await worker.flush();
      vi.advanceTimersByTime(1);
      expect(await failure(late.queued)).toMatchObject({ code: 'timeout', phase: 'queue' });
      worker.say({ event: 'delivered', message: first.message, roundTripMs: 1, retransmissions: 0 });
      expect((await worker.request('send')).options.timeoutMs).toBe(4_000);
      expect((await worker.request('send')).options.timeoutMs).toBe(0);
      vi.advanceTimersByTime(3_600_000);
      expect(await stateOf(timely.queued)).toBe('pending');
    } finally {
      vi.useRealTimers();
    }
  });

  test('is also full of many small messages', async () => {
    const { client, worker } = await connected();
    const extra = 3;
    const all = Array.from({ length: limits.queueMessages + extra }, () => client.send(address, 'x'));
    for (let i = 0; i < limits.queueMessages; i++) worker.answer(await worker.request('send'));
    await all[limits.queueMessages - 1]?.queued;
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'send')).toHaveLength(limits.queueMessages);
    worker.say({ event: 'delivered', message: Number(all[0]?.id), roundTripMs: 1, retransmissions: 0 });
    await worker.request('send');
  });

  test('a worker that has not answered yet is not given any number of messages', async () => {
    const { client, worker } = await connected();
    for (let i = 0; i <= limits.unansweredMessages; i++) client.send(address, i % 2 ? 'x' : new Blob(['x']));
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'send')).toHaveLength(limits.unansweredMessages);
    worker.refuse(await worker.request('send'), { code: 'no-route' });
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'send')).toHaveLength(limits.unansweredMessages + 1);
  });

  test('makes room when a message is cancelled', async () => {
    const { client, worker } = await connected();
    const half = limits.keptBodiesBytes / 2;
    const big = [client.send(address, new Uint8Array(half)), client.send(address, new Uint8Array(half))];
    client.send(address, 'small');
    await worker.request('send');
    await worker.request('send');
    big[0]?.cancel();
    expect(new TextDecoder().decode((await worker.request('send')).body)).toBe('small');
  });

  test('does not hold back what can be cancelled while it waits', async () => {
    const { client, worker } = await connected();
    client.send(address, new Uint8Array(limits.keptBodiesBytes / 2));
    client.send(address, new Uint8Array(limits.keptBodiesBytes / 2));
    const waiting = client.send(address, 'waiting');
    waiting.cancel('enough');
    expect(await failure(waiting.queued)).toBe('enough');
    await worker.request('send');
    await worker.request('send');
    await worker.flush();
    expect(worker.posted.map(({ op }) => op)).toEqual(['open', 'send', 'send']);
  });
});

const states = async ({ queued, sent, delivered }: SentMessage) => [
  await stateOf(queued),
  await stateOf(sent),
  await stateOf(delivered),
];
