// The browser ends a worker in the middle of a message. Another one takes over, and between mixlet peers the message
// arrives, once. What was on disk is there for it also where nothing is sent again: half a bare message, and the keys of an
// anonymous answer.

import { Client } from '../lib/client.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { onDevnet } from '../lib/setting.mjs';
import { after, until } from '../lib/time.mjs';

const ROUNDS = 10;
/** With bare bytes. Firefox takes longer, and what is tested is the same there. */
const BARE_ROUNDS = { Chromium: 6, Firefox: 2 };
/** A client whose worker dies again and again is closed; so it starts anew now and then. */
const ROUNDS_PER_CONNECT = 3;
const LENGTH = 1_000_000;
/** About a quarter of its fragments. */
const SOME_PACKETS = 160;
/** Longer than what waits to be written. */
const QUIET_MS = 600;

export async function crash(tests, name, { site, browser }) {
  await onDevnet(name, browser, async ({ net, profile, options }) => {
    const open = (name, place) =>
      Client.connect(profile, site.url, name, { ...options(place), workerUrl: '/dist/worker.js' });
    const [alice, bob] = await Promise.all([open('alice', 0), open('bob', 1)]);
    await kill(tests, 'the sender', { alice, bob }, alice, ({ out }) => out.real);
    await kill(tests, 'the receiver', { alice, bob }, bob, (stats) => stats.in.message);
    for (const client of [alice, bob]) {
      await client.close();
      await client.connect();
    }
    await killBare(tests, { alice, bob }, BARE_ROUNDS[browser.constructor.name]);
    for (const client of [alice, bob]) {
      await client.close();
      await client.connect();
    }
    await halfOfABareMessage(tests, { net, alice, bob });
    await answerAfterwards(tests, { alice, bob });
  });
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

/** They have no id: only that the same fragments leave again keeps them from being seen twice. */
async function killBare({ test }, { alice, bob }, rounds) {
  await test(`the worker of the sender dies ${rounds} times in the middle of a bare 1 MB: each arrives, once`, async () => {
    const before = (await bob.received()).length;
    for (let round = 0; round < rounds; round += 1) {
      if (round % ROUNDS_PER_CONNECT === 0) {
        await alice.close();
        await alice.connect();
      }
      const start = (await alice.stats()).out.real;
      const body = { seed: 5_000 + round, length: LENGTH };
      const sent = await alice.send(bob.address, body, { replies: 0, receipt: false });
      // From before it is cut to nearly its end.
      const packets = round * 100;
      if (packets > 0) {
        await until(async () => (await alice.stats()).out.real > start + packets, 'a part of it has left');
      }
      await alice.page.call('killWorker', alice.name);
      await Promise.all([bob.receive(body), sent.settle()]);
    }
    await after(QUIET_MS);
    expectEqual((await bob.received()).length - before, rounds, 'messages that arrived');
    expectEqual((await alice.state()).errors, [], 'errors');
  });
}

/** Nobody sends again what was acknowledged, so it completes only with what the dead worker had written. */
async function halfOfABareMessage({ test }, { net, alice, bob }) {
  await test('the worker of the receiver of a bare 1 MB message dies in its middle: it is completed', async () => {
    const arrived = async () => (await bob.stats()).in.message;
    const start = await arrived();
    const body = { seed: 77, length: LENGTH };
    const sent = await alice.send(bob.address, body, { replies: 0, receipt: false });
    await until(async () => (await arrived()) > start + SOME_PACKETS, 'a part of it has come');
    // What is in a socket or came in the last quarter of a second is lost with a worker. So the sender's gateway stands still.
    await net.gateway(0, 'pause');
    let before = -1;
    await until(async () => {
      await after(QUIET_MS);
      const now = await arrived();
      const quiet = now === before;
      before = now;
      return quiet;
    }, 'nothing more comes');
    await replaceWorker(bob);
    await net.gateway(0, 'resume');
    const [{ retransmissions }] = await Promise.all([sent.settle(), bob.receive(body)]);
    // While the gateway stood still some counted as lost and went again; how many depends on the machine.
    const later = (await arrived()) - retransmissions;
    const packets = Math.ceil(LENGTH / 1_604);
    expect(later < packets - SOME_PACKETS / 2, `${later} packets came to the second worker: all of them again?`);
    return `${before - start} packets came to the worker that died, ${later} to the next, ${retransmissions} went again`;
  });
}

async function answerAfterwards({ test }, { alice, bob }) {
  await test('an anonymous answer after the worker of the asker was replaced arrives', async () => {
    const question = { text: 'a question before the end' };
    const sent = await alice.send(bob.address, question, { replies: 10, receipt: false });
    const message = await bob.receive(question);
    await sent.settle();
    await after(QUIET_MS);
    await replaceWorker(alice);
    const answer = { text: 'an answer after it' };
    const answered = await bob.reply(message, answer);
    await Promise.all([alice.receive(answer), answered.settle()]);
  });
}

/** Ends a client's worker and waits until another one is connected. */
async function replaceWorker(client) {
  const losses = ({ states }) => states.filter((state) => state === 'reconnecting').length;
  const before = losses(await client.state());
  await client.page.call('killWorker', client.name);
  await until(async () => {
    const now = await client.state();
    return losses(now) > before && now.state === 'ready';
  }, 'another worker has taken over');
}
