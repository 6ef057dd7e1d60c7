// What the test runners print, as they print it, and what `npm test` makes of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  anyResults,
  cargoResults,
  lineResults,
  nodeTestResults,
  verdict,
  vitestResults,
} from '../../scripts/lib/results.mjs';

const cargo = (passed, failed, ignored = 0) =>
  `\ntest result: ${failed > 0 ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; ${ignored} ignored; ` +
  '0 measured; 0 filtered out; finished in 0.01s\n';

test('the test binaries of cargo are summed', () => {
  const text = `running 3 tests${cargo(3, 0)}   Doc-tests mixlet${cargo(1, 2, 1)}`;
  assert.deepEqual(cargoResults(text), { passed: 4, failed: 2, skipped: 1 });
});

test('the line of the browser runner is read as well', () => {
  const text = '\ntest result: ok. 7 passed; 0 failed; 0 ignored; 0 filtered out; finished in 1.20s\n';
  assert.deepEqual(cargoResults(text), { passed: 7, failed: 0, skipped: 0 });
});

test('all forms of the summary of Vitest are read, also in colour', () => {
  assert.deepEqual(vitestResults('      Tests  12 passed (12)\n'), { passed: 12, failed: 0, skipped: 0 });
  assert.deepEqual(vitestResults('      Tests  2 failed (2)\n'), { passed: 0, failed: 2, skipped: 0 });
  assert.deepEqual(vitestResults('\u001b[2m      Tests \u001b[22m 1 failed | 3 passed | 2 skipped (6)\n'), {
    passed: 3,
    failed: 1,
    skipped: 2,
  });
});

test('the end of the output of Node’s runner is read', () => {
  const text = '# tests 9\n# suites 0\n# pass 7\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n';
  assert.deepEqual(nodeTestResults(text), { passed: 7, failed: 1, skipped: 1 });
  assert.deepEqual(nodeTestResults(text.replaceAll('#', 'ℹ')), { passed: 7, failed: 1, skipped: 1 });
});

test('of lines of our own only the last counts', () => {
  assert.deepEqual(lineResults('1 passed, 1 failed\nmore\n5 passed, 0 failed\n'), { passed: 5, failed: 0, skipped: 0 });
  assert.equal(lineResults('some 5 passed, 0 failed\n'), null);
});

test('a runner is recognised by its output', () => {
  assert.equal(anyResults(' Tests  12 passed (12)\n').passed, 12);
  assert.equal(anyResults(cargo(2, 0)).passed, 2);
  assert.equal(anyResults('3 passed, 0 failed\n').passed, 3);
  assert.equal(anyResults('hello\n'), null);
});

test('a run that tested nothing is a failure', () => {
  assert.equal(verdict(0, null).failed, 1);
  assert.equal(verdict(0, { passed: 0, failed: 0, skipped: 0 }).failed, 1);
});

test('a run that ended badly after its tests is a failure', () => {
  assert.equal(verdict(1, { passed: 3, failed: 0, skipped: 0 }).failed, 1);
  assert.equal(verdict(1, { passed: 3, failed: 2, skipped: 0 }).failed, 2);
  assert.equal(verdict(0, { passed: 3, failed: 0, skipped: 0 }).failed, 0);
});

test('tests left out are failures', () => {
  assert.equal(verdict(0, { passed: 3, failed: 0, skipped: 2 }).failed, 2);
});
