// Every code example of the README and the guides compiles.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import ts from 'typescript';
import { filesBelow, root } from './titles.js';

/** What examples name and do not make: the application's own. */
const surroundings = `
import type { MixAddress, NetworkOptions } from 'mixlet';
declare global {
  const MixClient: typeof import('mixlet').MixClient;
  const TestNetwork: typeof import('mixlet/testing').TestNetwork;
  const vi: typeof import('vitest').vi;
  const mix: import('mixlet').MixClient;
  const net: import('mixlet/testing').TestNetwork;
  const network: NetworkOptions;
  const directories: string[];
  const friend: MixAddress;
  const passphrase: string;
  const file: File;
  const bar: HTMLProgressElement;
  const sink: WritableStream<Uint8Array>;
  function show(text: string): void;
  function keep(id: string, data: Uint8Array): Promise<void>;
}
`;

/** The blocks of code in a document, by the names of files to compile. */
function examplesOf(path: string): [name: string, text: string][] {
  const blocks = readFileSync(join(root, path), 'utf8').matchAll(/^```(?:ts|js|tsx|jsx)\n([^]*?)^```$/gm);
  return [...blocks].map(([, text = ''], place) => [
    join(root, 'tests/js', `${path.replaceAll(/\W/g, '-')}-${place + 1}.ts`),
    // Each is a module, whether it imports something or not.
    `${text}\nexport {};\n`,
  ]);
}

test('every example of the README and the guides compiles', { timeout: 60_000 }, () => {
  const guides = filesBelow('docs').filter((path) => path.endsWith('.md'));
  const examples = ['README.md', ...guides].flatMap(examplesOf);
  // A form of block that is no longer found would be a test of nothing.
  expect(examples.length).toBeGreaterThanOrEqual(12);
  const files = new Map([...examples, [join(root, 'tests/js', 'surroundings.d.ts'), surroundings]]);

  const config = ts.getParsedCommandLineOfConfigFile(
    join(root, 'tests/js/tsconfig.json'),
    { noUnusedLocals: false, noUnusedParameters: false, skipLibCheck: true },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
  )!;
  const options: ts.CompilerOptions = {
    ...config.options,
    paths: {
      ...config.options.paths,
      'mixlet/engine': ['../../js/engine.ts'],
      'mixlet/inline': ['../../js/inline.ts'],
    },
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  host.getSourceFile = (name, ...more) => {
    const text = files.get(name);
    return text === undefined ? getSourceFile(name, ...more) : ts.createSourceFile(name, text, ts.ScriptTarget.Latest);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const problems = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file
      ? `${file.fileName.slice(root.length)}:${file.getLineAndCharacterOfPosition(start).line + 1}`
      : '';
    return `${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  expect(problems).toEqual([]);
});
