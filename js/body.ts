import { mixError } from './errors.js';
import { limits } from './limits.js';
import type { MixData } from './types.js';

/** The bytes to send: a copy, or the Blob to be read when there is room for it. Throws `TypeError`. */
export function toBody(data: MixData): Uint8Array | Blob | 'too-large' {
  if (typeof data === 'string') {
    // A character takes at least one byte, so a text that is too long need not be encoded to know it.
    if (data.length > limits.messageBytes) return 'too-large';
    const bytes = new TextEncoder().encode(data);
    return bytes.byteLength > limits.messageBytes ? 'too-large' : bytes;
  }
  if (data instanceof Blob) return data.size > limits.messageBytes ? 'too-large' : data;
  if (data instanceof ArrayBuffer) return copied(new Uint8Array(data));
  if (ArrayBuffer.isView(data)) return copied(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  throw new TypeError('send(): the data must be a string, an ArrayBuffer, a view of one, or a Blob');
}

function copied(bytes: Uint8Array): Uint8Array | 'too-large' {
  return bytes.byteLength > limits.messageBytes ? 'too-large' : new Uint8Array(bytes);
}

/** What can be posted more than once without the page copying much. */
export function lasting(body: Uint8Array | Blob): Uint8Array | Blob {
  return body instanceof Blob || body.byteLength <= limits.copiedBytes ? body : new Blob([body as BlobPart]);
}

/** What is in a Blob. Rejects `config-invalid`. */
export async function readBlob(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    throw mixError('config-invalid', 'The Blob could not be read; its file may have changed.', { cause });
  }
}
