import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import type { ReceivedMessage } from '../../js/types.js';
import {
  address,
  connected,
  failure,
  gateway,
  heard,
  newClient,
  open,
  started,
  stateOf,
  stubBrowser,
  tag,
} from './fake.js';

/** On a busy machine things take their time. */
const until = (fits: () => unknown) => vi.waitUntil(fits, { timeout: 8_000 });

beforeEach(() => {
  stubBrowser();
  vi.stubGlobal('BroadcastChannel', class {});
});
afterEach(() => vi.unstubAllGlobals());

const traffic = { slotMs: 4, loopMs: 200, hopDelayMs: 10, ackDelayMs: 10, dangerNoPacing: false };

describe('a page that uses the connection of another', () => {
  test('shows the settings that hold there, and those that another page sets', async () => {
    const fake = newClient({ tabs: 'share' });
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const opening = await worker.request('open');
    expect(opening.options.tabs).toBe('share');
    worker.answer(opening, { address, gateway, traffic });
    await connecting;
    expect(fake.client.traffic.params).toEqual(traffic);
    worker.say({ event: 'traffic', traffic: { ...traffic, slotMs: 9 } });
    await worker.flush();
    expect(fake.client.traffic.params.slotMs).toBe(9);
  });

  test('keeps what was set while connecting', async () => {
    const fake = newClient({ tabs: 'share' });
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const opening = await worker.request('open');
    void fake.client.traffic.set('strong');
    worker.answer(opening, { address, gateway, traffic });
    await connecting;
    expect((await worker.request('traffic')).traffic.hopDelayMs).toBe(50);
    expect(fake.client.traffic.params.hopDelayMs).toBe(50);
  });

  test('says whether it listens for messages', async () => {
    const fake = await connected({ tabs: 'share' });
    const leave = new AbortController();
    const messages = fake.client.messages({ signal: leave.signal });
    expect(await fake.worker.next('listen')).toMatchObject({ messages: true });
    fake.worker.say({
      event: 'received',
      body: new Uint8Array([1]),
      via: 'plain',
      wire: null,
      canReply: false,
      tag,
      address: null,
    });
    const next = (await messages.next()) as IteratorYieldResult<ReceivedMessage>;
    expect(next.value.data).toEqual(new Uint8Array([1]));
    leave.abort();
    expect(await fake.worker.next('listen')).toMatchObject({ messages: false });
    fake.client.addEventListener('message', () => {});
    expect(await fake.worker.next('listen')).toMatchObject({ messages: true });
  });

  test('says so to the next worker too', async () => {
    const fake = newClient({ tabs: 'share' });
    fake.client.addEventListener('message', () => {});
    const connecting = fake.client.connect();
    await open(await started(fake));
    await connecting;
    expect(await fake.worker.next('listen')).toMatchObject({ messages: true });
    fake.worker.say({ event: 'left' });
    await open(await started(fake, 2));
    expect(await fake.worker.next('listen')).toMatchObject({ messages: true });
  });

  test('starts another worker whenever that page has gone, however often', async () => {
    const fake = await connected({ tabs: 'share' });
    const states = heard(fake.client, 'statechange');
    const errors = heard(fake.client, 'error');
    const sent = fake.client.send(address, 'hello', { receipt: true });
    const { wire } = await fake.worker.request('send');
    for (let n = 0; n < 2 * limits.crashes; n += 1) {
      const { worker } = fake;
      worker.say({ event: 'left' });
      await open(await started(fake, n + 2));
      await until(() => fake.client.state === 'ready');
      expect(worker.terminated).toBe(true);
    }
    expect(states[0]).toMatchObject({ state: 'reconnecting', error: { code: 'worker-crashed' } });
    expect(errors).toEqual([]);
    const again = await fake.worker.request('send');
    expect(again.wire).toEqual(wire);
    expect(await stateOf(sent.received)).toBe('pending');
  });

  test('tells why bare bytes may have arrived or not', async () => {
    const fake = await connected({ tabs: 'share' });
    const sent = fake.client.send(address, 'bare', { reliable: false });
    const { id, message } = await fake.worker.request('send');
    fake.worker.answer({ id }, { receipt: false });
    fake.worker.say({ event: 'planned', message, plan: new Uint8Array(3) });
    await fake.worker.next('kept');
    fake.worker.say({ event: 'left' });
    const error = await failure(sent.delivered);
    expect(error).toMatchObject({ code: 'worker-crashed' });
    expect((error as Error).message).toContain('tab');
  });
});

describe('a page whose connection others use', () => {
  test('closes and lets the worker live', async () => {
    const fake = await connected({ tabs: 'share' });
    const closing = fake.client.close();
    fake.worker.answer(await fake.worker.request('close'), { shared: true });
    await closing;
    expect(fake.client.state).toBe('closed');
    expect(fake.worker.terminated).toBe(false);
    // It is of no concern any more.
    const states = heard(fake.client, 'statechange');
    fake.worker.say({ event: 'left' });
    await fake.worker.flush();
    expect(states).toEqual([]);
    // The next one finds the connection again.
    const connecting = fake.client.connect();
    await open(await started(fake, 2));
    await connecting;
  });

  test('ends the worker where nobody else uses it', async () => {
    const fake = await connected({ tabs: 'share' });
    const closing = fake.client.close();
    fake.worker.answer(await fake.worker.request('close'), {});
    await closing;
    expect(fake.worker.terminated).toBe(true);
  });
});

test('sharing needs a store and channels', () => {
  expect(() => newClient({ tabs: 'share', storage: 'memory' })).toThrow('indexeddb');
  expect(() => newClient({ tabs: 'some' as never })).toThrow('exclusive');
  vi.stubGlobal('BroadcastChannel', undefined);
  const { client } = newClient({ tabs: 'share' });
  return expect(client.connect()).rejects.toMatchObject({ code: 'unsupported-runtime' });
});
