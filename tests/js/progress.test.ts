import { beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import type { PageMessage } from '../../js/protocol.js';
import type { MixStats, SendProgress } from '../../js/types.js';
import { address, connected, failure, heard, newClient, open, started, stateOf, stats, stubBrowser } from './fake.js';
import type { FakeWorker } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

const fragments = (message: number, sent: number, acked: number, total: number, retransmissions = 0) =>
  ({ event: 'fragments', message, sent, acked, total, retransmissions }) as const;

const values = (sent: number, acked: number, total: number, retransmissions = 0): SendProgress => ({
  fragmentsSent: sent,
  fragmentsAcked: acked,
  fragmentsTotal: total,
  retransmissions,
});

const notices = (worker: FakeWorker, op: string): PageMessage[] => worker.posted.filter((message) => message.op === op);

describe('progress()', () => {
  test('tells how far a message has come, and ends with it', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const request = await worker.request('send');
    expect(request.options.watched).toBe(false);
    const progress = sent.progress();
    expect(await worker.next('watch')).toEqual({ op: 'watch', message: request.message, watched: true });
    worker.say(fragments(request.message, 1, 0, 3));
    expect(await progress.next()).toEqual({ value: values(1, 0, 3), done: false });
    worker.say(fragments(request.message, 3, 2, 3, 1));
    expect(await progress.next()).toEqual({ value: values(3, 2, 3, 1), done: false });
    worker.say(fragments(request.message, 3, 3, 3, 1));
    worker.say({ event: 'delivered', message: request.message, roundTripMs: 1, retransmissions: 1 });
    await sent.delivered;
    expect(await progress.next()).toEqual({ value: values(3, 3, 3, 1), done: false });
    expect(await progress.next()).toEqual({ value: undefined, done: true });
  });

  test('who reads slowly gets the latest', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const { message } = await worker.request('send');
    const progress = sent.progress();
    for (let count = 1; count <= 20; count++) worker.say(fragments(message, count, 0, 20));
    await worker.flush();
    expect((await progress.next()).value).toEqual(values(20, 0, 20));
    expect(await stateOf(progress.next())).toBe('pending');
  });

  test('of a message that waits for the connection is asked for with it', async () => {
    const fake = newClient();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const sent = fake.client.send(address, 'hello');
    sent.progress();
    await open(worker);
    await connecting;
    expect((await worker.request('send')).options.watched).toBe(true);
    expect(notices(worker, 'watch')).toEqual([]);
  });

  test('is told to every reader, and not asked for any more when the last has left', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    const { message } = await worker.request('send');
    const [one, other] = [sent.progress(), sent.progress()];
    worker.say(fragments(message, 1, 0, 2));
    expect((await one.next()).value).toEqual(values(1, 0, 2));
    expect((await other.next()).value).toEqual(values(1, 0, 2));
    await one.return?.();
    await worker.flush();
    expect(notices(worker, 'watch')).toHaveLength(1);
    worker.say(fragments(message, 2, 0, 2));
    for await (const value of other) {
      expect(value).toEqual(values(2, 0, 2));
      break;
    }
    await worker.flush();
    expect(notices(worker, 'watch').slice(1)).toEqual([{ op: 'watch', message, watched: false }]);
    // A late reader begins with what is known.
    expect((await sent.progress().next()).value).toEqual(values(2, 0, 2));
  });

  test('of a message that fails ends, and of one that has ended has nothing more to tell', async () => {
    const { client, worker } = await connected();
    const sent = client.send(address, 'hello');
    await worker.request('send');
    const progress = sent.progress();
    const next = progress.next();
    sent.cancel();
    expect(await next).toEqual({ value: undefined, done: true });
    expect(await sent.progress().next()).toEqual({ value: undefined, done: true });
    const refused = newClient().client.send(address, 'hello');
    await failure(refused.queued);
    expect(await refused.progress().next()).toEqual({ value: undefined, done: true });
  });
});

