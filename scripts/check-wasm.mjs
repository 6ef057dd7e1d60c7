// Looks at the built wasm: it must be valid, and import nothing but what its own glue provides. An import from `env`
// is how code that cannot run in a browser shows itself.
//
//   node scripts/check-wasm.mjs [file ...]        (default: pkg/mixlet_bg.wasm)

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Complaint, entry, say } from './lib/output.mjs';
import { root } from './lib/paths.mjs';

/** What is wrong with these bytes, as a list of sentences; empty when nothing is. */
export function problemsOf(bytes) {
  if (!WebAssembly.validate(bytes)) return ['it is not a valid WebAssembly module'];
  const foreign = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(
    ({ module }) => !/^(\.\/(mixlet|testing)_bg\.js|wbg|__wbindgen_placeholder__)$/.test(module),
  );
  return foreign.map(({ module, name }) => `it imports ${name} from ‘${module}’`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await entry(() => {
    const files = process.argv.slice(2);
    if (files.length === 0) files.push(join(root, 'pkg', 'mixlet_bg.wasm'));
    for (const file of files) {
      const bytes = readFileSync(file);
      const problems = problemsOf(bytes);
      if (problems.length > 0) throw new Complaint(`${file}:\n${problems.map((line) => `  ${line}`).join('\n')}`);
      say(`${file}: valid, no foreign imports, ${bytes.length} bytes`);
    }
  });
}
