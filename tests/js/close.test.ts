import { beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import type { Undelivered } from '../../js/types.js';
import { address, connected, failure, heard, newClient, open, started, stateOf, stubBrowser, wire } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('close', () => {
  test('drains by default, then ends the worker', async () => {
    const { client, worker } = await connected();
    const states = heard(client, 'statechange');
    const closing = client.close();
    expect(client.state).toBe('closed');
    const request = await worker.request('close');
    expect(request).toMatchObject({ drain: true });
    expect(request.timeoutMs).toBeGreaterThan(limits.closeTimeoutMs - 1000);
    expect(request.timeoutMs).toBeLessThanOrEqual(limits.closeTimeoutMs);
    expect(await stateOf(closing)).toBe('pending');
    worker.answer(request);
    await closing;
    expect(worker.terminated).toBe(true);
    expect(states).toEqual([{ state: 'closed', previous: 'ready' }]);
  });

  test('messages delivered while draining are delivered, the others closed-before-delivery', async () => {
    const { client, worker } = await connected();
    const undelivered = heard(client, 'undelivered') as Undelivered[];
    const arrives = client.send(address, 'arrives');
    const told = client.send(address, 'the worker says that it did not');
    const untold = client.send(address, 'the worker says nothing');
    const requests = [await worker.request('send'), await worker.request('send'), await worker.request('send')];
    for (const request of requests) worker.answer(request);
    const closing = client.close();
    const request = await worker.request('close');
    worker.say({ event: 'delivered', message: requests[0]!.message, roundTripMs: 1, retransmissions: 0 });
    const error = wire({ code: 'closed-before-delivery', retriable: true });
    worker.say({ event: 'undelivered', message: requests[1]!.message, error, acked: 2, total: 5, retransmissions: 0 });
    worker.answer(request);
    await closing;
    await arrives.delivered;
    for (const sent of [told, untold]) {
      expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery', name: 'DeliveryError' });
    }
    expect(undelivered.map(({ id, fragmentsAcked }) => [id, fragmentsAcked])).toEqual([
      [told.id, 2],
      [untold.id, 0],
    ]);
  });

  test('what waits for room is handed over first', async () => {
    const { client, worker } = await connected();
    client.send(address, new Uint8Array(limits.keptBodiesBytes / 2));
    client.send(address, new Uint8Array(limits.keptBodiesBytes / 2));
    const waiting = client.send(address, 'waiting');
    const first = await worker.request('send');
    await worker.request('send');
    const closing = client.close();
    await worker.flush();
    expect(worker.posted.map(({ op }) => op)).toEqual(['open', 'send', 'send']);
    worker.say({ event: 'delivered', message: first.message, roundTripMs: 1, retransmissions: 0 });
    const request = await worker.request('close');
    expect(worker.posted.map(({ op }) => op)).toEqual(['open', 'send', 'send', 'send', 'close']);
    const last = worker.posted[3] as { message: number };
    worker.say({ event: 'delivered', message: last.message, roundTripMs: 1, retransmissions: 0 });
    worker.answer(request);
    await closing;
    await waiting.delivered;
  });

  test('drain: false stops at once', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'x');
    const closing = client.close({ drain: false });
    const request = await worker.request('close');
    expect(request.drain).toBe(false);
    worker.answer(request);
    await closing;
    expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery' });
  });

  test('a second close waits for the first; with drain: false it ends the draining', async () => {
    const { client, worker } = await connected();
    const first = client.close({ timeoutMs: 0 });
    expect((await worker.request('close')).timeoutMs).toBe(0);
    const second = client.close();
    expect(await stateOf(second)).toBe('pending');
    const third = client.close({ drain: false });
    const request = await worker.request('close');
    expect(request.drain).toBe(false);
    worker.answer(request);
    await Promise.all([first, second, third]);
    await client.close();
    expect(client.state).toBe('closed');
  });

  test('an abort rejects with the reason and ends the draining', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const closing = client.close({ signal: controller.signal });
    const patient = client.close();
    await worker.request('close');
    controller.abort('enough');
    expect(await failure(closing)).toBe('enough');
    worker.answer(await worker.request('close'));
    await patient;
    expect(client.state).toBe('closed');
  });

  test('an aborted signal closes all the same, without draining', async () => {
    const { client, worker } = await connected();
    expect(await failure(client.close({ signal: AbortSignal.abort('now') }))).toBe('now');
    expect(client.state).toBe('closed');
    expect((await worker.request('close')).drain).toBe(false);
  });

  test('a worker that does not answer is ended soon after the deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const { client, worker } = await connected();
      const closing = client.close({ timeoutMs: 500 });
      expect((await worker.request('close')).timeoutMs).toBe(500);
      await vi.advanceTimersByTimeAsync(500 + limits.closeGraceMs);
      await closing;
      expect(worker.terminated).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test('while connecting cuts the connecting short', async () => {
    const fake = newClient();
    const connecting = failure(fake.client.connect());
    const sent = fake.client.send(address, 'x');
    const worker = await started(fake);
    await fake.client.close();
    expect(await connecting).toMatchObject({ code: 'closed' });
    expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery' });
    expect(worker.terminated).toBe(true);
    expect(fake.client.state).toBe('closed');
  });

  test('wrong options reject and close nothing', async () => {
    const { client } = await connected();
    for (const options of [{ force: true }, { drain: 1 }, { timeoutMs: -1 }, { signal: 7 }]) {
      expect(await failure(client.close(options as never))).toMatchObject({ code: 'config-invalid' });
    }
    expect(client.state).toBe('ready');
  });

  test('then connect works again, any number of times, with a new worker each', async () => {
    const fake = newClient();
    for (const count of [1, 2, 3]) {
      const connecting = fake.client.connect();
      await open(await started(fake, count));
      await connecting;
      const closing = fake.client.close();
      fake.worker.answer(await fake.worker.request('close'));
      await closing;
    }
    expect(fake.workers.every(({ terminated }) => terminated)).toBe(true);
  });

  test('connect called while closing begins when the closing is done', async () => {
    const fake = await connected();
    const { worker, client } = fake;
    const closing = client.close();
    const connecting = client.connect();
    expect(client.connect()).toBe(connecting);
    expect(client.state).toBe('closed');
    expect(await failure(client.send(address, 'x').queued)).toMatchObject({ code: 'closed' });
    const request = await worker.request('close');
    expect(fake.workers).toHaveLength(1);
    worker.answer(request);
    await closing;
    await open(await started(fake, 2));
    await connecting;
    const sent = client.send(address, 'x');
    fake.worker.answer(await fake.worker.request('send'));
    await sent.queued;
  });

  test('connect while closing, then close: both end', async () => {
    const fake = await connected();
    const first = fake.client.close();
    const connecting = failure(fake.client.connect());
    const second = fake.client.close();
    expect(await connecting).toMatchObject({ code: 'closed' });
    fake.worker.answer(await fake.worker.request('close'));
    await Promise.all([first, second]);
    expect(fake.workers).toHaveLength(1);
    expect(fake.client.state).toBe('closed');
  });

  test('is what Symbol.asyncDispose does, where there is one', async () => {
    const { client, worker } = await connected();
    const disposing = client[Symbol.asyncDispose]();
    worker.answer(await worker.request('close'));
    await disposing;
    expect(client.state).toBe('closed');
  });
});

