import { describe, expect, test, vi } from 'vitest';
import { MixClient } from '../../js/client.js';
import { MixError } from '../../js/errors.js';
import { limits } from '../../js/limits.js';
import { checkClientOptions, checkSendOptions, checkTimeout } from '../../js/options.js';
import type { MixClientOptions, MixEngine, SendOptions } from '../../js/types.js';

const network = { directories: ['http://127.0.0.1:8080/api'] };

describe('client options', () => {
  test('the defaults are those of the other clients of the network', () => {
    vi.stubGlobal('location', { href: 'http://localhost/page' });
    expect(checkClientOptions({ network })).toEqual({
      directories: ['http://127.0.0.1:8080/api'],
      topology: undefined,
      profile: 'default',
      storage: 'indexeddb',
      tabs: 'exclusive',
      gatewayId: undefined,
      gatewaySelect: 'random',
      chooseGateway: undefined,
      slotMs: 20,
      loopMs: 200,
      hopDelayMs: 15,
      ackDelayMs: 15,
      dangerNoPacing: false,
      minPerformance: undefined,
      refreshMs: undefined,
      reconnect: { minMs: 500, maxMs: 60_000, maxAttempts: null },
      inbox: 'memory',
      pseudonym: 'fresh',
      stats: 'visit',
      askForMore: true,
      trace: false,
      wasm: undefined,
      worker: undefined,
      engine: undefined,
      webSocket: undefined,
    });
    vi.unstubAllGlobals();
  });

  test('Node keeps nothing by default', () => {
    expect(checkClientOptions({ network }).storage).toBe('memory');
    expect(checkClientOptions({ network, storage: 'indexeddb' }).storage).toBe('indexeddb');
  });

  test('without a worker the engine has to be given, and only then a WebSocket class', () => {
    const engine = { startInThread: () => new EventTarget() } as unknown as MixEngine;
    const webSocket = class {} as never;
    const advice = "import * as engine from 'mixlet/engine'";
    const wrong: [Partial<MixClientOptions>, string][] = [
      [{ worker: false }, advice],
      [{ worker: false, engine: {} as never }, advice],
      [{ worker: false, engine: null as never }, advice],
      [{ worker: false, engine: 'mixlet/engine' as never }, advice],
      [{ engine }, 'worker: false'],
      [{ engine, worker: () => ({}) as Worker }, 'worker: false'],
      [{ webSocket }, 'worker: false'],
      [{ webSocket, worker: () => ({}) as Worker }, 'worker: false'],
      [{ webSocket: {} as never, worker: false, engine }, 'webSocket'],
      [{ worker: true as never, engine }, 'worker'],
    ];
    for (const [options, text] of wrong) {
      const make = () => new MixClient({ network, ...options });
      expect(make, Object.keys(options).join()).toThrow(code('config-invalid'));
      expect(make).toThrow(text);
    }
    expect(checkClientOptions({ network, worker: false, engine, webSocket })).toMatchObject({ engine, webSocket });
  });

  test('without a network the constructor throws network-required', () => {
    for (const options of [undefined, null, {}, { network: {} }, { network: { directories: [] } }, { profile: 'x' }]) {
      expect(() => new MixClient(options as never)).toThrow(code('network-required'));
    }
  });

  test('each level names an unknown key', () => {
    const wrong: [object, string][] = [
      [{ network, profil: 'x' }, '"profil"'],
      [{ network: { ...network, directory: 'x' } }, '"directory"'],
      [{ network, gateway: { choose: 'random' } }, '"choose"'],
      [{ network, privacy: { slot: 5 } }, '"slot"'],
      [{ network, reconnect: { min: 5 } }, '"min"'],
    ];
    for (const [options, name] of wrong) {
      expect(() => new MixClient(options as never)).toThrow(code('config-invalid'));
      expect(() => new MixClient(options as never)).toThrow(name);
    }
  });

  test('each wrong value is refused with the name of its option', () => {
    const wrong: [Record<string, unknown>, string][] = [
      [{ network: 7 }, 'network'],
      [{ network: { directories: 'http://x' } }, 'directories'],
      [{ network: { directories: ['x'] } }, '"x"'],
      [{ network: { directories: ['/api'] } }, '"/api"'],
      [{ network: { directories: ['ftp://x'] } }, 'ftp'],
      [{ network: { directories: [7] } }, '"7"'],
      [{ network: { directories: ['http://a:b@x/'] } }, 'password'],
      [{ network: { directories: ['http://x/?q'] } }, 'query'],
      [{ network: { topology: 'text' } }, 'topology'],
      [{ network: { ...network, refreshMs: 9_999 } }, 'refreshMs'],
      [{ network: { ...network, minPerformance: 101 } }, 'minPerformance'],
      [{ network: { ...network, minPerformance: 0.5 } }, 'minPerformance'],
      [{ profile: '' }, 'profile'],
      [{ profile: 7 }, 'profile'],
      [{ profile: 'a\u0000b' }, 'profile'],
      [{ profile: ' a' }, 'profile'],
      [{ profile: 'x'.repeat(limits.profileLength + 1) }, 'profile'],
      [{ storage: 'disk' }, 'storage'],
      [{ gateway: { id: 7 } }, 'gateway'],
      [{ gateway: 'x' }, 'gateway'],
      [{ privacy: 'paranoid' }, 'privacy'],
      [{ privacy: { slotMs: 0 } }, 'slotMs'],
      [{ privacy: { loopMs: 10_001 } }, 'loopMs'],
      [{ privacy: { hopDelayMs: -1 } }, 'hopDelayMs'],
      [{ privacy: { ackDelayMs: NaN } }, 'ackDelayMs'],
      [{ privacy: { dangerNoPacing: 1 } }, 'dangerNoPacing'],
      [{ privacy: null }, 'privacy'],
      [{ reconnect: { minMs: 0 } }, 'minMs'],
      [{ reconnect: { minMs: 1000, maxMs: 999 } }, 'maxMs'],
      [{ reconnect: { maxAttempts: 0 } }, 'maxAttempts'],
      [{ askForMore: 'yes' }, 'askForMore'],
      [{ inbox: 'disk' }, 'inbox'],
      [{ inbox: 'durable', storage: 'memory' }, 'indexeddb'],
      [{ pseudonym: true }, 'pseudonym'],
      [{ stats: true }, 'stats'],
      [{ worker: {} }, 'worker'],
      [{ worker: false }, 'worker'],
      [{ wasm: 7 }, 'wasm'],
    ];
    for (const [options, name] of wrong) {
      const make = () => new MixClient({ network, ...options });
      expect(make, JSON.stringify(options)).toThrow(code('config-invalid'));
      expect(make, JSON.stringify(options)).toThrow(name);
    }
  });

  test('privacy profiles and single values are filled in', () => {
    const params = (privacy: MixClientOptions['privacy']) => {
      const { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing } = checkClientOptions({ network, privacy });
      return [slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing];
    };
    expect(params('strong')).toEqual([20, 200, 50, 50, false]);
    expect(params('balanced')).toEqual([20, 200, 15, 15, false]);
    expect(params('fast')).toEqual([4, 200, 10, 10, false]);
    expect(params({ dangerNoPacing: true })).toEqual([20, 200, 15, 15, true]);
    expect(params({ slotMs: 5, hopDelayMs: 0 })).toEqual([5, 200, 0, 15, false]);
    expect(params({ slotMs: undefined } as never)).toEqual([20, 200, 15, 15, false]);
  });

  test('a topology document crosses as text', () => {
    const topology = { rewarded_set: { layer1: [1] } };
    expect(checkClientOptions({ network: { topology } }).topology).toBe('{"rewarded_set":{"layer1":[1]}}');
  });

  test('a longer first wait raises the default of the longest', () => {
    expect(checkClientOptions({ network, reconnect: { minMs: 90_000 } }).reconnect.maxMs).toBe(90_000);
  });
});

