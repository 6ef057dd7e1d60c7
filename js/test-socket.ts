/** The network's half of a socket. */
export interface Line {
  /** The number of the link. Whether it opens is told later. */
  open(url: string, socket: TestSocket): number;
  /** Something was queued. */
  wake(): void;
}

/** What waits to be taken by the network, in order. */
type Queued = string | Uint8Array<ArrayBuffer> | typeof goodbye;
const goodbye = Symbol('the application has closed the socket');

/** Takes what a socket has queued. */
export interface Taker {
  text(link: number, text: string): void;
  binary(link: number, bytes: Uint8Array): void;
  close(link: number): void;
}

/**
 * The browser's `WebSocket` as far as two ends in one thread can have it, for a gateway in memory. Blobs cannot be sent;
 * subprotocols and extensions there are none.
 */
export class TestSocket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly url: string;
  readonly protocol = '';
  readonly extensions = '';
  binaryType: BinaryType = 'blob';
  onopen: ((event: Event) => unknown) | null = null;
  onmessage: ((event: MessageEvent) => unknown) | null = null;
  onerror: ((event: Event) => unknown) | null = null;
  onclose: ((event: CloseEvent) => unknown) | null = null;
  readonly #line: Line;
  readonly #link: number;
  readonly #queue: Queued[] = [];
  #bufferedAmount = 0;
  #readyState = 0;
  #code = 1005;
  #reason = '';

  constructor(line: Line, url: string | URL) {
    super();
    const parsed = new URL(url);
    if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:') {
      throw new DOMException(`The scheme of ${parsed.href} is neither ws nor wss.`, 'SyntaxError');
    }
    this.url = parsed.href;
    this.#line = line;
    this.addEventListener('open', (event) => this.onopen?.(event));
    this.addEventListener('message', (event) => this.onmessage?.(event as MessageEvent));
    this.addEventListener('error', (event) => this.onerror?.(event));
    this.addEventListener('close', (event) => this.onclose?.(event as CloseEvent));
    this.#link = line.open(parsed.href, this);
  }

  get readyState(): number {
    return this.#readyState;
  }

  /** Bytes that the network has not taken yet; a gateway that is paused takes none. */
  get bufferedAmount(): number {
    return this.#bufferedAmount;
  }

  send(data: string | BufferSource): void {
    if (this.#readyState === this.CONNECTING)
      throw new DOMException('The socket is not open yet.', 'InvalidStateError');
    const frame = typeof data === 'string' ? data : copyOf(data);
    // As browsers do it: what is written to a closed socket counts as buffered for ever.
    this.#bufferedAmount += sizeOf(frame);
    if (this.#readyState !== this.OPEN) return;
    this.#queue.push(frame);
    this.#line.wake();
  }

  close(code?: number, reason = ''): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`A socket cannot be closed with the code ${code}.`, 'InvalidAccessError');
    }
    if (this.#readyState >= this.CLOSING) return;
    if (this.#readyState === this.OPEN) [this.#code, this.#reason] = [code ?? 1005, reason];
    else this.#code = 1006;
    this.#readyState = this.CLOSING;
    this.#queue.push(goodbye);
    this.#line.wake();
  }

  /** The network takes what is queued. Whether the socket has ended with it. */
  drain(taker: Taker): boolean {
    const link = this.#link;
    for (const queued of this.#queue.splice(0)) {
      if (queued === goodbye) {
        taker.close(link);
        return true;
      }
      this.#bufferedAmount -= sizeOf(queued);
      if (typeof queued === 'string') taker.text(link, queued);
      else taker.binary(link, queued);
    }
    return false;
  }

  /** The gateway has taken the connection. */
  opened(): void {
    if (this.#readyState !== this.CONNECTING) return;
    this.#readyState = this.OPEN;
    this.dispatchEvent(new Event('open'));
  }

  /** The gateway has sent a message. */
  received(data: string | ArrayBuffer): void {
    if (this.#readyState !== this.OPEN) return;
    const seen = typeof data === 'string' || this.binaryType === 'arraybuffer' ? data : new Blob([data]);
    this.dispatchEvent(new MessageEvent('message', { data: seen, origin: new URL(this.url).origin }));
  }

  /** It is over: asked for from here, or without a word from the other side. */
  ended(): void {
    if (this.#readyState === this.CLOSED) return;
    const wasOpen = this.#readyState === this.OPEN || (this.#readyState === this.CLOSING && this.#code !== 1006);
    const wasAsked = this.#readyState === this.CLOSING && wasOpen;
    this.#readyState = this.CLOSED;
    this.#queue.length = 0;
    if (!wasOpen) this.dispatchEvent(new Event('error'));
    this.dispatchEvent(wasAsked ? closeEvent(this.#code, this.#reason, true) : closeEvent(1006, '', false));
  }
}

/** Node has the class only in newer versions. */
function closeEvent(code: number, reason: string, wasClean: boolean): Event {
  const fields = { code, reason, wasClean };
  return typeof CloseEvent === 'function' ? new CloseEvent('close', fields) : Object.assign(new Event('close'), fields);
}

function copyOf(data: BufferSource): Uint8Array<ArrayBuffer> {
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  throw new TypeError('send(): the data must be a string, an ArrayBuffer or a view of one');
}

const sizeOf = (frame: string | Uint8Array) =>
  typeof frame === 'string' ? new TextEncoder().encode(frame).byteLength : frame.byteLength;
