// Every call of a client in every state it can be in.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MixClient } from '../../js/client.js';
import type { MixError } from '../../js/errors.js';
import { Network } from '../../js/network.js';
import type { ClientState, PageMessage } from '../../js/protocol.js';
import type { ReceivedMessage } from '../../js/types.js';
import type { Fake, FakeWorker } from './fake.js';
import { address, gateway, heard, newClient, started, stats, stubBrowser, tag } from './fake.js';

/**
 * What comes of each call (rows) in each state (columns):
 *
 * - `asks`: the worker is asked at once
 * - `errand`: a worker is started for it, which ends with it
 * - `waits`: it is accepted, and the worker is asked as soon as there is one
 * - `page`: the page answers by itself
 * - `listens`: an iterator that waits for what comes
 * - `ends`: an iterator that has ended
 * - else the code it is refused with
 *
 * `reviving` is `reconnecting` where the worker has died and another one is being started, `draining` is `closed` while
 * the worker still waits for acks.
 */
const table = `
                        idle           connecting     ready    degraded  reconnecting  paused   closed  reviving       draining
connect                 asks           page           page     page      page          page     asks    page           waits
close                   page           page           asks     asks      asks          asks     page    page           page
send                    not-connected  waits          asks     asks      asks          asks     closed  waits          closed
send, persist           errand         waits          asks     asks      asks          asks     errand  waits          waits
reply                   not-connected  waits          asks     asks      asks          asks     closed  waits          closed
request                 not-connected  waits          asks     asks      asks          asks     closed  waits          closed
requestAll              not-connected  waits          asks     asks      asks          asks     closed  waits          closed
probe                   not-connected  waits          asks     asks      asks          asks     closed  waits          closed
openStream              not-connected  waits          asks     asks      asks          asks     closed  waits          closed
serve                   waits          asks           asks     asks      asks          asks     waits   asks           asks
listen                  waits          asks           asks     asks      asks          asks     ends    asks           ends
messages                listens        listens        listens  listens   listens       listens  ends    listens        ends
peer                    page           page           page     page      page          page     page    page           page
stats                   not-connected  not-connected  asks     asks      asks          asks     closed  not-connected  closed
statsStream             waits          waits          asks     asks      asks          asks     ends    waits          ends
privacyReport           page           page           page     page      page          page     page    page           page
traffic.set             waits          waits          asks     asks      asks          asks     waits   waits          waits
network.topology        not-connected  not-connected  asks     asks      asks          asks     closed  not-connected  closed
network.gateways        not-connected  not-connected  asks     asks      asks          asks     closed  not-connected  closed
network.switchGateway   not-connected  not-connected  asks     asks      asks          asks     closed  not-connected  closed
outbox.list             errand         waits          asks     asks      asks          asks     errand  waits          waits
outbox.find             errand         waits          asks     asks      asks          asks     errand  waits          waits
outbox.cancel           errand         waits          asks     asks      asks          asks     errand  waits          waits
identity.export         errand         waits          errand   errand    errand        errand   errand  waits          waits
identity.import         errand         waits          errand   errand    errand        errand   errand  waits          waits
identity.rotate         errand         waits          asks     asks      asks          asks     errand  waits          waits
identity.destroy        errand         waits          asks     asks      asks          asks     errand  waits          waits
identity.setPassphrase  errand         waits          errand   errand    errand        errand   errand  waits          waits
identity.durability     page           page           page     page      page          page     page    page           page
`;

interface Call {
  /** What the worker is asked with. */
  op?: PageMessage['op'] | ((message: PageMessage) => boolean);
  make(client: MixClient, message: ReceivedMessage | undefined): unknown;
}

const leaves = ({ op }: PageMessage) => op === 'vault' || op === 'close';

