// Everything that can be wrong around a page: each gives a typed error whose text says what to do, in time, and without
// a word of ours on the console.

import { generateKeyPairSync } from 'node:crypto';
import { freePorts } from '../../../scripts/lib/ports.mjs';
import { FOREIGN_HOST } from '../lib/browsers.mjs';
import { Client, failure } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import {
  BINARY,
  binaryFrame,
  cutFrame,
  movedGateway,
  startDirectory,
  startGateway,
  TEXT,
  textFrame,
} from '../lib/liars.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { serveSite } from '../lib/site.mjs';
import { until } from '../lib/time.mjs';

/** How many cases are tried at a time. */
const AT_ONCE = 4;

/** The deadline given to `connect`, and how much later than that it may settle on a busy machine. */
const DEADLINE_MS = 20_000;
const GRACE_MS = 3_000;

/** What a text that helps has in it. */
const ADVICE =
  /\b(Allow|Check|Choose|Copy|Correct|Free|Give|Leave|Name|Serve|Set|Try|Update|Use|allow|check|serve|try|use)\b/;

/** What browsers write themselves when a request fails. */
const BROWSER_LINES =
  /^(Failed to load resource:|WebSocket connection to '|Access to fetch at |Mixed Content: |Fetch API cannot load )/;

const errorText = (message) => textFrame(JSON.stringify({ type: 'error', message }));

/** What a gateway says to a client that registers, in this order. */
const REGISTRATION = [
  'naming its version',
  'its first step of the handshake',
  'its last step of the handshake',
  'confirming the registration',
];

const SAYS_NO = 'says no';

/** What it may do instead of saying what it should; gets the message, gives back what `startGateway` takes. */
const MISBEHAVIOURS = [
  ['closes', () => ['close']],
  ['breaks off', () => ['reset']],
  ['sends garbage', () => [textFrame('\u0000garbage')]],
  ['sends too much', () => [textFrame(`{"type":"${'x'.repeat(200_000)}"}`)]],
  ['breaks off in the middle', ({ kind, body }) => [cutFrame(kind, body), 'end']],
  [SAYS_NO, () => [errorText('you are not welcome here')]],
];

export async function badInput({ test }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const secureSite = await serveSite({ secure: true });
  const strictSite = await serveSite({ policy: contentPolicy(net) });
  const closing = [net.stop.bind(net), secureSite.close, strictSite.close];
  const plain = await browser.profile();
  const trusting = await browser.profile({ ignoreHTTPSErrors: true });
  const without = await browser.profile({ script: "Object.defineProperty(window, 'indexedDB', { value: undefined })" });
  const [gateway] = net.info.gateways;
  const [silentPort] = await freePorts(1);

  const byDirectory = async (answer) => {
    const directory = await startDirectory(net.directory, answer);
    closing.push(directory.close);
    return { network: { directories: [directory.url] }, storage: 'memory' };
  };
  const byGateway = async (liar) => {
    const lying = await startGateway(gateway.url, liar);
    closing.push(lying.close);
    const options = await byDirectory(movedGateway(gateway.url, lying.port));
    return { ...options, gateway: { id: gateway.id }, reconnect: { minMs: 50, maxMs: 100 } };
  };
  const good = { network: { directories: [net.directory] }, storage: 'memory' };

  /** A page in which `connect` has to fail like this. */
  const refused = (title, options, { code, phase, name = 'MixError', profile = plain, url = site.url, deadline }) => ({
    title: `${title}: ${code}`,
    run: async () => {
      const page = await profile.open(url);
      const timeoutMs = deadline ?? DEADLINE_MS;
      const start = performance.now();
      const client = new Client(page, 'somebody', await options());
      const error = await failure(client.connect({ timeoutMs }));
      const ms = performance.now() - start;
      expectEqual([error.code, error.name, error.isMixError], [code, name, true], `"${error.message}"`);
      if (phase) expectEqual(error.phase, phase, 'the phase');
      expect(ADVICE.test(error.message), `the text does not say what to do: ${error.message}`);
      expect(ms < timeoutMs + GRACE_MS, `it took ${Math.round(ms)} ms`);
      const { state } = await client.state();
      expectEqual(state, 'idle', 'the state afterwards');
      expectQuiet(page);
      await page.close();
      return error.message;
    },
  });

  /** A page in which `connect` has to work all the same. */
  const accepted = (title, options, { profile = plain, url = site.url, then = async () => {} } = {}) => ({
    title,
    run: async () => {
      const page = await profile.open(url);
      const client = new Client(page, 'somebody', await options());
      const { ms } = await client.connect({ timeoutMs: DEADLINE_MS });
      const note = await then(client);
      await client.close();
      expectQuiet(page);
      await page.close();
      return note ?? `ready after ${Math.round(ms)} ms`;
    },
  });

  const topology = { name: 'TopologyError', phase: 'topology' };
  const unreachable = { ...topology, code: 'directory-unreachable' };
  const invalid = { ...topology, code: 'directory-invalid' };
  const late = { name: 'MixTimeoutError', code: 'timeout', deadline: 3_000 };
  const noGateway = { name: 'GatewayError', code: 'gateway-refused' };
  const wasm = { code: 'wasm-load', phase: 'engine' };
  const html = { type: 'text/html', body: '<!doctype html><title>Maintenance</title><p>Back soon.' };

  const cases = [
    refused('no directory listens', () => goodWith(`http://127.0.0.1:${silentPort}/api`), unreachable),
    refused(
      'a directory that this page may not read',
      () => byDirectory((body) => ({ body, headers: {} })),
      unreachable,
    ),
    refused('a directory that never answers', () => byDirectory(() => undefined), { ...late, phase: 'topology' }),
    refused('a directory that answers with HTML', () => byDirectory(() => html), invalid),
    refused('a directory that says 500', () => byDirectory((body) => ({ status: 500, body })), invalid),
    refused('a directory that answers with no JSON', () => byDirectory((truth) => truth.slice(0, -10)), invalid),
    refused('a directory that answers with other JSON', () => byDirectory(() => '{"nodes":[1,2,3]}'), invalid),
    refused('a directory that nests JSON deeply', () => byDirectory(() => '['.repeat(200_000)), invalid),
    refused('a directory that answers with too much', () => byDirectory(() => ' '.repeat(9 << 20)), invalid),
    refused(
      'a directory without nodes',
      () => byDirectory((truth) => truth.replace(/"data":\[.*\]/, '"data":[]')),
      invalid,
    ),
    refused('a gateway that is not in the network', () => ({ ...good, gateway: { id: base58(randomIdentity()) } }), {
      code: 'no-gateway',
      name: 'TopologyError',
    }),

    refused('a gateway id that is none', () => ({ ...good, gateway: { id: 'nobody' } }), { code: 'config-invalid' }),
    refused(
      'a gateway that does not listen',
      async () => {
        const options = await byDirectory(movedGateway(gateway.url, silentPort));
        return { ...options, gateway: { id: gateway.id }, reconnect: { minMs: 50, maxMs: 100 } };
      },
      noGateway,
    ),
    refused(
      'a gateway that speaks HTTP',
      () => byGateway({ upgrade: 'HTTP/1.1 404 Not Found\r\n\r\n<html>' }),
      noGateway,
    ),
    refused('a gateway that never answers the opening', () => byGateway({ upgrade: '' }), {
      ...late,
      phase: 'gateway',
    }),
    refused('a gateway that opens and says nothing', () => byGateway({ lie: () => ['silence'] }), {
      ...late,
      phase: 'auth',
    }),
    refused(
      'a gateway that is too old',
      () => byGateway({ lie: onTexts((text) => [textFrame(text.replace(/"version":\d+/, '"version":3'))]) }),
      {
        code: 'protocol-version',
        name: 'ProtocolVersionError',
      },
    ),
    refused(
      'a gateway of the future that no longer takes our version',
      () =>
        byGateway({
          lie: (n, { body }) =>
            n === 0
              ? [textFrame(String(body).replace(/"version":\d+/, '"version":99'))]
              : [errorText('the client sent incompatible protocol version: 6')],
        }),
      { code: 'protocol-version', name: 'ProtocolVersionError' },
    ),
    accepted('a gateway of the future that still takes our version is fine', () =>
      byGateway({
        lie: (n, { body }) =>
          n === 0 ? [textFrame(String(body).replace(/"version":\d+/, '"version":99'))] : undefined,
      }),
    ),
    // In every state of the way up: after the opening, in the middle of a registration and at its end.
    ...REGISTRATION.flatMap((message, at) =>
      MISBEHAVIOURS.map(([does, lies]) =>
        refused(
          `a gateway that ${does} instead of ${message}`,
          () => byGateway({ lie: (n, said) => (n === at ? lies(said) : undefined) }),
          does === SAYS_NO && at > 0 ? { code: 'auth-refused', name: 'AuthError' } : noGateway,
        ),
      ),
    ),
    // The registration is good already, so that the next attempt logs in with it.
    ...MISBEHAVIOURS.map(([does, lies]) =>
      accepted(`a gateway that ${does} when bandwidth is claimed gets a second chance`, () =>
        byGateway({ lie: (n, said) => (n === REGISTRATION.length ? lies(said) : undefined) }),
      ),
    ),
    ...MISBEHAVIOURS.map(([does, lies]) => ({
      title: `a gateway that ${does} at the login is refused, and the address stays`,
      run: async () => {
        let lying = false;
        const lie = (n, said) => (lying && n === 1 ? lies(said) : undefined);
        const page = await plain.open(site.url);
        const options = { ...(await byGateway({ lie })), storage: 'indexeddb' };
        const client = new Client(page, `login, ${does}`, options);
        const { address } = await client.connect();
        await client.close();
        lying = true;
        const error = await failure(client.connect({ timeoutMs: DEADLINE_MS }));
        expectEqual(error.code, does === SAYS_NO ? 'auth-refused' : 'gateway-refused', error.message);
        lying = false;
        expectEqual((await client.connect()).address, address, 'the address');
        await client.close();
        expectQuiet(page);
        await page.close();
      },
    })),
    accepted('a gateway that talks nonsense later on is survived', () => byGateway({ lie: nonsenseFrom(8) }), {
      then: async (client) => {
        // What a gateway pushes into a connection that is about to end is lost although it was acknowledged, so that
        // nothing can be asked for before the nonsense is over.
        let [reconnects, since] = [0, performance.now()];
        const isBack = async () => {
          const now = (await client.stats()).reconnects;
          if (now !== reconnects || (await client.state()).state !== 'ready') {
            [reconnects, since] = [now, performance.now()];
          }
          return reconnects >= 1 && performance.now() - since > 3_000;
        };
        await until(isBack, 'a link that lasts is up again', 120_000);
        const what = { seed: 1, length: 5_000 };
        const sending = await client.send(client.address, what);
        await Promise.all([client.receive(what), sending.settle()]);
        const { states } = await client.state();
        expectEqual(states.at(-1), 'ready', 'the state');
        const { dropped } = await client.stats();
        expect(dropped.frame >= 3, `${reconnects} reconnects, ${dropped.frame} bad frames`);
        return `${reconnects} reconnects, ${dropped.frame} bad frames`;
      },
    }),

    refused('HTML in place of the wasm', () => ({ ...good, wasmFrom: '/odd/html.wasm' }), wasm),
    refused('no wasm at all', () => ({ ...good, wasmFrom: '/odd/missing.wasm' }), wasm),
    refused('half of the wasm', () => ({ ...good, wasmFrom: '/odd/cut.wasm' }), wasm),
    refused('another wasm', () => ({ ...good, wasmFrom: '/odd/other.wasm' }), wasm),
    accepted('a wrong MIME type of the wasm just works', () => ({ ...good, wasmFrom: '/odd/type.wasm' })),
    accepted('no MIME type of the wasm just works', () => ({ ...good, wasmFrom: '/odd/no-type.wasm' })),
    refused('a worker script that is not there', () => ({ ...good, workerUrl: '/dist/missing.js' }), {
      code: 'worker-crashed',
      name: 'EnginePanicError',
    }),

    refused('a browser without IndexedDB', () => ({ ...good, storage: 'indexeddb' }), {
      code: 'storage-blocked',
      name: 'StorageError',
      profile: without,
    }),
    refused(
      'a window that may not store anything',
      () => ({ ...good, storage: 'indexeddb', workerUrl: '/page/worker-without-storage.js' }),
      { code: 'storage-blocked', name: 'StorageError', phase: 'storage' },
    ),
    accepted('memory storage works without IndexedDB', () => good, { profile: without }),
    refused('a page without a secure context', () => good, {
      code: 'unsupported-runtime',
      name: 'UnsupportedRuntimeError',
      url: `http://${FOREIGN_HOST}:${site.port}/`,
    }),
    refused('a secure page and a directory over plain HTTP', () => goodWith(`http://${FOREIGN_HOST}:9/api`), {
      code: 'mixed-content',
      name: 'GatewayError',
      profile: trusting,
      url: secureSite.url,
    }),
    refused('a secure page and gateways without TLS', () => good, {
      code: 'mixed-content',
      name: 'GatewayError',
      phase: 'gateway',
      profile: trusting,
      url: secureSite.url,
    }),
    accepted('a page with the content policy of the manual', () => ({ ...good, storage: 'indexeddb' }), {
      url: strictSite.url,
    }),
    accepted('malformed addresses are refused, with one event each', () => good, {
      then: async (client) => {
        const whole = client.address;
        const wrong = [
          '',
          'bob',
          whole.slice(20),
          `${whole}x`,
          whole.replace('@', '.'),
          whole.replace('.', '..'),
          `${whole}\n`,
          '0'.repeat(134),
        ];
        for (const address of wrong) {
          const sending = await client.send(address, { text: 'to nobody' });
          const error = await failure(sending.settle());
          expectEqual([error.code, error.isMixError], ['address-invalid', true], JSON.stringify(address));
          // White space around an address is nothing wrong where people paste one.
          if (address.endsWith('\n')) continue;
          const thrown = await failure(client.page.call('parse', address));
          expectEqual(thrown.code, 'address-invalid', `parseAddress(${JSON.stringify(address)})`);
        }
        const { undelivered } = await client.state();
        expectEqual(
          undelivered.map(({ code }) => code),
          wrong.map(() => 'address-invalid'),
          'events',
        );
        return `${wrong.length} addresses`;
      },
    }),
  ];

  try {
    const waiting = [...cases];
    const worker = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await test(next.title, next.run);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    for (const profile of [plain, trusting, without]) await profile.close();
    for (const close of closing.reverse()) await close();
  }
}

const goodWith = (directory) => ({ network: { directories: [directory] }, storage: 'memory' });

/** What the manual says a page needs, for this network. */
function contentPolicy(net) {
  const { origin } = new URL(net.directory);
  const gateways = net.info.gateways.map(({ url }) => url).join(' ');
  return (
    "default-src 'none'; img-src data:; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; " +
    `connect-src 'self' ${origin} ${gateways}`
  );
}

/** The identity key of a gateway that nobody runs. */
function randomIdentity() {
  const { publicKey } = generateKeyPairSync('ed25519');
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
}

function base58(bytes) {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let text = '';
  for (let rest = BigInt(`0x${bytes.toString('hex')}`); rest > 0n; rest /= 58n)
    text = digits[Number(rest % 58n)] + text;
  return '1'.repeat(bytes.findIndex((byte) => byte !== 0)) + text;
}

/** Lies about texts only. */
function onTexts(lie) {
  return (_, { kind, body }) => (kind === TEXT ? lie(String(body)) : undefined);
}

/** From this message on two connections get nonsense under the truth, and then something that ends the link. */
function nonsenseFrom(first) {
  let begun = 0;
  return (n, { kind, body }) => {
    if (n === 0) begun += 1;
    if (n < first || begun > 2) return undefined;
    const truth = kind === TEXT ? textFrame(body) : binaryFrame(body);
    switch (n - first) {
      case 0:
        return [textFrame('{"type":"nonsense","of":[1,2,{}]}'), truth];
      case 1:
        return [textFrame('\u0001\u0002'), binaryFrame([1, 2, 3]), binaryFrame([]), truth];
      default:
        return begun === 1 ? [cutFrame(BINARY, body), 'end'] : [binaryFrame(Buffer.alloc(200_000))];
    }
  };
}

/** Fails if the page or its workers wrote anything to the console; what browsers say about failed requests aside. */
function expectQuiet(page) {
  const ours = page.lines.filter(({ text }) => !BROWSER_LINES.test(text));
  expectEqual(ours, [], 'on the console');
}
