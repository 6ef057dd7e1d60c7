// Starts the devnet: builds the binary and runs it by itself, so that a signal to it is not lost in cargo.

import { join } from 'node:path';
import { Complaint, tail } from './output.mjs';
import { folder, logs } from './paths.mjs';
import { end, run, start } from './processes.mjs';
import { targetFolder } from './target.mjs';
import { toolEnv } from './tools.mjs';

/** How long a started devnet may take until it says that it is ready. */
const READY_MS = 30_000;

/** Builds the devnet and returns the path of its binary; `release` builds it as for use, which takes longer. */
export async function buildDevnet({ release = false } = {}) {
  const log = join(folder(logs), 'build-devnet.log');
  const profile = release ? ['--release'] : [];
  const built = await run('cargo', ['build', '-p', 'mixlet', '-p', 'mixlet-devnet', '--bins', ...profile], {
    env: toolEnv(),
    log,
  });
  if (built.code !== 0) throw new Complaint(`The devnet does not build:\n${tail(built.output)}`);
  return devnetBinary({ release });
}

/** Where cargo puts the devnet's binary. */
export function devnetBinary({ release = false } = {}) {
  return binary('mixlet-devnet', release);
}

/** Where cargo puts the program for runs in virtual time, which is built with the devnet. */
export function worldsBinary() {
  return binary('mixlet-worlds', false);
}

async function binary(name, release) {
  return join(await targetFolder(), release ? 'release' : 'debug', name);
}

/**
 * Runs the devnet with these flags and waits for its line of JSON. Returns `{ info, line, stop, ended }`: `info` is
 * that line parsed, `line` the line itself.
 */
export async function startDevnet(binary, flags, { log = join(folder(logs), 'devnet.log') } = {}) {
  let onLine;
  const firstLine = new Promise((resolve) => {
    onLine = resolve;
  });
  let stdout = '';
  let output = '';
  // Its standard input ends with this process, however that comes about.
  const { child, ended } = start(binary, ['--with-parent', ...flags], {
    env: toolEnv(),
    stdin: 'pipe',
    log,
    onStdout: (text) => {
      stdout += text;
      if (stdout.includes('\n')) onLine(stdout.slice(0, stdout.indexOf('\n')));
    },
    onOutput: (text) => {
      // Only the beginning matters, for the case that it never gets ready.
      if (output.length < 100_000) output += text;
    },
  });
  let timer;
  const line = await Promise.race([
    firstLine,
    ended.then(() => null),
    new Promise((resolve) => {
      timer = setTimeout(resolve, READY_MS, null);
    }),
  ]);
  clearTimeout(timer);
  if (line === null) {
    await end(child);
    throw new Complaint(`The devnet did not start:\n${tail(output)}`);
  }
  return { info: JSON.parse(line), line, ended, stop: () => end(child) };
}
