// What scripts/lib/inlined.mjs makes of the built worker and wasm for mixlet/inline.

/** The wasm: a character for each byte, moved by `wasmShift`. */
export const wasmText: string;
export const wasmShift: number;
/** The script of the worker. */
export const workerCode: string;
