// What goes wrong in real networks: a gateway dies in the middle, packets are lost. Nothing that was accepted may be
// missing or come twice, with one exception that the protocol has and that is counted here.

import { Client } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { after, until, within } from '../lib/time.mjs';

const COUNT = 150;

/** Plain messages: each is one packet, so that the gateway dies between messages and not within one. */
const PLAIN = { replies: 0 };

/** How long the gateway is gone. */
const GONE_MS = 5_000;

/** How long all of it may take; messages are given up much later. */
const PATIENCE_MS = 120_000;

/** What a gateway pushed so shortly before its sockets were cut may not have been read by the client. */
const IN_THE_SOCKET_US = 1_000_000;

export async function faults(tests, name, { site, browser }) {
  await withTwo(tests, `${name}-sender`, { site, browser }, senderLosesItsGateway);
  await withTwo(tests, `${name}-recipient`, { site, browser }, recipientLosesItsGateway);
  await withTwo(tests, `${name}-loss`, { site, browser }, packetsAreLost);
}

async function senderLosesItsGateway({ test }, { net, alice, bob }) {
  await test(`the sender's gateway is gone for 5 s among ${COUNT} messages: all arrive, each once`, async () => {
    const sending = await sendMany(alice, bob, COUNT, 500);
    await sending.someDelivered(20);
    await breakGateway(net, 0);
    const { failed, retransmissions } = await sending.settled();
    expectEqual(failed, [], 'messages given up');
    await receiveMany(bob, COUNT);
    expectEqual(await missing(bob, COUNT), [], 'messages that did not arrive');
    const { states } = await alice.state();
    expect(states.includes('reconnecting') && states.at(-1) === 'ready', `states of the sender: ${states}`);
    const { registrations, logins } = await net.client(alice.address);
    expectEqual([registrations, logins], [1, 1], 'registrations and logins of the sender');
    return `${retransmissions} packets went again`;
  });
}

async function recipientLosesItsGateway({ test }, { net, alice, bob }) {
  await test(`the recipient's gateway is gone for 5 s among ${COUNT} messages: none comes twice`, async () => {
    const sending = await sendMany(alice, bob, COUNT, 500);
    await sending.someDelivered(20);
    const killed = await breakGateway(net, 1);
    const { failed, retransmissions } = await sending.settled();
    expectEqual(failed, [], 'messages given up');
    // The last ones may still be on their way from the gateway to the page.
    await until(async () => (await bob.state()).state === 'ready', 'the recipient is back');
    await after(2_000);
    const lost = await missing(bob, COUNT);
    // The gateway releases the ack when it pushes, and what it pushed into a socket that is cut is gone with it.
    const pushed = (await net.entries({ kinds: ['final'], client: clientOf(bob.address) })).filter(
      ({ stored, ack, t }) => !stored && ack !== null && t <= killed.to && t > killed.from - IN_THE_SOCKET_US,
    );
    expect(lost.length <= pushed.length, `${lost.length} are missing, only ${pushed.length} were in the socket`);
    return (
      `${lost.length} of ${COUNT} are missing, pushed into the socket that was cut; ` +
      `${retransmissions} packets went again`
    );
  });
}

async function packetsAreLost({ test }, { net, alice, bob }) {
  await net.faults({ loss: 0.1 });
  await test(`10 % of packets lost: ${COUNT} messages of 1 kB and one of 1 MB all arrive, each once`, async () => {
    const large = { seed: 7, length: 1_000_000 };
    const big = await alice.send(bob.address, large, PLAIN);
    const sending = await sendMany(alice, bob, COUNT, 1_000);
    const [{ failed, retransmissions }, delivery] = await Promise.all([
      sending.settled(),
      big.settle('delivered', PATIENCE_MS),
      bob.receive(large, PATIENCE_MS),
    ]);
    expectEqual(failed, [], 'messages given up');
    await receiveMany(bob, COUNT + 1);
    // A packet whose ack alone was lost comes again.
    await after(500);
    expectEqual(await missing(bob, COUNT, 1), [], 'messages that did not arrive');
    const { nodes } = await net.summary();
    const counts = Object.values(nodes);
    const lost = counts.reduce((total, { dropped }) => total + (dropped.lost ?? 0), 0);
    const sent = retransmissions + delivery.retransmissions;
    expect(lost > 100 && sent > 100, `only ${lost} packets were lost and ${sent} sent again`);
    return `1 MB delivered after ${(delivery.ms / 1000).toFixed(1)} s; ${lost} packets lost, ${sent} sent again`;
  });
}

/** Runs a scenario with Alice and Bob on a devnet of their own, each on its own gateway. */
async function withTwo(tests, name, { site, browser }, scenario) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  try {
    const network = { directories: [net.directory] };
    const open = (name, id) => Client.connect(profile, site.url, name, { network, gateway: { id } });
    const [alice, bob] = await Promise.all([open('alice', net.gatewayIds[0]), open('bob', net.gatewayIds[1])]);
    await scenario(tests, { net, alice, bob });
  } finally {
    await profile.close();
    await net.stop();
  }
}

/** Begins to send numbered messages. */
async function sendMany(from, to, count, length) {
  const { page, name } = from;
  const first = await page.call('sendMany', name, to.address, count, length, PLAIN);
  return {
    someDelivered: (some) =>
      until(async () => (await page.call('deliveredOf', name, first, count)) >= some, `${some} are delivered`),
    settled: () => within(PATIENCE_MS, 'all have settled', page.call('settleMany', name, first, count)),
  };
}

/** Waits until so many messages have arrived. What is missing after a while is found missing by what follows. */
async function receiveMany({ page, name }, count) {
  await within(20_000, '', page.call('receiveMany', name, count)).catch(() => {});
}

/** Kills a gateway and starts it again. Gives back between which times of the record it died. */
async function breakGateway(net, place) {
  const from = (await net.summary()).now_us;
  await net.gateway(place, 'kill');
  const to = (await net.summary()).now_us;
  await after(GONE_MS);
  await net.gateway(place, 'restart');
  return { from, to };
}

/** The numbers of the messages that did not arrive. Fails if one came twice, or more than `others` besides them. */
async function missing(client, count, others = 0) {
  const received = await client.received();
  const numbers = received.map(({ head }) => Number(/^(\d+):/.exec(head)?.[1] ?? -1)).filter((number) => number >= 0);
  const seen = new Set(numbers);
  expectEqual(numbers.length, seen.size, 'messages and different messages');
  expectEqual(received.length - numbers.length, others, 'other messages');
  return Array.from({ length: count }, (_, number) => number).filter((number) => !seen.has(number));
}
