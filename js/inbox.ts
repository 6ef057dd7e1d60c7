import { limits } from './limits.js';
import { Jobs } from './tasks.js';

/** What the inbox asks of a message. */
interface Sized {
  readonly data: Uint8Array;
  /** It was taken: whoever has it asks for the next. Resolves when it does not come again. */
  done(): Promise<void>;
}

export interface Dropped<M> {
  reason: 'kept' | 'iterator';
  message: M;
}

/**
 * Received messages on their way to whoever listens. While nobody does they are kept, up to a bound; the first
 * listener gets them. After that each listener sees each message from the moment it began. Where somebody else keeps
 * them, those that nobody listens to, or has taken when the last listener leaves, are dropped here.
 */
export class Inbox<M extends Sized> {
  readonly #keeps: boolean;
  readonly #kept = new Queue<M>(limits.keptMessages, limits.keptBytes);
  readonly #iterators = new Set<MessageIterator<M>>();
  readonly #dropped: (dropped: Dropped<M>) => void;
  readonly #jobs = new Jobs();
  #dispatch: ((message: M) => void) | null = null;
  readonly #onHeard: () => void;
  #wasHeard = false;

  /** `keeps`: nobody else does. `onHeard`: somebody listens, or nobody does any more. */
  constructor(keeps: boolean, dropped: (dropped: Dropped<M>) => void, onHeard: () => void) {
    this.#keeps = keeps;
    this.#dropped = dropped;
    this.#onHeard = onHeard;
  }

  /** Whether somebody listens. */
  get isHeard(): boolean {
    return this.#dispatch !== null || this.#iterators.size > 0;
  }

  get isIterated(): boolean {
    return this.#iterators.size > 0;
  }

  /** Takes a message that has arrived. */
  push(message: M): void {
    const heard = this.isHeard;
    const dispatch = this.#dispatch;
    // After what was kept, in its order.
    if (dispatch && this.#jobs.isBusy) this.#jobs.do(() => dispatch(message));
    else dispatch?.(message);
    for (const iterator of this.#iterators) {
      if (!iterator.push(message)) this.#dropped({ reason: 'iterator', message });
    }
    if (!heard) this.#keep(message);
  }

  /**
   * From now on every message goes to `dispatch` too. What was kept goes there from a microtask on, so that a listener is
   * never called before the call that added it has returned, and a part in each task.
   */
  listen(dispatch: (message: M) => void): void {
    if (this.#dispatch) return;
    this.#dispatch = dispatch;
    const kept = this.#kept.takeAll();
    this.#noticeHeard();
    if (kept.length === 0) return;
    queueMicrotask(() => {
      for (const message of kept) this.#jobs.do(() => dispatch(message));
    });
  }

  /** Nobody listens to `dispatch` any more. */
  unlisten(): void {
    this.#dispatch = null;
    this.#noticeHeard();
  }

  /**
   * An iterator over what is kept, if it is the first listener, and what comes. It ends at `end` or at the abort. What
   * it has not handed out when it is left is kept again, unless others listen and have seen it.
   */
  iterate(signal: AbortSignal | undefined, ended: boolean): AsyncIterableIterator<M> {
    const iterator = new MessageIterator<M>(!this.#keeps, signal, (unread) => {
      this.#iterators.delete(iterator);
      if (!this.isHeard) for (const message of unread) this.#keep(message);
      this.#noticeHeard();
    });
    if (signal?.aborted) {
      iterator.end();
      return iterator;
    }
    for (const message of this.#kept.takeAll()) iterator.push(message);
    if (ended) iterator.end();
    else this.#iterators.add(iterator);
    this.#noticeHeard();
    return iterator;
  }

  /** Ends all iterators, after what they have not yet handed out. */
  end(): void {
    for (const iterator of this.#iterators) iterator.end();
    this.#iterators.clear();
    this.#noticeHeard();
  }

  #noticeHeard(): void {
    if (this.isHeard === this.#wasHeard) return;
    this.#wasHeard = this.isHeard;
    this.#onHeard();
  }

  #keep(message: M): void {
    if (this.#keeps && !this.#kept.push(message)) this.#dropped({ reason: 'kept', message });
  }
}

class MessageIterator<M extends Sized> implements AsyncIterableIterator<M> {
  readonly #queue = new Queue<M>(limits.iteratorMessages, limits.iteratorBytes);
  readonly #waiting: ((result: IteratorResult<M, undefined>) => void)[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onLeave: (unread: M[]) => void;
  /** What was handed out and is done with the next call. */
  #handed: M[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #ended = false;
  readonly #awaits: boolean;

  /** `awaits`: the next message is given when the last one is done with. */
  constructor(awaits: boolean, signal: AbortSignal | undefined, onLeave: (unread: M[]) => void) {
    this.#awaits = awaits;
    this.#signal = signal;
    this.#onLeave = onLeave;
    signal?.addEventListener('abort', this.#leave, { once: true });
  }

  /** False: there was no room. */
  push(message: M): boolean {
    const waiting = this.#waiting.shift();
    if (!waiting) return this.#queue.push(message);
    this.#handed.push(message);
    waiting({ value: message, done: false });
    return true;
  }

  /** Nothing more comes; what is there can still be taken. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#leave);
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<M, undefined>> {
    const handed = this.#handed.splice(0);
    if (!this.#awaits) return this.#take();
    // Calls are answered in their order.
    this.#turn = Promise.all([this.#turn, ...handed.map((message) => message.done())]);
    return this.#turn.then(() => this.#take());
  }

  #take(): Promise<IteratorResult<M, undefined>> {
    const message = this.#queue.shift();
    if (message) {
      this.#handed.push(message);
      return Promise.resolve({ value: message, done: false });
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Called when a `for await` loop is left. */
  return(): Promise<IteratorResult<M, undefined>> {
    this.#leave();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #leave = (): void => {
    const unread = this.#queue.takeAll();
    this.end();
    this.#onLeave(unread);
  };
}

/** First in, first out, bounded in number and in bytes. */
class Queue<M extends Sized> {
  #items: M[] = [];
  #head = 0;
  #bytes = 0;
  readonly #maxItems: number;
  readonly #maxBytes: number;

  constructor(maxItems: number, maxBytes: number) {
    this.#maxItems = maxItems;
    this.#maxBytes = maxBytes;
  }

  /** False: there was no room, and the message is not in the queue. */
  push(message: M): boolean {
    const bytes = this.#bytes + message.data.byteLength;
    if (this.#items.length - this.#head >= this.#maxItems || bytes > this.#maxBytes) return false;
    this.#items.push(message);
    this.#bytes = bytes;
    return true;
  }

  shift(): M | undefined {
    const message = this.#items[this.#head];
    if (!message) return undefined;
    this.#head++;
    this.#bytes -= message.data.byteLength;
    // Moving the rest each time would cost a square of the length; moving half at a time costs nothing to speak of.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }

  takeAll(): M[] {
    const items = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    return items;
  }
}
