// The browser ends a worker in the middle of a message. Another one takes over, and between mixlet peers the message
// arrives, once.

import { Client } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expectEqual } from '../lib/report.mjs';
import { until } from '../lib/time.mjs';

const ROUNDS = 10;
/** A client whose worker dies again and again is closed; so it starts anew now and then. */
const ROUNDS_PER_CONNECT = 3;
const LENGTH = 1_000_000;
/** About a quarter of its fragments. */
const SOME_PACKETS = 160;

export async function crash(tests, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  try {
    const open = (name, place) =>
      Client.connect(profile, site.url, name, {
        network: { directories: [net.directory] },
        gateway: { id: net.gatewayIds[place] },
        privacy: { dangerNoPacing: true },
        workerUrl: '/dist/worker.js',
      });
    const [alice, bob] = await Promise.all([open('alice', 0), open('bob', 1)]);
    await kill(tests, 'the sender', { alice, bob }, alice, ({ out }) => out.real);
    await kill(tests, 'the receiver', { alice, bob }, bob, (stats) => stats.in.message);
  } finally {
    await profile.close();
    await net.stop();
  }
}

async function kill({ test }, whose, { alice, bob }, victim, packets) {
  await test(`the worker of ${whose} dies ${ROUNDS} times in the middle of 1 MB: each arrives, once`, async () => {
    const before = (await bob.received()).length;
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round % ROUNDS_PER_CONNECT === 0) {
        await victim.close();
        await victim.connect();
      }
      const start = packets(await victim.stats());
      const body = { seed: 1_000 * before + round, length: LENGTH };
      const sent = await alice.send(bob.address, body, { receipt: true });
      await until(async () => packets(await victim.stats()) > start + SOME_PACKETS, 'a part of it has come');
      await victim.page.call('killWorker', victim.name);
      await Promise.all([bob.receive(body), sent.settle('received')]);
    }
    expectEqual((await bob.received()).length - before, ROUNDS, 'messages that arrived');
    const { states, errors } = await victim.state();
    expectEqual(errors, [], 'errors');
    return `${states.filter((state) => state === 'reconnecting').length} workers were replaced so far`;
  });
}
