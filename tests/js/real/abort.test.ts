import type { MixClient, Phase } from 'mixlet';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { bytes, client, connected, leaving, network, outcome, pause, receive, until, written } from './support.js';
import type { Connected } from './support.js';

/** How soon an abort must reach the caller. */
const SOON_MS = 100;

const reason = new Error('changed my mind');

async function twoClients() {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  const controller = new AbortController();
  return { net, alice, bob, controller, signal: controller.signal };
}

/** After an abort: everything open rejects with the reason itself, soon. */
async function expectAborted(controller: AbortController, ...promises: Promise<unknown>[]): Promise<void> {
  const outcomes = promises.map(outcome);
  controller.abort(reason);
  for (const { error, ms } of await Promise.all(outcomes)) {
    expect(error).toBe(reason);
    expect(ms).toBeLessThan(SOON_MS);
  }
}

/** Nothing is left of the message, nothing more of it leaves, and the client works. */
async function expectTidy(net: Parameters<typeof written>[0], alice: Connected, bob: Connected): Promise<void> {
  const idle = async () => {
    const { queuedBytes, inFlight } = await alice.client.stats();
    return queuedBytes === 0 && inFlight === 0;
  };
  await until('its tables are empty', idle);
  const packets = await leaving(net, alice);
  await pause(200);
  expect(await leaving(net, alice)).toBe(packets);
  const arrived = receive(bob.client, 1);
  await alice.client.send(bob.address, 'next').delivered;
  expect((await arrived)[0]!.text()).toBe('next');
}

describe('an abort of a message', () => {
  test('before the worker has it', async () => {
    const net = await network();
    const bob = await connected(net, { gateway: 1 });
    net.gateway(0).pause();
    const alice = client(net, { gateway: 0 });
    const connecting = alice.connect();
    const controller = new AbortController();
    const sent = alice.send(bob.address, bytes(20_000), { signal: controller.signal });
    await pause(20);
    await expectAborted(controller, sent.queued, sent.sent, sent.delivered);
    net.gateway(0).resume();
    const address = await connecting;
    expect(await leaving(net, { client: alice, address })).toBe(0);
    await expectTidy(net, { client: alice, address }, bob);
  });

  test('that was aborted before it was sent', async () => {
    const { net, alice, bob } = await twoClients();
    const sent = alice.client.send(bob.address, 'never', { signal: AbortSignal.abort(reason) });
    expect((await outcome(sent.queued)).error).toBe(reason);
    expect((await outcome(sent.delivered)).error).toBe(reason);
    await expectTidy(net, alice, bob);
  });

  test('queued, with no link to send it on', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    net.gateway(0).down();
    await until('the loss is noticed', () => alice.client.state === 'reconnecting');
    const sent = alice.client.send(bob.address, bytes(50_000), { signal });
    await sent.queued;
    await expectAborted(controller, sent.sent, sent.delivered);
    net.gateway(0).up();
    await until('it is back', () => alice.client.state === 'ready');
    expect(await leaving(net, alice)).toBe(0);
    await expectTidy(net, alice, bob);
  });

  test('half sent', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    const received: number[] = [];
    bob.client.addEventListener('message', ({ detail }) => received.push(detail.data.byteLength));
    const body = bytes(2_000_000);
    const sent = alice.client.send(bob.address, body, { signal, replies: 0 });
    await until('a part of it has left', () => written(net, alice.address) > 20);
    await expectAborted(controller, sent.sent, sent.delivered);
    await expectTidy(net, alice, bob);
    // Far from all of it: what was on its way when it was aborted still arrives, and no more.
    const fragments = body.byteLength / 1_700;
    expect(written(net, alice.address)).toBeLessThan(fragments / 2);
    expect(received).toEqual([4]);
  });

  test('all sent and half acknowledged', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    net.setFaults({ loss: 0.5 });
    const sent = alice.client.send(bob.address, bytes(60_000), { signal, replies: 0 });
    await sent.sent;
    await until('some of it is acknowledged', async () => (await alice.client.stats()).in.ack > 3);
    expect((await alice.client.stats()).inFlight).toBeGreaterThan(3);
    await expectAborted(controller, sent.delivered);
    net.setFaults({ loss: 0 });
    await expectTidy(net, alice, bob);
  });

  test('waiting for reply blocks', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    const arrived = receive(bob.client, 1);
    await alice.client.send(bob.address, 'answer me', { replies: 10 }).delivered;
    const [question] = await arrived;
    // More are asked for, and do not come.
    net.gateway(0).pause();
    const reply = question!.reply(bytes(100_000), { signal });
    await reply.queued;
    await until('they are asked for again', async () => (await bob.client.stats()).out.retransmission > 0);
    const { out, queuedBytes } = await bob.client.stats();
    expect([out.reply, queuedBytes]).toEqual([1, 100_000]);
    await expectAborted(controller, reply.sent, reply.delivered);
    net.gateway(0).resume();
    await expectTidy(net, bob, alice);

    const next = receive(bob.client, 1);
    await alice.client.send(bob.address, 'and now?').delivered;
    const answer = receive(alice.client, 1);
    await (await next)[0]!.reply('short').delivered;
    expect((await answer)[0]!.text()).toBe('short');
  });

  test('delivered: it changes nothing', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    const sent = alice.client.send(bob.address, 'done', { signal });
    const delivery = await sent.delivered;
    controller.abort(reason);
    expect(await sent.delivered).toBe(delivery);
    await receive(bob.client, 1);
    await expectTidy(net, alice, bob);
  });
});

