/** What mixlet needs from the browser, with a way to see whether it is there. */
const needs: readonly [name: string, present: () => boolean][] = [
  ['secure-context', () => globalThis.isSecureContext === true],
  ['worker', () => typeof Worker === 'function'],
  ['webassembly', () => typeof WebAssembly === 'object'],
  // A function that splats an integer over a vector: valid only where 128-bit SIMD is known.
  ['wasm-simd', () => WebAssembly.validate(simdModule())],
  ['websocket', () => typeof WebSocket === 'function'],
  ['web-crypto', () => typeof globalThis.crypto?.subtle === 'object'],
  ['web-locks', () => typeof globalThis.navigator?.locks === 'object'],
  ['indexeddb', () => typeof indexedDB === 'object' && indexedDB !== null],
];

/** The names of what is missing here; never throws. */
export function missingFeatures(): string[] {
  return needs.filter(([, present]) => !safely(present)).map(([name]) => name);
}

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
