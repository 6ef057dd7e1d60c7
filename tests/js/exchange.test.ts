import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { MixStream, ReceivedMessage } from '../../js/types.js';
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

beforeEach(stubBrowser);
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const bytes = (text: string) => new TextEncoder().encode(text);
const from = { tag: null, address };

describe('received', () => {
  test('settles with the receipt, after delivered', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello', { receipt: true });
    const request = await worker.request('send');
    expect(request.options.receipt).toBe(true);
    worker.answer(request, { receipt: true });
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 100, retransmissions: 2 });
    await sent.delivered;
    expect(await stateOf(sent.received)).toBe('pending');
    worker.say({ event: 'receipted', message: request.message, roundTripMs: 300 });
    expect(await sent.received).toMatchObject({ roundTripMs: 300, retransmissions: 2 });
  });

  test('rejects no-receipt-support where none was asked for', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const request = await worker.request('send');
    worker.answer(request, { receipt: false });
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 100, retransmissions: 0 });
    expect(await failure(sent.received)).toMatchObject({ code: 'no-receipt-support' });
  });

  test('a receipt that does not come is no failure of the message', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    const sent = client.send(address, 'hello', { receipt: true });
    const request = await worker.request('send');
    worker.answer(request, { receipt: true });
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 100, retransmissions: 0 });
    worker.say({ event: 'notReceipted', message: request.message, error: wire({ code: 'timeout', phase: 'peer' }) });
    expect(await failure(sent.received)).toMatchObject({ code: 'timeout', phase: 'peer' });
    await sent.delivered;
    expect(undelivered).toEqual([]);
  });

  test('waiting for it can be cancelled, and ends with the client', async () => {
    const { client, worker } = await connected();
    const [first, second] = [
      client.send(address, 'a', { receipt: true }),
      client.send(address, 'b', { receipt: true }),
    ];
    for (const _ of [first, second]) {
      const request = await worker.request('send');
      worker.answer(request, { receipt: true });
      worker.say({ event: 'delivered', message: request.message, roundTripMs: 100, retransmissions: 0 });
    }
    await Promise.all([first.delivered, second.delivered]);
    first.cancel('enough');
    expect(await failure(first.received)).toBe('enough');
    expect(await worker.request('cancel')).toMatchObject({ message: 1 });
    void client.close({ drain: false });
    worker.answer(await worker.request('close'));
    expect(await failure(second.received)).toMatchObject({ code: 'closed-before-delivery' });
  });
});

