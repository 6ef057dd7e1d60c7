import { fromWire, mixError } from './errors.js';
import { Latch } from './latch.js';
import { Latest } from './latest.js';
import type { WorkerEvent } from './protocol.js';
import type { Delivery, Retransmit, SendProgress, SentMessage } from './types.js';

const stages = ['queued', 'sent', 'delivered', 'received'] as const;

/** What a handle asks of whoever sends the message. */
export interface HandleOwner {
  cancel(reason: unknown): void;
  /** Somebody follows how far the message comes, or nobody does any more. */
  watch(watched: boolean): void;
}

/** What is said of one message. */
export type CourseEvent = Extract<WorkerEvent, { message: number }>;

/** What becomes of a message apart from its handle. */
export interface Course {
  /** A receipt was asked for. */
  receipt?: boolean;
  onRetransmit(retransmit: Retransmit): void;
  /** Every fragment was acknowledged, and the receipt is to come. */
  awaitReceipt?(): void;
  /** It is done with; `error`: its receipt does not come. */
  end(error?: unknown): void;
  lose(event: Extract<CourseEvent, { event: 'undelivered' }>): void;
}

/** Takes an event about a message, but that it was cut, which only some ask for. */
export function follow(handle: Handle, event: Exclude<CourseEvent, { event: 'planned' }>, course: Course): void {
  switch (event.event) {
    case 'sent':
      handle.reachSent();
      break;
    case 'fragments': {
      const { sent, acked, total, retransmissions } = event;
      const progress = { fragmentsSent: sent, fragmentsAcked: acked, fragmentsTotal: total, retransmissions };
      const fragments = handle.advance(progress);
      if (fragments > 0) course.onRetransmit({ id: handle.id, fragments, retransmissions });
      break;
    }
    case 'delivered': {
      const { roundTripMs, retransmissions } = event;
      handle.reachDelivered({ at: new Date(), roundTripMs, retransmissions });
      if (event.receipt || course.receipt) course.awaitReceipt?.();
      else course.end();
      break;
    }
    case 'receipted':
      handle.reachReceived(event.roundTripMs);
      course.end();
      break;
    case 'notReceipted':
      course.end(fromWire(event.error));
      break;
    case 'undelivered':
      course.lose(event);
      break;
  }
}

/** What the application holds of a message it sends: promises that settle in order, each once. */
export class Handle implements SentMessage {
  readonly id: string;
  readonly #queued = new Latch<void>();
  readonly #sent = new Latch<void>();
  readonly #delivered = new Latch<Delivery>();
  readonly #received = new Latch<Delivery>();
  readonly #owner: HandleOwner | null;
  readonly #readers = new Set<Latest<SendProgress>>();
  #progress: SendProgress | null = null;
  #delivery: Delivery | null = null;
  /** How many stages have settled; all of them after a failure. */
  #settled = 0;

  /** Without an owner it is to fail at once. */
  constructor(id: string, owner: HandleOwner | null) {
    this.id = id;
    this.#owner = owner;
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

  get received(): Promise<Delivery> {
    return this.#received.promise;
  }

  cancel(reason?: unknown): void {
    if (this.done) return;
    this.#owner?.cancel(reason === undefined ? new DOMException('The message was cancelled.', 'AbortError') : reason);
  }

  progress(): AsyncIterableIterator<SendProgress> {
    const reader = new Latest<SendProgress>((left) => {
      this.#readers.delete(left);
      if (this.#readers.size === 0) this.#owner?.watch(false);
    });
    if (this.#progress) reader.push(this.#progress);
    if (this.done) {
      reader.end();
      return reader;
    }
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#owner?.watch(true);
    return reader;
  }

  /** How far the message has come. Answers how many more fragments went again than was known. */
  advance(progress: SendProgress): number {
    const before = this.#progress?.retransmissions ?? 0;
    this.#progress = progress;
    for (const reader of this.#readers) reader.push(progress);
    return progress.retransmissions - before;
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
    this.#delivery = delivery;
    const last = this.#progress;
    // A receipt can overtake the last acks.
    if (last && !this.done) {
      const { fragmentsTotal } = last;
      this.advance({ ...last, fragmentsSent: fragmentsTotal, fragmentsAcked: fragmentsTotal });
    }
    this.#reach(3, delivery);
    this.#endReaders();
  }

  /** The recipient's client has it. */
  reachReceived(roundTripMs: number): void {
    const { retransmissions = 0 } = this.#delivery ?? {};
    this.#reach(4, { at: new Date(), roundTripMs, retransmissions });
  }

  /** No receipt will come for what is delivered. */
  failReceived(error: unknown = mixError('no-receipt-support')): void {
    this.#received.reject(error);
    this.#settled = stages.length;
  }

  /** Every fragment was acknowledged. */
  get isDelivered(): boolean {
    return this.#settled >= 3;
  }

  /** Rejects what is still open. False: there was nothing. */
  fail(error: unknown): boolean {
    if (this.done) return false;
    for (const stage of [this.#queued, this.#sent, this.#delivered, this.#received].slice(this.#settled)) {
      stage.reject(error);
    }
    this.#settled = stages.length;
    this.#endReaders();
    return true;
  }

  /** Resolves the stages up to this one. An event that overtakes an earlier one brings that one with it. */
  #reach(stage: 1 | 2 | 3 | 4, delivery?: Delivery): void {
    if (this.#settled < 1 && stage >= 1) this.#queued.resolve();
    if (this.#settled < 2 && stage >= 2) this.#sent.resolve();
    if (this.#settled < 3 && stage >= 3 && delivery) this.#delivered.resolve(delivery);
    if (this.#settled < 4 && stage >= 4 && delivery) this.#received.resolve(delivery);
    this.#settled = Math.max(this.#settled, stage);
    if (this.done) this.#endReaders();
  }

  #endReaders(): void {
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }
}