describe('an abort of a request', () => {
  test('before the worker has it', async () => {
    const net = await network();
    const bob = await connected(net, { gateway: 1 });
    net.gateway(0).pause();
    const alice = client(net, { gateway: 0 });
    const connecting = alice.connect();
    const controller = new AbortController();
    const asked = alice.request(bob.address, bytes(20_000), { signal: controller.signal });
    await pause(20);
    await expectAborted(controller, asked);
    net.gateway(0).resume();
    const address = await connecting;
    expect(await leaving(net, { client: alice, address })).toBe(0);
    await expectTidy(net, { client: alice, address }, bob);
  });

  test('queued, with no link to send it on', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    net.gateway(0).down();
    await until('the loss is noticed', () => alice.client.state === 'reconnecting');
    const asked = alice.client.request(bob.address, bytes(50_000), { signal });
    await until('the worker has it', async () => (await alice.client.stats()).queuedBytes > 0);
    await expectAborted(controller, asked);
    net.gateway(0).up();
    await until('it is back', () => alice.client.state === 'ready');
    await expectTidy(net, alice, bob);
  });

  test('half sent', async () => {
    const { net, alice, bob, controller, signal } = await twoClients();
    const heard: number[] = [];
    bob.client.serve((request) => {
      heard.push(request.data.byteLength);
      return 'x';
    });
    const body = bytes(2_000_000);
    const asked = alice.client.request(bob.address, body, { signal });
    await until('a part of it has left', () => written(net, alice.address) > 20);
    await expectAborted(controller, asked);
    await expectTidy(net, alice, bob);
    expect(written(net, alice.address)).toBeLessThan(body.byteLength / 1_700 / 2);
    expect(heard).toEqual([]);
  });
});

describe('an abort of connect', () => {
  afterEach(() => vi.unstubAllGlobals());

  /** The phases a client goes through that asks a directory. */
  async function phases(): Promise<Phase[]> {
    const net = await network();
    vi.stubGlobal('fetch', net.fetch);
    const seen: Phase[] = [];
    await client(net, { directory: true }).connect({ onProgress: ({ phase }) => seen.push(phase) });
    return [...new Set(seen)];
  }

  const expectConnects = async (alice: MixClient) => {
    const address = await alice.connect();
    const arrived = receive(alice, 1);
    await alice.send(address, 'works').delivered;
    expect((await arrived)[0]!.text()).toBe('works');
  };

  test('in each phase rejects with the reason, and the next one succeeds', async () => {
    const all = await phases();
    expect(all).toEqual(
      expect.arrayContaining<Phase>(['engine', 'storage', 'topology', 'gateway', 'auth', 'bandwidth']),
    );
    for (const phase of all) {
      const net = await network();
      vi.stubGlobal('fetch', net.fetch);
      const alice = client(net, { directory: true });
      const controller = new AbortController();
      let aborted = NaN;
      const abort = () => {
        aborted = performance.now();
        controller.abort(reason);
      };
      const connecting = alice.connect({
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.phase === phase && !controller.signal.aborted) abort();
        },
      });
      const { error, value } = await outcome(connecting);
      // The last phase can be told of when the client is already connected.
      if (phase === all.at(-1) && error === undefined) expect(value).toBe(alice.address);
      else expect(error, phase).toBe(reason);
      expect(performance.now() - aborted, phase).toBeLessThan(SOON_MS);
      if (error !== undefined) expect(alice.state, phase).toBe('idle');
      await until(`no link is left, ${phase}`, () => error === undefined || net.packets().every(({ open }) => !open));
      await expectConnects(alice);
    }
  });

  test.each(['topology', 'gateway', 'auth', 'bandwidth'] satisfies Phase[])(
    'that hangs in the phase %s',
    async (phase) => {
      const net = await network({ gateways: 1 });
      vi.stubGlobal('fetch', phase === 'topology' ? () => new Promise(() => {}) : net.fetch);
      const alice = client(net, { directory: true });
      const controller = new AbortController();
      const seen: Phase[] = [];
      const connecting = alice.connect({
        signal: controller.signal,
        onProgress: (progress) => {
          seen.push(progress.phase);
          if (progress.phase === phase && phase !== 'topology') net.gateway(0).pause();
        },
      });
      const settled = outcome(connecting);
      await until(`it is in ${phase}`, () => seen.includes(phase));
      await pause(50);
      expect(seen.at(-1)).toBe(phase);
      await expectAborted(controller, connecting);
      expect((await settled).error).toBe(reason);
      net.gateway(0).resume();
      vi.stubGlobal('fetch', net.fetch);
      await expectConnects(alice);
    },
  );
});
