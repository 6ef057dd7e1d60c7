import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, expectTypeOf, test } from 'vitest';
import * as errors from '../../js/errors.js';
import { MixError, errorCodes, errorTable, fromWire, mixError } from '../../js/errors.js';
import type { MixErrorCode } from '../../js/errors.js';
import { wire } from './fake.js';

const classes = Object.values(errors).filter(
  (value): value is typeof MixError => typeof value === 'function' && value.prototype instanceof Error,
);

describe('errors', () => {
  test('the table has each code of the union', () => {
    expectTypeOf<keyof typeof errorTable>().toEqualTypeOf<MixErrorCode>();
    expect(errorCodes).toHaveLength(39);
  });

  test('Rust has the same codes', () => {
    const source = readFileSync(new URL('../../src/engine/output.rs', import.meta.url), 'utf8');
    const list = /codes! \{\n([\s\S]*?)\n\}/.exec(source)?.[1] ?? '';
    const codes = [...list.matchAll(/=> "([a-z-]+)"/g)].map(([, code]) => code);
    expect(codes.sort()).toEqual([...errorCodes].sort());
  });

  test('each code makes an error of its class, which is a MixError and an Error', () => {
    for (const code of errorCodes) {
      const error = mixError(code);
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(MixError);
      expect(error.constructor).toBe(errorTable[code].type);
      expect(error.code).toBe(code);
      expect(error.retriable).toBe(errorTable[code].retriable);
      expect(error.message).toBe(errorTable[code].advice);
    }
  });

  test('each class is used, exported, and knows its name without the help of a minifier', () => {
    expect(classes).toHaveLength(12);
    for (const type of classes) {
      expect(new type('timeout').name).toBe(type.name);
      expect(new type('timeout').stack).toMatch(new RegExp(`^${type.name}: `));
      expect(Object.values(errorTable).some((entry) => entry.type === type)).toBe(true);
    }
  });

  test('each text is a sentence that says what to do', () => {
    for (const code of errorCodes) {
      const { advice } = errorTable[code];
      expect(advice, code).toMatch(/^[A-Z].{30,}\.$/);
      expect(advice.split(/[.;:,] /).length, code).toBeGreaterThan(1);
    }
  });

  test('what the worker reports keeps its code, text, phase and whether to try again', () => {
    const error = fromWire(wire({ code: 'no-acks', message: 'Told so.', phase: 'network', retriable: false }));
    expect(error).toBeInstanceOf(errors.DeliveryError);
    expect(error).toMatchObject({ code: 'no-acks', message: 'Told so.', phase: 'network', retriable: false });
  });

  test('an empty text from the worker becomes the text of the table', () => {
    expect(fromWire(wire({ code: 'in-use' })).message).toBe(errorTable['in-use'].advice);
  });

  test('a phase is taken over only if it is one, else the fall-back', () => {
    expect(fromWire(wire({ code: 'timeout', phase: 'lunch' }), 'auth').phase).toBe('auth');
    expect(fromWire(wire({ code: 'timeout' })).phase).toBeUndefined();
  });

  test('a code this page does not know is a crash that names it', () => {
    for (const code of ['new-trouble', 'toString', '']) {
      const error = fromWire(wire({ code, message: 'Oh' }));
      expect(error).toBeInstanceOf(errors.EnginePanicError);
      expect(error.message).toBe(`Oh (${code})`);
    }
  });

  test('the cause is kept', () => {
    const cause = new Error('below');
    expect(mixError('wasm-load', 'Text.', { cause }).cause).toBe(cause);
    expect('cause' in mixError('wasm-load')).toBe(false);
  });
});

test('the README has a row for each code with its class, whether to try again, and the advice', () => {
  const readme = new URL('../../README.md', import.meta.url);
  expect(existsSync(readme)).toBe(true);
  const text = readFileSync(readme, 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| `(\w+)` \| (yes|no) \| (.*) \|$/gm)].map((row) => row.slice(1));
  const table = errorCodes.map((code) => {
    const { type, retriable, advice } = errorTable[code];
    return [code, type.name, retriable ? 'yes' : 'no', advice];
  });
  expect(rows).toEqual(table);
});
