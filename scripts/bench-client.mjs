// Measures mixlet beside the published Nym browser client: the same devnet, the same browser, one run, in turns. How
// long from `connect()` to ready, how long a large message takes with pacing off, how long many small ones take, how
// long the page is busy with one thing while 20 MB go from it and come to it, and how large the wasm is.
//
//   node scripts/bench-client.mjs [--rounds 3] [--json]       (--json: one line of JSON instead of the table)
//                                 [--mb 20]                   (how much is sent for the longest task)
//
// Times are from the sender's call to the arrival at the recipient, another client of the same kind in a page and at a
// gateway of its own. Both kinds run with the same delays in the network, without pacing and without cover traffic.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { Chromium } from '../tests/e2e/lib/browsers.mjs';
import { clientOf, Devnet } from '../tests/e2e/lib/devnet.mjs';
import { bodyOf, Peer } from '../tests/e2e/lib/peer.mjs';
import { digestOf } from '../tests/e2e/lib/bytes.mjs';
import { expect, expectEqual } from '../tests/e2e/lib/report.mjs';
import { serveSite } from '../tests/e2e/lib/site.mjs';
import { buildDevnet, startDevnet } from './lib/devnet.mjs';
import { bold, Complaint, duration, entry, say, stopwatch } from './lib/output.mjs';
import { folder, logs, root } from './lib/paths.mjs';
import { stopAll, stopOnSignals } from './lib/processes.mjs';

const LARGE = 1_000_000;
const MANY = 300;
const SMALL = 1_000;
/** What is sent to see how long the page is held up: messages of this length, and of the slower client so many less. */
const PIECE = 1_000_000;
const SHARE = { mixlet: 1, nym: 0.2 };

/** Mean time that a mix node holds a packet or an ack, the default of both. */
const HOP_MS = 15;

/** What it may take at most until all of a measurement has arrived. */
const PATIENCE_MS = 300_000;

const nymPackage = dirname(createRequire(import.meta.url).resolve('@nymproject/nym-client-wasm/package.json'));

const WASM = {
  mixlet: join(root, 'dist', 'mixlet.wasm'),
  nym: join(nymPackage, 'nym_client_wasm_bg.wasm'),
};

/** The options of a client of each kind at a gateway. */
const OPTIONS = {
  mixlet: (net, gateway) => ({
    network: { directories: [net.directory] },
    gateway: { id: gateway },
    privacy: { hopDelayMs: HOP_MS, ackDelayMs: HOP_MS, dangerNoPacing: true },
  }),
  nym: (net, gateway) => ({
    clientId: 'bench',
    nymApiUrl: net.directory,
    preferredGateway: gateway,
    forceTls: false,
    clientOverride: {
      traffic: { averagePacketDelayMs: HOP_MS, disableMainPoissonPacketDistribution: true },
      coverTraffic: { disableLoopCoverTrafficStream: true },
      acknowledgements: { averageAckDelayMs: HOP_MS },
    },
  }),
};

const args = process.argv.slice(2);
const json = args.includes('--json');
const rounds = args.includes('--rounds') ? Number(args[args.indexOf('--rounds') + 1]) : 3;
const pieces = args.includes('--mb') ? Number(args[args.indexOf('--mb') + 1]) : 20;

/** What is measured, in the order of the table. */
const ROWS = [
  ['connect', 'connect to ready, first time', 'ms'],
  ['again', 'connect to ready, known already', 'ms'],
  ['large', '1 MB message', 'ms'],
  ['largePackets', '  packets sent for it', ''],
  ['many', '300 messages of 1 kB', 'ms'],
  ['manyPackets', '  packets sent for them', ''],
  ['bulk', `${pieces} MB in messages of 1 MB, per MB`, 'ms'],
  ['sendingTask', '  longest task of the sending page', 'ms'],
  ['sendingGap', '  longest time without a turn there', 'ms'],
  ['receivingTask', '  longest task of the receiving page', 'ms'],
  ['receivingGap', '  longest time without a turn there', 'ms'],
];

await entry(async () => {
  stopOnSignals();
  if (!(rounds >= 1)) throw new Complaint('--rounds takes a number from 1 on.');
  if (!(pieces >= 1)) throw new Complaint('--mb takes a number from 1 on.');
  if (!existsSync(WASM.mixlet)) throw new Complaint('dist/ is missing; run npm run build first.');
  const building = stopwatch();
  const binary = await buildDevnet({ release: true });
  if (!json) say(`  devnet: ${duration(building())}`);
  const log = join(folder(logs), 'devnet-bench.log');
  const net = new Devnet(await startDevnet(binary, ['--forget'], { log }));
  const site = await serveSite();
  const browser = await Chromium.launch();
  const samples = { mixlet: [], nym: [] };
  try {
    for (let round = 0; round < rounds; round += 1) {
      // Who comes first has a colder machine: they take turns.
      for (const kind of round % 2 === 0 ? ['mixlet', 'nym'] : ['nym', 'mixlet']) {
        const elapsed = stopwatch();
        samples[kind].push(await measure(kind, { net, site, browser, seed: 1_000 * round }));
        if (!json) say(`  round ${round + 1} of ${rounds}, ${kind}: ${duration(elapsed())}`);
      }
    }
  } finally {
    await browser.close();
    site.close();
    await stopAll();
  }
  const sizes = { mixlet: sizesOf(WASM.mixlet), nym: sizesOf(WASM.nym) };
  if (json) say(JSON.stringify({ rounds, samples, sizes }));
  else print(samples, sizes);
  return 0;
});

