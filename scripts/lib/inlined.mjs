// Puts the built worker and the wasm into a module of text, for mixlet/inline.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './paths.mjs';

/**
 * A byte becomes one character, so that what compresses the file on its way finds the bytes as they were: base64 would
 * cost a third more there. Moved by so much, the most frequent bytes are characters that a file can hold as they are.
 */
const SHIFT = 35;

/** The source map without the text of the module made here, which nobody wants to read. */
export function withoutText(map) {
  const parsed = JSON.parse(map);
  const index = parsed.sources.indexOf('inlined:dist');
  parsed.sourcesContent[index] = null;
  return JSON.stringify(parsed);
}

export function textOf(bytes) {
  return Array.from(bytes, (byte) => String.fromCharCode((byte + SHIFT) & 255)).join('');
}

/** For esbuild: `./inlined.js` holds the files of `dist`, which have to be there. */
export const inlinedPlugin = {
  name: 'inlined',
  setup(build) {
    build.onResolve({ filter: /^\.\/inlined\.js$/ }, () => ({ path: 'dist', namespace: 'inlined' }));
    build.onLoad({ filter: /.*/, namespace: 'inlined' }, async () => {
      const wasm = await readFile(join(root, 'dist', 'mixlet.wasm'));
      const worker = await readFile(join(root, 'dist', 'worker.js'), 'utf8');
      const members = {
        wasmText: textOf(wasm),
        wasmShift: SHIFT,
        workerCode: worker.replace(/\n\/\/# sourceMappingURL=.*\s*$/, ''),
      };
      const lines = Object.entries(members).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
      return { contents: lines.join('\n') };
    });
  },
};
