// The published Nym browser client and mixlet, each on its own gateway: neither may notice that the other is not one of
// its own.

import { Client } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { openNym } from './nym.mjs';

const LONG = 'many packets '.repeat(1500);

export async function interop({ test, need }, { browser, site, lines }) {
  const net = await Devnet.start('nym-interop');
  const profiles = [await browser.profile(), await browser.profile()];
  try {
    const { directory, gatewayIds } = net;
    let nym;
    let ours;
    await need('the Nym client registers at one gateway and mixlet at the other', async () => {
      [nym, ours] = await Promise.all([
        openNym(profiles[0], site, { directory, gatewayId: gatewayIds[0], name: 'nym', lines }),
        Client.connect(profiles[1], site.url, 'ours', {
          network: { directories: [directory] },
          gateway: { id: gatewayIds[1] },
        }),
      ]);
    });

    await test('Nym to mixlet: a plain message', async () => {
      await nym.sendPlain('plain from Nym', ours.address);
      const { from, canReply } = await ours.receive({ text: 'plain from Nym' });
      expectEqual([from, canReply], [null, false], 'sender and canReply');
    });
    await test('mixlet to Nym: a plain message', async () => {
      const sending = await ours.send(nym.address, { text: 'plain from mixlet' }, { replies: 0 });
      const [{ tag }] = await Promise.all([nym.receive('plain from mixlet'), sending.settle('delivered')]);
      expectEqual(tag, null, 'the tag');
    });
    await test('Nym to mixlet: a message of many packets', async () => {
      await nym.sendPlain(LONG, ours.address);
      await ours.receive({ text: LONG });
      return `${LONG.length} bytes`;
    });
    await test('mixlet to Nym: a message of many packets', async () => {
      const sending = await ours.send(nym.address, { text: LONG }, { replies: 0 });
      await Promise.all([nym.receive(LONG), sending.settle('delivered')]);
    });

    await test('Nym to mixlet: an anonymous message, and a reply back', async () => {
      await nym.sendAnonymous('who is Nym?', ours.address, 10);
      const question = await ours.receive({ text: 'who is Nym?' });
      expect(question.from !== null && question.canReply, 'it can be answered');
      const replying = await ours.reply(question, { text: 'mixlet does not know' });
      const [reply] = await Promise.all([nym.receive('mixlet does not know'), replying.settle('delivered')]);
      expectEqual(reply.tag, null, 'the tag of a reply');
    });
    await test('mixlet to Nym: an anonymous message, and a reply back', async () => {
      const sending = await ours.send(nym.address, { text: 'who is mixlet?' }, { replies: 10 });
      const [{ tag }] = await Promise.all([nym.receive('who is mixlet?'), sending.settle('delivered')]);
      expect(tag, 'an anonymous message has a tag');
      await nym.sendReply('Nym does not know', tag);
      const reply = await ours.receive({ text: 'Nym does not know' });
      expectEqual(reply.from, null, 'the sender of a reply');
    });

    // More than ten SURBs carry: whoever answers has to ask for more, and the other has to give them.
    await test('Nym to mixlet: a long reply back, for which mixlet asks for more SURBs', async () => {
      await nym.sendAnonymous('tell me more', ours.address, 10);
      const replying = await ours.reply(await ours.receive({ text: 'tell me more' }), { text: `mixlet: ${LONG}` });
      await Promise.all([nym.receive(`mixlet: ${LONG}`), replying.settle('delivered')]);
    });
    await test('mixlet to Nym: a long reply back, for which Nym asks for more SURBs', async () => {
      await ours.send(nym.address, { text: 'tell me more, too' }, { replies: 10 });
      const { tag } = await nym.receive('tell me more, too');
      await nym.sendReply(`Nym: ${LONG}`, tag);
      await ours.receive({ text: `Nym: ${LONG}` });
    });

    await test('nothing came twice, and the network dropped nothing', async () => {
      const texts = (await nym.received()).map(({ body }) => body);
      const digests = (await ours.received()).map(({ digest }) => digest);
      expectEqual(new Set(texts).size, texts.length, 'different messages at Nym');
      expectEqual(new Set(digests).size, digests.length, 'different messages at mixlet');
      const { nodes } = await net.summary();
      const dropped = Object.values(nodes).flatMap((node) => Object.keys(node.dropped));
      expectEqual(dropped, [], 'packets dropped');
      return `${texts.length} and ${digests.length} messages`;
    });
  } finally {
    for (const profile of profiles) await profile.close();
    await net.stop();
  }
}
