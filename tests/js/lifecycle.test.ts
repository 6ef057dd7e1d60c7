import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ClientState } from '../../js/protocol.js';
import { address, connected, failure, heard, stats, stubBrowser } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('stats', () => {
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
