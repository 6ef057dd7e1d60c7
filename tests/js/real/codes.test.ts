// Every code of the error table, provoked in earnest.

import { existsSync, readFileSync } from 'node:fs';
import { MixClient, MixError, errorCodes, errorTable, limits } from 'mixlet';
import type { MixAddress, MixClientOptions, MixErrorCode, ReplyTag } from 'mixlet';
import type { TestNetwork } from 'mixlet/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { client, connected, network, outcome, passUntil, passUntilSettled, until } from './support.js';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** What the promise rejects with. */
const failure = async (promise: Promise<unknown>): Promise<unknown> => (await outcome(promise)).error;

const thrown = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

/** A client whose gateway says other texts than it should. */
function lyingGateway(net: TestNetwork, rewrite: (text: string) => string): MixClient {
  class Lying extends net.WebSocket {
    override dispatchEvent(event: Event): boolean {
      const { data } = event as MessageEvent<unknown>;
      if (event.type !== 'message' || typeof data !== 'string') return super.dispatchEvent(event);
      return super.dispatchEvent(new MessageEvent('message', { data: rewrite(data) }));
    }
  }
  return client(net, {}, { webSocket: Lying });
}

/** A gateway that answers the handshake with an error. */
const refusing = (message: string) => (text: string) =>
  text.includes('"handshakePayload"') ? JSON.stringify({ type: 'error', message }) : text;

interface Nodes {
  pagination: { total: number; size: number };
  data: { ed25519_identity_pubkey: string }[];
}

/** A directory that has forgotten a gateway. */
const withoutGateway =
  (net: TestNetwork, id: string): typeof fetch =>
  async (input, init) => {
    const answer = await net.fetch(input, init);
    const text = await answer.text();
    const document = JSON.parse(text) as { nodes?: Nodes };
    if (document.nodes) {
      const { data, pagination } = document.nodes;
      document.nodes.data = data.filter((node) => node.ed25519_identity_pubkey !== id);
      pagination.total = pagination.size = document.nodes.data.length;
    }
    const changed = new Response(JSON.stringify(document), { headers: { 'content-type': 'application/json' } });
    return Object.defineProperty(changed, 'url', { value: answer.url });
  };

let net: TestNetwork;
beforeEach(async () => {
  net = await network();
});

