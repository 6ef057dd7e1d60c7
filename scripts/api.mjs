// Writes docs/API-REPORT.txt: what the package exports, as its types say it, without comments. A test compares it, so
// that no change of the API goes unseen.
//
//   node scripts/api.mjs            (after npm run build)

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { Complaint, entry, say } from './lib/output.mjs';
import { root } from './lib/paths.mjs';

export const REPORT = join(root, 'docs', 'API-REPORT.txt');

/** The modules users import. `mixlet/inline` has the same exports as `mixlet`. */
const MODULES = { mixlet: 'index', 'mixlet/engine': 'engine', 'mixlet/inline': 'inline', 'mixlet/testing': 'testing' };

/** The report over the types in `dist`. */
export function apiReport() {
  const files = Object.values(MODULES).map((name) => join(root, 'dist', `${name}.d.ts`));
  if (!files.every(existsSync)) throw new Complaint('dist/ has no types; run npm run build first.');
  const program = ts.createProgram(files, {
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    strict: true,
    types: [],
  });
  const [trouble] = ts.getPreEmitDiagnostics(program);
  if (trouble) throw new Complaint(ts.flattenDiagnosticMessageText(trouble.messageText, '\n'));
  const checker = program.getTypeChecker();
  const exportsOf = (name) => {
    const file = program.getSourceFile(join(root, 'dist', `${name}.d.ts`));
    return new Map(
      checker.getExportsOfModule(checker.getSymbolAtLocation(file)).map((symbol) => [symbol.name, symbol]),
    );
  };
  const sections = [];
  const seen = new Map();
  for (const [module, name] of Object.entries(MODULES)) {
    const symbols = exportsOf(name);
    const alike = [...seen].find(([, names]) => names === [...symbols.keys()].sort().join());
    seen.set(module, [...symbols.keys()].sort().join());
    const text = alike
      ? [`(the same as ${alike[0]})`]
      : [...symbols].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, symbol]) => declarationsOf(symbol, checker));
    sections.push([`## ${module}`, ...text].join('\n\n'));
  }
  return `${sections.join('\n\n')}\n`;
}

function declarationsOf(symbol, checker) {
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const printer = ts.createPrinter({ removeComments: true });
  return target.declarations
    .map((declaration) => (ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration))
    .map((node) => printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile()))
    .join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await entry(() => {
    writeFileSync(REPORT, apiReport());
    say('docs/API-REPORT.txt');
  });
}
