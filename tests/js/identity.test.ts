// What the page does for the identity, with a worker that answers as it is told.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { MixClientOptions } from '../../js/types.js';
import { address, connected, failure, gateway, heard, newClient, started, stubBrowser, wire } from './fake.js';

const browser = (persisted: boolean) =>
  vi.stubGlobal('navigator', { locks: {}, storage: { persisted: () => Promise.resolve(persisted) } });

beforeEach(() => {
  stubBrowser();
  browser(false);
});
afterEach(() => vi.unstubAllGlobals());

/** A client that has connected, and what it was told of risks. */
async function opened(exported: boolean | undefined, options: Partial<MixClientOptions> = {}) {
  const fake = newClient(options);
  const risks = heard(fake.client, 'identity-at-risk');
  const errors = heard(fake.client, 'error');
  const connecting = fake.client.connect();
  const worker = await started(fake);
  return {
    ...fake,
    worker,
    risks,
    errors,
    answer: async () => {
      worker.answer(await worker.request('open'), { address, gateway, exported });
      await connecting;
      await worker.flush();
    },
  };
}

describe('durability', () => {
  test('what is stored and not exported is at risk, once for each connect', async () => {
    const { client, risks, answer } = await opened(false);
    await answer();
    expect(risks).toEqual([{ durability: 'best-effort' }]);
    expect(await client.identity.durability()).toBe('best-effort');
  });

  test('what the browser keeps for good, or was exported, is not at risk', async () => {
    const exported = await opened(true);
    await exported.answer();
    expect(exported.risks).toEqual([]);
    browser(true);
    const kept = await opened(false);
    await kept.answer();
    expect([kept.risks, await kept.client.identity.durability()]).toEqual([[], 'persisted']);
  });

  test('memory in place of a store is told once', async () => {
    const { client, worker, risks, errors, answer } = await opened(undefined, { storage: 'indexeddb-or-memory' });
    worker.say({ event: 'volatile', error: wire({ code: 'storage-blocked' }) });
    await answer();
    expect(risks).toMatchObject([{ durability: 'volatile', error: { code: 'storage-blocked' } }]);
    expect([errors, await client.identity.durability()]).toEqual([[], 'volatile']);
  });

  test('a store that is taken away is an error, and the client goes on', async () => {
    const { client, worker, risks, errors, answer } = await opened(true);
    await answer();
    worker.say({ event: 'volatile', error: wire({ code: 'storage-blocked' }) });
    await worker.flush();
    expect(errors).toMatchObject([{ code: 'storage-blocked' }]);
    expect([risks, client.state, await client.identity.durability()]).toEqual([[], 'ready', 'volatile']);
  });
});

describe('a passphrase', () => {
  test('is asked for when the worker needs it', async () => {
    const passphrase = vi.fn(() => Promise.resolve('secret'));
    const { worker, answer } = await opened(true, { passphrase });
    expect((await worker.request('open')).options.passphrase).toBe(true);
    expect(passphrase).not.toHaveBeenCalled();
    worker.say({ event: 'passphrase-wanted' });
    expect(await worker.next('passphrase')).toMatchObject({ secret: 'secret' });
    expect(passphrase).toHaveBeenCalledTimes(1);
    expect(answer).toBeTypeOf('function');
  });

  test('that cannot be had ends the connect with the cause', async () => {
    const no = new Error('no');
    const passphrases = [() => Promise.reject(no), () => 7 as never];
    for (const [place, passphrase] of passphrases.entries()) {
      const fake = newClient({ passphrase });
      const connecting = failure(fake.client.connect());
      const worker = await started(fake);
      await worker.request('open');
      worker.say({ event: 'passphrase-wanted' });
      expect(await connecting).toMatchObject({ code: 'config-invalid', ...(place === 0 ? { cause: no } : {}) });
      expect(fake.client.state).toBe('idle');
    }
    expect(() => newClient({ passphrase: 'text' as never })).toThrow('passphrase');
  });
});

describe('an errand', () => {
  test('has a worker of its own, which ends with it', async () => {
    const fake = await connected();
    const exporting = fake.client.identity.export({ passphrase: 'secret' });
    const worker = await started(fake, 2);
    const request = await worker.request('vault');
    expect(request).toMatchObject({ task: 'export', secret: 'secret', profile: 'default', alone: false });
    worker.answer(request, { address, file: new Uint8Array([1, 2]) });
    expect(new Uint8Array(await (await exporting).arrayBuffer())).toEqual(new Uint8Array([1, 2]));
    expect([worker.terminated, fake.workers[0]?.terminated, fake.client.state]).toEqual([true, false, 'ready']);
  });

  test('needs the profile for itself where the client is not connected', async () => {
    const fake = newClient();
    const refused = failure(fake.client.identity.setPassphrase('new'));
    const worker = await started(fake);
    const request = await worker.request('vault');
    expect(request).toMatchObject({ task: 'protect', secret: 'new', alone: true });
    worker.refuse(request, { code: 'in-use' });
    expect(await refused).toMatchObject({ code: 'in-use', name: 'SessionInUseError' });
    expect(worker.terminated).toBe(true);
  });

  test('whose worker dies rejects', async () => {
    const fake = newClient();
    const refused = failure(fake.client.identity.rotate());
    // The first one only asks whether there is a gateway to be forgotten by.
    for (const [place, task] of ['status', 'rotate'].entries()) {
      const worker = await started(fake, place + 1);
      expect(await worker.request('vault')).toMatchObject({ task, alone: true });
      worker.raiseError('out of memory');
    }
    expect(await refused).toMatchObject({ code: 'worker-crashed' });
  });
});

test('while others share the profile, it is neither changed nor destroyed', async () => {
  const fake = newClient({ tabs: 'share' });
  vi.stubGlobal('BroadcastChannel', class {});
  const held = [{ name: 'mixlet:shares:1:default' }];
  vi.stubGlobal('navigator', { locks: { query: () => Promise.resolve({ held }) } });
  for (const call of ['rotate', 'destroy'] as const) {
    expect(await failure(fake.client.identity[call]())).toMatchObject({ code: 'in-use' });
  }
  expect(fake.workers).toEqual([]);
});