const calls: Record<string, Call> = {
  connect: { op: 'open', make: (client) => client.connect() },
  close: { op: 'close', make: (client) => client.close() },
  send: { op: 'send', make: (client) => client.send(address, 'x').queued },
  'send, persist': { op: 'persist', make: (client) => client.send(address, 'x', { persist: true }).queued },
  reply: { op: 'send', make: (_client, message) => message?.reply('x').queued },
  request: { op: 'request', make: (client) => client.request(address, 'x') },
  requestAll: {
    op: 'request',
    // Each item fails alone, and the call never does.
    make: async (client) => {
      for (const item of await client.requestAll(address, ['x', 'y']))
        if (item.status === 'rejected') throw item.reason;
    },
  },
  probe: { op: 'probe', make: (client) => client.probe(address) },
  openStream: { op: 'openStream', make: (client) => client.openStream(address) },
  serve: { op: 'serve', make: (client) => client.serve(() => 'x') && undefined },
  listen: { op: 'acceptStreams', make: (client) => client.listen().next() },
  messages: { make: (client) => client.messages().next() },
  peer: { make: (client) => client.peer(address) },
  stats: { op: 'stats', make: (client) => client.stats() },
  statsStream: { op: 'stats', make: (client) => client.statsStream().next() },
  privacyReport: { make: (client) => client.privacyReport() },
  'traffic.set': {
    // A worker that is still to come is opened with it.
    op: (message) =>
      (message.op === 'traffic' && message.traffic.slotMs === 7) ||
      (message.op === 'open' && message.options.slotMs === 7),
    make: (client) => client.traffic.set({ slotMs: 7 }),
  },
  'network.topology': { op: 'topology', make: (client) => client.network.topology() },
  'network.gateways': { op: 'gateways', make: (client) => client.network.gateways() },
  'outbox.list': { op: 'outbox', make: (client) => client.outbox.list() },
  'outbox.find': { op: 'outbox', make: (client) => client.outbox.find('ff'.repeat(16)) },
  'outbox.cancel': { op: 'outbox', make: (client) => client.outbox.cancel('ff'.repeat(16)) },
  'identity.export': { op: 'vault', make: (client) => client.identity.export({ passphrase: 'x' }) },
  'identity.import': { op: 'vault', make: (client) => client.identity.import(new Blob(['x']), { passphrase: 'x' }) },
  // One that is connected leaves first.
  'identity.rotate': { op: leaves, make: (client) => client.identity.rotate() },
  'identity.destroy': { op: leaves, make: (client) => client.identity.destroy() },
  'identity.setPassphrase': { op: 'vault', make: (client) => client.identity.setPassphrase('x') },
  'identity.durability': { make: (client) => client.identity.durability() },
  'network.switchGateway': { op: 'switch', make: (client) => client.network.switchGateway(gateway.id) },
};

const states: Record<string, { is: ClientState; enter(fake: Fake): Promise<void> }> = {
  idle: { is: 'idle', enter: idle },
  connecting: {
    is: 'connecting',
    enter: async (fake) => {
      const before = fake.workers.length;
      fake.client.connect().catch(() => {});
      await started(fake, before + 1);
      await fake.worker.flush();
    },
  },
  ready: { is: 'ready', enter: ready },
  degraded: { is: 'degraded', enter: (fake) => told(fake, 'degraded') },
  reconnecting: { is: 'reconnecting', enter: (fake) => told(fake, 'reconnecting') },
  paused: { is: 'paused', enter: (fake) => told(fake, 'paused') },
  closed: { is: 'closed', enter: closed },
  reviving: {
    is: 'reconnecting',
    enter: async (fake) => {
      await ready(fake);
      const before = fake.workers.length;
      fake.worker.say({ event: 'crashed', detail: 'out of memory' });
      await started(fake, before + 1);
      await fake.worker.flush();
    },
  },
  draining: {
    is: 'closed',
    enter: async (fake) => {
      await ready(fake);
      void fake.client.close();
      await fake.worker.flush();
    },
  },
};

/** What the worker has answered already. */
let answered = new Set<PageMessage>();

const answers: Partial<Record<PageMessage['op'], unknown>> = {
  open: { address, gateway },
  send: { receipt: false },
  persist: { message: 2 ** 52 },
  outbox: [],
  stats,
};

/** Answers what the workers were asked, and lets time pass, until nothing new comes. */
async function run(fake: Fake): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    for (const worker of fake.workers) {
      for (const message of worker.posted.filter((message) => !answered.has(message))) {
        answered.add(message);
        quiet = 0;
        if ('id' in message) worker.answer(message, answers[message.op]);
      }
    }
    await vi.advanceTimersByTimeAsync(1000);
    await fake.workers.at(-1)?.flush();
  }
}

async function ready(fake: Fake): Promise<void> {
  const connecting = fake.client.connect();
  await run(fake);
  await connecting;
}

async function told(fake: Fake, state: ClientState): Promise<void> {
  await ready(fake);
  fake.worker.say({ event: 'state', state });
  await fake.worker.flush();
}

async function closed(fake: Fake): Promise<void> {
  await ready(fake);
  const closing = fake.client.close();
  await run(fake);
  await closing;
}

/** Also after a life of its own: where the next attempt to connect has failed. */
async function idle(fake: Fake): Promise<void> {
  if (fake.client.state === 'idle') return;
  const controller = new AbortController();
  const connecting = fake.client.connect({ signal: controller.signal });
  controller.abort();
  await connecting.catch(() => {});
}

/** A message from an earlier life of the client. */
async function message(fake: Fake): Promise<ReceivedMessage> {
  const messages = heard(fake.client, 'message') as ReceivedMessage[];
  await ready(fake);
  const sender = { tag, address: null, canReply: true };
  fake.worker.say({ event: 'received', body: new Uint8Array(1), via: 'plain', wire: null, ...sender });
  await fake.worker.flush();
  const closing = fake.client.close();
  await run(fake);
  await closing;
  return messages[0]!;
}

