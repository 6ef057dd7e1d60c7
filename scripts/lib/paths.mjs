// Where things lie. Everything the scripts write outside the build folders goes under `.cache`, which is ignored.

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const cache = join(root, '.cache');
export const logs = join(cache, 'logs');
/** Tools that must not replace another version the user has: `bin` in here comes first on PATH. */
export const tools = join(cache, 'tools');

/** Makes the folder if it is missing and returns it. */
export function folder(...parts) {
  const path = join(...parts);
  mkdirSync(path, { recursive: true });
  return path;
}