describe('a client that loses its worker and its identity with it', () => {
  test('is closed, tells why in an error event, and fails everything that is open', async () => {
    const { client, worker } = await connected({ storage: 'memory' });
    const errors = heard(client, 'error');
    const states = heard(client, 'statechange');
    const sent = client.send(address, 'x');
    const stats = failure(client.stats());
    const end = client.messages().next();
    worker.say({ event: 'crashed', detail: 'unreachable executed' });
    const error = await failure(sent.delivered);
    expect(error).toMatchObject({ code: 'worker-crashed', name: 'EnginePanicError', cause: 'unreachable executed' });
    expect(await stats).toBe(error);
    expect((await end).done).toBe(true);
    expect(errors).toEqual([error]);
    expect(states).toEqual([{ state: 'closed', previous: 'ready', error }]);
    expect(worker.terminated).toBe(true);
  });

  test('also by an error event of the worker', async () => {
    const { client, worker } = await connected({ storage: 'memory' });
    await worker.flush();
    worker.say({ event: 'room' });
    await worker.flush();
    expect(worker.raiseError('Uncaught RuntimeError: unreachable')).toBe(true);
    expect(client.state).toBe('closed');
  });

  test('also by a message that cannot be read', async () => {
    const { client, worker } = await connected({ storage: 'memory' });
    worker.dispatchEvent(new Event('messageerror'));
    expect(client.state).toBe('closed');
  });

  test('can connect again', async () => {
    const fake = await connected({ storage: 'memory' });
    fake.worker.say({ event: 'error', error: wire({ code: 'worker-crashed', message: 'told by the engine' }) });
    await fake.worker.flush();
    expect(fake.client.state).toBe('closed');
    const connecting = fake.client.connect();
    await open(await started(fake, 2));
    await connecting;
    expect(fake.client.state).toBe('ready');
  });

  test('while closing is closed without an error event', async () => {
    const { client, worker } = await connected();
    const errors = heard(client, 'error');
    const closing = client.close();
    await worker.request('close');
    worker.say({ event: 'crashed', detail: '' });
    await closing;
    expect(errors).toEqual([]);
    expect(client.state).toBe('closed');
  });

  test('because the engine has given up for good, with the engine’s reason', async () => {
    const { client, worker } = await connected();
    const errors = heard(client, 'error');
    const sent = client.send(address, 'x');
    worker.say({ event: 'state', state: 'closed', error: wire({ code: 'auth-refused' }) });
    expect(await failure(sent.delivered)).toMatchObject({ code: 'auth-refused', name: 'AuthError' });
    expect(errors).toMatchObject([{ code: 'auth-refused' }]);
    expect(client.state).toBe('closed');
  });

  test('because the page is left, so that its socket is closed', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'x');
    dispatchEvent(new Event('pagehide'));
    expect(worker.terminated).toBe(true);
    expect(await failure(sent.delivered)).toMatchObject({ code: 'closed-before-delivery' });
    expect(client.state).toBe('closed');
  });
});

