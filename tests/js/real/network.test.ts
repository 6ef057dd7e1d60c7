import type { MixAddress } from 'mixlet';
import { TestNetwork } from 'mixlet/testing';
import type { TestNetworkOptions } from 'mixlet/testing';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  bytes,
  client,
  connected,
  network,
  outcome,
  passUntilSettled,
  pause,
  receive,
  until,
  written,
} from './support.js';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('options', () => {
  test.each([
    [{ gateways: 0 }, 'gateways'],
    [{ gateways: 17 }, 'gateways'],
    [{ mixNodesPerLayer: 1.5 }, 'mixNodesPerLayer'],
    [{ seed: -1 }, 'seed'],
    [{ loss: 1.1 }, 'loss'],
    [{ latencyMs: 20_000 }, 'latencyMs'],
    [{ jitterMs: '1' }, 'jitterMs'],
    [{ loos: 0.1 }, 'loos'],
  ])('%o is a TypeError that names it', async (options, name) => {
    const made = TestNetwork.create(options as TestNetworkOptions);
    await expect(made).rejects.toThrow(TypeError);
    await expect(made).rejects.toThrow(name);
  });

  test('a gateway that is not there is a TypeError, and faults out of range change nothing', async () => {
    const net = await network({ gateways: 1 });
    expect(() => net.gateway(1)).toThrow(TypeError);
    expect(() => net.options({ gateway: 1 })).toThrow(TypeError);
    expect(() => net.setFaults({ loss: 2 })).toThrow(TypeError);
    const alice = await connected(net);
    await alice.client.send(alice.address, 'arrives').delivered;
    expect(net.dropped()).toEqual({});
  });

  test('the same seed gives the same nodes, another one others', async () => {
    const [one, same, other] = [await network(), await network({ seed: 1 }), await network({ seed: 2 })];
    expect(one.topology['node_details']).toEqual(same.topology['node_details']);
    expect(one.topology['node_details']).not.toEqual(other.topology['node_details']);
    expect(one.gateways.map(({ id }) => id)).toEqual(same.gateways.map(({ id }) => id));
  });
});

describe('what is counted', () => {
  test('on each link, packets by size and by client', async () => {
    const net = await network();
    const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
    expect(net.packets().map(({ gateway, client, open }) => [gateway, client, open])).toEqual([
      [0, alice.address.split('.')[0], true],
      [1, bob.address.split('.')[0], true],
    ]);
    expect(written(net, alice.address)).toBe(0);
    const arrived = receive(bob.client, 1);
    await alice.client.send(bob.address, bytes(10_000), { replies: 0 }).delivered;
    await arrived;
    const [link] = net.packets(alice.address);
    const sizes = Object.keys(link!.written);
    expect(sizes).toHaveLength(1);
    expect(Number(sizes[0])).toBeGreaterThan(2_000);
    const count = Object.values(link!.written)[0]!;
    expect(count).toBeGreaterThanOrEqual(7);
    // To alice an ack for each, to bob the packets.
    const pushed = (address: MixAddress) => net.packets(address)[0]!.pushed;
    expect(Object.values(pushed(alice.address)).reduce((a, b) => a + b)).toBe(count);
    expect(Object.values(pushed(bob.address)).reduce((a, b) => a + b)).toBe(count);
    const sizeOf = (address: MixAddress) => Number(Object.keys(pushed(address))[0]);
    expect(sizeOf(alice.address)).toBeLessThan(sizeOf(bob.address));
  });

  test('of packets that went no further, why', async () => {
    const net = await network();
    const [alice, bob] = [await connected(net, { gateway: 0 }), await connected(net, { gateway: 1 })];
    net.setFaults({ loss: 1 });
    const sent = alice.client.send(bob.address, 'lost', { reliable: false, replies: 0 });
    await sent.sent;
    await until('it is lost', () => net.dropped()['lost'] === 1);
    net.setFaults({ loss: 0, duplicate: 1 });
    const arrived = receive(bob.client, 1);
    await alice.client.send(bob.address, 'twice').delivered;
    expect((await arrived)[0]!.text()).toBe('twice');
    await until('a double is recognised', () => (net.dropped()['replay'] ?? 0) > 0);
  });
});

