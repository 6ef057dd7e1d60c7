// The outbox of a client that is not connected: what is sent is stored, and leaves with the next connection.

import { Client, failure } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { until } from '../lib/time.mjs';

const COUNT = 70;
const LENGTH = 1_000;

export async function early({ test }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  const options = (place) => ({
    network: { directories: [net.directory] },
    gateway: { id: net.gatewayIds[place] },
    privacy: { dangerNoPacing: true },
  });
  const unconnected = async () => {
    const client = new Client(await profile.open(site.url), 'anna', options(0));
    await client.page.call('make', 'anna', client.options);
    return client;
  };
  const left = ({ page }) => page.call('outbox', 'anna');
  try {
    const bert = await Client.connect(profile, site.url, 'bert', options(1));

    await test('messages sent before the first connect survive the page, and arrive after it, once each', async () => {
      const first = await unconnected();
      expectEqual(await left(first), [], 'the outbox of a new profile');
      const number = await first.page.call('sendMany', 'anna', bert.address, COUNT, LENGTH, { persist: true });
      const large = await first.send(bert.address, { seed: 1, length: 1_000_000 }, { persist: true });
      const queued = await first.page.call('settleMany', 'anna', number, COUNT, 'queued');
      expectEqual(queued.failed, [], 'messages that could not be stored');
      await large.settle('queued');
      await first.page.close();
      const anna = await unconnected();
      const stored = await left(anna);
      expectEqual(stored.length, COUNT + 1, 'messages in the outbox of the next page');
      expect(
        stored.every(
          ({ to, state, fragmentsTotal }) => to === bert.address && state === 'queued' && fragmentsTotal === 0,
        ),
        'what is listed',
      );
      await anna.page.call('cancelStored', 'anna', stored.at(3).id);
      const follows = anna.page.call('follow', 'anna', stored.at(-1).id);
      await anna.connect();
      expectEqual((await follows).at(-1).length, 2, 'the handle of before the connection has its progress');
      await until(async () => (await left(anna)).length === 0, 'all of them have left');
      await until(async () => (await bert.received()).length === COUNT, 'all of them have arrived');
      const digests = (await bert.received()).map(({ digest }) => digest);
      expectEqual(new Set(digests).size, COUNT, 'different messages');
      await anna.page.close();
      return `${COUNT} of ${COUNT + 1}, one was cancelled`;
    });

    await test('after close it is stored as well, and the same client sends it when it is connected again', async () => {
      const anna = await unconnected();
      await anna.connect();
      const before = (await bert.received()).length;
      await anna.close();
      const sent = await anna.send(bert.address, { text: 'after the close' }, { persist: true });
      await sent.settle('queued');
      expectEqual((await anna.state()).state, 'closed', 'state');
      expectEqual((await bert.received()).length, before, 'messages that arrived');
      await anna.connect();
      await bert.receive({ text: 'after the close' });
      await sent.settle();
      await anna.page.close();
    });

    await test('a profile that is open elsewhere is not touched', async () => {
      const open = await unconnected();
      await open.connect();
      const other = await unconnected();
      const sent = await other.send(bert.address, { text: 'no' }, { persist: true });
      expectEqual((await failure(sent.settle('queued'))).code, 'in-use', 'code');
      // Looking takes nothing from anybody.
      expectEqual(await left(other), [], 'the outbox');
      await open.page.close();
      await other.page.close();
    });
  } finally {
    await profile.close();
    await net.stop();
  }
}
