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
  // Readable stack traces of users are worth the few kilobytes.
  '-g',
];
