import { MixClient } from 'mixlet';
import type { MixAddress, MixClientOptions, ReceivedMessage } from 'mixlet';
import { TestNetwork } from 'mixlet/testing';
import type { TestClientOptions, TestNetworkOptions } from 'mixlet/testing';
import { afterEach, vi } from 'vitest';

const opened: { close(): Promise<void> }[] = [];

// The last first: clients before their network.
afterEach(async () => {
  for (const it of opened.splice(0).reverse()) await it.close();
});

/** A network that ends with the test. */
export async function network(options?: TestNetworkOptions): Promise<TestNetwork> {
  const made = await TestNetwork.create(options);
  opened.push(made);
  return made;
}

/** A client that is not connected, and ends with the test. */
export function client(
  net: TestNetwork,
  options: TestClientOptions = {},
  more: Partial<MixClientOptions> = {},
): MixClient {
  const made = new MixClient({ ...net.options(options), ...more });
  opened.push({ close: () => made.close({ drain: false }) });
  return made;
}

export interface Connected {
  client: MixClient;
  address: MixAddress;
}

export async function connected(
  net: TestNetwork,
  options?: TestClientOptions,
  more?: Partial<MixClientOptions>,
): Promise<Connected> {
  const made = client(net, options, more);
  return { client: made, address: await made.connect() };
}

/** The next so many messages. */
export async function receive(from: MixClient, count: number): Promise<ReceivedMessage[]> {
  const messages: ReceivedMessage[] = [];
  if (count === 0) return messages;
  for await (const message of from.messages()) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

/** Bytes that are not all the same, and differ with the seed. */
export function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[i] = state >>> 24;
  }
  return made;
}

/** How many Sphinx packets a client wrote to its gateways. */
export function written(net: TestNetwork, address: MixAddress): number {
  const counts = net.packets(address).flatMap(({ written }) => Object.values(written));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** How many packets with something of the application in them a client has written, once all are at its gateway. */
export async function leaving(net: TestNetwork, { client, address }: Connected): Promise<number> {
  let real = 0;
  await until('all that left has arrived', async () => {
    const { out } = await client.stats();
    real = out.real + out.reply + out.retransmission;
    return written(net, address) === real + out.cover;
  });
  return real;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, atMostMs = 20_000): Promise<void> {
  const end = performance.now() + atMostMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not within ${atMostMs} ms: ${what}`);
    await pause(2);
  }
}

/** What a promise came to, and how many milliseconds after the call that was. */
export async function outcome(promise: Promise<unknown>): Promise<{ error?: unknown; value?: unknown; ms: number }> {
  const start = performance.now();
  try {
    return { value: await promise, ms: performance.now() - start };
  } catch (error) {
    return { error, ms: performance.now() - start };
  }
}

const realTimeout = setTimeout;

/** Lets fake time pass until something is so, in steps, as what is not faked needs real time: compiling above all. */
export async function passUntil(what: string, isSo: () => boolean, stepMs = 500): Promise<void> {
  // Every clock is faked; each step takes a millisecond at least.
  for (let steps = 0; !isSo(); steps++) {
    if (steps > 5_000) throw new Error(`not within ${steps} steps: ${what}`);
    await vi.advanceTimersByTimeAsync(stepMs);
    await new Promise((resolve) => realTimeout(resolve, 1));
  }
}

/** The same until a promise is settled. */
export async function passUntilSettled<T>(promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = () => (isOver = true);
  promise.then(over, over);
  await passUntil('the promise is settled', () => isOver);
  return promise;
}
