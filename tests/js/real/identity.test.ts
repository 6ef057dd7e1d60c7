// The identity, with the real engine, where nothing is stored.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AtRisk, GatewayInfo, MixClient, MixErrorCode, ReceivedMessage } from 'mixlet';
import type { TestGateway, TestNetwork } from 'mixlet/testing';
import { describe, expect, test } from 'vitest';
import { limits } from '../../../js/limits.js';
import { root } from '../titles.js';
import { client, connected, network, receive, until, written } from './support.js';

const passphrase = 'correct horse battery staple';

const refused = (promise: Promise<unknown>, code: MixErrorCode) => expect(promise).rejects.toMatchObject({ code });

interface Case {
  name: string;
  passphrase: string;
  bytes: string;
}
const vectors = JSON.parse(readFileSync(join(root, 'tests/vectors/backup.json'), 'utf8')) as { cases: Case[] };

describe('an exported identity', () => {
  test('brings its address into another client, which gets what is sent there', async () => {
    const net = await network();
    const one = await connected(net);
    const file = await one.client.identity.export({ passphrase });
    await one.client.close();
    const other = client(net);
    expect(await other.identity.import(file, { passphrase })).toBe(one.address);
    expect(await other.connect()).toBe(one.address);
    const sender = await connected(net);
    sender.client.send(one.address, 'for whoever has the keys');
    expect((await receive(other, 1))[0]?.text()).toBe('for whoever has the keys');
  });

  test('replaces that of a connected client only where that is wanted, and the client goes on', async () => {
    const net = await network();
    const [one, other] = [await connected(net), await connected(net)];
    const file = await one.client.identity.export({ passphrase });
    await one.client.close();
    await refused(other.client.identity.import(file, { passphrase: 'wrong' }), 'wrong-passphrase');
    await refused(other.client.identity.import(file, { passphrase }), 'identity-conflict');
    expect([other.client.state, other.client.address]).toEqual(['ready', other.address]);

    const messages = other.client.messages();
    const imported = other.client.identity.import(file, { passphrase, onConflict: 'replace' });
    expect(await imported).toBe(one.address);
    expect(other.client.state).toBe('ready');
    // The same once more is no conflict, and costs nothing.
    expect(await other.client.identity.import(file, { passphrase })).toBe(one.address);
    other.client.send(one.address, 'to itself');
    const received = (await messages.next()) as IteratorYieldResult<ReceivedMessage>;
    expect(received.value.text()).toBe('to itself');
  });

  test('made by another program is opened, and what is none is refused', async () => {
    const net = await network();
    const { cases } = vectors;
    const registered = cases.find(({ name }) => name === 'with a registration')!;
    const bytes = Uint8Array.from(registered.bytes.match(/../g) ?? [], (digits) => parseInt(digits, 16));
    const made = client(net);
    const importing = made.identity.import(new Blob([bytes]), { passphrase: registered.passphrase });
    expect(await importing).toMatch(/^\w+\.\w+@\w+$/);
    const cut = new Blob([bytes.subarray(0, 40)]);
    await refused(made.identity.import(cut, { passphrase }), 'identity-file-invalid');
    await refused(made.identity.import(new Blob([new Uint8Array(5000)]), { passphrase }), 'identity-file-invalid');
    const newer = bytes.slice();
    newer[8] = 2;
    await refused(made.identity.import(new Blob([newer]), { passphrase }), 'stored-by-newer-version');
  });

  test('needs an address and a passphrase', async () => {
    const net = await network();
    const made = client(net);
    await refused(made.identity.export({ passphrase }), 'not-connected');
    await refused(made.identity.export({ passphrase: '' }), 'config-invalid');
    await refused(made.identity.import('text' as never, { passphrase }), 'config-invalid');
    await refused(made.identity.import(new Blob([]), { passphrase, onConflict: 'x' as never }), 'config-invalid');
    await made.close();
    await refused(made.identity.export({ passphrase }), 'closed');
  });
});

