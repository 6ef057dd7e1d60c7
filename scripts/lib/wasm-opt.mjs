/**
 * What the optimiser may use: the features that all supported browsers have. Never `--all-features`, whose output
 * uses an encoding that browsers reject.
 */
export const WASM_OPT = [
  '-O3',
  '--enable-bulk-memory',
  '--enable-nontrapping-float-to-int',
  '--enable-sign-ext',
  '--enable-mutable-globals',
  '--enable-reference-types',
  '--enable-multivalue',
  '--enable-simd',
  // The compiler has inlined what gains by it. What is left to inline here makes the code more varied, which costs a
  // twentieth of what travels, and gains no speed that the packet benchmark could show.
  '--always-inline-max-function-size=2',
  '--flexible-inline-max-function-size=2',
  '--one-caller-inline-max-function-size=20',
];
