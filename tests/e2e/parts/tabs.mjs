// Tabs of one profile that share a connection: the second uses that of the first, and when the tab that has it is closed
// another takes over.

import { Client, failure } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { until } from '../lib/time.mjs';

/** Firefox takes longer, and what differs there is how locks and channels behave, which a few rounds show too. */
const ROUNDS = { Chromium: 10, Firefox: 3 };
const LENGTH = 1_000_000;
/** About a quarter of its fragments. */
const SOME_PACKETS = 160;

export async function tabs(tests, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  let tab = 0;
  const open = (stored, place, options = {}) =>
    Client.connect(profile, site.url, `${stored}-${(tab += 1)}`, {
      profile: stored,
      tabs: 'share',
      network: { directories: [net.directory] },
      gateway: { id: net.gatewayIds[place] },
      privacy: { dangerNoPacing: true },
      ...options,
    });
  try {
    const bob = await open('bob', 1);
    await together(tests, { open, bob, net });
    const rounds = ROUNDS[browser.constructor.name];
    await closing(tests, 'the sender', { rounds, bob, open: () => open('carol', 0) }, ({ out }) => out.real);
    await closing(
      tests,
      'the receiver',
      { rounds, sender: bob, open: () => open('dave', 2) },
      (stats) => stats.in.message,
    );
  } finally {
    await profile.close();
    await net.stop();
  }
}

async function together({ test }, { open, bob, net }) {
  const first = await open('alice', 0);
  const second = await open('alice', 0);

  await test('the second tab has the address of the first, over one connection', async () => {
    expectEqual(second.address, first.address, 'addresses');
    const { registrations, logins } = await net.client(first.address);
    expectEqual([registrations, logins], [1, 0], 'registrations and logins');
  });

  await test('both send, and both get what comes', async () => {
    for (const [seed, alice] of [first, second].entries()) {
      const sent = await alice.send(bob.address, { seed, length: 50_000 }, { receipt: true });
      await bob.receive({ seed, length: 50_000 });
      await sent.settle('received');
    }
    const body = { seed: 7, length: 30_000 };
    await bob.send(first.address, body);
    await Promise.all([first.receive(body), second.receive(body)]);
  });

  await test('an answer to one tab is settled there, and heard in both', async () => {
    const message = await bob.receive({ seed: 1, length: 50_000 });
    const answer = await bob.reply(message, { text: 'for both' });
    await Promise.all([first.receive({ text: 'for both' }), second.receive({ text: 'for both' }), answer.settle()]);
  });

  await test('a tab that shares nothing is refused', async () => {
    const page = await failure(open('alice', 0, { tabs: 'exclusive' }));
    expectEqual(page.code, 'in-use', 'code');
  });

  await test('the first tab closes its client and stays open: the other one goes on', async () => {
    await first.close();
    const body = { seed: 8, length: 30_000 };
    await bob.send(second.address, body);
    await second.receive(body);
    expectEqual((await second.state()).states.includes('reconnecting'), false, 'whether it had to reconnect');
    await first.connect();
    expectEqual(first.address, second.address, 'addresses');
  });

  await test('the last client is closed, and the profile is free', async () => {
    await first.close();
    await second.close();
    const alone = await open('alice', 0, { tabs: 'exclusive' });
    expectEqual(alone.address, second.address, 'addresses');
    await alone.close();
  });
}

/** `sender`: who sends to the tabs; else the tabs send. */
async function closing({ test }, whose, { rounds, bob, sender, open }, packets) {
  await test(`the leading tab of ${whose} is closed ${rounds} times in the middle of 1 MB: each arrives, once`, async () => {
    let leader = await open();
    let follower = await open();
    let took = 0;
    for (let round = 0; round < rounds; round += 1) {
      const start = packets(await leader.stats());
      const body = { seed: 2_000 + round, length: LENGTH };
      const to = sender ? follower.address : bob.address;
      const from = sender ?? follower;
      const sent = await from.send(to, body, { receipt: true });
      await until(async () => packets(await leader.stats()) > start + SOME_PACKETS, 'a part of it has come');
      await leader.page.close();
      const closed = Date.now();
      const receiver = sender ? follower : bob;
      await Promise.all([receiver.receive(body), sent.settle('received')]);
      took += Date.now() - closed;
      const { errors, undelivered } = await follower.state();
      expectEqual([errors, undelivered], [[], []], 'errors');
      leader = follower;
      follower = await open();
      expectEqual(follower.address, leader.address, 'addresses');
      const all = (await receiver.received()).filter(({ length }) => length === LENGTH);
      const once = new Set(all.map(({ digest }) => digest)).size;
      expect(all.length === once, `${all.length} messages came, ${once} different ones`);
    }
    await Promise.all([leader.close(), follower.close()]);
    return `each whole after ${Math.round(took / rounds)} ms`;
  });
}