describe('retransmit', () => {
  test('is told as long as somebody listens', async () => {
    const { client, worker } = await connected();
    const listen = (retransmissions: boolean) => ({ op: 'listen', retransmissions, surbs: false });
    const listener = vi.fn<(event: CustomEvent<unknown>) => void>();
    client.addEventListener('retransmit', listener);
    expect(await worker.next('listen')).toEqual(listen(true));
    const sent = client.send(address, 'hello');
    const { message } = await worker.request('send');
    worker.say(fragments(message, 2, 0, 2, 1));
    worker.say(fragments(message, 2, 1, 2, 1));
    worker.say(fragments(message, 2, 1, 2, 4));
    await worker.flush();
    expect(listener.mock.calls.map(([event]) => event.detail)).toEqual([
      { id: sent.id, fragments: 1, retransmissions: 1 },
      { id: sent.id, fragments: 3, retransmissions: 4 },
    ]);
    client.removeEventListener('retransmit', listener);
    expect(await worker.next('listen')).toEqual(listen(false));
  });

  test('listeners that want one event only, or until an abort, are listeners for so long', async () => {
    const { client, worker } = await connected();
    const surbs = async () => ((await worker.next('listen')) as { surbs: boolean }).surbs;
    const controller = new AbortController();
    client.addEventListener('surbs', () => {}, { once: true });
    expect(await surbs()).toBe(true);
    worker.say({ event: 'surbs', tag: 'x', held: 1, canReply: true });
    expect(await surbs()).toBe(false);
    const listener = () => {};
    client.addEventListener('surbs', listener, { signal: controller.signal });
    client.addEventListener('surbs', listener);
    expect(await surbs()).toBe(true);
    controller.abort();
    expect(await surbs()).toBe(false);
    client.addEventListener('surbs', listener, { signal: controller.signal });
    client.addEventListener('surbs', null);
    await worker.flush();
    expect(notices(worker, 'listen')).toHaveLength(4);
  });

  test('listeners of before connect count', async () => {
    const fake = newClient();
    fake.client.addEventListener('retransmit', () => {});
    const connecting = fake.client.connect();
    const worker = await started(fake);
    await open(worker);
    await connecting;
    expect(await worker.next('listen')).toMatchObject({ retransmissions: true });
  });
});

describe('statsStream', () => {
  test('tells the counters again and again, until it is left', async () => {
    const { client, worker } = await connected();
    const seen: MixStats[] = [];
    const answering = answerStats(worker, 3);
    for await (const value of client.statsStream({ everyMs: limits.statsEveryMs })) {
      seen.push(value);
      if (seen.length === 3) break;
    }
    await answering;
    expect(seen.map(({ at: _at, ...rest }) => rest)).toEqual(Array(3).fill({ ...stats, state: 'ready' }));
    const times = seen.map(({ at }) => at.getTime());
    expect((times[2] as number) - (times[0] as number)).toBeGreaterThanOrEqual(2 * limits.statsEveryMs - 20);
    expect(worker.posted.filter(({ op }) => op === 'stats')).toHaveLength(3);
  });

  test('asks only when somebody waits', async () => {
    const { client, worker } = await connected();
    const stream = client.statsStream({ everyMs: limits.statsEveryMs });
    await new Promise((resolve) => setTimeout(resolve, 3 * limits.statsEveryMs));
    expect(worker.posted.filter(({ op }) => op === 'stats')).toEqual([]);
    const next = stream.next();
    await answerStats(worker, 1);
    expect((await next).done).toBe(false);
  });

  test('ends with the abort and with the client, and says so at once', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const aborted = client.statsStream({ signal: controller.signal });
    const waiting = aborted.next();
    controller.abort();
    expect(await waiting).toEqual({ value: undefined, done: true });
    const stream = client.statsStream({ everyMs: 60_000 });
    const first = stream.next();
    await worker.request('stats');
    await answerStats(worker, 1);
    await first;
    const second = stream.next();
    void client.close({ drain: false });
    expect(await second).toEqual({ value: undefined, done: true });
    expect(await client.statsStream().next()).toEqual({ value: undefined, done: true });
  });

  test('begins before the client is connected', async () => {
    const fake = newClient();
    const next = fake.client.statsStream({ everyMs: limits.statsEveryMs }).next();
    const connecting = fake.client.connect();
    const worker = await started(fake);
    await open(worker);
    await connecting;
    await answerStats(worker, 1);
    expect((await next).value).toMatchObject({ bytesIn: stats.bytesIn });
  });

  test('refuses what makes no sense', async () => {
    const { client } = await connected();
    for (const options of [{ everyMs: 1 }, { every: 1000 }, { signal: 1 }]) {
      expect(() => client.statsStream(options as never)).toThrow(expect.objectContaining({ code: 'config-invalid' }));
    }
  });

  test('the event is raised each second while somebody listens', async () => {
    const { client, worker } = await connected();
    await worker.flush();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const details = heard(client, 'stats');
    for (let count = 1; count <= 2; count++) {
      vi.advanceTimersByTime(limits.statsEventMs);
      await answerStats(worker, 1);
      await vi.waitUntil(() => details.length === count);
    }
    expect(details[1]).toMatchObject({ bytesOut: stats.bytesOut });
    void client.close({ drain: false });
    vi.advanceTimersByTime(5 * limits.statsEventMs);
    await worker.flush();
    expect(worker.posted.filter(({ op }) => op === 'stats')).toHaveLength(2);
    vi.useRealTimers();
  });
});

async function answerStats(worker: FakeWorker, times: number): Promise<void> {
  for (let i = 0; i < times; i++) worker.answer(await worker.request('stats'), stats);
}