describe('while connected', () => {
  test('the state follows the worker’s, each change is one event, with why it got worse', async () => {
    const { client, worker } = await connected();
    const states = heard(client, 'statechange');
    const error = wire({ code: 'gateway-timeout', retriable: true });
    worker.say({ event: 'state', state: 'degraded' });
    worker.say({ event: 'state', state: 'reconnecting', error });
    worker.say({ event: 'state', state: 'reconnecting' });
    worker.say({ event: 'state', state: 'connecting' });
    worker.say({ event: 'state', state: 'idle' });
    worker.say({ event: 'state', state: 'ready' });
    await worker.flush();
    expect(states).toMatchObject([
      { state: 'degraded', previous: 'ready' },
      { state: 'reconnecting', previous: 'degraded', error: { code: 'gateway-timeout' } },
      { state: 'ready', previous: 'reconnecting' },
    ]);
  });

  test('what turns out later about a lost link is an error event', async () => {
    const { client, worker } = await connected();
    const [states, errors] = [heard(client, 'statechange'), heard(client, 'error')];
    worker.say({ event: 'state', state: 'reconnecting', error: wire({ code: 'gateway-refused' }) });
    worker.say({ event: 'state', state: 'reconnecting', error: wire({ code: 'in-use', retriable: true }) });
    await worker.flush();
    expect(states).toMatchObject([{ state: 'reconnecting', previous: 'ready' }]);
    expect(errors).toMatchObject([{ code: 'in-use', name: 'SessionInUseError' }]);
    expect(client.state).toBe('reconnecting');
  });

  test('failures that belong to no call are error events', async () => {
    const { client, worker } = await connected();
    const errors = heard(client, 'error');
    worker.say({ event: 'error', error: wire({ code: 'storage-quota' }) });
    await worker.flush();
    expect(errors).toMatchObject([{ code: 'storage-quota', name: 'StorageError' }]);
    expect(client.state).toBe('ready');
  });

  test('what the engine drops for lack of room is an overflow event', async () => {
    const { client, worker } = await connected();
    const overflow = heard(client, 'overflow');
    worker.say({ event: 'overflow', reason: 'unfinished', messages: 2, bytes: 5000 });
    await worker.flush();
    expect(overflow).toEqual([{ reason: 'unfinished', from: null, messages: 2, bytes: 5000 }]);
  });

  test('the browser’s news that the network is back goes to the worker', async () => {
    const { worker } = await connected();
    dispatchEvent(new Event('online'));
    await worker.next('online');
  });
});
