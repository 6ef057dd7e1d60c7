// Messages that are in the store until they have arrived: the browser of the sender is killed, all its processes at once, in
// the middle of them, and started again with the same profile. Each arrives, once.

import { digestOf, numbered } from '../lib/bytes.mjs';
import { MortalChromium } from '../lib/browsers.mjs';
import { Client } from '../lib/client.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { onDevnet } from '../lib/setting.mjs';
import { until } from '../lib/time.mjs';

/** `OUTBOX_ROUNDS=10 npm run test:e2e -- --only outbox` for more of them. */
const ROUNDS = Number(process.env.OUTBOX_ROUNDS ?? 3);
const COUNT = 200;
const LENGTH = 1_000;
const LARGE = { seed: 99, length: 1_000_000 };
const ALL_MS = 120_000;

export async function outbox(tests, name, { site, browser }) {
  await onDevnet(name, browser, async ({ profile, options }) => {
    const bob = await Client.connect(profile, site.url, 'bob', options(1));
    await reload(tests, { bob, profile, site, options });
    await kills(tests, { bob, site, options });
  });
}

async function reload({ test }, { bob, profile, site, options }) {
  await test('a reload in the middle of 1 MB: it is found again, with its progress, and arrives once', async () => {
    const page = await profile.open(site.url);
    const connect = async () => {
      const client = new Client(page, 'carol', options(0));
      await client.connect();
      return client;
    };
    const first = await connect();
    const sent = await first.send(bob.address, LARGE, { persist: true, replies: 0 });
    await sent.settle('queued');
    const acked = async () => (await page.call('outbox', 'carol'))[0].fragmentsAcked;
    await until(async () => (await acked()) > 150, 'a part of it is acknowledged');
    const [{ id }] = await page.call('outbox', 'carol');
    await page.reload();
    await connect();
    const [entry] = await page.call('outbox', 'carol');
    expectEqual([entry.id, entry.to, entry.bytes], [id, bob.address, LARGE.length], 'what is listed');
    expect(
      entry.fragmentsAcked > 50,
      `${entry.fragmentsAcked} of ${entry.fragmentsTotal} are known to be acknowledged`,
    );
    const progress = await page.call('follow', 'carol', id);
    expectEqual(progress.at(-1), [entry.fragmentsTotal, entry.fragmentsTotal], 'the last progress');
    expect(progress[0][0] > 50, `progress begins at ${progress[0][0]}`);
    await bob.receive(LARGE);
    expectEqual((await bob.received()).length, 1, 'messages that arrived');
    expectEqual(await page.call('outbox', 'carol'), [], 'what is left in the outbox');
    await page.close();
    return `${entry.fragmentsAcked} of ${entry.fragmentsTotal} were acknowledged at the reload`;
  });
}

async function kills({ test }, { bob, site, options }) {
  await test(`the browser of the sender killed in the middle of ${COUNT} messages, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) await killed(round, { bob, site, options });
    return `${ROUNDS * COUNT} messages arrived, each once`;
  });
}

async function killed(round, { bob, site, options }) {
  const browser = await MortalChromium.launch();
  const start = async () => {
    const page = await browser.open(site.url);
    const client = new Client(page, 'alice', options(0, {}));
    await client.connect();
    return client;
  };
  try {
    const alice = await start();
    const before = (await bob.received()).length;
    // Bare bytes, which only their plans keep from being seen twice, and with receipts in turn.
    const how = round % 2 === 0 ? { replies: 0 } : { receipt: true, replies: 5 };
    const first = await alice.page.call('sendMany', 'alice', bob.address, COUNT, LENGTH, { persist: true, ...how });
    const queued = await alice.page.call('settleMany', 'alice', first, COUNT, 'queued');
    expectEqual(queued.failed, [], 'messages that could not be stored');
    const arrived = async () => (await bob.received()).length - before;
    // Another moment in each round.
    const enough = 1 + Math.floor(((round + 0.5) * COUNT) / ROUNDS / 1.5);
    await until(async () => (await arrived()) >= enough, `${enough} have arrived`, ALL_MS);
    await browser.kill();
    await browser.start();
    const again = await start();
    expectEqual(again.address, alice.address, 'address');
    const left = () => again.page.call('outbox', 'alice');
    expect((await left()).length > 0, 'some were left to the next run');
    await until(async () => (await left()).length === 0, 'all of them have arrived', ALL_MS);
    await until(async () => (await arrived()) >= COUNT, 'all are there', ALL_MS);
    const digests = (await bob.received()).slice(before).map(({ digest }) => digest);
    const expected = await Promise.all(
      Array.from({ length: COUNT }, (_, number) => digestOf(numbered(number, LENGTH))),
    );
    expectEqual(digests.sort(), expected.sort(), 'digests of what arrived');
  } finally {
    await browser.close();
  }
}
