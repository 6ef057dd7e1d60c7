import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readSdkPayload, writeSdkPayload } from '../../js/sdk-payload.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('payloads of the SDK', () => {
  test('have these bytes', () => {
    const description = '{"mimeType":"text/plain","headers":null}';
    const expected = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 40]), Buffer.from(`${description}hi`)]);
    expect(hex(writeSdkPayload('hi'))).toBe(expected.toString('hex'));
    // What `JSON` of another program may write.
    const other = Buffer.concat([
      Buffer.from([0, 0, 0, 0, 0, 0, 0, 30]),
      Buffer.from('{ "mimeType":"application/x" }\x00\x01'),
    ]);
    expect(readSdkPayload(other)).toEqual({ mimeType: 'application/x', headers: null, data: Buffer.from([0, 1]) });
  });

  test('are read as they were written', () => {
    const text = fc.string();
    fc.assert(
      fc.property(fc.uint8Array(), text, fc.option(text), fc.nat(5), (data, mimeType, headers, offset) => {
        const bytes = writeSdkPayload(data, mimeType, headers);
        const within = new Uint8Array(bytes.byteLength + offset);
        within.set(bytes, offset);
        const read = readSdkPayload(within.subarray(offset));
        expect(read).toEqual({ mimeType, headers, data });
      }),
    );
  });

  test('are told from anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(() => readSdkPayload(bytes)).not.toThrow();
      }),
    );
    const whole = writeSdkPayload('x');
    for (const wrong of [
      new Uint8Array(),
      whole.subarray(0, 20),
      Buffer.from([255, ...whole.subarray(1)]),
      Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 4]), Buffer.from('null')]),
      Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 14]), Buffer.from('{"mimeType":5}')]),
    ]) {
      expect(readSdkPayload(wrong)).toBeNull();
    }
  });
});
