// Measures what a filled store costs at the start: how long `connect()` takes with 1,000 messages in the outbox and 10,000
// reply keys, beside a client whose store has its identity and nothing else. The same devnet, the same browser, in turns.
//
//   node scripts/bench-store.mjs [--rounds 10]
//
// Each connect is that of a page that was just opened, so it has the worker's start and the reading of the wasm in it.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Chromium } from '../tests/e2e/lib/browsers.mjs';
import { Client } from '../tests/e2e/lib/client.mjs';
import { Devnet } from '../tests/e2e/lib/devnet.mjs';
import { serveSite } from '../tests/e2e/lib/site.mjs';
import { bold, Complaint, entry, say } from './lib/output.mjs';
import { root } from './lib/paths.mjs';
import { stopAll, stopOnSignals } from './lib/processes.mjs';

/** Of whom reply blocks are given to, since a client keeps 2,048 keys for each. */
const PEERS = 5;
const KEYS_PER_MESSAGE = 100;
const MESSAGES_PER_PEER = 20;
const OUTBOX = 1_000;
const LENGTH = 1_000;

const args = process.argv.slice(2);
const rounds = args.includes('--rounds') ? Number(args[args.indexOf('--rounds') + 1]) : 10;

await entry(async () => {
  stopOnSignals();
  if (!(rounds >= 1)) throw new Complaint('--rounds takes a number from 1 on.');
  if (!existsSync(join(root, 'dist', 'mixlet.wasm'))) throw new Complaint('dist/ is missing; run npm run build first.');
  const net = await Devnet.start('bench-store', [], { release: true });
  const site = await serveSite();
  const browser = await Chromium.launch();
  try {
    const options = (place) => ({
      network: { directories: [net.directory] },
      gateway: { id: net.gatewayIds[place] },
      privacy: { dangerNoPacing: true },
    });
    const profiles = { empty: await browser.profile(), filled: await browser.profile() };
    const open = async (kind) => new Client(await profiles[kind].open(site.url), kind, options(0));
    const filled = await open('filled');
    await filled.connect();
    await fill(filled, { net, browser, site, options });
    await filled.page.close();
    const times = { empty: [], filled: [] };
    for (let round = 0; round <= rounds; round += 1) {
      for (const kind of round % 2 === 0 ? ['empty', 'filled'] : ['filled', 'empty']) {
        const client = await open(kind);
        const { ms } = await client.connect();
        // The first is that of a client that registers, or whose code the browser has not seen.
        if (round > 0) times[kind].push(ms);
        await client.close({ drain: false });
        await client.page.close();
      }
    }
    print(times);
  } finally {
    await browser.close();
    site.close();
    await stopAll();
  }
  return 0;
});

/** Reply keys by messages that carry their blocks, an outbox by messages whose recipient cannot be reached. */
async function fill(client, { net, browser, site, options }) {
  const profile = await browser.profile();
  for (let peer = 0; peer < PEERS; peer += 1) {
    const other = await Client.connect(profile, site.url, `peer ${peer}`, options(1));
    const sending = { replies: KEYS_PER_MESSAGE };
    const first = await client.page.call('sendMany', client.name, other.address, MESSAGES_PER_PEER, LENGTH, sending);
    const { failed } = await client.page.call('settleMany', client.name, first, MESSAGES_PER_PEER);
    if (failed.length > 0) throw new Error(`${failed.length} messages failed: ${failed[0].text}`);
    await other.close();
    if (peer < PEERS - 1) continue;
    await net.gateway(1, 'kill');
    const persisted = { persist: true, replies: 0 };
    const last = await client.page.call('sendMany', client.name, other.address, OUTBOX, LENGTH, persisted);
    await client.page.call('settleMany', client.name, last, OUTBOX, 'queued');
    const { length } = await client.page.call('outbox', client.name);
    if (length !== OUTBOX) throw new Error(`${length} messages in the outbox`);
  }
  say(`  filled: ${PEERS * MESSAGES_PER_PEER * KEYS_PER_MESSAGE} reply keys, ${OUTBOX} messages in the outbox`);
  await client.close({ drain: false });
  await profile.close();
}

function print(times) {
  const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
  const least = (values) => Math.min(...values);
  const number = (value) => `${Math.round(value)} ms`.padStart(10);
  say(bold(`connect() of a new page, ${rounds} rounds`));
  for (const [name, of] of [
    ['least', least],
    ['median', median],
  ]) {
    const [empty, filled] = [of(times.empty), of(times.filled)];
    say(
      `${name.padEnd(8)} empty ${number(empty)}   filled ${number(filled)}   more ${number(filled - empty)}   ratio ${(filled / empty).toFixed(2)}`,
    );
  }
}
