// A message is given up in the middle: seen from the network, nothing more of it leaves, and the traffic goes on as before.

import { Client } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { after } from '../lib/time.mjs';

/** About 500 fragments, which take 10 s at the default pace. */
const LENGTH = 800_000;
const ABORT_AFTER_MS = 4_000;
const SETTLED_WITHIN_MS = 100;
/** What had left before is on its way for so long at most; packets that were lost would go again by then. */
const UNDER_WAY_US = 1_500_000;
const WATCHED_MS = 5_000;
/** A slot every 20 ms and a loop every 200 ms; only gross failures fail, as machines that run tests are busy. */
const RATE = 55;
const TOLERANCE = 0.3;
/** An ack alone; everything else is data or cover. */
const ACK_LEN = 386;

export async function abort({ test, need }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  try {
    const network = { directories: [net.directory] };
    const open = (name, place) =>
      Client.connect(profile, site.url, name, { network, gateway: { id: net.gatewayIds[place] } });
    const [alice, bob] = await Promise.all([open('alice', 0), open('bob', 1)]);
    // Away, so that what reaches his gateway is not his own cover.
    await bob.close();

    let outcome;
    let aborted;
    let end;
    await need('a message that is given up while half of it has left rejects with the reason, at once', async () => {
      outcome = await alice.page.call('abortAfter', 'alice', bob.address, { seed: 1, length: LENGTH }, ABORT_AFTER_MS);
      aborted = (await net.summary()).now_us;
      expectEqual([outcome.isReason, outcome.undelivered], [true, 1], 'whether it was the reason, and events');
      expect(outcome.ms <= SETTLED_WITHIN_MS, `it took ${outcome.ms} ms`);
      await after(WATCHED_MS);
      end = (await net.summary()).now_us;
      return `${outcome.ms.toFixed(1)} ms`;
    });

    await test('nothing more of it leaves', async () => {
      const reached = (await net.entries({ kinds: ['final'], client: clientOf(bob.address) })).filter(
        ({ len }) => len !== ACK_LEN,
      );
      const late = reached.filter(({ t }) => t > aborted + UNDER_WAY_US);
      expectEqual(late.length, 0, 'packets that reached the recipient’s gateway later');
      expect(reached.length > 50, `only ${reached.length} packets had arrived`);
      return `${reached.length} of its packets had arrived`;
    });

    await test('the frames a second stay the same', async () => {
      const frames = await net.entries({ kinds: ['frame'], client: clientOf(alice.address) });
      const sent = frames.filter(({ way, binary }) => way === 'in' && binary);
      const rate = (from, to) => sent.filter(({ t }) => t >= from && t < to).length / ((to - from) / 1e6);
      const rates = [rate(aborted - (ABORT_AFTER_MS - 500) * 1000, aborted), rate(aborted, end)];
      const text = rates.map((rate) => rate.toFixed(1)).join(' and ');
      expect(
        rates.every((rate) => Math.abs(rate / RATE - 1) <= TOLERANCE),
        text,
      );
      return `${text} frames a second before and after`;
    });

    await test('its tables are empty, and the next message arrives', async () => {
      const { queuedBytes, inFlight } = await alice.stats();
      expectEqual([queuedBytes, inFlight], [0, 0], 'bytes waiting and packets in flight');
      await bob.connect();
      await alice.send(bob.address, { text: 'the next one' });
      await bob.receive({ text: 'the next one' });
      expectEqual((await bob.received()).length, 1, 'messages');
    });
  } finally {
    await profile.close();
    await net.stop();
  }
}
