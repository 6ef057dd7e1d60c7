import { beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../js/limits.js';
import type { GatewayChooser, GatewayInfo } from '../../js/types.js';
import { address, connected, failure, gateway, heard, newClient, open, started, stubBrowser } from './fake.js';

beforeEach(() => {
  vi.unstubAllGlobals();
  stubBrowser();
});

const topology = { epoch: 7, rotation: 1, layers: [2, 3, 4] as [number, number, number], gateways: 5, ageMs: 60_000 };
const other = { ...gateway, id: 'other', performance: 60, latencyMs: 12 };

describe('network', () => {
  test('topology() tells the picture in use and when it was fetched', async () => {
    const { client, worker } = await connected();
    const answer = client.network.topology();
    worker.answer(await worker.request('topology'), topology);
    const { fetchedAt, ...rest } = await answer;
    expect(rest).toEqual({ epoch: 7, rotation: 1, layers: [2, 3, 4], gateways: 5 });
    expect(Math.abs(Date.now() - 60_000 - fetchedAt.getTime())).toBeLessThan(1_000);
  });

  test('gateways() lists them; with measure the worker measures for so long', async () => {
    const { client, worker } = await connected();
    const plain = client.network.gateways();
    const request = await worker.request('gateways');
    expect(request.measure).toBe(undefined);
    worker.answer(request, [gateway, { ...other, latencyMs: undefined, usable: false, why: 'plain' }]);
    expect(await plain).toEqual([gateway, { ...gateway, id: 'other', performance: 60, usable: false, why: 'plain' }]);

    for (const timeoutMs of [undefined, 100, 0]) {
      const measured = client.network.gateways({ measure: true, timeoutMs });
      const { measure, ...rest } = await worker.request('gateways');
      expect(measure?.timeoutMs).toBe(timeoutMs ?? limits.measureTimeoutMs);
      worker.answer(rest, [other]);
      expect(await measured).toEqual([other]);
    }
  });

  test('an abort stops the measuring and rejects with its reason', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const measured = client.network.gateways({ measure: true, signal: controller.signal });
    const request = await worker.request('gateways');
    controller.abort('enough');
    expect(await failure(measured)).toBe('enough');
    expect(await worker.next('stop')).toEqual({ op: 'stop', call: request.measure?.call });
  });

  test('a worker that hangs is not waited for', async () => {
    const { client } = await connected();
    expect(await failure(client.network.topology({ timeoutMs: 1 }))).toMatchObject({ code: 'timeout' });
    expect(await failure(client.network.gateways({ timeoutMs: 1 }))).toMatchObject({ code: 'timeout' });
  });

  test('what makes no sense is refused', async () => {
    const { client } = await connected();
    for (const options of [{ measured: true }, { measure: 1 }, { timeoutMs: -1 }, null]) {
      expect(await failure(client.network.gateways(options as never))).toMatchObject({ code: 'config-invalid' });
    }
  });

  test('the topology event tells of another picture, also before the client is connected', async () => {
    const fake = newClient();
    const seen = heard(fake.client, 'topology') as { epoch: number }[];
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.say({ event: 'topology', topology });
    await open(worker);
    await connecting;
    worker.say({ event: 'topology', topology: { ...topology, epoch: 8 } });
    await worker.flush();
    expect(seen.map(({ epoch }) => epoch)).toEqual([7, 8]);
  });

  test('the first connect is a gatewaychange, the second to the same is none', async () => {
    const fake = newClient();
    const changes = heard(fake.client, 'gatewaychange');
    for (let count = 1; count <= 2; count++) {
      const connecting = fake.client.connect();
      await open(await started(fake, count));
      await connecting;
      const closing = fake.client.close({ drain: false });
      fake.worker.answer(await fake.worker.request('close'));
      await closing;
    }
    expect(changes).toEqual([{ gateway, previous: null, address }]);
  });
});

