import { fromWire, mixError } from './errors.js';
import type { MixError } from './errors.js';
import { limits } from './limits.js';
import type { StreamSettings, WorkerEvent } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Jobs } from './tasks.js';
import type { MixStream, ReplyTag } from './types.js';
import { Gate, bounded } from './wait.js';
import { Latch } from './latch.js';

type StreamEvent = Extract<WorkerEvent, { stream: number }>;
type Opened = Extract<WorkerEvent, { event: 'streamOpened' }>;

/** The streams of a client, and those who listen for more. */
export class Streams {
  readonly #streams = new Map<number, Stream>();
  readonly #opening = new Map<number, Latch<Stream>>();
  readonly #listeners = new Map<string, { queue: StreamQueue; settings: StreamSettings }>();
  readonly #jobs = new Jobs();
  #rpc: Rpc | null = null;
  #next = 1;

  /** Rejects with the abort's reason, and with what the worker says. */
  async open(
    to: string,
    service: string,
    settings: StreamSettings,
    signal: AbortSignal | undefined,
    rpc: Rpc,
  ): Promise<MixStream> {
    const number = this.#next++;
    const latch = new Latch<Stream>();
    this.#opening.set(number, latch);
    try {
      await rpc.request('openStream', { stream: number, to, service, options: settings });
      return await bounded(latch.promise, { signal });
    } catch (error) {
      // Too late for a stream that is there by now, and unknown to the worker where it had refused.
      this.#streams.delete(number);
      rpc.request('streamReset', { stream: number, code: CANCELLED, reason: '' }).catch(ignore);
      throw error;
    } finally {
      this.#opening.delete(number);
    }
  }

