// Reads how many tests passed and failed out of what the test runners print.

import { plain } from './output.mjs';

/** `{ passed, failed, skipped }` summed over all matches; null when there was none. */
function sum(text, pattern) {
  let total = null;
  for (const match of plain(text).matchAll(pattern)) {
    total ??= { passed: 0, failed: 0, skipped: 0 };
    for (const key of ['passed', 'failed', 'skipped']) total[key] += Number(match.groups[key] ?? 0);
  }
  return total;
}

/** `cargo test`, and `wasm-pack test`, which prints the same lines: one per test binary. */
export function cargoResults(text) {
  return sum(text, /^test result: .*?(?<passed>\d+) passed; (?<failed>\d+) failed; (?<skipped>\d+) ignored/gm);
}

/** Vitest's summary: `Tests  1 failed | 12 passed | 2 skipped (15)`, parts that are 0 left out. */
export function vitestResults(text) {
  return sum(
    text,
    /^\s*Tests\s+(?:(?<failed>\d+) failed(?: \| )?)?(?:(?<passed>\d+) passed(?: \| )?)?(?:(?<skipped>\d+) (?:skipped|todo))?.*\(\d+\)\s*$/gm,
  );
}

/** Node's own runner: one `pass`, `fail` and `skipped` line at the end, with `#` or `ℹ` in front. */
export function nodeTestResults(text) {
  return sum(
    text,
    /^[#ℹ] pass (?<passed>\d+)\n[#ℹ] fail (?<failed>\d+)\n(?:[#ℹ] cancelled \d+\n)?[#ℹ] skipped (?<skipped>\d+)$/gm,
  );
}

/** Our own test scripts end with a line of its own: `12 passed, 0 failed`. Only the last one counts. */
export function lineResults(text) {
  const matches = [...plain(text).matchAll(/^(?<passed>\d+) passed, (?<failed>\d+) failed$/gm)];
  const last = matches.at(-1);
  return last ? { passed: Number(last.groups.passed), failed: Number(last.groups.failed), skipped: 0 } : null;
}

/**
 * What a stage adds to the totals. A command that failed without naming a failed test, one that printed no result
 * at all, and tests left out each count as a failure: otherwise a run could be green without having tested.
 */
export function verdict(code, results) {
  const problems = [];
  if (results === null) return { passed: 0, failed: 1, problems: ['no test result in the output'] };
  let { failed } = results;
  if (code !== 0 && failed === 0) {
    failed = 1;
    problems.push(`ended with code ${code}`);
  }
  if (results.skipped > 0) {
    failed += results.skipped;
    problems.push(`${results.skipped} tests were left out`);
  }
  if (results.passed === 0 && failed === 0) {
    failed = 1;
    problems.push('no test was run');
  }
  return { passed: results.passed, failed, problems };
}

/** For commands that may use any of these runners. */
export function anyResults(text) {
  return lineResults(text) ?? nodeTestResults(text) ?? vitestResults(text) ?? cargoResults(text);
}
