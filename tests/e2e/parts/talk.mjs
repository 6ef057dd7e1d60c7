// Alice and Bob: two profiles exchange messages of all sizes both ways, each answers the other without knowing who it
// is, and a reload keeps the address.

import { Client, failure } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { after } from '../lib/time.mjs';

/** 1 B, 10 kB and 1 MB. */
const SIZES = [1, 10_000, 1_000_000];

/**
 * `profiles` gives the profiles that Alice and Bob open their pages in: the same one, or one in each of two browsers.
 */
export async function talk({ test, need }, name, { site, profiles }) {
  const net = await Devnet.start(name);
  try {
    const [ofAlice, ofBob] = profiles;
    const network = { directories: [net.directory] };
    const [first, second] = net.gatewayIds;
    let alice;
    let bob;
    await need('both connect, each to its own gateway', async () => {
      const steps = (phases) => new Set(phases.map(([phase]) => phase));
      const open = async (profile, name, id) => {
        const client = new Client(await profile.open(site.url), name, { network, gateway: { id } });
        const { ms, phases } = await client.connect();
        expect(client.address.endsWith(`@${id}`), `${name} is ${client.address}`);
        expect(
          ['engine', 'topology', 'gateway'].every((phase) => steps(phases).has(phase)),
          JSON.stringify(phases),
        );
        expectEqual(phases.at(-1)[1], 1, 'the bar ends at');
        return [client, ms];
      };
      const opened = await Promise.all([open(ofAlice, 'alice', first), open(ofBob, 'bob', second)]);
      [alice, bob] = opened.map(([client]) => client);
      return `ready after ${opened.map(([, ms]) => Math.round(ms)).join(' and ')} ms`;
    });

    for (const length of SIZES) {
      await test(`${length} bytes each way at the same time`, async () => {
        const send = async (from, to, seed) => {
          const what = { seed, length };
          const sending = await from.send(to.address, what);
          await sending.settle('queued');
          const [message, { ms }] = await Promise.all([to.receive(what), sending.settle('delivered')]);
          expect(message.from !== null && message.canReply, 'it can be answered');
          return ms;
        };
        const times = await Promise.all([send(alice, bob, length + 1), send(bob, alice, length + 2)]);
        return `delivered after ${times.map((ms) => (ms / 1000).toFixed(1)).join(' and ')} s`;
      });
    }

    await test('each gets an anonymous reply from the other', async () => {
      const ask = async (from, to) => {
        const question = { text: `who am I? (${from.name})` };
        const answer = { text: `nobody I know (${to.name})` };
        await from.send(to.address, question);
        const received = await to.receive(question);
        expect(received.from !== null && !clientOf(from.address).includes(received.from), 'a tag, not an address');
        const replying = await to.reply(received, answer);
        const [reply] = await Promise.all([from.receive(answer), replying.settle()]);
        expectEqual(reply.from, null, 'the sender of a reply');
      };
      await Promise.all([ask(alice, bob), ask(bob, alice)]);
    });

    await test('a plain message has no sender and cannot be answered', async () => {
      await alice.send(bob.address, { text: 'plain' }, { replies: 0 });
      const message = await bob.receive({ text: 'plain' });
      expectEqual([message.from, message.canReply], [null, false], 'sender and canReply');
    });

    await test('a second client of the same profile is refused', async () => {
      const page = await ofAlice.open(site.url);
      const error = await failure(new Client(page, 'alice', { network }).connect());
      expectEqual([error.name, error.code, error.isMixError], ['SessionInUseError', 'in-use', true], 'the error');
      await page.close();
      expectEqual((await alice.state()).state, 'ready', 'the first one is');
    });

    await test('a reload keeps the address and logs in without registering', async () => {
      const [{ address }, before] = [alice, await net.client(alice.address)];
      expectEqual(before.registrations, 1, 'registrations before');
      await alice.page.reload();
      const { phases } = await alice.connect();
      expectEqual(alice.address, address, 'the address');
      const now = await net.client(address);
      expectEqual([now.registrations, now.logins], [1, before.logins + 1], 'registrations and logins');
      const all = Object.values((await net.summary()).clients);
      expectEqual(all.length, 2, 'clients the network knows');
      await alice.send(bob.address, { text: 'I am back' });
      await bob.receive({ text: 'I am back' });
      return `${phases.length} reports of progress`;
    });

    await test('what comes for a client that is away is delivered at its next login', async () => {
      const what = { text: 'while you were away' };
      await bob.close();
      await (await alice.send(bob.address, what)).settle();
      expect((await net.summary()).nodes['gateway-1'].stored > 0, 'the gateway stored something');
      await bob.connect();
      await bob.receive(what);
    });

    await test('nothing came twice, and the network refused nothing', async () => {
      // Late copies would come within a round trip.
      await after(500);
      const all = [...(await alice.received()), ...(await bob.received())].map(({ digest }) => digest);
      expectEqual(new Set(all).size, all.length, 'different messages');
      const { nodes } = await net.summary();
      const dropped = Object.entries(nodes).flatMap(([node, { dropped }]) =>
        Object.entries(dropped).map(([why, count]) => `${node} ${why} ${count}`),
      );
      expectEqual(dropped, [], 'packets dropped by nodes');
      return `${all.length} messages`;
    });
    await alice.page.close();
    await bob.page.close();
  } finally {
    await net.stop();
  }
}
