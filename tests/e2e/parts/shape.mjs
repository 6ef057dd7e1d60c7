// The shape of the traffic on a client's line, as its gateway sees it: the same whether the user sends or not.

import { Client } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { expect } from '../lib/report.mjs';
import { distanceToExponential, gapsOf, mean, variation } from '../lib/statistics.mjs';

/** How long each is watched. */
const WATCHED_MS = 60_000;

/** A slot every 20 ms and a loop every 200 ms. */
const RATE = 55;

/** Only gross failures fail: machines that run tests are busy. */
const TOLERANCE = 0.3;

/**
 * Standard deviation of the gaps over their mean: 0 for a clockwork, 1 for random times, more where the machine halts,
 * which has no bound on a busy one: it is printed.
 */
const VARIATION_LEAST = 0.7;

const LARGE = 1_000_000;

/** One client is idle and one sends 1 MB after the other, at the same time, so that both meet the same machine. */
export async function shape({ test, need }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  try {
    const network = { directories: [net.directory] };
    const open = (name, id) => Client.connect(profile, site.url, name, { network, gateway: { id } });
    const [idle, busy] = await Promise.all([open('idle', net.gatewayIds[0]), open('busy', net.gatewayIds[1])]);

    let from;
    let to;
    await need('one client is idle for a minute while another sends to it', async () => {
      from = (await net.summary()).now_us;
      const delivered = await busy.page.call('sendFor', 'busy', idle.address, LARGE, WATCHED_MS);
      to = (await net.summary()).now_us;
      expect(delivered >= 2, `only ${delivered} messages of 1 MB were delivered`);
      return `${delivered} messages of 1 MB`;
    });

    for (const client of [idle, busy]) {
      await test(`the ${client.name} client sends ${RATE} frames a second at random times`, async () => {
        const frames = await net.entries({ kinds: ['frame'], client: clientOf(client.address) });
        const seen = frames.filter(({ way, binary, t }) => way === 'in' && binary && t >= from && t <= to);
        const lengths = new Set(seen.map(({ len }) => len));
        expect(lengths.size === 1, `frames have ${lengths.size} different lengths`);
        const gaps = gapsOf(seen.map(({ t }) => t));
        const rate = seen.length / ((to - from) / 1e6);
        const [spread, distance] = [variation(gaps), distanceToExponential(gaps)];
        const figures =
          `${rate.toFixed(1)} frames/s of ${[...lengths]} B, gaps ${(mean(gaps) / 1000).toFixed(2)} ms on average, ` +
          `variation ${spread.toFixed(2)}, distance to exponential ${distance.toFixed(3)}`;
        expect(Math.abs(rate / RATE - 1) <= TOLERANCE, figures);
        expect(spread >= VARIATION_LEAST, figures);
        return figures;
      });
    }

    await test('both links stayed up all the while', async () => {
      const [a, b] = await Promise.all([idle.stats(), busy.stats()]);
      const slots = [a, b].map(({ dropped }) => dropped.slot);
      expect(a.state === 'ready' && b.state === 'ready', `${a.state} and ${b.state}`);
      expect(a.reconnects + b.reconnects === 0, 'a link broke');
      return `slots left out: ${slots.join(' idle, ')} busy`;
    });
  } finally {
    await profile.close();
    await net.stop();
  }
}