describe('send options', () => {
  test('are filled in', () => {
    expect(checkSendOptions({})).toEqual({
      timeoutMs: null,
      replies: 'auto',
      reliable: true,
      priority: 1,
      receipt: null,
    });
    expect(checkSendOptions({ timeoutMs: 0, replies: 0, reliable: false, priority: 'high', receipt: true })).toEqual({
      timeoutMs: 0,
      replies: 0,
      reliable: false,
      priority: 0,
      receipt: true,
    });
    expect(checkSendOptions({ priority: 'bulk', replies: 100 })).toMatchObject({ replies: 100, priority: 2 });
  });

  test('are refused when wrong', () => {
    const wrong: object[] = [
      { timeoutMs: -1 },
      { timeoutMs: '5' },
      { replies: 101 },
      { replies: 1.5 },
      { replies: 'many' },
      { reliable: 0 },
      { priority: 'urgent' },
      { priority: 'toString' },
      { persist: 1 },
      { persist: true, reliable: false },
      { receipt: 'yes' },
    ];
    for (const options of wrong) {
      expect(() => checkSendOptions(options as SendOptions), JSON.stringify(options)).toThrow(code('config-invalid'));
    }
  });
});

test('a deadline is what a timer can do, 0 for none', () => {
  expect(checkTimeout(undefined, 5)).toBe(5);
  expect(checkTimeout(0, 5)).toBe(0);
  for (const wrong of [-1, NaN, Infinity, 2 ** 31, '1']) {
    expect(() => checkTimeout(wrong as number, 5)).toThrow(code('config-invalid'));
  }
});

const code = (name: string) => expect.objectContaining({ code: name, constructor: MixError }) as Error;
