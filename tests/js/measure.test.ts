import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import { Measurer, fastest } from '../../js/measure.js';
import type { GatewayData } from '../../js/protocol.js';
import { gateway } from './fake.js';

/** A line to a gateway that does as its host's name says: `after-100` answers after so many milliseconds. */
class FakeSocket extends EventTarget {
  static readonly made: FakeSocket[] = [];
  static openAtOnce = 0;
  static most = 0;
  readonly readyState = 0;
  readonly bufferedAmount = 0;
  binaryType = 'blob';
  readonly sent: string[] = [];
  closed = false;
  readonly url: string;

  constructor(url: string) {
    super();
    this.url = url;
    FakeSocket.made.push(this);
    FakeSocket.most = Math.max(FakeSocket.most, ++FakeSocket.openAtOnce);
    const [kind, ms] = new URL(url).hostname.split('-');
    const half = Number(ms ?? 0) / 2;
    if (kind === 'refuses') setTimeout(() => this.dispatchEvent(new Event('close')), half);
    else setTimeout(() => this.dispatchEvent(new Event('open')), half);
  }

  send(text: string): void {
    this.sent.push(text);
    const [kind, ms] = new URL(this.url).hostname.split('-');
    const tired = kind === 'tires' && FakeSocket.made.filter(({ url }) => url === this.url).length > 1;
    if (tired) setTimeout(() => this.dispatchEvent(new Event('close')), 1);
    else if (kind !== 'silent') setTimeout(() => this.dispatchEvent(new Event('message')), Number(ms) / 2);
  }

  close(): void {
    if (!this.closed) FakeSocket.openAtOnce--;
    this.closed = true;
  }
}

const at = (host: string): GatewayData => ({ ...gateway, id: host, host, url: `ws://${host}:9000` });
const latencies = (gateways: GatewayData[]) => Object.fromEntries(gateways.map(({ id, latencyMs }) => [id, latencyMs]));

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made.length = 0;
  FakeSocket.openAtOnce = 0;
  FakeSocket.most = 0;
});
afterEach(() => {
  expect(FakeSocket.made.every(({ closed }) => closed)).toBe(true);
  vi.useRealTimers();
});

describe('measuring gateways', () => {
  test('takes the median of three times from opening to the first answer', async () => {
    const answer = new Measurer((url) => new FakeSocket(url)).measure([at('after-100'), at('after-40')], 15_000);
    await vi.advanceTimersByTimeAsync(500);
    expect(latencies(await answer)).toEqual({ 'after-100': 100, 'after-40': 40 });
    expect(FakeSocket.made).toHaveLength(2 * limits.measurements);
    expect(FakeSocket.made.every(({ sent }) => sent.length === 1 && sent[0] === '{"type":"supportedProtocol"}')).toBe(
      true,
    );
  });

  test('says which cannot be reached, and why', async () => {
    const answer = new Measurer((url) => new FakeSocket(url)).measure(
      [at('refuses-10'), at('silent-10'), at('after-10')],
      15_000,
    );
    await vi.advanceTimersByTimeAsync(limits.measurementMs + 100);
    const [refuses, silent, good] = await answer;
    expect(refuses).toMatchObject({ usable: false, why: 'it cannot be reached' });
    expect(silent).toMatchObject({ usable: false, why: 'it did not answer within 5 s' });
    expect(good).toMatchObject({ usable: true, latencyMs: 10 });
    expect([refuses?.latencyMs, silent?.latencyMs]).toEqual([undefined, undefined]);
  });

  test('one that fails later keeps what was measured', async () => {
    const answer = new Measurer((url) => new FakeSocket(url)).measure([at('tires-20')], 15_000);
    await vi.advanceTimersByTimeAsync(200);
    expect(await answer).toMatchObject([{ usable: true, latencyMs: 20 }]);
  });

  test('asks at most eight at once, also over several calls', async () => {
    const measurer = new Measurer((url) => new FakeSocket(url));
    const many = (salt: string) => Array.from({ length: 20 }, (_, at_) => at(`after-${20 + at_}${salt}`));
    const answers = [measurer.measure(many(''), 15_000), measurer.measure(many('.b'), 15_000)];
    await vi.advanceTimersByTimeAsync(2_000);
    for (const answer of answers) expect((await answer).every(({ latencyMs }) => latencyMs !== undefined)).toBe(true);
    expect(FakeSocket.most).toBe(limits.measuredAtOnce);
  });

  test('ends in time with what is known; the others are as they were', async () => {
    const gateways = Array.from({ length: 40 }, (_, at_) => at(`silent-${at_ + 1}`));
    const answer = new Measurer((url) => new FakeSocket(url)).measure([at('after-5'), ...gateways], 2_000);
    await vi.advanceTimersByTimeAsync(2_000);
    const measured = await answer;
    expect(measured.map(({ id }) => id)).toEqual(['after-5', ...gateways.map(({ id }) => id)]);
    expect(measured.slice(1)).toEqual(gateways);
  });

  test('ends at the abort', async () => {
    const controller = new AbortController();
    const answer = new Measurer((url) => new FakeSocket(url)).measure([at('silent-1')], 0, controller.signal);
    await vi.advanceTimersByTimeAsync(10);
    controller.abort();
    expect(await answer).toEqual([at('silent-1')]);
    expect(await new Measurer((url) => new FakeSocket(url)).measure([at('after-1')], 0, controller.signal)).toEqual([
      at('after-1'),
    ]);
  });

  test('leaves alone what this page cannot use', async () => {
    const unusable = { ...at('after-1'), usable: false, why: 'plain' };
    expect(await new Measurer((url) => new FakeSocket(url)).measure([unusable], 0)).toEqual([unusable]);
    expect(FakeSocket.made).toEqual([]);
  });

  test('the nearest of those that were measured is the fastest', () => {
    const near = { ...at('near'), latencyMs: 5 };
    expect(fastest([{ ...at('far'), latencyMs: 50 }, near, at('unknown')])).toBe(near);
    expect(fastest([at('unknown'), { ...near, usable: false }])).toBe(undefined);
  });
});
