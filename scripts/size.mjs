// Prints how large the parts of the package are and fails above the limits of tests/size-limits.json. With --readme it
// writes the table into README.md.
//
//   node scripts/size.mjs [--readme]

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { Complaint, bold, entry, red, say } from './lib/output.mjs';
import { root } from './lib/paths.mjs';

/** What a page loads, and what takes the place of a part of it. */
export const PARTS = [
  { file: 'mixlet.wasm', what: 'the engine' },
  { file: 'worker.js', what: 'the worker' },
  { file: 'index.js', what: '`mixlet`' },
  { file: 'engine.js', what: '`mixlet/engine`, instead of the worker' },
  { file: 'inline.js', what: '`mixlet/inline`, instead of the first three' },
];

const LIMITS = [
  { name: 'wasmAndJavaScriptBrotli', files: ['mixlet.wasm', 'worker.js', 'index.js'] },
  { name: 'javaScriptBrotli', files: ['worker.js', 'index.js'] },
];

/** Where the table is in the README. */
const BEGIN = '<!-- npm run size -- --readme -->\n';
const END = '<!-- end of sizes -->';

export function sizes() {
  return PARTS.map((part) => {
    const path = join(root, 'dist', part.file);
    if (!existsSync(path)) throw new Complaint(`dist/${part.file} is missing; run npm run build first.`);
    const bytes = readFileSync(path);
    const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
    return { ...part, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotli.length };
  });
}

/** The table of the README, in kB. */
export function table(rows) {
  const kB = (size) => `${Math.round(size / 1000)}`;
  const lines = rows.map(({ file, what, raw, gzip, brotli }) => {
    return `| \`${file}\` | ${what} | ${kB(raw)} | ${kB(gzip)} | ${kB(brotli)} |`;
  });
  return ['| kB | what | raw | gzip | brotli |', '|---|---|---:|---:|---:|', ...lines, ''].join('\n');
}

/** The README with this table. Throws `Complaint` when it has no place for it. */
export function withTable(readme, text) {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Complaint('README.md has no place for the table of sizes.');
  return `${readme.slice(0, begin)}${BEGIN}\n${text}\n${readme.slice(end)}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await entry(() => {
    const limits = JSON.parse(readFileSync(join(root, 'tests', 'size-limits.json'), 'utf8'));
    const rows = sizes();
    say(`${'bytes'.padEnd(20)}${'raw'.padStart(10)}${'gzip'.padStart(10)}${'brotli'.padStart(10)}`);
    for (const { file, raw, gzip, brotli } of rows) {
      say(file.padEnd(20) + [raw, gzip, brotli].map((size) => String(size).padStart(10)).join(''));
    }
    if (process.argv.includes('--readme')) {
      const path = join(root, 'README.md');
      writeFileSync(path, withTable(readFileSync(path, 'utf8'), table(rows)));
    }
    let code = 0;
    for (const { name, files } of LIMITS) {
      const sum = rows.filter(({ file }) => files.includes(file)).reduce((sum, { brotli }) => sum + brotli, 0);
      const fits = sum <= limits[name];
      say((fits ? bold : red)(`${files.join(' + ')}: ${sum} B brotli of at most ${limits[name]} B`));
      if (!fits) code = 1;
    }
    return code;
  });
}
