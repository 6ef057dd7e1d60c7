// A durable inbox: the browser of the recipient is killed, all its processes at once, in the middle of what comes, and
// started again with the same profile. Each message is taken, under one id.

import { bytesOf, digestOf, numbered } from '../lib/bytes.mjs';
import { MortalChromium } from '../lib/browsers.mjs';
import { Client } from '../lib/client.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { onDevnet } from '../lib/setting.mjs';
import { until } from '../lib/time.mjs';

const ROUNDS = 10;
const LARGE = { seed: 99, length: 1_000_000 };
const SMALL_COUNT = 200;
const SMALL_LENGTH = 1_000;
const BARE_ROUNDS = 3;
const LAST = { seed: 7, length: 100 };
const ALL_MS = 120_000;
const RECEIPTED = { receipt: true, timeoutMs: 600_000 };

export async function durable(tests, name, { site, browser }) {
  await onDevnet(name, browser, async ({ profile, options }) => {
    const alice = await Client.connect(profile, site.url, 'alice', options(0));
    await reload(tests, { alice, profile, site, options });
    await dump(tests, { alice, site, options });
    await kills(tests, { alice, site, options });
    await bare(tests, { alice, site, options });
  });
}

async function reload({ test }, { alice, profile, site, options }) {
  await test('a reload in the middle of 1 MB, and of messages that were not taken', async () => {
    const page = await profile.open(site.url);
    const connect = async () => {
      const client = new Client(page, 'carol', { ...options(1), inbox: 'durable' });
      await client.connect();
      return client;
    };
    const carol = await connect();
    const small = [];
    for (let seed = 0; seed < 20; seed += 1)
      small.push(await alice.send(carol.address, { seed, length: 500 }, RECEIPTED));
    // A receipt says that it is in the store. Nobody has taken any of them.
    for (const message of small) await message.settle('received');
    const large = await alice.send(carol.address, LARGE, RECEIPTED);
    const before = (await carol.stats()).in.message;
    await until(async () => (await carol.stats()).in.message > before + 150, 'a part of 1 MB is there');
    await page.reload();
    const again = await connect();
    expectEqual(again.address, carol.address, 'address');
    void page.call('take', 'carol').catch(() => {});
    await large.settle('received');
    await until(async () => (await page.call('taken', 'carol')).length >= 21, 'all are taken');
    const taken = await page.call('taken', 'carol');
    const expected = [LARGE, ...small.map((_, seed) => ({ seed, length: 500 }))];
    await expectOnce(taken, expected);
    expectEqual(Math.max(...taken.map(({ times }) => times)), 1, 'times a message was given');
    await page.close();
  });
}

async function dump({ test }, { alice, site, options }) {
  await test('neither the database nor the files of the browser show a message or an address', async () => {
    const browser = await MortalChromium.launch();
    try {
      const page = await browser.open(site.url);
      const bob = new Client(page, 'bob', { ...options(1), inbox: 'durable' });
      await bob.connect();
      // One that waits to be taken, one of which a part has come, keys and reply blocks of both sides.
      const text = 'A sentence that nobody else has any business with, long enough to be found.';
      const sent = await alice.send(bob.address, { text }, RECEIPTED);
      await sent.settle('received');
      const answerable = await bob.send(alice.address, { text: `${text} And an answer.` }, { replies: 20 });
      await answerable.settle();
      const large = await alice.send(bob.address, LARGE, RECEIPTED);
      const before = (await bob.stats()).in.message;
      await until(async () => (await bob.stats()).in.message > before + 150, 'a part of 1 MB is there');
      const control = 'What the application itself writes is found.';
      await page.call('note', 'bob', control);
      const secrets = [
        ...[text.slice(0, 40), alice.address, bytesOf(LARGE.seed, 64)].map((piece) => Buffer.from(piece)),
        ...alice.address.split(/[.@]/).map((part) => Buffer.from(part)),
        ...alice.address.split(/[.@]/).map(base58),
      ];
      const needles = [...secrets, Buffer.from(control)];
      const stored = await page.call(
        'findStored',
        needles.map((needle) => needle.toString('hex')),
      );
      expect(stored.records > 10, `only ${stored.records} records`);
      expectEqual(stored.found, [`notes of bob/taken: ${Buffer.from(control).toString('hex')}`], 'found in databases');
      await browser.kill();
      const onDisk = await browser.findOnDisk(needles);
      expectEqual([...onDisk], [Buffer.from(control).toString('hex')], 'found in files');
      await browser.start();
      const next = await browser.open(site.url);
      const again = new Client(next, 'bob', { ...options(1), inbox: 'durable' });
      await again.connect();
      await large.settle('received');
      return `${stored.records} records`;
    } finally {
      await browser.close();
    }
  });
}

/** The bytes that a part of an address stands for. */
function base58(text) {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let number = 0n;
  for (const digit of text) number = number * 58n + BigInt(digits.indexOf(digit));
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex');
}

