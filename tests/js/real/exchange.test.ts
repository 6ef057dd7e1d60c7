import type { MixStream, ReplyTag } from 'mixlet';
import { describe, expect, test } from 'vitest';
import { bytes, connected, network, outcome, receive, until } from './support.js';

async function twoClients(faults = {}) {
  const net = await network(faults);
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  return { net, alice, bob };
}

describe('receipts', () => {
  test('are asked of those who are known to speak mixlet', async () => {
    const { alice, bob } = await twoClients();
    const first = alice.client.send(bob.address, 'bare');
    await first.delivered;
    expect((await outcome(first.received)).error).toMatchObject({ code: 'no-receipt-support' });
    expect(alice.client.peer(bob.address).speaks).toBe('unknown');
    await alice.client.probe(bob.address);
    expect(alice.client.peer(bob.address)).toMatchObject({ speaks: 'mixlet', version: 1 });
    const arriving = receive(bob.client, 2);
    const second = alice.client.send(bob.address, 'enveloped');
    const delivery = await second.received;
    expect(delivery.roundTripMs).toBeGreaterThan(0);
    expect((await arriving).map(({ via, data }) => [via, data.byteLength])).toEqual([
      ['plain', 4],
      ['mixlet', 9],
    ]);
  });

  test('what a gateway lost after its acks arrives all the same, once', async () => {
    const { net, alice, bob } = await twoClients();
    const seen: string[] = [];
    bob.client.addEventListener('message', ({ detail }) => seen.push(detail.text()));
    const texts = Array.from({ length: 60 }, (_, number) => `message ${number}`);
    const sent = texts.map((text) => alice.client.send(bob.address, text, { receipt: true }));
    await sent[0]!.sent;
    net.gateway(1).restart();
    await Promise.all(sent.map(({ received }) => received));
    expect(seen.sort()).toEqual(texts.sort());
  }, 60_000);
});

describe('requests', () => {
  test('are answered by handlers, over addresses and over tags', async () => {
    const { alice, bob } = await twoClients();
    let tag: ReplyTag | null = null;
    bob.client.serve(
      (request) => {
        tag = request.from;
        return `you said ${request.text()}`;
      },
      { service: 'echo' },
    );
    alice.client.serve(() => new Blob(['from alice']));
    const answer = await alice.client.request(bob.address, 'hello', { service: 'echo' });
    expect([answer.text(), answer.via]).toEqual(['you said hello', 'mixlet']);
    expect((await bob.client.request(tag!, 'and you?')).text()).toBe('from alice');
  });

  test('fail with what went wrong', async () => {
    const { net, alice, bob } = await twoClients();
    bob.client.serve(() => Promise.reject(new Error('a secret')), { service: 'broken' });
    bob.client.serve(() => new Promise(() => {}), { service: 'slow' });
    const failing = async (service: string, more = {}) =>
      (await outcome(alice.client.request(bob.address, '?', { service, ...more }))).error;
    expect(await failing('nothing')).toMatchObject({ code: 'no-handler', phase: 'peer' });
    const broken = await failing('broken');
    expect(broken).toMatchObject({ code: 'handler-failed' });
    expect((broken as Error).message).not.toContain('secret');
    expect(await failing('slow', { responseTimeoutMs: 200 })).toMatchObject({
      code: 'response-timeout',
      phase: 'peer',
    });
    net.gateway(1).down();
    expect(await failing('slow', { timeoutMs: 300 })).toMatchObject({ code: 'timeout', phase: 'network' });
  });

  test('a late answer is told once, with its label', async () => {
    const { alice, bob } = await twoClients();
    const late: unknown[] = [];
    alice.client.addEventListener('late', ({ detail }) => late.push([detail.label, detail.message?.text()]));
    let answer!: (text: string) => void;
    bob.client.serve(() => new Promise<string>((resolve) => (answer = resolve)));
    const asked = alice.client.request(bob.address, '?', { responseTimeoutMs: 100, label: 'the slow one' });
    expect((await outcome(asked)).error).toMatchObject({ code: 'response-timeout' });
    answer('here it is');
    await until('it is told', () => late.length > 0);
    expect(late).toEqual([['the slow one', 'here it is']]);
  });

  test('an abort while waiting for the answer rejects at once and leaves nothing', async () => {
    const { alice, bob } = await twoClients();
    bob.client.serve(() => new Promise(() => {}));
    const controller = new AbortController();
    const start = performance.now();
    const asked = outcome(alice.client.request(bob.address, '?', { signal: controller.signal }));
    await until('it is acknowledged', async () => {
      const { out, inFlight } = await alice.client.stats();
      return out.real > 0 && inFlight === 0;
    });
    const reason = new Error('changed my mind');
    const aborted = performance.now() - start;
    controller.abort(reason);
    const { error, ms } = await asked;
    expect(error).toBe(reason);
    expect(ms - aborted).toBeLessThan(100);
    const idle = async () => {
      const { queuedBytes, inFlight } = await alice.client.stats();
      return queuedBytes === 0 && inFlight === 0;
    };
    await until('its tables are empty', idle);
    bob.client.serve(() => 'at once', { service: 'quick' });
    expect((await alice.client.request(bob.address, '?', { service: 'quick' })).text()).toBe('at once');
  });

  test('a thousand at once, answered in random order, each get their own', async () => {
    const { alice, bob } = await twoClients();
    const waiting: (() => void)[] = [];
    bob.client.serve(
      (request) => new Promise<string>((resolve) => waiting.push(() => resolve(`re: ${request.text()}`))),
    );
    const items = Array.from({ length: 1_000 }, (_, number) => `item ${number}`);
    const asked = alice.client.requestAll(bob.address, items, { timeoutMs: 120_000, expectedReplyBytes: 100 });
    await until('all are there', () => waiting.length === 1_000);
    while (waiting.length > 0) waiting.splice(Math.floor(Math.random() * waiting.length), 1)[0]?.();
    const texts = (await asked).map((result) => (result.status === 'fulfilled' ? result.value.text() : result.status));
    expect(texts).toEqual(items.map((item) => `re: ${item}`));
  }, 120_000);
});

