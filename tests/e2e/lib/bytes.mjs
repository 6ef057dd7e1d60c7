// Bytes that follow from a seed, and what they hash to. Used by the tests and, over HTTP, by their page.

/** `length` bytes that follow from `seed`; they do not compress and no two seeds give the same. */
export function bytesOf(seed, length) {
  const bytes = new Uint8Array(length);
  let state = (Math.imul(seed + 1, 0x9e3779b1) | 1) >>> 0;
  for (let i = 0; i < length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** The number as text, then bytes that follow from it. */
export function numbered(number, length) {
  const body = bytesOf(number, length);
  body.set(new TextEncoder().encode(`${number}:`));
  return body;
}

/** SHA-256 in hexadecimal digits. */
export async function digestOf(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
