import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { MixError } from '../../js/errors.js';
import type { MixClientOptions, MixEngine, PrivacyReport, TrafficControl } from '../../js/types.js';
import { address, connected, failure, gateway, newClient, started, stateOf, stubBrowser } from './fake.js';

const balanced = { slotMs: 20, loopMs: 200, hopDelayMs: 15, ackDelayMs: 15, dangerNoPacing: false };
const strong = { ...balanced, hopDelayMs: 50, ackDelayMs: 50 };
const fast = { slotMs: 4, loopMs: 200, hopDelayMs: 10, ackDelayMs: 10, dangerNoPacing: false };

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

describe('traffic', () => {
  test('shows the five values and nothing else of the options, and cannot be written to', () => {
    const { client } = newClient({ privacy: { hopDelayMs: 30 } });
    expect(client.traffic.params).toEqual({ ...balanced, hopDelayMs: 30 });
    expect(() => Object.assign(client.traffic.params, { slotMs: 1 })).toThrow(TypeError);
    expect(client.traffic).toBe(client.traffic);
  });

  test('before connect it is what connect uses', async () => {
    const fake = newClient();
    await fake.client.traffic.set('strong');
    expect(fake.client.traffic.params).toEqual(strong);
    expect(fake.workers).toHaveLength(0);
    void fake.client.connect();
    const worker = await started(fake);
    expect((await worker.request('open')).options).toMatchObject(strong);
  });

  test('while connected it resolves when the worker has taken it', async () => {
    const { client, worker } = await connected();
    const setting = client.traffic.set('fast');
    const request = await worker.request('traffic');
    expect(request.traffic).toEqual(fast);
    expect(await stateOf(setting)).toBe('pending');
    worker.answer(request);
    await expect(setting).resolves.toBeUndefined();
    expect(client.traffic.params).toEqual(fast);
  });

  test('single values leave the others as they are, a profile none', async () => {
    const { client, worker } = await connected({ privacy: 'fast' });
    const said = async (privacy: Parameters<TrafficControl['set']>[0]) => {
      const setting = client.traffic.set(privacy);
      const request = await worker.request('traffic');
      worker.answer(request);
      await setting;
      expect(client.traffic.params).toEqual(request.traffic);
      return request.traffic;
    };
    expect(await said({ dangerNoPacing: true })).toEqual({ ...fast, dangerNoPacing: true });
    expect(await said({ hopDelayMs: 0 })).toEqual({ ...fast, hopDelayMs: 0, dangerNoPacing: true });
    expect(await said({})).toEqual({ ...fast, hopDelayMs: 0, dangerNoPacing: true });
    expect(await said('balanced')).toEqual(balanced);
  });

  test('two at once arrive in order and build on each other', async () => {
    const { client, worker } = await connected();
    const both = [client.traffic.set('strong'), client.traffic.set({ slotMs: 40 })];
    const [first, second] = [await worker.request('traffic'), await worker.request('traffic')];
    expect([first.traffic, second.traffic]).toEqual([strong, { ...strong, slotMs: 40 }]);
    worker.answer(first);
    worker.answer(second);
    await Promise.all(both);
  });

  test('set while connecting, before the worker is asked, it is what it is asked with', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    await fake.client.traffic.set('fast');
    const worker = await started(fake);
    const request = await worker.request('open');
    expect(request.options).toMatchObject(fast);
    worker.answer(request, { address, gateway });
    await connecting;
    await worker.flush();
    expect(worker.posted.map(({ op }) => op)).toEqual(['open']);
  });

  test('set while connecting, after the worker was asked, it is told before any message', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const request = await worker.request('open');
    void fake.client.send(address, 'at once');
    await fake.client.traffic.set('strong');
    await fake.client.traffic.set({ loopMs: 100 });
    worker.answer(request, { address, gateway });
    await connecting;
    expect((await worker.request('traffic')).traffic).toEqual({ ...strong, loopMs: 100 });
    await worker.request('send');
    expect(worker.posted.map(({ op }) => op)).toEqual(['open', 'traffic', 'send']);
  });

  test('after close it is what the next connect uses, and the worker that still drains is left alone', async () => {
    const fake = await connected();
    const closing = fake.client.close();
    const close = await fake.worker.request('close');
    await fake.client.traffic.set('fast');
    expect(fake.worker.posted.map(({ op }) => op)).toEqual(['open', 'close']);
    fake.worker.answer(close);
    await closing;
    void fake.client.connect();
    const worker = await started(fake, 2);
    expect((await worker.request('open')).options).toMatchObject(fast);
  });

  test('a change lasts over the next connect', async () => {
    const fake = await connected();
    const setting = fake.client.traffic.set('strong');
    fake.worker.answer(await fake.worker.request('traffic'));
    await setting;
    const closing = fake.client.close();
    fake.worker.answer(await fake.worker.request('close'));
    await closing;
    void fake.client.connect();
    expect((await (await started(fake, 2)).request('open')).options).toMatchObject(strong);
  });

  test('what makes no sense rejects with the error the constructor throws, and changes nothing', async () => {
    const { client, worker } = await connected();
    const wrong: unknown[] = [
      'paranoid',
      'toString',
      null,
      undefined,
      7,
      { slot: 5 },
      { slotMs: 0 },
      { slotMs: '20' },
      { loopMs: 10_001 },
      { hopDelayMs: -1 },
      { ackDelayMs: NaN },
      { dangerNoPacing: 1 },
    ];
    for (const privacy of wrong) {
      const error = (await failure(client.traffic.set(privacy as never))) as MixError;
      expect(error, JSON.stringify(privacy)).toBeInstanceOf(MixError);
      expect(error).toMatchObject({ code: 'config-invalid', retriable: false });
      if (privacy === undefined) continue;
      expect(() => newClient({ privacy: privacy as never })).toThrow(error.message);
    }
    for (const options of [{ timeout: 1 }, { timeoutMs: -1 }, { signal: {} }, null]) {
      const error = await failure(client.traffic.set('fast', options as never));
      expect(error, JSON.stringify(options)).toMatchObject({ code: 'config-invalid' });
    }
    const reason = new Error('no');
    expect(await failure(client.traffic.set('fast', { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(client.traffic.params).toEqual(balanced);
    await worker.flush();
    expect(worker.posted.map(({ op }) => op)).toEqual(['open']);
  });

  test('an abort and the deadline end the waiting', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const setting = client.traffic.set('fast', { signal: controller.signal });
    await worker.request('traffic');
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failure(setting)).toBe(reason);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const late = failure(client.traffic.set('strong'));
      vi.advanceTimersByTime(5_000);
      expect(await late).toMatchObject({ code: 'timeout', name: 'MixTimeoutError' });
      expect(((await late) as Error).message).toContain('traffic.set');
    } finally {
      vi.useRealTimers();
    }
  });

  test('a worker that ends meanwhile rejects it', async () => {
    const { client, worker } = await connected();
    const setting = failure(client.traffic.set('fast'));
    await worker.request('traffic');
    worker.say({ event: 'crashed', detail: 'unreachable' });
    expect(await setting).toMatchObject({ code: 'worker-crashed' });
  });

  test('a connect that fails after a change leaves nothing unhandled', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const fake = newClient({ storage: 'memory' });
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const request = await worker.request('open');
    await fake.client.traffic.set('fast');
    worker.answer(request, { address, gateway });
    await connecting;
    worker.say({ event: 'crashed', detail: 'unreachable' });
    await worker.flush();
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
    expect(fake.client.state).toBe('closed');
  });
});

