import { limits } from 'mixlet';

/** A message is bytes and nothing else, so the demo puts the file's name in front of them, in a line of its own. */
const MARK = 'mixlet-demo file ';
/** More than any name needs. */
const LINE_BYTES = 4096;

/** The body of the message that a file is sent as. */
export function pack(file: File): Blob {
  return new Blob([`${MARK}${JSON.stringify(file.name.slice(-200))}\n`, file]);
}

export const fits = (body: Blob) => body.size <= limits.messageBytes;

/** What was packed, or null: then it is some other message. */
export function unpack(data: Uint8Array): { name: string; content: Uint8Array } | null {
  const head = data.subarray(0, LINE_BYTES);
  const end = head.indexOf(0x0a);
  const line = new TextDecoder().decode(head.subarray(0, Math.max(end, 0)));
  if (!line.startsWith(MARK)) return null;
  try {
    const name: unknown = JSON.parse(line.slice(MARK.length));
    return typeof name === 'string' ? { name, content: data.subarray(end + 1) } : null;
  } catch {
    return null;
  }
}

/** Text if it is text, else null. */
export function textOf(data: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data);
  } catch {
    return null;
  }
}

/** Gives the bytes to the browser's downloads. They come from a stranger: they are saved and never opened here. */
export function save(name: string, content: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([content as BlobPart], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
