// An identity that is taken from Node into a browser, from there into the other browser, and back; passphrases,
// rotation, destruction.

import { MixClient } from '../../../dist/node.js';
import * as engine from '../../../dist/engine.js';
import WebSocket from 'ws';
import { Chromium, Firefox } from '../lib/browsers.mjs';
import { Client, failure } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';

const passphrase = 'correct horse battery staple';

export async function identity({ test, need }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  const Other = browser.constructor === Chromium ? Firefox : Chromium;
  const other = await Other.launch();
  const otherProfile = await other.profile();
  const network = { directories: [net.directory] };
  const node = () => new MixClient({ network, worker: false, engine, webSocket: WebSocket });
  /** A client in a page that has not connected yet. */
  const idle = async (where, stored, options = {}) =>
    new Client(await where.open(site.url), stored, { network, ...options });
  const bring = (client, file, more = {}) =>
    client.page.call('importIdentity', client.name, client.options, file, { passphrase, ...more });
  let address;
  let file;
  try {
    await need('an identity exported in Node comes into a browser', async () => {
      const first = node();
      address = await first.connect();
      const blob = await first.identity.export({ passphrase });
      await first.close();
      const client = await idle(profile, 'from-node');
      expectEqual(await bring(client, [...new Uint8Array(await blob.arrayBuffer())]), address, 'addresses');
      await client.connect();
      expectEqual(client.address, address, 'addresses');
      file = await client.page.call('exportIdentity', client.name, passphrase);
      await client.close();
      const { registrations } = await net.client(address);
      expectEqual(registrations, 1, 'registrations');
    });

    await need('from there into the other browser, and back into Node', async () => {
      const client = await idle(otherProfile, 'from-browser');
      expectEqual(await bring(client, file), address, 'addresses');
      await client.connect();
      expectEqual(client.address, address, 'addresses');
      const back = await client.page.call('exportIdentity', client.name, passphrase);
      await client.close();
      const last = node();
      expectEqual(await last.identity.import(new Blob([new Uint8Array(back)]), { passphrase }), address, 'addresses');
      expectEqual(await last.connect(), address, 'addresses');
      await last.close();
    });

    await test('a profile with another identity keeps it, unless it is to be replaced', async () => {
      const client = await Client.connect(profile, site.url, 'taken', { network });
      const own = client.address;
      expectEqual((await failure(bring(client, file))).code, 'identity-conflict', 'codes');
      expectEqual((await client.state()).address, own, 'addresses');
      expectEqual(await bring(client, file, { onConflict: 'replace' }), address, 'addresses');
      expectEqual((await client.state()).state, 'ready', 'states');
      await client.close();
      await client.connect();
      expectEqual(client.address, address, 'addresses');
      await client.close();
    });

    await test('only the passphrase opens a profile that has one, also after it was changed and removed', async () => {
      const client = await Client.connect(profile, site.url, 'locked', { network, passphraseText: 'one' });
      const own = client.address;
      await client.page.call('identity', client.name, 'setPassphrase', 'two');
      await client.close();
      expectEqual((await failure(client.connect())).code, 'wrong-passphrase', 'codes');
      const knowing = await Client.connect(profile, site.url, 'knowing', {
        network,
        profile: 'locked',
        passphraseText: 'two',
      });
      expectEqual(knowing.address, own, 'addresses');
      await knowing.close();
      await knowing.page.call('identity', 'knowing', 'setPassphrase', null);
      await client.connect();
      expectEqual(client.address, own, 'addresses');
      await client.close();
    });

    await test('a rotated identity has another address after a reload too', async () => {
      const client = await Client.connect(profile, site.url, 'rotated', { network });
      const old = client.address;
      const before = await client.page.call('exportIdentity', client.name, passphrase);
      const fresh = await client.page.call('identity', client.name, 'rotate');
      expect(fresh !== old, 'the address is the old one');
      await client.close();
      await client.connect();
      expectEqual(client.address, fresh, 'addresses');
      await client.close();
      // Not connected, it connects to be forgotten.
      expectEqual(await client.page.call('identity', client.name, 'rotate'), null, 'addresses');
      await client.connect();
      expect(![old, fresh].includes(client.address), 'the address is one of the old ones');
      await client.close();
      expectEqual((await net.client(fresh)).logins, 2, 'logins');
      // Who has exported the old keys has to register them anew, since the gateway has forgotten them.
      const returned = await idle(profile, 'returned');
      expectEqual(await bring(returned, before), old, 'addresses');
      await returned.connect();
      expectEqual([returned.address, (await net.client(old)).registrations], [old, 2], 'registrations');
      await returned.close();
    });

    await test('a destroyed one is forgotten here and by the gateway', async () => {
      const client = await Client.connect(profile, site.url, 'destroyed', { network, tabs: 'share' });
      const old = client.address;
      const stored = async () =>
        (await client.page.call('databases')).filter((name) => name.endsWith('-destroyed')).sort();
      expectEqual(await stored(), ['mixlet-destroyed', 'mixlet-tabs-destroyed'], 'databases');
      await client.page.call('identity', client.name, 'destroy');
      expectEqual(await client.state().then(({ state, address }) => [state, address]), ['closed', null], 'states');
      expectEqual(await stored(), [], 'databases');
      await client.connect();
      expect(client.address !== old, 'the address is the old one');
      // Not connected, it connects for that.
      await client.close();
      await client.page.call('identity', client.name, 'destroy');
      expectEqual(await stored(), [], 'databases');
    });

    await test('statistics over all visits go on after a reload, and not with another identity', async () => {
      const client = await Client.connect(profile, site.url, 'counted', { network, stats: 'kept' });
      const { kept: first } = await client.page.call('stats', client.name);
      await client.close();
      await client.connect();
      const { kept: second } = await client.page.call('stats', client.name);
      expectEqual([first.visits, second.visits, second.since], [1, 2, first.since], 'visits');
      expect(second.out.cover > 0 && second.bytesOut > first.bytesOut, 'what was counted before is not in the sums');
      await client.page.call('identity', client.name, 'rotate');
      const { kept: third } = await client.page.call('stats', client.name);
      expectEqual(third.visits, 1, 'visits');
      await client.close();
    });

    await test('one tab cannot change what another uses', async () => {
      const client = await Client.connect(profile, site.url, 'in-use', { network });
      const second = await idle(profile, 'in-use');
      expectEqual((await failure(bring(second, file, { onConflict: 'replace' }))).code, 'in-use', 'codes');
      await client.close();
    });
  } finally {
    await profile.close();
    await other.close();
    await net.stop();
  }
}
