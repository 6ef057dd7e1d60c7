// The published Nym browser client talks to itself through the devnet: two clients, each on its own gateway. Nothing of
// ours but the network takes part, so what works here shows that the network is what that client expects.

import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { until } from '../lib/time.mjs';
import { openNym } from './nym.mjs';

export async function self({ test, need }, { browser, site, lines }) {
  const net = await Devnet.start('nym-self');
  const profiles = [await browser.profile(), await browser.profile()];
  try {
    const { directory, gatewayIds } = net;
    const open = (name, place) =>
      openNym(profiles[place], site, { directory, gatewayId: gatewayIds[place], name, lines });
    let alice;
    let bob;
    await need('a client registers at the first gateway', async () => {
      alice = await open('alice', 0);
      expect(alice.address.endsWith(`@${gatewayIds[0]}`), `the address is ${alice.address}`);
    });
    await need('another one registers at the second gateway', async () => {
      bob = await open('bob', 1);
      expect(bob.address.endsWith(`@${gatewayIds[1]}`), `the address is ${bob.address}`);
    });
    await test('a client sends a plain message to itself', async () => {
      await alice.sendPlain('to myself', alice.address);
      const message = await alice.receive('to myself');
      expectEqual(message.tag, null, 'the tag of a plain message');
    });
    await test('a plain message arrives at the other gateway', async () => {
      await alice.sendPlain('plain', bob.address);
      await bob.receive('plain');
    });
    await test('a message of many packets arrives', async () => {
      const long = 'many packets '.repeat(1500);
      await bob.sendPlain(long, alice.address);
      await alice.receive(long);
      return `${long.length} bytes`;
    });
    await test('an anonymous message arrives with a tag, and its reply returns', async () => {
      await alice.sendAnonymous('who am I?', bob.address, 10);
      const { tag } = await bob.receive('who am I?');
      expect(tag, 'an anonymous message has a tag');
      await bob.sendReply('I do not know', tag);
      const reply = await alice.receive('I do not know');
      expectEqual(reply.tag, null, 'the tag of a reply');
    });
    await test('an anonymous message and its reply in the other direction', async () => {
      await bob.sendAnonymous('and I?', alice.address, 10);
      const { tag } = await alice.receive('and I?');
      await alice.sendReply('neither', tag);
      await bob.receive('neither');
    });
    await test('nothing arrives twice', async () => {
      const all = [...(await alice.received()), ...(await bob.received())].map((message) => message.body);
      expectEqual(new Set(all).size, all.length, 'different messages');
      return `${all.length} messages`;
    });
    await test('a client that was away logs in again and gets what came meanwhile', async () => {
      await bob.leave();
      await alice.sendPlain('while you were away', bob.address);
      await until(async () => (await net.summary()).nodes['gateway-1'].stored > 0, 'the gateway stores it');
      const { address } = await bob.comeBack();
      expectEqual(address, bob.address, 'the address');
      await bob.receive('while you were away');
    });
    await test('the network dropped nothing and both are known to it', async () => {
      const { nodes, clients } = await net.summary();
      const dropped = Object.entries(nodes).flatMap(([name, node]) =>
        Object.entries(node.dropped).map(([why, count]) => `${name} ${why} ${count}`),
      );
      expectEqual(dropped, [], 'packets dropped');
      const counts = Object.values(clients);
      expectEqual(
        counts.map((client) => client.registrations),
        [1, 1],
        'registrations',
      );
      return counts.map((client) => `${client.frames_in} frames in, ${client.frames_out} out`).join('; ');
    });
  } finally {
    for (const profile of profiles) await profile.close();
    await net.stop();
  }
}