/** One round with one kind of client. */
async function measure(kind, { net, site, browser, seed }) {
  const [first, second] = net.gatewayIds;
  const options = OPTIONS[kind];
  const profiles = [await browser.profile(), await browser.profile()];
  try {
    const to = await Peer.open(profiles[0], site.url, kind, options(net, first));
    const before = await Peer.open(profiles[1], site.url, kind, options(net, second));
    const connect = before.ms;
    await before.close();
    const from = await Peer.open(profiles[1], site.url, kind, options(net, second));
    expectEqual(from.address, before.address, 'the address after coming back');
    // The first packets of a client compute tables and warm the code; they are not what is asked for here.
    await from.send(to.address, { text: 'warm' });
    await to.receive({ text: 'warm' });

    const packets = async () => (await net.client(from.address)).frames_in;
    let sent = await packets();
    const spent = async () => {
      const now = await packets();
      const more = now - sent;
      sent = now;
      return more;
    };

    const what = { seed, length: LARGE };
    const begun = await from.send(to.address, what);
    const large = (await to.receive(what, PATIENCE_MS)).at - begun;
    const largePackets = await spent();

    const [start, messages] = await Promise.all([
      from.sendMany(to.address, seed + 1, MANY, SMALL),
      to.receiveMany(2, MANY, PATIENCE_MS),
    ]);
    const many = Math.max(...messages.map(({ at }) => at)) - start;
    const manyPackets = await spent();
    const wanted = await Promise.all(
      Array.from({ length: MANY }, (_, n) => digestOf(bodyOf({ seed: seed + 1 + n, length: SMALL }))),
    );
    const came = new Set(messages.map(({ digest }) => digest));
    expect(
      wanted.every((digest) => came.has(digest)),
      `${kind}: not every small message came as it was sent`,
    );

    const count = Math.ceil(pieces * SHARE[kind]);
    await to.watch();
    const [bulkStart, bulkMessages] = await Promise.all([
      from.sendEach(to.address, seed + 1 + MANY, count, PIECE, PATIENCE_MS),
      to.receiveMany(2 + MANY, count, PATIENCE_MS),
    ]);
    const bulk = (Math.max(...bulkMessages.map(({ at }) => at)) - bulkStart) / count;
    const [sending, receiving] = await Promise.all([from.watched(), to.watched()]);
    const times = { connect, again: from.ms, large, largePackets, many, manyPackets, bulk };
    const tasks = { sendingTask: sending.task, receivingTask: receiving.task };
    const gaps = { sendingGap: sending.gap, receivingGap: receiving.gap };
    return { ...times, ...tasks, ...gaps, client: clientOf(from.address) };
  } finally {
    await Promise.all(profiles.map((profile) => profile.close()));
  }
}

function sizesOf(file) {
  const bytes = readFileSync(file);
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotli.length };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function print(samples, sizes) {
  const line = (title, cells) => say(title.padEnd(34) + cells.map((cell) => cell.padStart(15)).join(''));
  const number = (value, unit) => `${Math.round(value).toLocaleString('en')}${unit ? ` ${unit}` : ''}`;
  const ratio = (mixlet, nym) => (mixlet > 0 ? (nym / mixlet).toFixed(2) : '–');
  /** Of shorter tasks the browser does not tell. */
  const LONG_MS = 50;
  say();
  line('', ['mixlet least', 'Nym least', 'ratio', 'mixlet median', 'Nym median', 'ratio']);
  for (const [key, title, unit] of ROWS) {
    const of = (kind) => samples[kind].map((sample) => sample[key]);
    const cells = [(values) => Math.min(...values), median].flatMap((reduce) => {
      const [mixlet, nym] = [reduce(of('mixlet')), reduce(of('nym'))];
      const shown = (value) => (key.endsWith('Task') && value < LONG_MS ? `under ${LONG_MS} ms` : number(value, unit));
      return [shown(mixlet), shown(nym), ratio(mixlet, nym)];
    });
    line(title, cells);
  }
  say();
  line('wasm', ['mixlet', 'Nym', 'ratio']);
  for (const form of ['raw', 'gzip', 'brotli']) {
    const [mixlet, nym] = [sizes.mixlet[form], sizes.nym[form]];
    line(`  ${form}`, [number(mixlet, 'B'), number(nym, 'B'), ratio(mixlet, nym)]);
  }
  say();
  say(bold('ratio: Nym divided by mixlet'));
  say(`Of the ${pieces} MB, Nym’s client sent ${Math.ceil(pieces * SHARE.nym)}.`);
}
