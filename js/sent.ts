import type { Delivery, SentMessage } from './types.js';

const stages = ['queued', 'sent', 'delivered'] as const;

/** A promise with its two ends, marked as handled: it may be ignored. */
class Stage<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (reason: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}

/** What the application holds of a message it sends: promises that settle in order, each once. */
export class Handle implements SentMessage {
  readonly id: string;
  readonly #queued = new Stage<void>();
  readonly #sent = new Stage<void>();
  readonly #delivered = new Stage<Delivery>();
  readonly #onCancel: (reason: unknown) => void;
  /** How many stages have settled; all of them after a failure. */
  #settled = 0;

  constructor(id: string, onCancel: (reason: unknown) => void) {
    this.id = id;
    this.#onCancel = onCancel;
  }

  get queued(): Promise<void> {
    return this.#queued.promise;
  }

  get sent(): Promise<void> {
    return this.#sent.promise;
  }

  get delivered(): Promise<Delivery> {
    return this.#delivered.promise;
  }

  cancel(reason?: unknown): void {
    if (this.done) return;
    this.#onCancel(reason === undefined ? new DOMException('The message was cancelled.', 'AbortError') : reason);
  }

  /** Everything has settled. */
  get done(): boolean {
    return this.#settled === stages.length;
  }

  reachQueued(): void {
    this.#reach(1);
  }

  reachSent(): void {
    this.#reach(2);
  }

  reachDelivered(delivery: Delivery): void {
    this.#reach(3, delivery);
  }

  /** Rejects what is still open. False: there was nothing. */
  fail(error: unknown): boolean {
    if (this.done) return false;
    for (const stage of [this.#queued, this.#sent, this.#delivered].slice(this.#settled)) stage.reject(error);
    this.#settled = stages.length;
    return true;
  }

  /** Resolves the stages up to this one. An event that overtakes an earlier one brings that one with it. */
  #reach(stage: 1 | 2 | 3, delivery?: Delivery): void {
    if (this.#settled < 1 && stage >= 1) this.#queued.resolve();
    if (this.#settled < 2 && stage >= 2) this.#sent.resolve();
    if (this.#settled < 3 && stage >= 3 && delivery) this.#delivered.resolve(delivery);
    this.#settled = Math.max(this.#settled, stage);
  }
}
