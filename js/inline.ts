// The package in one module: its build has js/defaults.inline.ts and so carries worker and wasm in itself.
export * from './index.js';
