// What the scripts print: short lines, times, and the tail of a log when something failed.

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = paint('1');
export const dim = paint('2');
export const red = paint('31');
export const green = paint('32');

export function say(line = '') {
  process.stdout.write(`${line}\n`);
}

/** `0.4 s`, `12 s`, `3 min 05 s`. */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** Starts a stop-watch; the returned function gives the milliseconds since. */
export function stopwatch() {
  const start = process.hrtime.bigint();
  return () => Number((process.hrtime.bigint() - start) / 1000000n);
}

/** Takes the colour codes out, which some tools print even into a file. */
export function plain(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

/** The last lines of a text, each indented, for showing what a failed command said. */
export function tail(text, lines = 120) {
  const all = plain(text).trimEnd().split('\n');
  const kept = all.slice(-lines).map((line) => `    ${line}`);
  if (all.length > lines) kept.unshift(dim(`    … ${all.length - lines} earlier lines are in the log`));
  return kept.join('\n');
}

/** An error whose text is meant for the person at the terminal; no stack trace is shown for it. */
export class Complaint extends Error {}

/** Runs `main` and turns its outcome into an exit code. */
export async function entry(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    say();
    say(red(error instanceof Complaint ? error.message : (error?.stack ?? String(error))));
    process.exitCode = 1;
  }
}