  /** Throws `MixError` `config-invalid` when somebody listens for this service already. `ended`: no stream will come. */
  listen(
    service: string,
    settings: StreamSettings,
    signal: AbortSignal | undefined,
    ended: boolean,
  ): AsyncIterableIterator<MixStream> {
    if (this.#listeners.has(service)) {
      throw mixError('config-invalid', `Somebody listens for streams of the service "${service}" already.`);
    }
    const queue = new StreamQueue(signal, () => {
      if (this.#listeners.delete(service)) this.#rpc?.request('refuseStreams', { service }).catch(ignore);
    });
    if (ended || signal?.aborted) {
      queue.end();
      return queue;
    }
    this.#listeners.set(service, { queue, settings });
    if (this.#rpc) announce(this.#rpc, service, settings);
    return queue;
  }

  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    for (const [service, { settings }] of this.#listeners) announce(rpc, service, settings);
  }

  /** The worker is gone, and all streams with it. */
  failAll(error: unknown): void {
    this.#rpc = null;
    for (const latch of this.#opening.values()) this.#jobs.do(() => latch.reject(error));
    this.#opening.clear();
    for (const stream of this.#streams.values()) this.#jobs.do(() => stream.fail(error));
    this.#streams.clear();
  }

  /** No stream comes any more. */
  endListening(): void {
    for (const { queue } of [...this.#listeners.values()]) queue.end();
    this.#listeners.clear();
  }

  handle(event: StreamEvent): void {
    const rpc = this.#rpc;
    if (!rpc) return;
    if (event.event === 'streamOpened') {
      this.#opened(rpc, event);
      return;
    }
    const { stream: number } = event;
    if (event.event === 'streamReady') {
      const latch = this.#opening.get(number);
      const stream = this.#make(rpc, number, null);
      if (latch) latch.resolve(stream);
      return;
    }
    if (event.event === 'streamFailed') {
      this.#opening.get(number)?.reject(fromWire(event.error));
      return;
    }
    const stream = this.#streams.get(number);
    if (event.event === 'streamData') stream?.push(event.bytes, event.last);
    else if (event.event === 'streamRoom') stream?.hasRoom();
    else {
      this.#streams.delete(number);
      stream?.ended(event.code, event.reason);
    }
  }

  #opened(rpc: Rpc, { stream: number, service, tag }: Opened): void {
    const listener = this.#listeners.get(service);
    const stream = this.#make(rpc, number, tag as ReplyTag | null);
    if (listener?.queue.push(stream)) return;
    this.#streams.delete(number);
    rpc.request('streamReset', { stream: number, code: REFUSED, reason: '' }).catch(ignore);
  }

  #make(rpc: Rpc, number: number, from: ReplyTag | null): Stream {
    const stream = new Stream(rpc, number, from, () => this.#streams.delete(number));
    this.#streams.set(number, stream);
    return stream;
  }
}

/** One stream. What it is given is handed to the worker in small pieces, which says when there is room for more. */
class Stream implements MixStream {
  readonly from: ReplyTag | null;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #rpc: Rpc;
  readonly #number: number;
  readonly #forget: () => void;
  readonly #closed = new Latch<{ code: number; reason: string }>();
  readonly #unread: Uint8Array[] = [];
  #reader!: ReadableStreamDefaultController<Uint8Array>;
  #writer!: WritableStreamDefaultController;
  #wanted = false;
  #last = false;
  #over = false;
  #room = new Gate();

  constructor(rpc: Rpc, number: number, from: ReplyTag | null, forget: () => void) {
    this.#rpc = rpc;
    this.#number = number;
    this.#forget = forget;
    this.from = from;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#reader = controller),
        pull: () => this.#pull(),
        cancel: () => this.#reset(CANCELLED, ''),
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>(
      {
        start: (controller) => void (this.#writer = controller),
        write: (chunk) => this.#write(chunk),
        close: () => this.#end(),
        abort: () => this.#reset(CANCELLED, ''),
      },
      { highWaterMark: limits.streamWriteBytes, size: (chunk) => chunk.byteLength },
    );
  }

  get closed(): Promise<{ code: number; reason: string }> {
    return this.#closed.promise;
  }

  async close(options: { code?: number | undefined; reason?: string | undefined } = {}): Promise<void> {
    const { code, reason = '' } = options;
    if (code === undefined) {
      if (!this.#over) await (this.writable.locked ? this.#end() : this.writable.close().catch(ignore));
    } else {
      if (!Number.isInteger(code) || code < CANCELLED || code > 0xffff_ffff || typeof reason !== 'string') {
        throw mixError('config-invalid', `A stream is closed with a code from ${CANCELLED} to 4294967295 and a text.`);
      }
      this.#reset(code, reason);
    }
    await this.#closed.promise.catch(ignore);
  }

  push(bytes: Uint8Array, last: boolean): void {
    if (bytes.byteLength > 0) this.#unread.push(bytes);
    this.#last ||= last;
    if (this.#wanted || this.#last) this.#hand();
  }

  hasRoom(): void {
    this.#room.open();
  }

  /** Both sides have ended, or one of them before its time. */
  ended(code: number, reason: string): void {
    if (code !== 0) {
      this.#break(endError(code, reason));
    }
    this.#over = true;
    this.#room.open();
    this.#closed.resolve({ code, reason });
  }

  fail(error: unknown): void {
    this.#break(error);
    this.#closed.reject(error);
  }

  #pull(): void {
    this.#wanted = true;
    this.#hand();
  }

  #hand(): void {
    if (this.#wanted) {
      const bytes = this.#unread.shift();
      if (bytes) {
        this.#wanted = false;
        this.#reader.enqueue(bytes);
        this.#rpc.request('streamRead', { stream: this.#number, bytes: bytes.byteLength }).catch(ignore);
      }
    }
    if (this.#last && this.#unread.length === 0) {
      this.#last = false;
      this.#reader.close();
    }
  }

  async #write(chunk: unknown): Promise<void> {
    const bytes = chunk instanceof Uint8Array ? chunk : undefined;
    if (!bytes) throw new TypeError('a stream takes Uint8Array chunks');
    for (let at = 0; at < bytes.byteLength; at += limits.streamWriteBytes) {
      if (this.#over) return;
      const piece = bytes.slice(at, at + limits.streamWriteBytes);
      this.#room = new Gate();
      const room = this.#room;
      const answer = await this.#rpc.request('streamWrite', { stream: this.#number, bytes: piece }, [piece.buffer]);
      if (!answer.room) await room.opened;
    }
  }

  async #end(): Promise<void> {
    await this.#rpc.request('streamEnd', { stream: this.#number });
  }

  #reset(code: number, reason: string): void {
    if (this.#over) return;
    this.#rpc.request('streamReset', { stream: this.#number, code, reason }).catch(ignore);
    this.#forget();
    this.ended(code, reason);
  }

  #break(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#room.open();
    this.#unread.length = 0;
    try {
      this.#reader.error(error);
    } catch {
      // It had ended already.
    }
    this.#writer.error(error);
  }
}

/** Streams that came, until somebody takes them. */
class StreamQueue implements AsyncIterableIterator<MixStream> {
  readonly #streams: Stream[] = [];
  readonly #waiting: ((result: IteratorResult<MixStream, undefined>) => void)[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd: () => void;
  #ended = false;

  constructor(signal: AbortSignal | undefined, onEnd: () => void) {
    this.#signal = signal;
    this.#onEnd = onEnd;
    signal?.addEventListener('abort', this.end, { once: true });
  }

  /** False: too many wait. */
  push(stream: Stream): boolean {
    const waiting = this.#waiting.shift();
    if (waiting) waiting({ value: stream, done: false });
    else if (this.#streams.length >= limits.streamsWaiting) return false;
    else this.#streams.push(stream);
    return true;
  }

  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.end);
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
    for (const stream of this.#streams.splice(0)) stream.close({ code: REFUSED }).catch(ignore);
    this.#onEnd();
  };

  next(): Promise<IteratorResult<MixStream, undefined>> {
    const stream = this.#streams.shift();
    if (stream) return Promise.resolve({ value: stream, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<MixStream, undefined>> {
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function announce(rpc: Rpc, service: string, options: StreamSettings): void {
  // It can only fail by the end of the session, which is told anyway.
  rpc.request('acceptStreams', { service, options }).catch(ignore);
}

/** Why a stream broke. Codes below 256 are mixlet's own. */
function endError(code: number, reason: string): MixError {
  if (code === 3) return mixError('timeout', 'Nothing came over the stream for too long.', { phase: 'peer' });
  const why = reason === '' ? '' : ` and the reason "${reason}"`;
  const text = ENDINGS[code] ?? `The stream was ended with code ${code}${why}.`;
  return mixError('closed', text, { phase: 'peer' });
}

const ENDINGS: Record<number, string> = {
  1: 'The peer does not know this stream: its client has started anew. Open another one.',
  2: 'The peer broke the rules of streams, so the stream was ended.',
  4: 'The client at one end of the stream was closed.',
};

/** The first code that applications may use; it also says that a side wants nothing more. */
const CANCELLED = 256;
/** Nobody took the stream. */
const REFUSED = 257;

const ignore = (): void => {};
