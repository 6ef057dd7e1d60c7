import type { GatewayInfo, SendProgress, TracedPacket } from 'mixlet';
import { expect, test } from 'vitest';
import { bytes, client, connected, network, outcome, pause, receive, until } from './support.js';

test('a client moves to another gateway, and what is sent to either address arrives', async () => {
  const net = await network({ gateways: 3 });
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 2 })];
  const changes: string[] = [];
  alice.client.addEventListener('gatewaychange', ({ detail }) => changes.push(detail.address));
  const gateways = await alice.client.network.gateways();
  const target = gateways.find(({ id }) => ![alice.client.gateway?.id, bob.client.gateway?.id].includes(id))!;
  const underWay = alice.client.send(bob.address, bytes(20_000));
  const address = await alice.client.network.switchGateway(target.id);
  expect(address).toBe(`${alice.address.split('@')[0]}@${target.id}`);
  expect([alice.client.address, alice.client.gateway?.id]).toEqual([address, target.id]);
  expect(changes).toEqual([address]);
  await underWay.delivered;
  const arriving = receive(alice.client, 2);
  await bob.client.send(alice.address, 'to the old one').delivered;
  await bob.client.send(address, 'to the new one').delivered;
  expect((await arriving).map((message) => message.text())).toEqual(['to the old one', 'to the new one']);
  // It is where it is to stay.
  expect(await alice.client.network.switchGateway(target.id)).toBe(address);
});

test('a move that cannot be says why, and one that hangs can be aborted', async () => {
  const net = await network({ gateways: 2 });
  const alice = await connected(net, { gateway: 0 });
  const other = (await alice.client.network.gateways()).find(({ id }) => id !== alice.client.gateway?.id)!;
  const { network: view } = alice.client;
  expect((await outcome(view.switchGateway('nonsense'))).error).toMatchObject({ code: 'config-invalid' });
  const nobody = alice.address.split('.')[0]!;
  expect((await outcome(view.switchGateway(nobody))).error).toMatchObject({ code: 'no-gateway' });
  net.gateway(1).down();
  expect((await outcome(view.switchGateway(other.id))).error).toMatchObject({ code: 'gateway-refused' });
  net.gateway(1).up();
  net.gateway(1).pause();
  const moving = outcome(view.switchGateway(other.id, { signal: AbortSignal.timeout(50) }));
  await pause(10);
  expect((await outcome(view.switchGateway(other.id))).error).toMatchObject({ code: 'config-invalid' });
  expect((await moving).error).toMatchObject({ name: 'TimeoutError' });
  net.gateway(1).resume();
  expect(alice.client.address).toBe(alice.address);
  expect(await view.switchGateway(other.id)).not.toBe(alice.address);
});

test('gateways are measured, and those that are down are not usable', async () => {
  const net = await network({ gateways: 3, latencyMs: 5 });
  const alice = await connected(net, { gateway: 0 });
  net.gateway(2).down();
  const measured = await alice.client.network.gateways({ measure: true });
  expect(measured).toHaveLength(3);
  const usable = measured.filter((gateway) => gateway.usable);
  expect(usable).toHaveLength(2);
  // At least there and back, after the opening.
  expect(usable.every(({ latencyMs = 0 }) => latencyMs >= 10 && latencyMs < 500)).toBe(true);
  const down = measured.find((gateway) => !gateway.usable)!;
  expect([down.latencyMs, down.why]).toEqual([undefined, 'it cannot be reached']);
});

test('the gateway of a new client is the nearest, or the one that a function chooses', async () => {
  const net = await network({ gateways: 2 });
  net.gateway(0).down();
  const near = client(net, {}, { gateway: { select: 'fastest' } });
  const far = client(net, {}, { gateway: { select: 'fastest' } });
  const [one, two] = await Promise.all([near.connect(), far.connect()]);
  expect(one.split('@')[1]).toBe(two.split('@')[1]);
  net.gateway(0).up();
  let offered: GatewayInfo[] = [];
  const select = (gateways: GatewayInfo[]) => {
    offered = gateways;
    return gateways.find(({ id }) => id !== near.gateway?.id)!;
  };
  const chosen = client(net, {}, { gateway: { select } });
  expect((await chosen.connect()).split('@')[1]).not.toBe(one.split('@')[1]);
  expect(offered.map(({ usable }) => usable)).toEqual([true, true]);
});

test('the topology is told when it is there, and asked for later', async () => {
  const net = await network();
  const alice = client(net);
  const epochs: number[] = [];
  alice.addEventListener('topology', ({ detail }) => epochs.push(detail.epoch));
  await alice.connect();
  const topology = await alice.network.topology();
  expect(epochs).toEqual([topology.epoch]);
  expect(topology.layers.every((count) => count > 0)).toBe(true);
  expect(Math.abs(Date.now() - topology.fetchedAt.getTime())).toBeLessThan(5_000);
});

test('progress rises to the end', async () => {
  const net = await network({ latencyMs: 20 });
  const [alice, bob] = [await connected(net), await connected(net)];
  const sent = alice.client.send(bob.address, bytes(100_000));
  const seen: SendProgress[] = [];
  for await (const progress of sent.progress()) seen.push(progress);
  await sent.delivered;
  const last = seen.at(-1)!;
  expect(last.fragmentsTotal).toBeGreaterThan(60);
  expect([last.fragmentsSent, last.fragmentsAcked]).toEqual([last.fragmentsTotal, last.fragmentsTotal]);
  expect(seen.every(({ fragmentsAcked }, at) => fragmentsAcked >= (seen[at - 1]?.fragmentsAcked ?? 0))).toBe(true);
});

test('canReply ends with the last reply block', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net), await connected(net, {}, { askForMore: false })];
  const held: number[] = [];
  bob.client.addEventListener('surbs', ({ detail }) => held.push(detail.held));
  const arriving = receive(bob.client, 1);
  await alice.client.send(bob.address, 'two answers, please', { replies: 2 }).delivered;
  const [message] = await arriving;
  expect(message!.canReply).toBe(true);
  await message!.reply('one').delivered;
  expect(message!.canReply).toBe(true);
  await message!.reply('two').delivered;
  await until('none is left', () => !message!.canReply);
  expect(held.at(-1)).toBe(0);
});

test('with trace packets are told of, with time and size', async () => {
  const net = await network();
  const alice = await connected(net, {}, { trace: true });
  const packets: TracedPacket[] = [];
  let batches = 0;
  alice.client.addEventListener('packet', ({ detail }) => {
    batches += 1;
    packets.push(...detail);
  });
  await alice.client.send(alice.address, 'hello', { replies: 0 }).delivered;
  await until('it has come home', () => packets.some(({ kind }) => kind === 'message'));
  const real = packets.find(({ kind }) => kind === 'real')!;
  expect(real).toMatchObject({ direction: 'out', size: 2452 });
  expect(Math.abs(Date.now() - real.at.getTime())).toBeLessThan(5_000);
  expect(packets.find(({ kind }) => kind === 'ack')).toMatchObject({ direction: 'in' });
  const before = batches;
  await pause(500);
  expect(batches - before).toBeLessThanOrEqual(6);
});
