// `npm run bench:client`: how long a client takes to get ready, and 1 MB with pacing off, for mixlet and beside it for the
// published Nym client: the same devnet, the same browser, in turns. Prints a table; nothing here passes or fails.
//
//   node tests/e2e/bench.mjs [--rounds N] [--json]

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { entry, say } from '../../scripts/lib/output.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { stopAll, stopOnSignals } from '../../scripts/lib/processes.mjs';
import { Chromium } from './lib/browsers.mjs';
import { Client } from './lib/client.mjs';
import { Devnet } from './lib/devnet.mjs';
import { serveSite } from './lib/site.mjs';
import { quantile } from './lib/statistics.mjs';
import { within } from './lib/time.mjs';
import { openNym } from './nym/nym.mjs';

const LARGE = 1_000_000;
const PATIENCE_MS = 180_000;

/** No Poisson distribution of its packets, and no cover. */
const NYM_WITHOUT_PACING = {
  traffic: { disableMainPoissonPacketDistribution: true },
  coverTraffic: { disableLoopCoverTrafficStream: true },
};

await entry(async () => {
  stopOnSignals();
  const args = process.argv.slice(2);
  const rounds = args.includes('--rounds') ? Number(args[args.indexOf('--rounds') + 1]) : 3;
  // The network is not what is measured: built as for use, it is in nobody's way.
  const net = await Devnet.start('bench', [], { release: true });
  const site = await serveSite();
  const browser = await Chromium.launch();
  const results = { mixlet: [], nym: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, measure] of [
      ['mixlet', measureMixlet],
      ['nym', measureNym],
    ]) {
      results[name].push(await within(PATIENCE_MS, `a round of ${name}`, measure({ net, site, browser })));
    }
  }
  const version = await browser.version();
  await browser.close();
  site.close();
  await net.stop();
  await stopAll();

  const figures = { ...medians(results), sizes: sizes(), rounds, browser: `Chromium ${version}` };
  if (args.includes('--json')) say(JSON.stringify(figures));
  else print(figures);
});

/** Two clients of ours in profiles of their own. */
async function measureMixlet({ net, site, browser }) {
  const profiles = [await browser.profile(), await browser.profile()];
  const open = async (place) => {
    const options = {
      network: { directories: [net.directory] },
      gateway: { id: net.gatewayIds[place] },
      privacy: { dangerNoPacing: true },
    };
    const client = new Client(await profiles[place].open(site.url), `client-${place}`, options);
    const { ms } = await client.connect();
    return { client, ms };
  };
  const [from, to] = [await open(0), await open(1)];
  const what = { seed: 1, length: LARGE };
  const sending = await from.client.send(to.client.address, what, { replies: 0 });
  const [{ at }, delivered] = await Promise.all([to.client.receive(what), sending.settle()]);
  await from.client.page.reload();
  const again = await from.client.connect();
  for (const profile of profiles) await profile.close();
  return { ready: from.ms, again: again.ms, received: at - delivered.at, delivered: delivered.ms };
}

/** The same with two clients of theirs. They do not say when a message is delivered. */
async function measureNym({ net, site, browser }) {
  const profiles = [await browser.profile(), await browser.profile()];
  const open = (place) =>
    openNym(profiles[place], site, {
      directory: net.directory,
      gatewayId: net.gatewayIds[place],
      name: `client-${place}`,
      debug: NYM_WITHOUT_PACING,
    });
  const [from, to] = [await open(0), await open(1)];
  const sentAt = await from.sendBytes(LARGE, to.address);
  const { at } = await to.receiveBytes(LARGE, PATIENCE_MS);
  await from.leave();
  const again = await from.comeBack();
  for (const profile of profiles) await profile.close();
  return { ready: from.ms, again: again.ms, received: at - sentAt };
}

function medians(results) {
  return Object.fromEntries(
    Object.entries(results).map(([name, rounds]) => [
      name,
      Object.fromEntries(
        Object.keys(rounds[0]).map((key) => [
          key,
          quantile(
            rounds.map((round) => round[key]),
            0.5,
          ),
        ]),
      ),
    ]),
  );
}

/** What a page loads: wasm and JavaScript. */
function sizes() {
  const nym = dirname(createRequire(import.meta.url).resolve('@nymproject/nym-client-wasm/package.json'));
  const files = {
    mixlet: ['mixlet.wasm', 'worker.js', 'index.js'].map((name) => join(root, 'dist', name)),
    nym: ['nym_client_wasm_bg.wasm', 'nym_client_wasm.js'].map((name) => join(nym, name)),
  };
  const measure = (paths) => {
    const all = paths.map((path) => readFileSync(path));
    const total = (compress) => all.reduce((sum, bytes) => sum + compress(bytes).length, 0);
    return {
      raw: total((bytes) => bytes),
      gzip: total((bytes) => gzipSync(bytes, { level: 9 })),
      brotli: total((bytes) =>
        brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
      ),
    };
  };
  return { mixlet: measure(files.mixlet), nym: measure(files.nym) };
}

function print({ mixlet, nym, sizes, rounds, browser }) {
  const seconds = (ms) => (ms === undefined ? '–' : `${(ms / 1000).toFixed(2)} s`);
  const kilobytes = (bytes) => `${Math.round(bytes / 1000)} kB`;
  const rows = [
    ['', 'mixlet', 'Nym 1.4.1'],
    ['first connect to ready', seconds(mixlet.ready), seconds(nym.ready)],
    ['the same after a reload', seconds(mixlet.again), seconds(nym.again)],
    ['1 MB, pacing off, until received', seconds(mixlet.received), seconds(nym.received)],
    ['1 MB, pacing off, until acknowledged', seconds(mixlet.delivered), seconds(nym.delivered)],
    ...['raw', 'gzip', 'brotli'].map((key) => [
      `wasm and JavaScript, ${key}`,
      kilobytes(sizes.mixlet[key]),
      kilobytes(sizes.nym[key]),
    ]),
  ];
  for (const [what, a, b] of rows) say(`${what.padEnd(38)}${a.padStart(10)}${b.padStart(12)}`);
  say(`medians of ${rounds} rounds in turns, ${browser}`);
}
