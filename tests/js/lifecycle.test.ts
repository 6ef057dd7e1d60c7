import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { MixError } from '../../js/errors.js';
import type { ClientState } from '../../js/protocol.js';
import type { Fake } from './fake.js';
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
  stats,
  stubBrowser,
} from './fake.js';

/** Brings a fresh client into each state. */
const states: Record<ClientState, () => Promise<Fake>> = {
  idle: () => Promise.resolve(newClient()),
  connecting: async () => {
    const fake = newClient();
    fake.client.connect().catch(() => {});
    await started(fake);
    return fake;
  },
  ready: () => connected(),
  degraded: () => connectedThen('degraded'),
  reconnecting: () => connectedThen('reconnecting'),
  paused: () => connectedThen('paused'),
  closed: async () => {
    const fake = await connected();
    const closing = fake.client.close();
    fake.worker.answer(await fake.worker.request('close'));
    await closing;
    return fake;
  },
};

/** Each call with what comes of it, as one word. */
const calls: Record<string, (fake: Fake) => Promise<string>> = {
  connect: async (fake) => {
    const before = fake.workers.length;
    const outcome = settles(fake.client.connect());
    await new Promise((resolve) => setImmediate(resolve));
    const fresh = fake.workers.length > before || fake.client.state === 'connecting';
    if (fresh) await open(await started(fake, Math.max(1, before + (fake.workers.length > before ? 1 : 0))));
    return `${fresh ? 'connects' : 'at once'}: ${await outcome}`;
  },
  close: async (fake) => {
    const closing = settles(fake.client.close());
    const asks = await Promise.race([
      closing.then(() => false),
      fake.workers.length > 0
        ? fake.worker.request('close').then((r) => (fake.worker.answer(r), true))
        : new Promise<never>(() => {}),
    ]);
    const outcome = await closing;
    return `${asks ? 'drains' : 'at once'}: ${outcome}, then ${fake.client.state}`;
  },
  send: async (fake) => {
    const sent = fake.client.send(address, 'x');
    if (fake.client.state === 'connecting') {
      if ((await stateOf(sent.queued)) !== 'pending') return settles(sent.queued);
      await open(fake.worker);
    }
    const posted = fake.workers.length > 0 ? fake.worker.request('send').then((r) => fake.worker.answer(r)) : undefined;
    await Promise.race([posted, sent.queued.catch(() => {})]);
    return settles(sent.queued);
  },
  messages: async (fake) => {
    const next = fake.client.messages().next();
    return (await stateOf(next)) === 'pending' ? 'waits' : (await next).done ? 'has ended' : 'has a message';
  },
  stats: (fake) => {
    if (fake.workers.length > 0) void fake.worker.request('stats').then((r) => fake.worker.answer(r, stats));
    return settles(fake.client.stats());
  },
  'network.topology': (fake) => {
    const answer = { epoch: 1, rotation: 1, layers: [1, 1, 1], gateways: 1, ageMs: 0 };
    if (fake.workers.length > 0) void fake.worker.request('topology').then((r) => fake.worker.answer(r, answer));
    return settles(fake.client.network.topology());
  },
  'network.gateways': (fake) => {
    if (fake.workers.length > 0) void fake.worker.request('gateways').then((r) => fake.worker.answer(r, [gateway]));
    return settles(fake.client.network.gateways({ measure: true }));
  },
  'network.switchGateway': (fake) => {
    const answer = { address, gateway };
    if (fake.workers.length > 0) void fake.worker.request('switch').then((r) => fake.worker.answer(r, answer));
    return settles(fake.client.network.switchGateway(gateway.id));
  },
  statsStream: async (fake) => {
    const next = fake.client.statsStream().next();
    if (fake.workers.length > 0) void fake.worker.request('stats').then((r) => fake.worker.answer(r, stats));
    await fake.workers[0]?.flush();
    return (await stateOf(next)) === 'pending' ? 'waits' : (await next).done ? 'has ended' : 'has a value';
  },
  'traffic.set': async (fake) => {
    const set = settles(fake.client.traffic.set('fast'));
    if ((await stateOf(set)) === 'fulfilled') return `at once: ${await set}`;
    fake.worker.answer(await fake.worker.request('traffic'));
    return `asks: ${await set}`;
  },
  privacyReport: (fake) => Promise.resolve(`counts ${fake.client.privacyReport().bytesPerHour > 0}`),
};

const table: Record<ClientState, Record<keyof typeof calls, string>> = {
  idle: {
    connect: 'connects: resolves',
    close: 'at once: resolves, then closed',
    send: 'not-connected',
    messages: 'waits',
    stats: 'not-connected',
    'network.topology': 'not-connected',
    'network.gateways': 'not-connected',
    'network.switchGateway': 'not-connected',
    statsStream: 'waits',
    'traffic.set': 'at once: resolves',
    privacyReport: 'counts true',
  },
  connecting: {
    connect: 'connects: resolves',
    close: 'at once: resolves, then closed',
    send: 'resolves',
    messages: 'waits',
    stats: 'not-connected',
    'network.topology': 'not-connected',
    'network.gateways': 'not-connected',
    'network.switchGateway': 'not-connected',
    statsStream: 'waits',
    'traffic.set': 'at once: resolves',
    privacyReport: 'counts true',
  },
  ready: live(),
  degraded: live(),
  reconnecting: live(),
  paused: live(),
  closed: {
    connect: 'connects: resolves',
    close: 'at once: resolves, then closed',
    send: 'closed',
    messages: 'has ended',
    stats: 'closed',
    'network.topology': 'closed',
    'network.gateways': 'closed',
    'network.switchGateway': 'closed',
    statsStream: 'has ended',
    'traffic.set': 'at once: resolves',
    privacyReport: 'counts true',
  },
};

function live() {
  return {
    connect: 'at once: resolves',
    close: 'drains: resolves, then closed',
    send: 'resolves',
    messages: 'waits',
    stats: 'resolves',
    'network.topology': 'resolves',
    'network.gateways': 'resolves',
    'network.switchGateway': 'resolves',
    statsStream: 'has a value',
    'traffic.set': 'asks: resolves',
    privacyReport: 'counts true',
  };
}

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe.each(Object.keys(states) as ClientState[])('in the state %s', (state) => {
  test.each(Object.keys(calls))('%s', async (call) => {
    const fake = await states[state]();
    expect(fake.client.state).toBe(state);
    expect(await calls[call]?.(fake)).toBe(table[state][call]);
  });

  test('address and gateway are there from the first connect on', async () => {
    const { client } = await states[state]();
    const known = state !== 'idle' && state !== 'connecting';
    expect([client.address !== null, client.gateway !== null]).toEqual([known, known]);
  });
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

async function connectedThen(state: ClientState): Promise<Fake> {
  const fake = await connected();
  fake.worker.say({ event: 'state', state });
  await fake.worker.flush();
  return fake;
}

const settles = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolves',
    (error: unknown) => (error as MixError).code,
  );

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
