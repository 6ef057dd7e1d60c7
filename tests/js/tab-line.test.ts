import { afterEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import { buffersIn, pack, unpack } from '../../js/tab-frame.js';
import { derived, drawn } from '../../js/tab-key.js';
import { TabLine, seal, unseal } from '../../js/tab-line.js';

/** On a busy machine things take their time. */
const until = (fits: () => unknown) => vi.waitUntil(fits, { timeout: 8_000 });

describe('messages as bytes', () => {
  const message = {
    id: 7,
    op: 'request',
    none: null,
    items: [
      { message: 2 ** 40 + 1, body: new Uint8Array([1, 2, 3]) },
      { message: 3, body: new Uint8Array() },
      { message: 4, body: new Uint8Array([9, 9, 4, 9]).subarray(2, 3) },
    ],
    text: '\0bytes and "quotes"',
  };

  test('come back as they were, with bytes in buffers of their own', () => {
    const back = unpack(pack(message));
    expect(back).toEqual(message);
    const buffers = buffersIn(back);
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([3, 0, 1]);
    expect(new Set(buffers).size).toBe(3);
  });

  test('are copied at once', () => {
    const body = new Uint8Array([1, 2, 3]);
    const bytes = pack({ body });
    body.fill(0);
    expect(unpack(bytes)).toEqual({ body: new Uint8Array([1, 2, 3]) });
  });

  test('what is absent stays absent', () => {
    expect(Object.keys(unpack(pack({ a: undefined, b: 1 })) as object)).toEqual(['b']);
  });

  test.each([[new Uint8Array()], [new Uint8Array([0, 0, 0, 9, 123])], [new Uint8Array([0, 0, 0, 1, 123])]])(
    'what is none throws',
    (bytes) => {
      expect(() => unpack(bytes)).toThrow();
    },
  );
});

describe('the line between two tabs', () => {
  const open: BroadcastChannel[] = [];
  afterEach(() => open.splice(0).forEach((channel) => channel.close()));
  let count = 0;

  async function line() {
    const keys = await (await derived(await drawn())).line(new Uint8Array(16));
    const name = `line ${(count += 1)}`;
    const [one, two, spy] = [new BroadcastChannel(name), new BroadcastChannel(name), new BroadcastChannel(name)];
    open.push(one, two, spy);
    const got: unknown[] = [];
    const seen: { n: number; last: boolean; box: ArrayBuffer }[] = [];
    const onBroken = vi.fn();
    const owner = { onMessage: (message: unknown) => void got.push(message), onBroken };
    const writer = new TabLine(one, { write: keys.up, read: keys.down }, { onMessage: () => {}, onBroken: () => {} });
    const reader = new TabLine(two, { write: keys.down, read: keys.up }, owner);
    /** What the test does to a piece on its way; `null` loses it. */
    const way = { meddle: (piece: unknown): unknown => piece };
    two.onmessage = (event) => {
      const piece = way.meddle(event.data);
      if (piece !== null) reader.handle(piece);
    };
    spy.onmessage = (event) => void seen.push(event.data as (typeof seen)[number]);
    return { writer, got, seen, way, onBroken };
  }

  test('brings messages in order, long ones in pieces', async () => {
    const { writer, got, seen } = await line();
    const long = crypto.getRandomValues(new Uint8Array(60_000));
    const body = new Uint8Array(3 * limits.tabPieceBytes);
    for (let at = 0; at < body.length; at += long.length) body.set(long.subarray(0, body.length - at), at);
    writer.post({ n: 1 });
    writer.post({ n: 2, body });
    writer.post({ n: 3 });
    await until(() => got.length === 3);
    expect(got.map((message) => (message as { n: number }).n)).toEqual([1, 2, 3]);
    expect(Buffer.compare((got[1] as { body: Uint8Array }).body, body)).toBe(0);
    expect(seen.map(({ n, last }) => [n, last])).toEqual([
      [0, true],
      [1, false],
      [2, false],
      [3, false],
      [4, true],
      [5, true],
    ]);
  });

  test('shows nothing to who only listens', async () => {
    const { writer, got, seen } = await line();
    writer.post({ op: 'send', body: new TextEncoder().encode('a secret text') });
    await until(() => got.length === 1 && seen.length === 1);
    const text = new TextDecoder('latin1').decode(seen[0]?.box);
    expect(text).not.toContain('secret');
    expect(text).not.toContain('send');
  });

  const pieceOf = (piece: unknown) => piece as { n: number; last: boolean; box: ArrayBuffer };
  test.each([
    ['altered', (piece: unknown) => ({ ...pieceOf(piece), box: flipped(pieceOf(piece).box) })],
    ['lost', (piece: unknown) => (pieceOf(piece).n === 0 ? null : piece)],
    ['repeated', (piece: unknown) => ({ ...pieceOf(piece), n: 0 })],
    ['said to be the last', (piece: unknown) => ({ ...pieceOf(piece), last: !pieceOf(piece).last })],
    ['something else', () => 'hello'],
    ['nothing', () => undefined],
  ])('breaks, once, when a piece is %s', async (what, meddle) => {
    const { writer, got, way, onBroken } = await line();
    if (what === 'repeated') {
      writer.post({ n: 0 });
      await until(() => got.length === 1);
    }
    way.meddle = meddle;
    writer.post({ n: 1 });
    writer.post({ n: 2 });
    await until(() => onBroken.mock.calls.length > 0);
    expect(onBroken).toHaveBeenCalledOnce();
    expect(got).toEqual(what === 'repeated' ? [{ n: 0 }] : []);
  });

  test('a message longer than any is allowed breaks it, with little held', async () => {
    const keys = await (await derived(await drawn())).line(new Uint8Array(1));
    const broken = vi.fn();
    const channel = new BroadcastChannel('endless');
    open.push(channel);
    const victim = new TabLine(channel, { write: keys.down, read: keys.up }, { onMessage: () => {}, onBroken: broken });
    for (let n = 0; n <= limits.tabPieces; n += 1) {
      const iv = new Uint8Array(12);
      new DataView(iv.buffer).setBigUint64(4, BigInt(n));
      const parameters = { name: 'AES-GCM', iv, additionalData: new Uint8Array([0]) };
      victim.handle({ n, last: false, box: await crypto.subtle.encrypt(parameters, keys.up, new Uint8Array(1)) });
    }
    await until(() => broken.mock.calls.length > 0);
  });

  test('the longest message fits', () => {
    expect(limits.tabPieceBytes * limits.tabPieces).toBeGreaterThan(limits.messageBytes + limits.tabPieceBytes);
  });

  test('greetings open under their key only', async () => {
    const [keys, others] = [await derived(await drawn()), await derived(await drawn())];
    const sealed = await seal(keys.hall, { tab: 'a' });
    expect(await unseal(keys.hall, sealed)).toEqual({ tab: 'a' });
    expect(await unseal(others.hall, sealed)).toBeNull();
    expect(await unseal(keys.hall, sealed.subarray(1))).toBeNull();
    expect(await unseal(keys.hall, new Uint8Array())).toBeNull();
    expect(await unseal(keys.hall, 'hello')).toBeNull();
  });

  test('keys cannot be exported', async () => {
    const base = await drawn();
    const { hall } = await derived(base);
    await expect(crypto.subtle.exportKey('raw', hall)).rejects.toThrow();
    await expect(crypto.subtle.exportKey('raw', base)).rejects.toThrow();
  });
});

function flipped(box: ArrayBuffer): ArrayBuffer {
  const bytes = new Uint8Array(box.slice(0));
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return bytes.buffer;
}
