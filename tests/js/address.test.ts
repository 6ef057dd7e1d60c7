import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isAddress, isReplyTag, parseAddress } from '../../js/address.js';
import { MixError } from '../../js/errors.js';
import { address, otherTag, tag } from './fake.js';

interface Vectors {
  recipients: { text: string }[];
  recipient_text_other: { note: string; text: string }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/packets/addressing.json', import.meta.url), 'utf8'),
) as Vectors;

describe('parseAddress', () => {
  test('takes every address of the vectors as it is', () => {
    expect(vectors.recipients.length).toBeGreaterThan(0);
    for (const { text } of vectors.recipients) expect(parseAddress(text)).toBe(text);
  });

  test('refuses the malformed ones of the vectors', () => {
    // Its length is right and its key is not on the curve, which the worker checks.
    const forms = vectors.recipient_text_other.filter(({ note }) => note !== 'short identity');
    expect(forms.length).toBe(7);
    for (const { text, note } of forms) expect(() => parseAddress(text), note).toThrow(addressInvalid);
  });

  test('removes white space around it, as copying brings it along', () => {
    expect(parseAddress(` \n${address}\t`)).toBe(address);
  });

  test('refuses any other text', () => {
    for (const text of ['', 'x', tag, `${address}x`, `nym://${address}`, address.replace('.', '..'), 'é'.repeat(134)]) {
      expect(() => parseAddress(text), text).toThrow(addressInvalid);
    }
    fc.assert(fc.property(fc.string(), (text) => !isAddress(text)));
  });

  test('refuses three keys of which one has not 32 bytes', () => {
    const [identity, encryption, gateway] = address.split(/[.@]/) as [string, string, string];
    for (const wrong of ['1', '1'.repeat(31), '1'.repeat(33), 'z'.repeat(44), 'z'.repeat(500)]) {
      expect(isAddress(`${wrong}.${encryption}@${gateway}`)).toBe(false);
      expect(isAddress(`${identity}.${wrong}@${gateway}`)).toBe(false);
      expect(isAddress(`${identity}.${encryption}@${wrong}`)).toBe(false);
    }
    // 32 zero bytes have the right length.
    expect(isAddress(`${'1'.repeat(32)}.${encryption}@${gateway}`)).toBe(true);
  });

  test('throws TypeError for what is not text', () => {
    expect(() => parseAddress(7 as never)).toThrow(TypeError);
  });
});

test('reply tags are 16 bytes in base58, with leading zeros counted', () => {
  expect(isReplyTag(tag)).toBe(true);
  expect(isReplyTag('1'.repeat(16))).toBe(true);
  expect(isReplyTag(otherTag)).toBe(true);
  for (const text of ['', '1'.repeat(15), '1'.repeat(17), `${otherTag}1`, otherTag.slice(2), address, '0'.repeat(16)]) {
    expect(isReplyTag(text), text).toBe(false);
  }
});

const addressInvalid = expect.objectContaining({ code: 'address-invalid', constructor: MixError }) as Error;
