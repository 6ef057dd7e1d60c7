import { limits } from './limits.js';
import { pack, unpack } from './tab-frame.js';

/** One piece of a message on its way. Pieces are numbered from 0 on, in each direction. */
interface Piece {
  n: number;
  last: boolean;
  box: ArrayBuffer;
}

/** What a line tells its owner. */
export interface LineOwner {
  onMessage(message: unknown): void;
  /** Something came that does not open, or not in its turn: the line is closed. */
  onBroken(): void;
}

/**
 * One end of the line between two tabs: messages, sealed with AES-GCM under a key for each direction that is used for
 * this line only, so that the number of a piece can be its nonce. What is altered, repeated or left out breaks it.
 */
export class TabLine {
  readonly #channel: BroadcastChannel;
  readonly #keys: { write: CryptoKey; read: CryptoKey };
  readonly #owner: LineOwner;
  #written = 0;
  #read = 0;
  /** Pieces of a message whose last one has not come. */
  #pieces: Uint8Array[] = [];
  /** WebCrypto may finish in another order, so one thing is done after the other. */
  #writing = Promise.resolve();
  #reading = Promise.resolve();
  #closed = false;

  constructor(channel: BroadcastChannel, keys: { write: CryptoKey; read: CryptoKey }, owner: LineOwner) {
    this.#channel = channel;
    this.#keys = keys;
    this.#owner = owner;
  }

  /** Sends a message. Its byte arrays are copied before this returns. */
  post(message: object): void {
    const bytes = pack(message);
    this.#writing = this.#writing.then(() => this.#write(bytes)).catch(() => this.#break());
  }

  /** Takes what came over the channel. */
  handle(piece: unknown): void {
    this.#reading = this.#reading.then(() => this.#take(piece as Piece)).catch(() => this.#break());
  }

  /** Nothing comes or goes any more, but what was posted before. Resolves when that has left. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    this.#channel.close();
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    let at = 0;
    do {
      const n = this.#written++;
      const last = at + limits.tabPieceBytes >= bytes.byteLength;
      const plain = bytes.subarray(at, at + limits.tabPieceBytes);
      const box = await crypto.subtle.encrypt(nonce(n, last), this.#keys.write, plain);
      this.#channel.postMessage({ n, last, box } satisfies Piece);
      at += limits.tabPieceBytes;
    } while (at < bytes.byteLength);
  }

  async #take({ n, last, box }: Piece): Promise<void> {
    if (this.#closed) return;
    if (n !== this.#read || this.#pieces.length >= limits.tabPieces) throw new Error('not in its turn');
    const plain = await crypto.subtle.decrypt(nonce(n, last), this.#keys.read, box);
    this.#read++;
    this.#pieces.push(new Uint8Array(plain));
    if (!last) return;
    const bytes = joined(this.#pieces);
    this.#pieces = [];
    this.#owner.onMessage(unpack(bytes));
  }

  #break(): void {
    if (this.#closed) return;
    void this.close();
    this.#owner.onBroken();
  }
}

/** A message under a key that is used for others too: the nonce is random, and goes along. */
export async function seal(key: CryptoKey, message: object): Promise<Uint8Array<ArrayBuffer>> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const box = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, pack(message)));
  const sealed = new Uint8Array(IV_BYTES + box.byteLength);
  sealed.set(iv);
  sealed.set(box, IV_BYTES);
  return sealed;
}

/** What was sealed; `null`: not by who has this key. */
export async function unseal(key: CryptoKey, sealed: unknown): Promise<unknown> {
  if (!(sealed instanceof Uint8Array) || sealed.byteLength > limits.tabPieceBytes) return null;
  const bytes = new Uint8Array(sealed);
  try {
    const iv = bytes.subarray(0, IV_BYTES);
    return unpack(new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, bytes.subarray(IV_BYTES))));
  } catch {
    return null;
  }
}

/** Whether it is the last of its message is authentic too. */
function nonce(n: number, last: boolean): AesGcmParams {
  const iv = new Uint8Array(IV_BYTES);
  new DataView(iv.buffer).setBigUint64(4, BigInt(n));
  return { name: 'AES-GCM', iv, additionalData: new Uint8Array([last ? 1 : 0]) };
}

function joined(pieces: Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first) return first;
  const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

const IV_BYTES = 12;