describe('requests', () => {
  test('resolve with their own answers, in any order', async () => {
    const { client, worker } = await connected();
    const answers = [1, 2, 3].map((number) => client.request(address, `question ${number}`, { service: 'echo' }));
    const { items, options, to } = await worker.request('request');
    expect(to).toBe(address);
    expect(options).toMatchObject({ service: 'echo', retry: true, priority: 1 });
    expect(items.map(({ body }) => new TextDecoder().decode(body))).toEqual(['question 1', 'question 2', 'question 3']);
    for (const { message, body } of [...items].reverse()) {
      worker.say({ event: 'response', message, body: bytes(`re: ${new TextDecoder().decode(body)}`), ...from });
    }
    const texts = (await Promise.all(answers)).map((answer) => answer.text());
    expect(texts).toEqual(['re: question 1', 're: question 2', 're: question 3']);
    expect((await answers[0])?.via).toBe('mixlet');
  });

  test('requestAll tells of each alone', async () => {
    const { client, worker } = await connected();
    const all = client.requestAll(address, ['a', 'b']);
    const { items } = await worker.request('request');
    worker.say({ event: 'response', message: items[0]!.message, body: bytes('A'), ...from });
    worker.say({
      event: 'requestFailed',
      message: items[1]!.message,
      error: wire({ code: 'handler-failed', phase: 'peer' }),
    });
    const [a, b] = await all;
    expect(a).toMatchObject({ status: 'fulfilled' });
    expect(b).toMatchObject({ status: 'rejected', reason: { code: 'handler-failed', name: 'PeerError' } });
  });

  test('those of one turn that differ in more than their bodies go apart', async () => {
    const { client, worker } = await connected();
    void client.request(address, 'a').catch(() => {});
    void client.request(address, 'b', { service: 's' }).catch(() => {});
    void client.request(tag, 'c', { service: 's' }).catch(() => {});
    const sizes = [];
    for (let i = 0; i < 3; i++) sizes.push((await worker.request('request')).items.length);
    expect(sizes).toEqual([1, 1, 1]);
  });

  test('wait for connect, and their time runs', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const answer = fake.client.request(address, 'x', { timeoutMs: 60_000 });
    const tooLate = fake.client.request(address, 'y', { timeoutMs: 1 });
    expect(await failure(tooLate)).toMatchObject({ code: 'timeout', phase: 'queue' });
    await open(await started(fake));
    await connecting;
    const { items, options } = await fake.worker.request('request');
    expect(items).toHaveLength(1);
    expect(options.timeoutMs).toBeLessThanOrEqual(60_000);
    fake.worker.say({ event: 'response', message: items[0]!.message, body: bytes('z'), ...from });
    expect((await answer).text()).toBe('z');
  });

  test('an abort rejects with its reason and reaches the worker', async () => {
    const { client, worker } = await connected();
    const abort = new AbortController();
    const answer = client.request(address, 'x', { signal: abort.signal });
    const { items } = await worker.request('request');
    abort.abort('changed my mind');
    expect(await failure(answer)).toBe('changed my mind');
    expect(await worker.request('cancelRequest')).toMatchObject({ message: items[0]!.message });
    const aborted = client.request(address, 'x', { signal: AbortSignal.abort('before') });
    expect(await failure(aborted)).toBe('before');
  });

  test('a late answer is an event with the label', async () => {
    const { client, worker } = await connected();
    const late = heard(client, 'late');
    worker.say({ event: 'late', message: 7, label: 'weather', elapsedMs: 61_000, body: bytes('rain'), ...from });
    await worker.flush();
    expect(late).toMatchObject([{ id: '7', label: 'weather', elapsedMs: 61_000 }]);
    expect((late[0] as { message: ReceivedMessage }).message.text()).toBe('rain');
  });

  test('end with the client and with the worker', async () => {
    const { client, worker } = await connected({ storage: 'memory' });
    const answer = client.request(address, 'x');
    await worker.request('request');
    worker.say({ event: 'crashed', detail: 'boom' });
    expect(await failure(answer)).toMatchObject({ code: 'worker-crashed' });
    expect(await failure(client.request(address, 'x'))).toMatchObject({ code: 'closed' });
    expect(await failure(newClient().client.request(address, 'x'))).toMatchObject({ code: 'not-connected' });
  });

  test('are refused when wrong', async () => {
    const { client } = await connected();
    const wrong: object[] = [
      { service: 'x'.repeat(65) },
      { label: 'x'.repeat(257) },
      { expectedReplyBytes: -1 },
      { onDisconnect: 'never' },
      { replies: 5 },
      { timeoutMs: -1 },
    ];
    for (const options of wrong) {
      expect(await failure(client.request(address, 'x', options)), JSON.stringify(options)).toMatchObject({
        code: 'config-invalid',
      });
    }
    expect(await failure(client.request('nobody' as typeof address, 'x'))).toMatchObject({ code: 'address-invalid' });
    expect(() => client.request(address, 5 as never)).toThrow(TypeError);
    expect(() => client.request(5 as never, 'x')).toThrow(TypeError);
  });
});