describe('switchGateway', () => {
  const there = `${address.split('@')[0]}@other`;

  test('resolves with the address there, and the client has it from the event on', async () => {
    const { client, worker } = await connected();
    const changes = heard(client, 'gatewaychange');
    const moving = client.network.switchGateway('other');
    const request = await worker.request('switch');
    expect(request.gatewayId).toBe('other');
    expect([client.address, client.gateway]).toEqual([address, gateway]);
    worker.say({ event: 'moved', address: there, gateway: other });
    await worker.flush();
    expect([client.address, client.gateway]).toEqual([there, other]);
    worker.answer(request, { address: there, gateway: other });
    expect(await moving).toBe(there);
    expect(changes).toEqual([{ gateway: other, previous: gateway, address: there }]);
    await worker.flush();
    expect(worker.posted.some(({ op }) => op === 'stay')).toBe(false);
  });

  test('a refusal changes nothing', async () => {
    const { client, worker } = await connected();
    const moving = failure(client.network.switchGateway('other'));
    worker.refuse(await worker.request('switch'), { code: 'gateway-timeout', phase: 'auth', retriable: true });
    expect(await moving).toMatchObject({ code: 'gateway-timeout', phase: 'auth', name: 'GatewayError' });
    expect(client.address).toBe(address);
    await worker.flush();
    expect(worker.posted.some(({ op }) => op === 'stay')).toBe(false);
  });

  test('an abort and a deadline give it up', async () => {
    const { client, worker } = await connected();
    const controller = new AbortController();
    const aborted = failure(client.network.switchGateway('other', { signal: controller.signal }));
    await worker.request('switch');
    controller.abort('enough');
    expect(await aborted).toBe('enough');
    await worker.next('stay');
    expect(await failure(client.network.switchGateway('other', { timeoutMs: 1 }))).toMatchObject({ code: 'timeout' });
    await worker.next('stay');
    expect(await failure(client.network.switchGateway(7 as never))).toMatchObject({ code: 'config-invalid' });
  });

  test('who had named a gateway gets the new one at the next connect', async () => {
    for (const named of ['old', undefined]) {
      const fake = await connected({ gateway: { id: named } });
      expect(fake.worker.posted.find(({ op }) => op === 'open')).toMatchObject({
        options: { gatewayId: named },
      });
      fake.worker.say({ event: 'moved', address: there, gateway: other });
      await fake.worker.flush();
      const closing = fake.client.close({ drain: false });
      fake.worker.answer(await fake.worker.request('close'));
      await closing;
      fake.client.connect().catch(() => {});
      const request = await (await started(fake, 2)).request('open');
      expect(request.options.gatewayId).toBe(named && 'other');
      void fake.client.close();
    }
  });
});

describe('gateway.select', () => {
  test('is told to the worker', async () => {
    const cases: [GatewayChooser | 'random' | 'fastest' | undefined, string][] = [
      [undefined, 'random'],
      ['random', 'random'],
      ['fastest', 'fastest'],
      [(gateways) => gateways[0] as GatewayInfo, 'ask'],
    ];
    for (const [select, expected] of cases) {
      const fake = newClient({ gateway: { select } });
      fake.client.connect().catch(() => {});
      const { options } = await (await started(fake)).request('open');
      expect(options.gatewaySelect).toBe(expected);
      void fake.client.close();
    }
    expect(() => newClient({ gateway: { select: 'nearest' as never } })).toThrow(/gateway\.select/);
  });

  test('a function gets what is on offer, and its choice is taken', async () => {
    const select = vi.fn<GatewayChooser>((gateways) => Promise.resolve(gateways[1] as GatewayInfo));
    const fake = newClient({ gateway: { select } });
    const connecting = fake.client.connect();
    const worker = await started(fake);
    worker.say({ event: 'choose-gateway', gateways: [gateway, other] });
    expect(await worker.next('choose')).toEqual({ op: 'choose', gatewayId: 'other' });
    expect(select.mock.calls).toEqual([[[gateway, other]]]);
    await open(worker);
    expect(await connecting).toBe(address);
  });

  test('a function that throws or returns something else ends connect', async () => {
    const broken: GatewayChooser[] = [
      () => {
        throw new RangeError('none is good enough');
      },
      () => undefined as never,
      ([first]) => ({ ...(first as GatewayInfo), id: 'another' }),
    ];
    for (const select of broken) {
      const fake = newClient({ gateway: { select } });
      const connecting = failure(fake.client.connect());
      const worker = await started(fake);
      worker.say({ event: 'choose-gateway', gateways: [gateway] });
      expect(await connecting).toMatchObject({ code: 'config-invalid', phase: 'gateway' });
      expect(worker.terminated).toBe(true);
      expect(fake.client.state).toBe('idle');
    }
  });
});

describe('trace', () => {
  test('is told to the worker, and packets are told with their times', async () => {
    const fake = newClient({ trace: true });
    const packets = heard(fake.client, 'packet');
    const connecting = fake.client.connect();
    const worker = await started(fake);
    const request = await worker.request('open');
    expect(request.options.trace).toBe(true);
    worker.answer(request, { address, gateway });
    await connecting;
    const at = 1_779_000_000_123.5;
    worker.say({ event: 'packets', packets: [{ kind: 'real', direction: 'out', size: 2452, at }] });
    await worker.flush();
    expect(packets).toEqual([[{ kind: 'real', direction: 'out', size: 2452, at: new Date(at) }]]);
  });
});
