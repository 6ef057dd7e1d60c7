import { mixError } from './errors.js';
import type { MixAddress, ReplyTag } from './types.js';

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/**
 * The address in this text, white space around it removed. The form and the lengths are checked here; whether the keys
 * in it are usable is checked when something is sent.
 *
 * Throws `MixError` `address-invalid`.
 */
export function parseAddress(text: string): MixAddress {
  if (typeof text !== 'string') throw new TypeError('parseAddress() takes a string');
  const trimmed = text.trim();
  if (!isAddress(trimmed)) throw mixError('address-invalid');
  return trimmed as MixAddress;
}

/** Whether the text has the form of an address: three keys of 32 bytes, `identity.encryption@gateway`. */
export function isAddress(text: string): boolean {
  const parts = /^([^.@]+)\.([^.@]+)@([^.@]+)$/.exec(text);
  return parts?.slice(1).every((part) => base58Length(part) === 32) ?? false;
}

/** Whether the text has the form of a reply tag: 16 bytes. */
export function isReplyTag(text: string): text is ReplyTag {
  return base58Length(text) === 16;
}

/** How many bytes the text stands for; -1: it is not base58, or is longer than any key. */
function base58Length(text: string): number {
  if (text.length > 44) return -1;
  let value = 0n;
  let zeros = 0;
  for (const character of text) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return -1;
    value = value * 58n + BigInt(digit);
    if (value === 0n) zeros++;
  }
  const hex = value.toString(16);
  return zeros + (value === 0n ? 0 : Math.ceil(hex.length / 2));
}
