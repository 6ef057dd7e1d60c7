import { mixError } from './errors.js';
import { limits } from './limits.js';
import { nextTask } from './tasks.js';
import type { MixData } from './types.js';

/**
 * The bytes to send, or the Blob to be read when there is room for it. Many bytes are still the caller's, until `owned`
 * or `lasting` has made them ours. Throws `TypeError`.
 */
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
  if (bytes.byteLength > limits.messageBytes) return 'too-large';
  if (bytes.byteLength <= limits.copiedBytes) return new Uint8Array(bytes);
  borrowed.add(bytes);
  return bytes;
}

const borrowed = new WeakSet<Uint8Array>();

/**
 * What the caller can no longer change.
 *
 * This and `lasting` are where more than `limits.copiedBytes` are copied in one task, once: the buffer is the caller's
 * again when its call returns, so that the copy cannot be put off. The largest message takes 20 to 60 ms, a megabyte
 * less than two. Who wants none of it hands over a Blob.
 */
export function owned(body: Uint8Array | Blob): Uint8Array | Blob {
  return !(body instanceof Blob) && borrowed.has(body) ? new Uint8Array(body) : body;
}

/** The same, as what can be posted more than once without the page copying much. */
export function lasting(body: Uint8Array | Blob): Uint8Array | Blob {
  return body instanceof Blob || body.byteLength <= limits.copiedBytes ? body : new Blob([body as BlobPart]);
}

/** A copy of our own, made a part in each task. */
export async function copyOf(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const copy = new Uint8Array(bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += limits.copiedBytes) {
    if (at > 0) await nextTask();
    copy.set(bytes.subarray(at, at + limits.copiedBytes), at);
  }
  return copy;
}

/** What is in a Blob. Rejects `config-invalid`. */
export async function readBlob(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    throw mixError('config-invalid', 'The Blob could not be read; its file may have changed.', { cause });
  }
}
