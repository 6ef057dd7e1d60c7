import { wasmShift, wasmText, workerCode } from './inlined.js';
import { limits } from './limits.js';
import type { WasmSource } from './protocol.js';

// In mixlet/inline this file takes the place of defaults.ts.

export const defaultWasm = (): WasmSource => {
  const bytes = new Uint8Array(wasmText.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = wasmText.charCodeAt(i) - wasmShift;
  return { bytes: bytes.buffer };
};

export const fromUrl = (url: URL): WasmSource => ({ url: url.href });

export const defaultWorker = (): Worker => {
  const url = URL.createObjectURL(new Blob([workerCode], { type: 'text/javascript' }));
  const worker = new Worker(url, { type: 'module' });
  // Not at once: some browsers fetch the script later than the worker is made.
  setTimeout(() => URL.revokeObjectURL(url), limits.workerUrlMs);
  return worker;
};