describe('the privacy report', () => {
  const report = (options: Partial<MixClientOptions> = {}) => newClient(options).client.privacyReport();
  const what = (who: string, { sees }: PrivacyReport) => sees.find((one) => one.who === who)?.what ?? '';
  const weak = ({ weakened }: PrivacyReport) => weakened.map(({ setting }) => setting);
  const safest = { askForMore: false, storage: 'memory' } as const;

  test('says of each who could look what it sees', () => {
    const all = report();
    expect(all.sees.map(({ who }) => who)).toEqual(['gateway', 'line', 'mix nodes', 'recipient', 'directory']);
    for (const who of ['gateway', 'line']) {
      expect(what(who, all)).toContain('IP address');
      expect(what(who, all)).toContain('55 packets a second leave at random times, the same whatever you do');
      // What arrives is not the same, and that is not kept quiet.
      expect(what(who, all)).toContain('What arrives depends on what you do');
      expect(what(who, all)).toContain('no loop cover');
      expect(what(who, all)).toContain('counting');
    }
    expect(what('mix nodes', all)).toContain('15 ms');
    expect(what('directory', all)).toContain('every 300 s');
    expect(what('directory', report({ network: { topology: { rewarded_set: {} } } }))).toContain('Nothing');
  });

  test('does not promise what the settings do not give', () => {
    expect(what('recipient', report())).toContain('run out of its reply blocks');
    expect(what('recipient', report({ askForMore: false }))).not.toContain('reply blocks');
    const unpaced = report({ privacy: { dangerNoPacing: true } });
    for (const who of ['gateway', 'line']) {
      expect(what(who, unpaced)).toContain('when and how much');
      expect(what(who, unpaced)).not.toContain('whatever you do');
    }
  });

  test('names each setting that has a safer choice, with its cost, and no other', () => {
    expect(weak(report())).toEqual(['askForMore', 'storage']);
    expect(weak(report(safest))).toEqual([]);
    expect(weak(report({ ...safest, privacy: 'strong' }))).toEqual([]);
    expect(weak(report({ ...safest, privacy: 'fast' }))).toEqual(['slotMs', 'hopDelayMs', 'ackDelayMs']);
    expect(weak(report({ ...safest, privacy: { dangerNoPacing: true } }))).toEqual(['dangerNoPacing']);
    expect(weak(report({ ...safest, privacy: { slotMs: 21, loopMs: 199 } }))).toEqual(['slotMs', 'loopMs']);
    expect(weak(report({ ...safest, privacy: { hopDelayMs: 14, ackDelayMs: 0 } }))).toEqual([
      'hopDelayMs',
      'ackDelayMs',
    ]);
    const network = { directories: ['http://127.0.0.1/api'], topology: {}, minPerformance: 80 };
    expect(weak(report({ ...safest, network }))).toEqual(['network.minPerformance', 'network.topology']);
    expect(weak(report({ ...safest, network: { ...network, topology: undefined, minPerformance: 50 } }))).toEqual([]);
    const engine = { startInThread: () => expect.unreachable() } as MixEngine;
    expect(weak(report({ ...safest, worker: false, engine }))).toEqual(['worker']);
    expect(weak(report({ askForMore: false, stats: 'kept' }))).toEqual(['storage', 'stats']);
    expect(weak(report({ ...safest, stats: 'kept' }))).toEqual([]);
    const everything = report({ privacy: { ...fast, loopMs: 100, dangerNoPacing: true } });
    expect(everything.weakened.every(({ cost }) => cost.length > 20)).toBe(true);
  });

  test('follows a change', async () => {
    const { client, worker } = await connected(safest);
    expect(weak(client.privacyReport())).toEqual([]);
    const setting = client.traffic.set({ hopDelayMs: 5 });
    worker.answer(await worker.request('traffic'));
    await setting;
    expect(weak(client.privacyReport())).toEqual(['hopDelayMs']);
    expect(what('mix nodes', client.privacyReport())).toContain('5 ms');
  });

  test('costs what the README says, and the frames around the packets on top', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const figures = /about (\d+) kB\/s up and (\d+) kB\/s down, always, about (\d+) MB an hour/.exec(readme);
    const [up, down, hour] = figures?.slice(1).map(Number) as [number, number, number];
    const { bytesPerHour } = report();
    // 55 packets a second, 2452 bytes out and 1794 back for each.
    expect(bytesPerHour).toBe(55 * (2452 + 1794) * 3600);
    for (const claimed of [hour * 1e6, (up + down) * 3.6e6]) {
      expect(bytesPerHour / claimed).toBeGreaterThan(1);
      expect(bytesPerHour / claimed).toBeLessThan(1.06);
    }
    expect(report({ privacy: 'strong' }).bytesPerHour).toBe(bytesPerHour);
    expect(report({ privacy: 'fast' }).bytesPerHour).toBe(Math.round((bytesPerHour * 255) / 55));
    // Only loop cover is there whatever is sent.
    expect(report({ privacy: { dangerNoPacing: true } }).bytesPerHour).toBe(Math.round((bytesPerHour * 5) / 55));
  });
});