describe('streams', () => {
  async function pipe(faults = {}) {
    const clients = await twoClients(faults);
    const incoming = clients.bob.client.listen({ service: 'pipe' });
    const near = await clients.alice.client.openStream(clients.bob.address, { service: 'pipe' });
    const { value: far } = (await incoming.next()) as { value: MixStream };
    return { ...clients, near, far };
  }

  test('a megabyte each way through loss arrives intact', async () => {
    const { near, far } = await pipe({ loss: 0.05 });
    const [there, back] = [bytes(1_000_000, 1), bytes(1_000_000, 2)];
    const writing = [new Blob([there]).stream().pipeTo(near.writable), new Blob([back]).stream().pipeTo(far.writable)];
    const [atFar, atNear] = await Promise.all([all(far), all(near)]);
    await Promise.all(writing);
    expect(Buffer.compare(atFar, there)).toBe(0);
    expect(Buffer.compare(atNear, back)).toBe(0);
    expect(await near.closed).toEqual({ code: 0, reason: '' });
    expect(await far.closed).toEqual({ code: 0, reason: '' });
  }, 90_000);

  test('goes on through the restart of a gateway', async () => {
    const { net, near, far } = await pipe();
    const there = bytes(300_000, 3);
    const writing = new Blob([there]).stream().pipeTo(near.writable);
    const reading = all(far);
    net.gateway(1).restart();
    await writing;
    expect(Buffer.compare(await reading, there)).toBe(0);
    await far.close({ code: 256 });
  }, 60_000);

  test('ends at once with a code, at both ends', async () => {
    const { near, far } = await pipe();
    await near.close({ code: 300, reason: 'never mind' });
    expect(await far.closed).toEqual({ code: 300, reason: 'never mind' });
    expect((await outcome(all(far))).error).toMatchObject({ code: 'closed' });
  });

  test('an abort ends the opening', async () => {
    const { net, alice, bob } = await twoClients();
    net.gateway(1).down();
    const controller = new AbortController();
    const opening = outcome(alice.client.openStream(bob.address, { signal: controller.signal }));
    controller.abort('enough');
    expect((await opening).error).toBe('enough');
    await until('nothing is left of it', async () => (await alice.client.stats()).queuedBytes === 0);
  });
});

async function all(stream: MixStream): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream.readable).arrayBuffer());
}
