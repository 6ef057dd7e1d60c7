/**
 * An iterator over values of which only the latest counts: who reads slowly gets what is so now, and misses what was
 * so before.
 */
export class Latest<T> implements AsyncIterableIterator<T> {
  #value: { value: T } | null = null;
  #ended = false;
  readonly #waiting: ((result: IteratorResult<T, undefined>) => void)[] = [];
  readonly #onLeave: (iterator: Latest<T>) => void;

  /** `onLeave` is called when the reader has left before the end. */
  constructor(onLeave: (iterator: Latest<T>) => void) {
    this.#onLeave = onLeave;
  }

  push(value: T): void {
    if (this.#ended) return;
    const waiting = this.#waiting.shift();
    if (waiting) waiting({ value, done: false });
    else this.#value = { value };
  }

  /** Nothing more comes; what was not read can still be. */
  end(): void {
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const unread = this.#value;
    this.#value = null;
    if (unread) return Promise.resolve({ value: unread.value, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Called when a `for await` loop is left. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#value = null;
    if (!this.#ended) {
      this.end();
      this.#onLeave(this);
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
