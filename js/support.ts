import { defaultStorage } from './options.js';
import type { MixClientOptions } from './types.js';

type Needing = Pick<MixClientOptions, 'storage' | 'tabs' | 'webSocket' | 'worker'>;

/** What mixlet needs of where it runs, with a way to see whether it is there. */
const needs: readonly [name: string, present: (options: Needing) => boolean][] = [
  // Only browsers know insecure ones.
  ['secure-context', () => globalThis.isSecureContext !== false],
  ['worker', ({ worker }) => worker !== undefined || typeof Worker === 'function'],
  ['webassembly', () => typeof WebAssembly === 'object'],
  // A function that splats an integer over a vector: valid only where 128-bit SIMD is known.
  ['wasm-simd', () => WebAssembly.validate(simdModule())],
  ['websocket', ({ webSocket }) => webSocket !== undefined || typeof WebSocket === 'function'],
  ['web-crypto', () => typeof globalThis.crypto?.subtle === 'object'],
  ['web-locks', (options) => keepsNothing(options) || typeof globalThis.navigator?.locks === 'object'],
  ['broadcast-channel', ({ tabs }) => tabs !== 'share' || typeof BroadcastChannel === 'function'],
  ['indexeddb', (options) => keepsNothing(options) || (typeof indexedDB === 'object' && indexedDB !== null)],
];

/** The names of what is missing here for a client with these options; never throws. */
export function missingFeatures(options: Needing): string[] {
  return needs.filter(([, present]) => !safely(() => present(options))).map(([name]) => name);
}

/** What to do about it. */
export function supportAdvice(missing: readonly string[]): string {
  if (missing.includes('secure-context')) return 'Serve the page over https or from localhost.';
  if (missing.includes('worker')) return `Without workers the engine runs in this thread: ${inThread}`;
  if (missing.includes('websocket')) return 'Give a WebSocket class in the option webSocket, such as that of ws.';
  return 'Use a current browser.';
}

const inThread = "pass worker: false and engine, which is import * as engine from 'mixlet/engine'.";

const keepsNothing = ({ storage = defaultStorage() }: Needing) => storage !== 'indexeddb';

function safely(present: () => boolean): boolean {
  try {
    return present();
  } catch {
    // Some browsers throw when a blocked feature is looked at.
    return false;
  }
}

function simdModule(): Uint8Array<ArrayBuffer> {
  return new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  ]);
}
