// The titles of all tests, read from the files they stand in.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

export const root = new URL('../../', import.meta.url).pathname;

/** All files below a folder, by their paths from the root. */
export function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
}

/** The text of a title as it stands there: `%s` and `${…}` are not filled in. */
function textOf(node: ts.Node | undefined): string | undefined {
  if (node && ts.isStringLiteralLike(node)) return node.text;
  return node && ts.isTemplateExpression(node) ? node.getText().slice(1, -1) : undefined;
}

/** Titles of `test`, `need` and their `each`, behind those of the `describe` around them. */
function titlesOf(path: string): string[] {
  const file = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true);
  const titles: string[] = [];
  const visit = (node: ts.Node, above: string[]): void => {
    let inner = above;
    if (ts.isCallExpression(node)) {
      const [, name = '', skipped = ''] =
        /^(describe|test|need)\b(\.(?:skip|todo|only))?/.exec(node.expression.getText()) ?? [];
      const title = textOf(node.arguments[0]);
      if (skipped) throw new Error(`${path}: ${name}${skipped}`);
      if (name === 'describe' && title !== undefined) inner = [...above, title];
      else if (name !== '' && title !== undefined) titles.push([...above, title].join(' > '));
    }
    ts.forEachChild(node, (child) => visit(child, inner));
  };
  visit(file, []);
  return titles;
}

/** Names of Rust's test functions. */
function rustTests(path: string): string[] {
  const attributes = /#\[(?:test|wasm_bindgen_test)\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)/g;
  return [...readFileSync(join(root, path), 'utf8').matchAll(attributes)].map(([, name = '']) => name);
}

/** Every test there is: `send.test.ts > send > …` for those of `tests/js`, `tests/… > …` for others, `rust > …`. */
export function allTitles(): Set<string> {
  const titles = filesBelow('tests/js')
    .filter((path) => path.endsWith('.test.ts'))
    .flatMap((path) => titlesOf(path).map((title) => `${path.slice('tests/js/'.length)} > ${title}`));
  for (const folder of ['tests/e2e/parts', 'tests/package', 'tests/demo']) {
    for (const path of filesBelow(folder).filter((path) => path.endsWith('.mjs') && !path.includes('/starters/'))) {
      titles.push(...titlesOf(path).map((title) => `${path} > ${title}`));
    }
  }
  for (const folder of ['src', 'tests', 'devnet']) {
    for (const path of filesBelow(folder).filter((path) => path.endsWith('.rs'))) {
      titles.push(...rustTests(path).map((name) => `rust > ${name}`));
    }
  }
  return new Set(titles);
}
