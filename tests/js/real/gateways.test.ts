import type { ClientState } from 'mixlet';
import { expect, test } from 'vitest';
import { client, connected, network, outcome, pause, receive, until, written } from './support.js';

test('a gateway that restarts with its memory costs nothing but time', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  const arrived = receive(bob.client, 1);
  net.gateway(0).restart();
  await alice.client.send(bob.address, 'through the restart').delivered;
  expect((await arrived)[0]!.text()).toBe('through the restart');
  expect(alice.client.address).toBe(alice.address);
  expect(net.packets(alice.address).map(({ open }) => open)).toEqual([false, true]);
});

test('a gateway that has forgotten its clients is told who they are, and the address stays', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  net.gateway(1).restart({ forget: true });
  await until('bob is back', () => net.packets(bob.address).length === 2 && bob.client.state === 'ready');
  const arrived = receive(bob.client, 1);
  await alice.client.send(bob.address, 'who are you').delivered;
  expect((await arrived)[0]!.text()).toBe('who are you');
  expect(bob.client.address).toBe(bob.address);
});

test('what comes for a client that is away waits at its gateway', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  await bob.client.close();
  await alice.client.send(bob.address, 'later', { replies: 0 }).delivered;
  expect(net.gateway(1).waiting).toBe(1);
  expect(net.gateway(0).waiting).toBe(0);
});

test('while a gateway is down its client reconnects and keeps what it is given', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  const states: ClientState[] = [];
  alice.client.addEventListener('statechange', ({ detail }) => states.push(detail.state));
  net.gateway(0).down();
  await until('the loss is noticed', () => alice.client.state === 'reconnecting');
  const sent = alice.client.send(bob.address, 'patience');
  await sent.queued;
  await pause(100);
  const before = written(net, alice.address);
  net.gateway(0).up();
  await sent.delivered;
  expect(written(net, alice.address)).toBeGreaterThan(before);
  expect(states).toEqual(['reconnecting', 'ready']);
});

test('a gateway that is down refuses, and connect says which phase it was', async () => {
  const net = await network({ gateways: 1 });
  net.gateway(0).down();
  const { error } = await outcome(client(net).connect());
  expect(error).toMatchObject({ code: 'gateway-refused', phase: 'gateway', retriable: true });
});

test('a paused gateway answers nobody until it goes on', async () => {
  const net = await network({ gateways: 1 });
  net.gateway(0).pause();
  const alice = client(net);
  const connecting = alice.connect();
  await pause(100);
  expect(alice.state).toBe('connecting');
  net.gateway(0).resume();
  await connecting;
  net.gateway(0).pause();
  const sent = alice.send(alice.address!, 'slowly');
  await sent.sent;
  expect((await outcome(Promise.race([sent.delivered, pause(100)]))).value).toBeUndefined();
  net.gateway(0).resume();
  await sent.delivered;
});

test('latency is on every link, so that a message takes five of them and its ack five more', async () => {
  const net = await network({ latencyMs: 20 });
  const [alice, bob] = [await connected(net), await connected(net)];
  const { ms } = await outcome(alice.client.send(bob.address, 'far away').delivered);
  // Client, gateway, three mix nodes, gateway; the ack from there over three mix nodes, gateway, client.
  expect(ms).toBeGreaterThan(10 * 20 - 5);
  expect(ms).toBeLessThan(10 * 20 + 300);
});