describe('a rotated identity', () => {
  test('is another one of a client that goes on', async () => {
    const net = await network();
    const { client: made, address } = await connected(net);
    const states = statesOf(made);
    const rotated = made.identity.rotate();
    const sent = made.send(address, 'before it leaves');
    const fresh = await rotated;
    expect(fresh).not.toBe(address);
    expect([made.address, made.state]).toEqual([fresh, 'ready']);
    expect(states).toEqual(['reconnecting', 'ready']);
    await sent.delivered;
    made.send(fresh!, 'here');
    expect((await receive(made, 2)).map((message) => message.text())).toEqual(['before it leaves', 'here']);
  });

  test('is forgotten by its gateway once all that was sent has left', async () => {
    const net = await network();
    const link = new Tap(net);
    const { client: made, address } = await connected(net, {}, { webSocket: link.WebSocket });
    const other = await connected(net);
    const bodies = Array.from({ length: 20 }, (_, number) => `before it leaves ${number}`);
    const rotated = made.identity.rotate();
    const sent = bodies.map((body) => made.send(other.address, body));
    const fresh = await rotated;
    await Promise.all(sent.map(({ delivered }) => delivered));
    const received = (await receive(other.client, 20)).map((message) => message.text());
    expect(received.sort()).toEqual(bodies.sort());
    expect(fresh).not.toBe(address);
    // The answer is the last thing of the old link, and the new one asks nothing of the kind.
    expect(link.asked).toEqual([[1, written(net, address)]]);
    expect(link.answered).toEqual([1]);
  });

  test('comes also where the gateway does not answer', async () => {
    const net = await network();
    const silent: TestGateway[] = [];
    const select = (gateways: GatewayInfo[]) => gateways.find(({ id }) => id !== silent[0]?.id)!;
    const { client: made, address } = await connected(net, {}, { gateway: { select } });
    silent.push(net.gateways.find(({ id }) => id === made.gateway?.id)!);
    silent[0]?.pause();
    const start = performance.now();
    expect(await made.identity.rotate()).not.toBe(address);
    expect(performance.now() - start).toBeGreaterThan(limits.forgetTimeoutMs - 100);
    expect(made.state).toBe('ready');
  }, 30_000);

  test('is forgotten also where the link has to come back for that', async () => {
    const net = await network({ gateways: 1 });
    const link = new Tap(net);
    const { client: made } = await connected(net, {}, { webSocket: link.WebSocket });
    net.gateways[0]?.down();
    await until('the link is down', () => made.state === 'reconnecting');
    const rotated = made.identity.rotate();
    net.gateways[0]?.up();
    await rotated;
    const [asked] = link.asked;
    expect(asked?.[0]).toBeGreaterThan(1);
    expect(link.answered).toEqual([asked?.[0]]);
  }, 30_000);

  test('comes with the next connect where there is no connection', async () => {
    const net = await network();
    const made = client(net);
    expect(await made.identity.rotate()).toBeNull();
    expect(made.state).toBe('idle');
  });
});

test('a destroyed identity is forgotten by the gateway, and the client is closed', async () => {
  const net = await network();
  const link = new Tap(net);
  const one = await connected(net, {}, { webSocket: link.WebSocket });
  const file = await one.client.identity.export({ passphrase });
  await one.client.identity.destroy();
  expect([one.client.state, one.client.address]).toEqual(['closed', null]);
  expect(link.answered).toEqual([1]);
  // The keys can be registered anew by whoever has exported them.
  await one.client.identity.import(file, { passphrase });
  expect(await one.client.connect()).toBe(one.address);
});

test('a gateway that does not answer does not keep it from being destroyed', async () => {
  const net = await network({ gateways: 1 });
  const { client: made } = await connected(net);
  net.gateways[0]?.pause();
  await made.identity.destroy();
  expect(made.state).toBe('closed');
}, 30_000);

test('in memory nothing lasts, which is no surprise, and nothing is there to be protected', async () => {
  const net = await network();
  const made = client(net);
  const risks: AtRisk[] = [];
  made.addEventListener('identity-at-risk', ({ detail }) => risks.push(detail));
  await made.connect();
  expect(await made.identity.durability()).toBe('volatile');
  await refused(made.identity.setPassphrase('x'), 'config-invalid');
  expect(risks).toEqual([]);
});

/** What is asked of gateways under the key of a client, which is only to be forgotten, and what they answer. */
class Tap {
  readonly WebSocket: typeof WebSocket;
  /** Over which link, from 1, and after how many packets. */
  readonly asked: [number, number][] = [];
  readonly answered: number[] = [];
  #links = 0;

  constructor(net: TestNetwork) {
    const open = (socket: WebSocket) => {
      const link = ++this.#links;
      const { send } = socket;
      let packets = 0;
      socket.send = (data) => {
        if (typeof data !== 'string') packets++;
        else if (data.includes('encryptedRequest')) this.asked.push([link, packets]);
        send.call(socket, data);
      };
      socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
        if (typeof data === 'string' && data.includes('encryptedResponse')) this.answered.push(link);
      });
    };
    this.WebSocket = class extends net.WebSocket {
      constructor(url: string | URL) {
        super(url);
        open(this);
      }
    };
  }
}

function statesOf(made: MixClient): string[] {
  const states: string[] = [];
  made.addEventListener('statechange', ({ detail }) => states.push(detail.state));
  return states;
}
