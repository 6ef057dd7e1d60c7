// Tabs of one profile that share a connection: the second uses that of the first, and when the tab that has it is closed
// another takes over.

import { digestOf, numbered } from '../lib/bytes.mjs';
import { Client, failure } from '../lib/client.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { onDevnet } from '../lib/setting.mjs';
import { until } from '../lib/time.mjs';

/** Firefox takes longer, and what differs there is how locks and channels behave, which a few rounds show too. */
const ROUNDS = { Chromium: 10, Firefox: 3 };
const LENGTH = 1_000_000;
/** About a quarter of its fragments. */
const SOME_PACKETS = 160;
/** For the outbox: so many, of two fragments each, at a pace at which some are left when the first has arrived. */
const KEPT = { count: 50, length: 2_000 };
const KEPT_PACE = { slotMs: 50 };

export async function tabs(tests, name, { site, browser }) {
  let tab = 0;
  await onDevnet(name, browser, async ({ net, profile, options }) => {
    const open = (stored, place, more = {}) =>
      Client.connect(profile, site.url, `${stored}-${(tab += 1)}`, {
        profile: stored,
        tabs: 'share',
        ...options(place),
        ...more,
      });
    const bob = await open('bob', 1);
    await together(tests, { open, bob, net });
    await persisted(tests, { open, bob });
    const rounds = ROUNDS[browser.constructor.name];
    await closing(tests, 'the sender', { rounds, bob, open: () => open('carol', 0) }, ({ out }) => out.real);
    await closing(
      tests,
      'the receiver',
      { rounds, sender: bob, open: () => open('dave', 2) },
      (stats) => stats.in.message,
    );
  });
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

/** Messages of the outbox belong to no tab: whoever leads sends them, and every tab can follow them. */
async function persisted({ test }, { open, bob }) {
  const { count, length } = KEPT;
  await test(`the leading tab is closed in the middle of ${count} messages that another one has persisted`, async () => {
    const tabs = [];
    for (let tab = 0; tab < 3; tab += 1) tabs.push(await open('erin', 2, { privacy: KEPT_PACE }));
    const [leader, sender, other] = tabs;
    const before = (await bob.received()).length;
    const how = { persist: true, replies: 0 };
    const first = await sender.page.call('sendMany', sender.name, bob.address, count, length, how);
    const settled = (what) => sender.page.call('settleMany', sender.name, first, count, what);
    expectEqual((await settled('queued')).failed, [], 'messages that could not be stored');
    const listed = (tab) => tab.page.call('outbox', tab.name);
    const ids = (await listed(leader)).map(({ id }) => id);
    expectEqual(ids.length, count, 'messages that the leading tab lists');
    const follow = (tab, id) => tab.page.call('follow', tab.name, id);
    const later = follow(other, ids.at(-1));
    const steps = await follow(leader, ids[0]);
    expectEqual(steps.at(-1), [2, 2], 'the last progress in the leading tab');
    await leader.page.close();
    const isBack = ({ state, states }) => states.includes('reconnecting') && state === 'ready';
    await until(async () => isBack(await sender.state()), 'another tab takes over');
    const left = (await listed(sender)).length;
    expect(left > 0, 'all had arrived when the leading tab was closed');
    expectEqual((await settled('delivered')).failed, [], 'messages that were not delivered');
    expectEqual((await later).at(-1), [2, 2], 'the last progress in a tab that has not sent it');
    for (const tab of [sender, other]) {
      expectEqual(await listed(tab), [], 'what is left in the outbox');
      const { errors, undelivered } = await tab.state();
      expectEqual([errors, undelivered], [[], []], 'errors');
    }
    await until(async () => (await bob.received()).length - before >= count, 'all are there');
    const digests = (await bob.received()).slice(before).map(({ digest }) => digest);
    const expected = await Promise.all(
      Array.from({ length: count }, (_, number) => digestOf(numbered(number, length))),
    );
    expectEqual(digests.sort(), expected.sort(), 'digests of what arrived');
    await Promise.all([sender.close(), other.close()]);
    return `${left} were left to the tab that took over`;
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