describe('serving', () => {
  test('answers with what the handler returns', async () => {
    const { client, worker } = await connected();
    const seen: string[] = [];
    client.serve((request) => {
      seen.push(request.text());
      return new Blob(['pong']);
    });
    expect(await worker.request('serve')).toMatchObject({ service: '' });
    worker.say({ event: 'request', request: 9, service: '', body: bytes('ping'), tag, address: null });
    const answer = await worker.request('respond');
    expect(answer.request).toBe(9);
    expect(new TextDecoder().decode(answer.body)).toBe('pong');
    expect(seen).toEqual(['ping']);
  });

  test('a handler that throws answers without its text', async () => {
    const { client, worker } = await connected();
    client.serve(() => Promise.reject(new Error('secret')), { service: 'broken' });
    worker.say({ event: 'request', request: 1, service: 'broken', body: bytes('?'), tag, address: null });
    expect((await worker.request('respond')).body).toBeUndefined();
  });

  test('a full queue is waited for, and another failure is told', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    client.serve(() => 'x');
    worker.say({ event: 'request', request: 1, service: '', body: bytes('?'), tag, address: null });
    worker.refuse(await worker.request('respond'), { code: 'queue-full' });
    await worker.flush();
    worker.say({ event: 'room' });
    const again = await worker.request('respond');
    expect(again.request).toBe(1);
    worker.refuse(again, { code: 'no-surbs' });
    await vi.waitUntil(() => undelivered.length === 1);
    expect(undelivered).toMatchObject([{ error: { code: 'no-surbs' } }]);
  });

  test('an answer that is lost after it was given is told by its request', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered');
    const requests: ReceivedMessage[] = [];
    client.serve((request) => {
      requests.push(request);
      return 'x';
    });
    for (const request of [7, 8]) {
      worker.say({ event: 'request', request, service: '', body: bytes('?'), tag, address: null });
      worker.answer(await worker.request('respond'));
    }
    const lost = (request: number) => worker.say({ event: 'responseLost', request, error: wire({ code: 'no-surbs' }) });
    lost(7);
    lost(7);
    await worker.flush();
    // Nothing is known of it any more the second time.
    expect(undelivered).toMatchObject([
      { id: requests[0]!.id, error: { code: 'no-surbs' } },
      { id: '', error: { code: 'no-surbs' } },
    ]);
    expect(requests[0]!.id).not.toBe(requests[1]!.id);
  });

  test('one handler for each service, over all connects, until it is closed', async () => {
    const fake = newClient();
    const handle = fake.client.serve(() => 'x', { service: 'a' });
    expect(() => fake.client.serve(() => 'y', { service: 'a' })).toThrow(/served already/);
    const connecting = fake.client.connect();
    await open(await started(fake));
    await connecting;
    await fake.worker.request('serve');
    handle.close();
    expect(await fake.worker.request('unserve')).toMatchObject({ service: 'a' });
    fake.client.serve(() => 'y', { service: 'a' }).close();
  });

  test('handlers are told when the client closes', async () => {
    const { client, worker } = await connected();
    let signal: AbortSignal | undefined;
    client.serve((_, context) => {
      ({ signal } = context);
      return new Promise(() => {});
    });
    worker.say({ event: 'request', request: 1, service: '', body: bytes('?'), tag, address: null });
    await vi.waitUntil(() => signal !== undefined);
    void client.close({ drain: false });
    worker.answer(await worker.request('close'));
    await vi.waitUntil(() => signal?.aborted);
  });
});

describe('peers', () => {
  test('what is known of them follows the worker', async () => {
    const { client, worker } = await connected();
    expect(client.peer(address)).toEqual({ speaks: 'unknown', features: [] });
    worker.say({ event: 'peer', speaks: 'mixlet', features: 5, tag: null, address });
    worker.say({ event: 'peer', speaks: 'plain', features: 0, tag, address: null });
    await worker.flush();
    expect(client.peer(address)).toEqual({ speaks: 'mixlet', version: 1, features: ['receipts', 'streams'] });
    expect(client.peer(tag)).toEqual({ speaks: 'plain', features: [] });
  });

  test('probe resolves with the answer', async () => {
    const { client, worker } = await connected();
    const probing = client.probe(address);
    const { message, to } = await worker.request('probe');
    expect(to).toBe(address);
    worker.say({ event: 'response', message, body: new Uint8Array(), ...from });
    await probing;
  });
});

