import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ClientState, KeptSums } from '../../js/protocol.js';
import { address, connected, failure, heard, stats, stubBrowser } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('stats', () => {
  test('over all visits are the worker’s sums by their names', async () => {
    const { client, worker } = await connected();
    const asked = client.stats();
    const kept = [1_764_000_000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] satisfies KeptSums;
    worker.answer(await worker.request('stats'), { ...stats, kept });
    expect((await asked).kept).toEqual({
      since: new Date('2025-11-24T16:00:00Z'),
      visits: 1,
      out: { real: 2, reply: 3, retransmission: 4, cover: 5 },
      in: { message: 6, ack: 7, cover: 8, unknown: 9 },
      bytesIn: 10,
      bytesOut: 11,
      delivered: 12,
      received: 13,
      undelivered: 14,
      reconnects: 15,
    });
  });

  test('are the worker’s, with the time and the state', async () => {
    const { client, worker } = await connected();
    const answer = client.stats();
    worker.answer(await worker.request('stats'), stats);
    expect(await answer).toEqual({ ...stats, at: expect.any(Date) as Date, state: 'ready' });
  });

  test('reject with the reason of the abort', async () => {
    const { client } = await connected();
    const controller = new AbortController();
    const answer = client.stats({ signal: controller.signal });
    controller.abort('no');
    expect(await failure(answer)).toBe('no');
    expect(await failure(client.stats({ signal: AbortSignal.abort('never') }))).toBe('never');
  });

  test('reject at their deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { client } = await connected();
    const answer = failure(client.stats());
    await vi.advanceTimersByTimeAsync(5000);
    expect(await answer).toMatchObject({ code: 'timeout', name: 'MixTimeoutError' });
    vi.useRealTimers();
  });

  test('refuse unknown options', async () => {
    const { client } = await connected();
    expect(await failure(client.stats({ every: 1 } as never))).toMatchObject({ code: 'config-invalid' });
  });
});

describe('a page that the browser freezes', () => {
  test('is paused, and then what the worker says the link is', async () => {
    const document = new EventTarget();
    vi.stubGlobal('document', document);
    const { client, worker } = await connected();
    const states = heard(client, 'statechange') as { state: ClientState; previous: ClientState }[];
    document.dispatchEvent(new Event('resume'));
    document.dispatchEvent(new Event('freeze'));
    expect(client.state).toBe('paused');
    const sent = client.send(address, 'meanwhile');
    worker.answer(await worker.request('send'));
    await sent.queued;
    worker.say({ event: 'state', state: 'reconnecting' });
    await worker.flush();
    expect(client.state).toBe('paused');
    document.dispatchEvent(new Event('resume'));
    worker.say({ event: 'state', state: 'ready' });
    await worker.flush();
    expect(states.map(({ state }) => state)).toEqual(['paused', 'reconnecting', 'ready']);

    const closing = client.close({ drain: false });
    worker.answer(await worker.request('close'));
    await closing;
    document.dispatchEvent(new Event('freeze'));
    document.dispatchEvent(new Event('resume'));
    expect(client.state).toBe('closed');
  });
});
