import type { WasmSource } from './protocol.js';

// In Node's build this file takes the place of defaults.ts: `fetch` there reads no files.

export const defaultWasm = (): Promise<WasmSource> => fromUrl(new URL('./mixlet.wasm', import.meta.url));

export const fromUrl = async (url: URL): Promise<WasmSource> => {
  if (url.protocol !== 'file:') return { url: url.href };
  const { buffer, byteOffset, byteLength } = await process.getBuiltinModule('node:fs/promises').readFile(url);
  return { bytes: buffer.slice(byteOffset, byteOffset + byteLength) };
};

export const defaultWorker = (): Worker => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });

/** What is used of Node, whose types would change those of the whole package. */
const { process } = globalThis as unknown as {
  process: { getBuiltinModule(name: string): { readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> } };
};