/** What has come of a promise, if anything. */
interface Seen {
  code?: string;
  ended?: boolean;
  settled: boolean;
}

async function outcome(fake: Fake, call: Call, message: ReceivedMessage | undefined): Promise<string> {
  const before = new Set(fake.workers.flatMap(({ posted }) => posted));
  const isAsked = (worker: FakeWorker) =>
    worker.posted.some(
      (posted) => !before.has(posted) && (typeof call.op === 'function' ? call.op(posted) : posted.op === call.op),
    );
  const seen: Seen = { settled: false };
  // Within a promise, so that what is thrown counts like what is rejected.
  new Promise((resolve) => resolve(call.make(fake.client, message))).then(
    (value) => {
      seen.settled = true;
      seen.ended = (value as IteratorResult<unknown> | undefined)?.done ?? false;
    },
    (error: unknown) => {
      seen.settled = true;
      seen.code = (error as MixError).code;
    },
  );
  await vi.advanceTimersByTimeAsync(0);
  await fake.workers.at(-1)?.flush();
  await fake.workers.at(-1)?.flush();
  if (fake.workers.some(({ posted }) => posted.some((one) => one.op === 'vault' && !before.has(one)))) return 'errand';
  if (fake.workers.some(isAsked)) return 'asks';
  if (seen.code !== undefined) return seen.code;
  if (seen.ended) return 'ends';
  if (call.op !== 'open') fake.client.connect().catch(() => {});
  await run(fake);
  if (fake.workers.some(isAsked)) return 'waits';
  return seen.settled ? 'page' : 'listens';
}

const [heads = [], ...rows] = table
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/ {2,}/));
/** The column of a state: each call with what comes of it. */
const column = (state: string) => rows.map((row) => [row[0], row[heads.indexOf(state) + 1]] as [string, string]);

beforeEach(() => {
  vi.unstubAllGlobals();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  stubBrowser();
  answered = new Set();
});

afterEach(() => vi.useRealTimers());

test('every state, every call and every cell is in the table', () => {
  const all: Record<ClientState, true> = {
    idle: true,
    connecting: true,
    ready: true,
    degraded: true,
    reconnecting: true,
    paused: true,
    closed: true,
  };
  expect(heads).toEqual([...Object.keys(all), 'reviving', 'draining']);
  expect(heads).toEqual(Object.keys(states));

  const methods = (prefix: string, of: object) =>
    Object.entries(Object.getOwnPropertyDescriptors(of))
      .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor')
      .map(([name]) => prefix + name);
  // What is about listeners is the same in every state.
  const own = methods('', MixClient.prototype).filter((name) => !name.endsWith('EventListener'));
  const { traffic, outbox, identity } = newClient().client;
  // What the client tells its identity.
  const internal = new Set(['opening', 'opened', 'becameVolatile'].map((name) => `identity.${name}`));
  const parts = [
    ...methods('traffic.', traffic),
    ...methods('outbox.', outbox),
    ...methods('identity.', Object.getPrototypeOf(identity) as object).filter((name) => !internal.has(name)),
    ...methods('network.', Network.prototype),
  ];
  expect(rows.map(([call]) => call).sort()).toEqual([...own, ...parts, 'reply', 'send, persist'].sort());
  expect(Object.keys(calls).sort()).toEqual(rows.map(([call]) => call).sort());

  for (const row of rows) expect(row.length, row[0]).toBe(heads.length + 1);
});

test('what is refused because there is no worker says what to do about it', async () => {
  const fake = newClient();
  await expect(fake.client.stats()).rejects.toThrow(/Call connect\(\) first/);
  await states['reviving']!.enter(fake);
  await expect(fake.client.stats()).rejects.toThrow(/Try again when the client is ready/);
});

describe.each(heads)('in the state %s', (name) => {
  const { is, enter } = states[name]!;

  test.each(column(name))('%s: %s', async (call, expected) => {
    const fake = newClient();
    const past = call === 'reply' ? await message(fake) : undefined;
    await enter(fake);
    expect(fake.client.state).toBe(is);
    expect(await outcome(fake, calls[call]!, past)).toBe(expected);
  });

  test('the address and the gateway are known from the first connect on', async () => {
    const fake = newClient();
    await enter(fake);
    const known = name !== 'idle' && name !== 'connecting';
    expect([fake.client.address !== null, fake.client.gateway !== null]).toEqual([known, known]);
  });

  test('after close it is closed, takes nothing, and connects again', async () => {
    const fake = newClient();
    await enter(fake);
    const closing = fake.client.close();
    expect(fake.client.state).toBe('closed');
    const refused = fake.client.send(address, 'x').queued;
    await expect(refused).rejects.toMatchObject({ code: 'closed' });
    await run(fake);
    await closing;
    await ready(fake);
    expect(fake.client.state).toBe('ready');
  });
});
