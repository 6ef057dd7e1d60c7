// Child processes. Each one gets a process group of its own, so that ending it ends what it started too (a driver's
// browser, for example), and none outlives the script.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { constants } from 'node:os';
import { root } from './paths.mjs';
import { stopwatch } from './output.mjs';

const running = new Set();
const cleanups = [];
let stopping = null;

/** How long a child may take to end by itself before it is killed. */
const GRACE_MS = 5000;

/** How often to look whether the shell that npm started us with is still there. */
const PARENT_CHECK_MS = 300;

/**
 * Starts a program whose output goes to `onOutput` and, when named, to a log file.
 * Returns `{ child, ended }`; `ended` resolves to `{ code, signal }` and never rejects (a program that cannot be
 * started ends with code 127).
 */
export function start(
  command,
  args,
  { env = process.env, cwd = root, log, onOutput, onStdout, append = false, stdin = 'ignore' } = {},
) {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: [stdin, 'pipe', 'pipe'] });
  const file = log ? createWriteStream(log, { flags: append ? 'a' : 'w' }) : null;
  file?.write(`$ ${[command, ...args].join(' ')}\n`);
  child.stdout.setEncoding('utf8');
  child.stderr.setEncoding('utf8');
  for (const [stream, isStdout] of [
    [child.stdout, true],
    [child.stderr, false],
  ]) {
    stream.on('data', (text) => {
      file?.write(text);
      onOutput?.(text);
      if (isStdout) onStdout?.(text);
    });
  }
  running.add(child);
  const ended = new Promise((resolve) => {
    const finish = (code, signal) => {
      running.delete(child);
      if (file) file.end(() => resolve({ code, signal }));
      else resolve({ code, signal });
    };
    child.once('error', (error) => {
      onOutput?.(`${command}: ${error.message}\n`);
      file?.write(`${command}: ${error.message}\n`);
      finish(127, null);
    });
    child.once('close', (code, signal) => finish(code, signal));
  });
  return { child, ended };
}

/**
 * Runs a program to its end. Resolves to `{ code, output, stdout, ms }`; `code` is not 0 when it failed, was ended by
 * a signal or took longer than `timeoutMs`.
 */
export async function run(command, args, options = {}) {
  const elapsed = stopwatch();
  let output = '';
  let stdout = '';
  const { child, ended } = start(command, args, {
    ...options,
    onOutput: (text) => {
      output += text;
      options.onOutput?.(text);
    },
    onStdout: (text) => {
      stdout += text;
    },
  });
  let timer;
  let late = false;
  if (options.timeoutMs !== undefined) {
    timer = setTimeout(() => {
      late = true;
      void end(child);
    }, options.timeoutMs);
  }
  const { code, signal } = await ended;
  clearTimeout(timer);
  if (late) output += `\nended after ${Math.round(options.timeoutMs / 1000)} s, its time limit\n`;
  else if (signal) output += `\nended by ${signal}\n`;
  return { code: late ? 124 : (code ?? 128 + (constants.signals[signal] ?? 0)), output, stdout, ms: elapsed() };
}

/** Asks a child and all it started to end, and kills what is left after a few seconds. */
export async function end(child) {
  if (child.pid === undefined) return;
  const gone = new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', resolve);
  });
  signalGroup(child.pid, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), GRACE_MS);
  await gone;
  clearTimeout(timer);
  // The leader is gone; what it left behind in its group has had its chance.
  signalGroup(child.pid, 'SIGKILL');
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended already.
  }
}

/** Has something done once before the script ends, also when a signal ends it. */
export function atEnd(cleanup) {
  cleanups.push(cleanup);
}

/** Ends all children and runs the clean-ups, last one first. Safe to call more than once. */
export function stopAll() {
  stopping ??= (async () => {
    await Promise.all([...running].map(end));
    for (const cleanup of cleanups.reverse()) await cleanup();
  })();
  return stopping;
}

/** Whether the end has begun: children that end now were told to. */
export function isStopping() {
  return stopping !== null;
}

/**
 * Ends everything in order when the terminal or a parent says so.
 * `onSignal` and `onStopped` may print a line; `exitCode` replaces the usual 128 + signal number.
 */
export function stopOnSignals({ onSignal, onStopped, exitCode } = {}) {
  let caught = false;
  const stop = async (signal) => {
    // A terminal's Ctrl-C reaches npm and us both, and npm passes it on: the second copy is not a second wish.
    if (caught) return;
    caught = true;
    onSignal?.(signal);
    await stopAll();
    onStopped?.();
    process.exit(exitCode ?? 128 + constants.signals[signal]);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop(signal));
  // npm hands a SIGTERM to the shell it started us with, and the shell ends without passing it on.
  if (process.env.npm_lifecycle_event !== undefined) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) void stop('SIGTERM');
    }, PARENT_CHECK_MS).unref();
  }
}
