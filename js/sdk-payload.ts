/** A message in the form of Nym's TypeScript SDK. */
export interface SdkPayload {
  mimeType: string;
  headers: string | null;
  data: Uint8Array;
}

/**
 * The bytes that pages with Nym's TypeScript SDK understand: the length of a description in eight bytes, the description
 * as JSON, the data.
 */
export function writeSdkPayload(
  data: Uint8Array | string,
  mimeType = 'text/plain',
  headers: string | null = null,
): Uint8Array {
  const encoder = new TextEncoder();
  const [description, body] = [
    encoder.encode(JSON.stringify({ mimeType, headers })),
    typeof data === 'string' ? encoder.encode(data) : data,
  ];
  const bytes = new Uint8Array(LENGTH + description.byteLength + body.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(description.byteLength));
  bytes.set(description, LENGTH);
  bytes.set(body, LENGTH + description.byteLength);
  return bytes;
}

/** Reads what pages with Nym's TypeScript SDK send. `null`: it is something else. */
export function readSdkPayload(bytes: Uint8Array): SdkPayload | null {
  if (bytes.byteLength < LENGTH) return null;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  if (length > BigInt(bytes.byteLength - LENGTH)) return null;
  const end = LENGTH + Number(length);
  let description: unknown;
  try {
    description = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(LENGTH, end)));
  } catch {
    return null;
  }
  if (typeof description !== 'object' || description === null) return null;
  const { mimeType, headers = null } = description as { mimeType?: unknown; headers?: unknown };
  if (typeof mimeType !== 'string' || (headers !== null && typeof headers !== 'string')) return null;
  return { mimeType, headers, data: bytes.subarray(end) };
}

/** Bytes that tell the length of the description. */
const LENGTH = 8;