describe('its WebSocket', () => {
  const event = (socket: WebSocket, type: string) =>
    new Promise<Event>((resolve) => socket.addEventListener(type, resolve, { once: true }));

  test('opens at a gateway, counts what is not taken, and closes', async () => {
    const net = await network();
    const socket = new net.WebSocket(net.gateway(0).url);
    expect(socket.readyState).toBe(net.WebSocket.CONNECTING);
    expect(() => socket.send('early')).toThrow(DOMException);
    const order: string[] = [];
    socket.onopen = () => order.push('open');
    socket.onclose = () => order.push('close');
    await event(socket, 'open');
    expect(socket.readyState).toBe(net.WebSocket.OPEN);
    net.gateway(0).pause();
    const question = JSON.stringify({ type: 'supportedProtocol' });
    socket.send(question);
    socket.send(question);
    await pause(20);
    expect(socket.bufferedAmount).toBe(2 * question.length);
    net.gateway(0).resume();
    await until('all is taken', () => socket.bufferedAmount === 0);
    socket.close(3000, 'enough');
    expect(socket.readyState).toBe(net.WebSocket.CLOSING);
    expect(await event(socket, 'close')).toMatchObject({ code: 3000, reason: 'enough', wasClean: true });
    expect(socket.readyState).toBe(net.WebSocket.CLOSED);
    expect(order).toEqual(['open', 'close']);
  });

  test('speaks the gateway protocol in text', async () => {
    const net = await network();
    const socket = new net.WebSocket(net.gateway(0).url);
    await event(socket, 'open');
    socket.send(JSON.stringify({ type: 'supportedProtocol' }));
    const answer = (await event(socket, 'message')) as MessageEvent<string>;
    expect(JSON.parse(answer.data)).toMatchObject({ type: 'supportedProtocol' });
  });

  test.each([
    ['a gateway that is down', (net: TestNetwork) => (net.gateway(0).down(), net.gateway(0).url)],
    ['nobody', () => 'wss://example.com/'],
  ])('to %s fails with error and close', async (_name, urlOf) => {
    const net = await network();
    const socket = new net.WebSocket(urlOf(net));
    const order: string[] = [];
    socket.onerror = () => order.push('error');
    socket.onclose = () => order.push('close');
    expect(await event(socket, 'close')).toMatchObject({ code: 1006, wasClean: false });
    expect(order).toEqual(['error', 'close']);
  });

  test('that is given up before it is open fails the same way, and the gateway never hears of it', async () => {
    const net = await network({ latencyMs: 10 });
    const socket = new net.WebSocket(net.gateway(0).url);
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.close();
    expect(await event(socket, 'close')).toMatchObject({ code: 1006 });
    await pause(50);
    expect(opened).toBe(false);
  });

  test('a gateway that goes down ends it without a word', async () => {
    const net = await network();
    const socket = new net.WebSocket(net.gateway(0).url);
    await event(socket, 'open');
    const closed = event(socket, 'close');
    net.gateway(0).down();
    expect(await closed).toMatchObject({ code: 1006, wasClean: false });
  });

  test('other URLs and codes are refused as browsers refuse them', async () => {
    const net = await network();
    expect(() => new net.WebSocket('https://example.com')).toThrow(DOMException);
    expect(() => new net.WebSocket('nonsense')).toThrow();
    const socket = new net.WebSocket(net.gateway(0).url);
    expect(() => socket.close(1001)).toThrow(DOMException);
  });
});

describe('its directory', () => {
  test('is asked by a client that has a directory and no topology', async () => {
    const net = await network();
    vi.stubGlobal('fetch', net.fetch);
    const alice = await connected(net, { directory: true, gateway: 1 });
    expect(alice.client.gateway?.url).toBe(net.gateway(1).url);
    await alice.client.send(alice.address, 'found it').delivered;
  });

  test('other URLs go to the fetch there was', async () => {
    const others = vi.fn(() => Promise.resolve(new Response('mine')));
    vi.stubGlobal('fetch', others);
    const net = await network();
    expect(await (await net.fetch('https://example.com/x')).text()).toBe('mine');
    expect((await net.fetch(`${net.directory}/nothing`)).status).toBe(404);
    expect(others).toHaveBeenCalledTimes(1);
  });
});

describe('time', () => {
  test('is that of fake timers, for the network and its clients alike', async () => {
    vi.useFakeTimers();
    const net = await network({ latencyMs: 2_000 });
    const alice = client(net);
    const start = Date.now();
    await passUntilSettled(alice.connect({ timeoutMs: 0 }));
    // Opening, the version, two steps of the handshake, bandwidth: each goes there and back.
    expect(Date.now() - start).toBeGreaterThanOrEqual(5 * 4_000);
  });

  test('that takes minutes passes in an instant', async () => {
    vi.useFakeTimers();
    const net = await network();
    const alice = client(net);
    const address = await passUntilSettled(alice.connect({ timeoutMs: 0 }));
    net.setFaults({ loss: 1 });
    const start = Date.now();
    const sent = await passUntilSettled(outcome(alice.send(address, 'never arrives').delivered));
    expect(sent.error).toMatchObject({ code: 'no-acks' });
    expect(Date.now() - start).toBeGreaterThan(60_000);
  });
});

describe('close', () => {
  test('ends every link, and nobody is reached any more', async () => {
    const net = await network();
    const alice = await connected(net);
    await net.close();
    await until('the loss is noticed', () => alice.client.state === 'reconnecting');
    expect(() => net.packets()).toThrow(TypeError);
    const socket = new net.WebSocket(net.gateways[0]!.url);
    await new Promise((resolve) => socket.addEventListener('close', resolve));
    await net.close();
  });
});
