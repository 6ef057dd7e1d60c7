/**
 * wasm-bindgen's glue as a function: each call gives a copy of its own, with its own instance of the wasm. So clients
 * of one thread share no memory, one that crashes takes no other with it, and a closed one gives its memory back.
 *
 * `scripts/lib/glue.mjs` makes it of `pkg/mixlet.js` when the package is built. `exports` sees what the wasm exports
 * and says what is used instead.
 */
export function makeGlue(
  exports: (exports: WebAssembly.Exports) => WebAssembly.Exports,
): Pick<typeof import('../pkg/mixlet.js'), 'default' | 'MixletClient'>;
