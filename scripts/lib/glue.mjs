// Makes of wasm-bindgen's glue, a module with one instance of the wasm for ever, a function that gives a new one each
// time; js/glue.d.ts says why.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Complaint } from './output.mjs';
import { root } from './paths.mjs';

/** The source of a module that exports `makeGlue`. Throws `Complaint` when the glue does not look as expected. */
export function glueFactory(source) {
  const names = [];
  const body = source
    .replace(/^\s*\/\* @ts-self-types=.*?\*\/\s*/, '')
    .replace(/^export (?=(?:async )?(?:function|class) )/gm, '')
    .replace(/^export \{([^}]*)\};?$/gm, (_all, list) => {
      names.push(...list.split(',').map((name) => name.trim().split(/\s+as\s+/)));
      return '';
    })
    .replace(/^(\s*wasm = )instance\.exports;/gm, (_all, before) => {
      names.push(['', 'exports']);
      return `${before}seen(instance.exports);`;
    });
  const init = names.find(([, name]) => name === 'default')?.[0];
  const guards = names.filter(([, name]) => name === 'exports').length;
  if (!init || guards !== 1 || !/^class MixletClient\b/m.test(body) || /^\s*(import|export)\b/m.test(body)) {
    throw new Complaint('pkg/mixlet.js does not look as scripts/lib/glue.mjs expects; wasm-bindgen has changed.');
  }
  return `export function makeGlue(seen) {\n${body}\nreturn { default: ${init}, MixletClient };\n}\n`;
}

/** For esbuild: `./glue.js` is the factory. */
export const gluePlugin = {
  name: 'glue',
  setup(build) {
    build.onResolve({ filter: /^\.\/glue\.js$/ }, () => ({ path: 'pkg/mixlet.js', namespace: 'glue' }));
    build.onLoad({ filter: /.*/, namespace: 'glue' }, async () => ({
      contents: glueFactory(await readFile(join(root, 'pkg', 'mixlet.js'), 'utf8')),
    }));
  },
};