describe('streams', () => {
  async function opened() {
    const fake = await connected();
    const opening = fake.client.openStream(address, { service: 'pipe' });
    const request = await fake.worker.request('openStream');
    expect(request).toMatchObject({ to: address, service: 'pipe' });
    fake.worker.answer(request);
    fake.worker.say({ event: 'streamReady', stream: request.stream });
    return { ...fake, worker: fake.worker, stream: await opening, number: request.stream };
  }

  test('carry bytes both ways and tell what was read', async () => {
    const { worker, stream, number } = await opened();
    const reader = stream.readable.getReader();
    worker.say({ event: 'streamData', stream: number, bytes: bytes('hello'), last: false });
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toBe('hello');
    expect(await worker.request('streamRead')).toMatchObject({ stream: number, bytes: 5 });
    worker.say({ event: 'streamData', stream: number, bytes: new Uint8Array(), last: true });
    expect(await reader.read()).toEqual({ value: undefined, done: true });

    const writer = stream.writable.getWriter();
    const written = writer.write(new Uint8Array(100_000));
    const first = await worker.request('streamWrite');
    expect(first.bytes.byteLength).toBe(65_536);
    worker.answer(first, { room: false });
    await worker.flush();
    expect(await stateOf(written)).toBe('pending');
    worker.say({ event: 'streamRoom', stream: number });
    const second = await worker.request('streamWrite');
    expect(second.bytes.byteLength).toBe(100_000 - 65_536);
    worker.answer(second, { room: true });
    await written;
    const closing = writer.close();
    worker.answer(await worker.request('streamEnd'));
    await closing;
    worker.say({ event: 'streamClosed', stream: number, code: 0, reason: '' });
    expect(await stream.closed).toEqual({ code: 0, reason: '' });
  });

  test('what nobody reads is not asked for', async () => {
    const { worker, stream, number } = await opened();
    worker.say({ event: 'streamData', stream: number, bytes: bytes('a'), last: false });
    await worker.flush();
    expect(worker.posted.some(({ op }) => op === 'streamRead')).toBe(false);
    await stream.readable.getReader().read();
    await worker.request('streamRead');
  });

  test('a stream that breaks errors both halves', async () => {
    const { worker, stream, number } = await opened();
    const read = stream.readable.getReader().read();
    const write = stream.writable.getWriter().closed;
    worker.say({ event: 'streamClosed', stream: number, code: 300, reason: 'never mind' });
    expect(await failure(read)).toMatchObject({
      code: 'closed',
      message: expect.stringContaining('never mind') as string,
    });
    await failure(write);
    expect(await stream.closed).toEqual({ code: 300, reason: 'never mind' });
  });

  test('close with a code, an aborted writer and a cancelled reader end it at once', async () => {
    for (const end of [
      (stream: Awaited<ReturnType<typeof opened>>['stream']) => stream.close({ code: 400, reason: 'bye' }),
      (stream: Awaited<ReturnType<typeof opened>>['stream']) => stream.writable.abort('x'),
      (stream: Awaited<ReturnType<typeof opened>>['stream']) => stream.readable.cancel('x'),
    ]) {
      const { worker, stream } = await opened();
      await end(stream);
      const { code } = await worker.request('streamReset');
      expect((await stream.closed).code).toBe(code);
      expect(code).toBeGreaterThanOrEqual(256);
    }
    const { stream } = await opened();
    expect(await failure(stream.close({ code: 5 }))).toMatchObject({ code: 'config-invalid' });
  });

  test('opening fails with what the peer says, and with the abort', async () => {
    const { client, worker } = await connected();
    const opening = client.openStream(address);
    const request = await worker.request('openStream');
    worker.answer(request);
    worker.say({ event: 'streamFailed', stream: request.stream, error: wire({ code: 'no-handler' }) });
    expect(await failure(opening)).toMatchObject({ code: 'no-handler' });
    const abort = new AbortController();
    const second = client.openStream(address, { signal: abort.signal });
    worker.answer(await worker.request('openStream'));
    await worker.flush();
    abort.abort('no');
    expect(await failure(second)).toBe('no');
    await worker.request('streamReset');
  });

  test('listen hands out what comes, until it is left', async () => {
    const { client, worker } = await connected();
    const streams = client.listen({ service: 'pipe' });
    expect(() => client.listen({ service: 'pipe' })).toThrow(/already/);
    await worker.request('acceptStreams');
    worker.say({ event: 'streamOpened', stream: 2 ** 52, service: 'pipe', tag, address: null });
    const { value } = (await streams.next()) as IteratorResult<MixStream, undefined>;
    expect(value?.from).toBe(tag);
    await streams.return?.();
    await worker.request('refuseStreams');
    worker.say({ event: 'streamOpened', stream: 2 ** 52 + 1, service: 'pipe', tag, address: null });
    expect(await worker.request('streamReset')).toMatchObject({ stream: 2 ** 52 + 1 });
  });

  test('all end with the worker', async () => {
    const { worker, stream } = await opened();
    worker.say({ event: 'crashed', detail: 'boom' });
    expect(await failure(stream.closed)).toMatchObject({ code: 'worker-crashed' });
  });
});
