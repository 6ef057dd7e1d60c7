// Prints how large the wasm and the JavaScript are and fails above the limit of tests/size-limits.json.
//
//   node scripts/size.mjs

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { Complaint, bold, entry, red, say } from './lib/output.mjs';
import { root } from './lib/paths.mjs';

/** What a page of a user loads. */
const FILES = ['dist/mixlet.wasm', 'dist/worker.js', 'dist/index.js'];

await entry(() => {
  const limit = JSON.parse(readFileSync(join(root, 'tests', 'size-limits.json'), 'utf8')).wasmAndJavaScriptBrotli;
  const rows = FILES.map((file) => ({ file, ...sizes(file) }));
  const total = { file: 'together', raw: 0, gzip: 0, brotli: 0 };
  for (const row of rows) for (const key of ['raw', 'gzip', 'brotli']) total[key] += row[key];
  say(`${'bytes'.padEnd(20)}${'raw'.padStart(10)}${'gzip'.padStart(10)}${'brotli'.padStart(10)}`);
  for (const { file, raw, gzip, brotli } of [...rows, total]) {
    say(file.padEnd(20) + [raw, gzip, brotli].map((size) => String(size).padStart(10)).join(''));
  }
  if (total.brotli <= limit) {
    say(bold(`${total.brotli} B brotli of at most ${limit} B`));
    return 0;
  }
  say(red(`${total.brotli} B brotli are more than the limit of ${limit} B`));
  return 1;
});

function sizes(file) {
  const path = join(root, file);
  if (!existsSync(path)) throw new Complaint(`${file} is missing; run npm run build first.`);
  const bytes = readFileSync(path);
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotli.length };
}
