import { describe, expect, test } from 'vitest';
import { bytes, client, connected, network, receive } from './support.js';

describe('two clients in one thread', () => {
  test('connect, each to the gateway that was asked for', async () => {
    const net = await network();
    const alice = await connected(net, { gateway: 0 });
    const bob = await connected(net, { gateway: 1 });
    expect(alice.client.state).toBe('ready');
    expect(alice.client.gateway).toMatchObject({ id: net.gateway(0).id, url: net.gateway(0).url, usable: true });
    expect(bob.client.gateway?.id).toBe(net.gateway(1).id);
    expect(alice.address).not.toBe(bob.address);
    expect(bob.address.endsWith(`@${net.gateway(1).id}`)).toBe(true);
  });

  test('send and receive both ways, and answer over a tag', async () => {
    const net = await network();
    const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
    const atBob = receive(bob.client, 1);
    await alice.client.send(bob.address, 'hello').delivered;
    const [hello] = await atBob;
    expect(hello!.text()).toBe('hello');
    expect(hello!.canReply).toBe(true);

    const atAlice = receive(alice.client, 1);
    await hello!.reply('and you').delivered;
    expect((await atAlice)[0]!.text()).toBe('and you');

    const again = receive(alice.client, 1);
    bob.client.send(alice.address, new Uint8Array([1, 2, 3]), { replies: 0 });
    const [plain] = await again;
    expect([...plain!.data]).toEqual([1, 2, 3]);
    expect(plain!.from).toBeNull();
  });

  test('a large message arrives as it was, and its promises settle in their order', async () => {
    const net = await network();
    const [alice, bob] = [await connected(net), await connected(net)];
    const body = bytes(300_000);
    const atBob = receive(bob.client, 1);
    const order: string[] = [];
    const sent = alice.client.send(bob.address, body);
    void sent.queued.then(() => order.push('queued'));
    void sent.sent.then(() => order.push('sent'));
    const delivery = await sent.delivered;
    expect(order).toEqual(['queued', 'sent']);
    expect(delivery.roundTripMs).toBeGreaterThan(0);
    expect((await atBob)[0]!.data).toEqual(body);
  });

  test('a message to oneself goes all the way too', async () => {
    const net = await network({ gateways: 1 });
    const alice = await connected(net);
    const arrived = receive(alice.client, 1);
    await alice.client.send(alice.address, 'note').delivered;
    expect((await arrived)[0]!.text()).toBe('note');
  });
});

test('with a tenth of the packets lost everything arrives, once', async () => {
  const net = await network({ loss: 0.1, mixNodesPerLayer: 2 });
  const [alice, bob] = [await connected(net), await connected(net)];
  const arrived: string[] = [];
  bob.client.addEventListener('message', ({ detail }) => arrived.push(detail.text()));
  const texts = Array.from({ length: 40 }, (_, i) => `message ${i}`);
  const deliveries = await Promise.all(
    texts.map((text) => alice.client.send(bob.address, text, { replies: 0 }).delivered),
  );
  expect(arrived.sort()).toEqual(texts.sort());
  expect(deliveries.some(({ retransmissions }) => retransmissions > 0)).toBe(true);
  expect(net.dropped()['lost']).toBeGreaterThan(5);
});

test('a thousand messages at once are all delivered, each once', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net), await connected(net)];
  const seen = new Map<string, number>();
  bob.client.addEventListener('message', ({ detail }) => {
    seen.set(detail.text(), (seen.get(detail.text()) ?? 0) + 1);
  });
  const texts = Array.from({ length: 1000 }, (_, i) => `message ${i}`);
  await Promise.all(texts.map((text) => alice.client.send(bob.address, text, { replies: 0 }).delivered));
  expect(seen.size).toBe(1000);
  expect([...seen.values()].every((count) => count === 1)).toBe(true);
  expect(texts.every((text) => seen.has(text))).toBe(true);
}, 30_000);

test('several networks and many clients live beside each other', async () => {
  const nets = [await network({ seed: 1 }), await network({ seed: 2 })];
  expect(nets[0]!.gateway(0).id).not.toBe(nets[1]!.gateway(0).id);
  const pairs = await Promise.all(
    nets.flatMap((net) => [0, 1, 2].map(async () => [await connected(net), await connected(net)] as const)),
  );
  await Promise.all(
    pairs.map(async ([alice, bob], i) => {
      const arrived = receive(bob.client, 1);
      await alice.client.send(bob.address, `pair ${i}`).delivered;
      expect((await arrived)[0]!.text()).toBe(`pair ${i}`);
    }),
  );
});

test('a client connects again after it was closed', async () => {
  const net = await network();
  const alice = client(net);
  const first = await alice.connect();
  await alice.close();
  const second = await alice.connect();
  // Nothing is kept, so it is somebody else now.
  expect(second).not.toBe(first);
  const arrived = receive(alice, 1);
  await alice.send(second, 'still there').delivered;
  expect((await arrived)[0]!.text()).toBe('still there');
});
