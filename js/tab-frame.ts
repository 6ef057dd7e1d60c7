/**
 * Messages of the worker protocol as bytes, for the way from tab to tab: the length of a JSON text in four bytes, that
 * text, then the byte arrays that stood in the message, one after the other.
 */

/** In the text, in place of a byte array: where it lies behind the text, and how long it is. */
interface Place {
  '\0bytes': [at: number, length: number];
}

/** Copies the byte arrays, so that they may be moved or changed once it has returned. */
export function pack(message: object): Uint8Array<ArrayBuffer> {
  const arrays: Uint8Array[] = [];
  let length = 0;
  const text = JSON.stringify(message, (_key, value: unknown) => {
    if (!(value instanceof Uint8Array)) return value;
    const place: Place = { '\0bytes': [length, value.byteLength] };
    arrays.push(value);
    length += value.byteLength;
    return place;
  });
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(4 + json.byteLength + length);
  new DataView(bytes.buffer).setUint32(0, json.byteLength);
  bytes.set(json, 4);
  let at = 4 + json.byteLength;
  for (const array of arrays) {
    bytes.set(array, at);
    at += array.byteLength;
  }
  return bytes;
}

/** The message, with its byte arrays in buffers of their own. Throws where the bytes are none. */
export function unpack(bytes: Uint8Array): unknown {
  const { buffer, byteOffset, byteLength } = bytes;
  const start = 4 + new DataView(buffer, byteOffset, byteLength).getUint32(0);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)), (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('\0bytes' in value)) return value;
    const [at, length] = (value as Place)['\0bytes'];
    return bytes.slice(start + at, start + at + length);
  });
}

/** The buffers of the byte arrays in a message, each of which may be moved. */
export function buffersIn(message: unknown): ArrayBuffer[] {
  if (message instanceof Uint8Array) return [message.buffer as ArrayBuffer];
  if (typeof message !== 'object' || message === null) return [];
  return Object.values(message).flatMap(buffersIn);
}