const provoked: Partial<Record<MixErrorCode, () => unknown>> = {
  'address-invalid': async () => {
    const { client } = await connected(net);
    return failure(client.send('nobody' as MixAddress, 'x').queued);
  },
  'auth-refused': () => failure(lyingGateway(net, refusing('not you')).connect()),
  'bandwidth-exhausted': () => {
    const empty = (text: string) => text.replace(/"available_total":\d+/, '"available_total":0');
    return failure(lyingGateway(net, empty).connect());
  },
  'clock-skew': () => failure(lyingGateway(net, refusing('the timestamp is excessively skewed')).connect()),
  closed: async () => {
    const { client, address } = await connected(net);
    await client.close();
    return failure(client.send(address, 'x').queued);
  },
  'closed-before-delivery': async () => {
    const { client, address } = await connected(net);
    net.setFaults({ loss: 1 });
    const sent = client.send(address, 'x');
    await sent.sent;
    await client.close({ drain: false });
    return failure(sent.delivered);
  },
  'config-invalid': () => thrown(() => new MixClient({ ...net.options(), profile: '' })),
  'directory-invalid': () => {
    const answer = (input: unknown) =>
      Promise.resolve(Object.defineProperty(new Response('{}'), 'url', { value: String(input) }));
    vi.stubGlobal('fetch', answer);
    return failure(client(net, { directory: true }).connect());
  },
  'directory-unreachable': () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('offline')));
    return failure(client(net, { directory: true }).connect());
  },
  'gateway-gone': async () => {
    vi.useFakeTimers();
    vi.stubGlobal('fetch', net.fetch);
    const network = { directories: [net.directory], refreshMs: 10_000 };
    const alice = client(net, { gateway: 0 }, { network });
    await passUntilSettled(alice.connect({ timeoutMs: 0 }));
    vi.stubGlobal('fetch', withoutGateway(net, net.gateway(0).id));
    let error: unknown;
    alice.addEventListener('statechange', ({ detail }) => (error ??= detail.error));
    await passUntil('it is told', () => error !== undefined);
    return error;
  },
  'gateway-refused': () => {
    for (const gateway of net.gateways) gateway.down();
    return failure(client(net).connect());
  },
  'gateway-timeout': async () => {
    vi.useFakeTimers();
    for (const gateway of net.gateways) gateway.pause();
    return passUntilSettled(failure(client(net).connect({ timeoutMs: 0 })));
  },
  'handler-failed': async () => {
    const [alice, bob] = [await connected(net), await connected(net)];
    bob.client.serve(() => Promise.reject(new Error('broken')));
    return failure(alice.client.request(bob.address, '?'));
  },
  'in-use': () => failure(lyingGateway(net, refusing('there is already an open connection')).connect({ timeoutMs: 0 })),
  'mixed-content': () => {
    vi.stubGlobal('location', { protocol: 'https:', href: 'https://example.com/' });
    return failure(client(net, {}, { network: { directories: ['http://directory.example/api'] } }).connect());
  },
  'network-required': () => thrown(() => new MixClient({} as MixClientOptions)),
  'no-acks': async () => {
    vi.useFakeTimers();
    const alice = client(net);
    const address = await passUntilSettled(alice.connect({ timeoutMs: 0 }));
    net.setFaults({ loss: 1 });
    return passUntilSettled(failure(alice.send(address, 'x').delivered));
  },
  'no-gateway': async () => {
    const other = await network({ seed: 2 });
    return failure(client(net, {}, { gateway: { id: other.gateway(0).id } }).connect());
  },
  'no-handler': async () => {
    const [alice, bob] = [await connected(net), await connected(net)];
    return failure(alice.client.request(bob.address, '?', { service: 'none' }));
  },
  'no-receipt-support': async () => {
    const { client, address } = await connected(net);
    return failure(client.send(address, 'x', { receipt: false }).received);
  },
  'no-route': async () => {
    const other = await network({ seed: 2 });
    const [alice, stranger] = [await connected(net), await connected(other)];
    return failure(alice.client.send(stranger.address, 'x').delivered);
  },
  'no-surbs': async () => {
    const { client } = await connected(net);
    return failure(client.send('5Q5tCgKkfQJe8DuxXvEJ4R' as ReplyTag, 'x').delivered);
  },
  'not-connected': () => failure(client(net).send('x' as MixAddress, 'x').queued),
  'protocol-version': () => failure(lyingGateway(net, (text) => text.replace('"version":6', '"version":3')).connect()),
  'queue-full': async () => {
    net.gateway(0).pause();
    const alice = client(net, { gateway: 0 });
    const connecting = outcome(alice.connect());
    const { address } = await connected(net, { gateway: 1 });
    const items = new Array<string>(limits.requests + 1).fill('x');
    const asking = items.map((item) => failure(alice.request(address, item)));
    const error = await asking.at(-1);
    await alice.close();
    await Promise.all([connecting, ...asking]);
    return error;
  },
  'response-timeout': async () => {
    const [alice, bob] = [await connected(net), await connected(net)];
    bob.client.serve(() => new Promise(() => {}));
    return failure(alice.client.request(bob.address, '?', { responseTimeoutMs: 100 }));
  },
  timeout: () => {
    for (const gateway of net.gateways) gateway.pause();
    return failure(client(net).connect({ timeoutMs: 50 }));
  },
  'too-large': async () => {
    const { client, address } = await connected(net);
    return failure(client.send(address, new Uint8Array(32 * 1024 * 1024 + 1)).queued);
  },
  'unsupported-runtime': () => failure(new MixClient({ network: { topology: net.topology } }).connect()),
  'wasm-load': () => failure(client(net, {}, { wasm: new Uint8Array(8) }).connect()),
  'worker-crashed': async () => {
    class Broken extends net.WebSocket {
      override get bufferedAmount(): number {
        throw new Error('a bug');
      }
    }
    return failure(client(net, {}, { webSocket: Broken }).connect());
  },
};

/** Where the others are provoked: what only a browser has, and what no page can bring about. */
const elsewhere: Partial<Record<MixErrorCode, string>> = {
  'identity-conflict': 'tests/web/vault.rs',
  'identity-corrupt': 'tests/web/store.rs',
  'identity-file-invalid': 'tests/web/vault.rs',
  // Takes a peer that is no mixlet of this version.
  'peer-unsupported': 'tests/e2e/parts/interop.mjs',
  'storage-blocked': 'tests/package/surroundings.test.mjs',
  'storage-quota': 'tests/web/store.rs',
  'stored-by-newer-version': 'tests/web/store.rs',
  'wrong-passphrase': 'tests/web/vault.rs',
};

/** Of parts that are still to come. */
const later: MixErrorCode[] = [];

test('no code is left out', () => {
  const named = [...Object.keys(provoked), ...Object.keys(elsewhere), ...later];
  expect(named.sort()).toEqual([...errorCodes].sort());
});

describe('the code', () => {
  test.each(Object.entries(provoked))('%s', async (code, provoke) => {
    const error = await provoke();
    expect(error).toBeInstanceOf(MixError);
    const { type, retriable } = errorTable[code as MixErrorCode];
    expect(error).toMatchObject({ code, retriable });
    expect(error).toBeInstanceOf(type);
    expect((error as MixError).message.length).toBeGreaterThan(20);
  });

  test.each(Object.entries(elsewhere))('%s is provoked in %s', (code, path) => {
    const file = new URL(`../../../${path}`, import.meta.url);
    expect(existsSync(file)).toBe(true);
    const variant = code.replace(/(^|-)(.)/g, (_all, _dash, letter: string) => letter.toUpperCase());
    expect(readFileSync(file, 'utf8')).toMatch(new RegExp(`'${code}'|"${code}"|\\b${variant}\\b`));
  });
});

test('none of them is written to the console or left unhandled', async () => {
  // What is left unhandled fails the run; `until` gives it the time to show.
  const console = vi.spyOn(globalThis.console, 'error');
  await failure(lyingGateway(net, refusing('not you')).connect());
  await until('a while has passed', () => true);
  expect(console).not.toHaveBeenCalled();
});
