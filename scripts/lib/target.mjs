// Where cargo builds.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { root } from './paths.mjs';
import { toolEnv } from './tools.mjs';

const execute = promisify(execFile);

/** Cargo's folder for what it builds; the user's settings can move it. */
export async function targetFolder() {
  const metadata = await execute('cargo', ['metadata', '--no-deps', '--offline', '--format-version', '1'], {
    env: toolEnv(),
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(metadata.stdout).target_directory;
}
