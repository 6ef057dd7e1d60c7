import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { limits } from '../../js/limits.js';

/** The value of a constant of `src/limits.rs` whose arithmetic is a number or a shift. */
function rust(name: string): number {
  const source = readFileSync(new URL('../../src/limits.rs', import.meta.url), 'utf8');
  const value = new RegExp(`const ${name}: \\w+ = ([\\d_]+)(?: << (\\d+))?;`).exec(source);
  if (!value) throw new Error(`src/limits.rs has no ${name}`);
  return Number(value[1]?.replaceAll('_', '')) * 2 ** Number(value[2] ?? 0);
}

test('the page and the engine have the same bounds', () => {
  expect(limits.messageBytes).toBe(rust('MESSAGE_LEN_MAX'));
  expect(limits.queueBytes).toBe(rust('SEND_QUEUE_LEN_MAX'));
  expect(limits.queueMessages).toBe(rust('SEND_QUEUE_COUNT_MAX'));
  expect(limits.repliesPerMessage).toBe(rust('SURBS_PER_MESSAGE_MAX'));
});

test('the worker can take more requests than the page lets wait for an answer', () => {
  expect(limits.unansweredMessages * 2).toBeLessThan(rust('COMMANDS_COUNT_MAX'));
});
