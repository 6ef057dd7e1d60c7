// The published Nym browser client and mixlet, each at a gateway of its own, understand each other: plain messages,
// anonymous ones and replies in both directions, in one packet and in many.

import { Client } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { Peer } from '../lib/peer.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { after } from '../lib/time.mjs';

/** One packet, several, and more than one set of 255. */
const ONE = 1_000;
const SEVERAL = 10_000;
const SETS = 600_000;

/** How many SURBs go with anonymous messages. */
const SURBS = 10;

/** Length and SURBs that fit into one packet together. The Nym client keeps ten to ask for more before it answers. */
const WHOLE = [100, 2];

/** Needs more SURBs than came with the message that it answers. */
const LONG_REPLY = 100_000;

/** The kind of an envelope. */
const REQUEST = 2;

/** A late copy would come when the sender gives up waiting for an ack, after a second and a half and a round trip. */
const COPIES_MS = 2_500;

export async function interop({ test, need }, name, { browser, site }) {
  const net = await Devnet.start(name);
  const profiles = [await browser.profile(), await browser.profile()];
  const [first, second] = net.gatewayIds;
  let seed = 1;
  const body = (length) => ({ seed: (seed += 1), length });
  /** How many messages each has been sent. */
  const due = { nym: 0, mixlet: 0 };
  let nym;
  let mixlet;
  try {
    await need('both connect, each to its own gateway', async () => {
      [nym, mixlet] = await Promise.all([
        Peer.open(profiles[0], site.url, 'nym', {
          clientId: 'interop',
          nymApiUrl: net.directory,
          preferredGateway: first,
          forceTls: false,
        }),
        Client.connect(profiles[1], site.url, 'mixlet', {
          network: { directories: [net.directory] },
          gateway: { id: second },
        }),
      ]);
      expect(nym.address.endsWith(`@${first}`), `the Nym client is ${nym.address}`);
      expect(mixlet.address.endsWith(`@${second}`), `mixlet is ${mixlet.address}`);
    });

    /** Sends from one to the other and gives back what came. */
    const nymSends = async (what, surbs) => {
      due.mixlet += 1;
      await nym.send(mixlet.address, what, surbs);
      return mixlet.receive(what);
    };
    const mixletSends = async (what, replies) => {
      due.nym += 1;
      const sending = await mixlet.send(nym.address, what, { replies });
      const [message] = await Promise.all([nym.receive(what), sending.settle()]);
      return message;
    };
    const nymReplies = async (message, what) => {
      due.mixlet += 1;
      await nym.reply(message.tag, what);
      return mixlet.receive(what);
    };
    const mixletReplies = async (message, what) => {
      due.nym += 1;
      const replying = await mixlet.reply(message, what);
      const [reply] = await Promise.all([nym.receive(what), replying.settle()]);
      return reply;
    };

    for (const length of [1, ONE, SEVERAL]) {
      await test(`plain, ${length} bytes, from Nym to mixlet`, async () => {
        const message = await nymSends(body(length));
        expectEqual([message.from, message.canReply], [null, false], 'sender and canReply');
      });
      await test(`plain, ${length} bytes, from mixlet to Nym`, async () => {
        const message = await mixletSends(body(length), 0);
        expectEqual(message.tag, null, 'the tag');
      });
    }

    await test(`plain, ${SETS} bytes in linked sets, both ways at the same time`, async () => {
      await Promise.all([nymSends(body(SETS)), mixletSends(body(SETS), 0)]);
    });

    const asked = {};
    for (const [length, surbs] of [WHOLE, [ONE, SURBS], [SEVERAL, SURBS]]) {
      await test(`anonymous, ${length} bytes and ${surbs} SURBs, from Nym to mixlet, and its reply`, async () => {
        asked.mixlet = await nymSends(body(length), surbs);
        expect(asked.mixlet.from !== null && asked.mixlet.canReply, 'it can be answered');
        expect(!clientOf(nym.address).includes(asked.mixlet.from), 'a tag, not an address');
        const reply = await mixletReplies(asked.mixlet, body(length));
        expectEqual(reply.tag, null, 'the tag of a reply');
      });
      await test(`anonymous, ${length} bytes and ${surbs} SURBs, from mixlet to Nym, and its reply`, async () => {
        asked.nym = await mixletSends(body(length), surbs);
        expect(asked.nym.tag, 'an anonymous message has a tag');
        const reply = await nymReplies(asked.nym, body(length));
        expectEqual([reply.from, reply.canReply], [null, true], 'sender and canReply of a reply');
      });
    }

    await test('later messages of one sender carry the same tag', async () => {
      const [atMixlet, atNym] = await Promise.all([nymSends(body(ONE), SURBS), mixletSends(body(ONE), SURBS)]);
      expectEqual(atMixlet.from, asked.mixlet.from, 'the tag of the Nym client');
      expectEqual(atNym.tag, asked.nym.tag, 'the tag of mixlet');
    });

    await test(`a reply of ${LONG_REPLY} bytes from mixlet, which asks the Nym client for more SURBs`, async () => {
      await mixletReplies(asked.mixlet, body(LONG_REPLY));
    });

    await test('a request that a peer does not know is refused at once', async () => {
      due.nym += 1;
      const number = (await nym.received()).length;
      const asking = mixlet.page.call('requestMany', 'mixlet', nym.address, 1, {});
      const [{ answers }, { version, kind }] = await Promise.all([asking, nym.page.call('refuse', number)]);
      expectEqual([version, kind], [1, REQUEST], 'version and kind of the request');
      expectEqual(answers, ['peer-unsupported'], 'what the request ended with');
    });

    await test('each message came once, and nothing else', async () => {
      await after(COPIES_MS);
      const [atNym, atMixlet] = await Promise.all([nym.received(), mixlet.received()]);
      for (const [who, all] of Object.entries({ nym: atNym, mixlet: atMixlet })) {
        expectEqual(all.length, due[who], `messages at ${who}`);
        expectEqual(new Set(all.map(({ digest }) => digest)).size, all.length, `different messages at ${who}`);
      }
      return `${atNym.length} at the Nym client, ${atMixlet.length} at mixlet`;
    });

    await test('mixlet reports no error, and the network refused nothing', async () => {
      const { errors, undelivered, states } = await mixlet.state();
      expectEqual([errors, undelivered, states.at(-1)], [[], [], 'ready'], 'errors, undelivered and state');
      const { nodes, clients } = await net.summary();
      const dropped = Object.entries(nodes).flatMap(([node, { dropped }]) =>
        Object.entries(dropped).map(([why, count]) => `${node} ${why} ${count}`),
      );
      expectEqual(dropped, [], 'packets dropped by nodes');
      const registrations = Object.values(clients).map((client) => client.registrations);
      expectEqual(registrations, [1, 1], 'registrations');
    });
  } finally {
    await Promise.all(profiles.map((profile) => profile.close()));
    await net.stop();
  }
}
