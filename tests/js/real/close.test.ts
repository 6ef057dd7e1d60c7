import type { Undelivered } from 'mixlet';
import { expect, test } from 'vitest';
import { bytes, connected, network, outcome, pause, receive, until, written } from './support.js';

test('close with drain waits for the acks of what was accepted', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net), await connected(net)];
  const arrived = receive(bob.client, 20);
  const sent = Array.from({ length: 20 }, (_, i) => alice.client.send(bob.address, `last words ${i}`));
  await alice.client.close();
  expect(alice.client.state).toBe('closed');
  await Promise.all(sent.map(({ delivered }) => delivered));
  expect(await arrived).toHaveLength(20);
  expect(net.packets(alice.address).map(({ open }) => open)).toEqual([false]);
});

test('close without drain stops at once, and says so of every message', async () => {
  const net = await network({ latencyMs: 50 });
  const [alice, bob] = [await connected(net), await connected(net)];
  const reports: Undelivered[] = [];
  alice.client.addEventListener('undelivered', ({ detail }) => reports.push(detail));
  const sent = alice.client.send(bob.address, bytes(500_000));
  await sent.queued;
  const [closed, delivered] = await Promise.all([
    outcome(alice.client.close({ drain: false })),
    outcome(sent.delivered),
  ]);
  expect(closed.error).toBeUndefined();
  expect(closed.ms).toBeLessThan(1_000);
  expect(delivered.error).toMatchObject({ code: 'closed-before-delivery' });
  expect(reports).toHaveLength(1);
  await until('the gateway knows', () => net.packets(alice.address).every(({ open }) => !open));
  const packets = written(net, alice.address);
  await pause(100);
  expect(written(net, alice.address)).toBe(packets);
});

test('close with a deadline ends with it, and what is left fails', async () => {
  const net = await network();
  const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
  net.setFaults({ loss: 1 });
  const sent = alice.client.send(bob.address, 'into the void');
  await sent.sent;
  const { ms } = await outcome(alice.client.close({ timeoutMs: 200 }));
  expect(ms).toBeGreaterThan(190);
  expect(ms).toBeLessThan(1_500);
  await expect(sent.delivered).rejects.toMatchObject({ code: 'closed-before-delivery' });
});

test('iterators end, and later calls are refused', async () => {
  const net = await network();
  const { client, address } = await connected(net);
  const iterator = client.messages()[Symbol.asyncIterator]();
  const next = iterator.next();
  await client.close();
  expect(await next).toEqual({ done: true, value: undefined });
  await expect(client.send(address, 'too late').queued).rejects.toMatchObject({ code: 'closed' });
});
