import type { WasmSource } from './protocol.js';

// What differs between the builds of the package; defaults.node.ts and defaults.inline.ts take this file's place.

/** The wasm beside this file. Bundlers know these words, so they stay as they are. */
export const defaultWasm = (): Promise<WasmSource> | WasmSource => fromUrl(new URL('./mixlet.wasm', import.meta.url));

/** Where the wasm of this URL comes from. */
export const fromUrl = (url: URL): Promise<WasmSource> | WasmSource => ({ url: url.href });

/** The worker beside this file. */
export const defaultWorker = (): Worker => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