async function kills({ test }, { alice, site, options }) {
  await test(`the browser of the recipient killed in the middle of 1 MB and ${SMALL_COUNT} messages, ${ROUNDS} times`, async () => {
    let again = 0;
    let slowest = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { repeats, ms } = await killed(round, { alice, site, options });
      again += repeats;
      slowest = Math.max(slowest, ms);
    }
    return `given again after ${ROUNDS} kills: ${again} messages; slowest round ${Math.round(slowest / 100) / 10} s`;
  });
}

/** A browser of its own with a client that takes messages; `start` begins it, also again. */
async function mortal(site, options) {
  const browser = await MortalChromium.launch();
  const start = async () => {
    const page = await browser.open(site.url);
    const client = new Client(page, 'bob', { ...options, inbox: 'durable' });
    await client.connect();
    void page.call('take', 'bob').catch(() => {});
    return { page, client, taken: () => page.call('taken', 'bob') };
  };
  return { browser, start };
}

async function killed(round, { alice, site, options }) {
  const { browser, start } = await mortal(site, options(1));
  try {
    const begun = performance.now();
    const { client, taken: takenBefore } = await start();
    const large = await alice.send(client.address, LARGE, RECEIPTED);
    const first = await alice.page.call('sendMany', 'alice', client.address, SMALL_COUNT, SMALL_LENGTH, RECEIPTED);
    // Another moment in each round.
    const enough = 1 + Math.floor((round * SMALL_COUNT) / ROUNDS);
    await until(async () => (await takenBefore()).length >= enough, `${enough} are taken`, ALL_MS);
    await browser.kill();
    await browser.start();
    const next = await start();
    expectEqual(next.client.address, client.address, 'address');
    await large.settle('received');
    await alice.page.call('settleMany', 'alice', first, SMALL_COUNT, 'received');
    const all = SMALL_COUNT + 1;
    await until(async () => (await next.taken()).length >= all, 'all are taken', ALL_MS);
    const taken = await next.taken();
    const small = Array.from({ length: SMALL_COUNT }, (_, number) => ({ number, length: SMALL_LENGTH }));
    await expectOnce(taken, [LARGE, ...small]);
    // The one in hand, of which the store had not heard that it is done when the browser ended.
    const repeats = taken.filter(({ times }) => times > 1).length;
    expect(repeats <= 1, `${repeats} were given again`);
    expect(
      taken.every(({ times }) => times <= 2),
      'one kill gives nothing twice again',
    );
    return { repeats, ms: performance.now() - begun };
  } finally {
    await browser.close();
  }
}

/** What a plain client sends comes with no receipt, so nobody sends again what was lost with the browser. */
async function bare({ test }, { alice, site, options }) {
  await test(`the browser of the recipient killed in the middle of ${SMALL_COUNT} bare messages at the usual pace`, async () => {
    const lost = [];
    await alice.page.call('setTraffic', 'alice', 'balanced');
    for (let round = 0; round < BARE_ROUNDS; round += 1) {
      const { browser, start } = await mortal(site, options(1));
      try {
        const { client, taken } = await start();
        const plain = { replies: 0 };
        const first = await alice.page.call('sendMany', 'alice', client.address, SMALL_COUNT, SMALL_LENGTH, plain);
        const enough = Math.floor(((round + 1) * SMALL_COUNT) / (BARE_ROUNDS + 1));
        await until(async () => (await taken()).length >= enough, `${enough} are taken`, ALL_MS);
        await browser.kill();
        await browser.start();
        const next = await start();
        const { delivered } = await alice.page.call('settleMany', 'alice', first, SMALL_COUNT);
        expectEqual(delivered, SMALL_COUNT, 'delivered to the gateway');
        // Whatever the gateway kept has come when something sent afterwards has.
        await alice.send(client.address, LAST, plain);
        const last = await digestOf(bytes(LAST));
        const has = (all) => all.some(({ digest }) => digest === last);
        await until(async () => has(await next.taken()), 'the last message is taken', ALL_MS);
        const digests = (await next.taken()).map(({ digest }) => digest);
        expectEqual(new Set(digests).size, digests.length, 'messages under one id each');
        lost.push(SMALL_COUNT + 1 - digests.length);
      } finally {
        await browser.close();
      }
    }
    expect(Math.max(...lost) < SMALL_COUNT / 4, `${lost} were lost`);
    return `lost of ${SMALL_COUNT} in each round: ${lost.join(', ')}`;
  });
}

/** Exactly these bodies were taken, each under one id. */
async function expectOnce(taken, bodies) {
  const digests = await Promise.all(bodies.map((body) => digestOf(bytes(body))));
  expectEqual(taken.map(({ digest }) => digest).sort(), digests.sort(), 'digests of what was taken');
}

/** As the page makes them. */
function bytes({ seed, number, length }) {
  return number === undefined ? bytesOf(seed, length) : numbered(number, length);
}
