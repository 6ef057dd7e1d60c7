import { copyOf, lasting, readBlob } from './body.js';
import { fromWire, mixError } from './errors.js';
import { limits } from './limits.js';
import type { SendSettings } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Handle, follow } from './sent.js';
import type { CourseEvent } from './sent.js';
import { Jobs, nextTask } from './tasks.js';
import type { Retransmit, SentMessage, Undelivered } from './types.js';
import { Gate } from './wait.js';

interface Entry {
  readonly number: number;
  readonly handle: Handle;
  readonly to: string;
  /** Until its plan is here, or for ever where it has an envelope; `null`: neither can be sent again. */
  body: Uint8Array | Blob | null;
  /** What a worker has cut it into: it goes again as the same fragments. */
  plan: Uint8Array | null;
  readonly bytes: number;
  /** The id of its envelope, if it gets one: the same when it goes again by another worker. */
  readonly wire: Uint8Array;
  readonly settings: Omit<SendSettings, 'watched'>;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
  /** Counted among the bytes the worker has. */
  handedOver: boolean;
  /** The worker has been given it, body and all. */
  posted: boolean;
  watched: boolean;
  /** The deadline it was given, until the worker has it. */
  deadline: LinkTimer | null;
  /** Its delivery is followed by a receipt, or by the end of waiting for it. */
  receipt: boolean;
  /** Counted among the bodies that are kept. */
  kept: boolean;
}

/** Who is told of what becomes of messages. */
export interface OutgoingListener {
  onUndelivered(undelivered: Undelivered, to: string): void;
  onRetransmit(retransmit: Retransmit): void;
}

/**
 * The messages of a client that are not finished. They wait here until the worker is ready for them and has room, and
 * each ends in exactly one way: delivered, or failed with one report.
 */
export class Outgoing {
  readonly #entries = new Map<number, Entry>();
  /** Those the worker does not have yet, oldest first. */
  readonly #waiting = new Set<Entry>();
  readonly #listener: OutgoingListener;
  /** Of those the worker has. */
  #bytes = 0;
  #count = 0;
  #unanswered = 0;
  /** Of bodies that are kept for another worker. */
  #kept = 0;
  #next = 1;
  #rpc: Rpc | null = null;
  #linkUp = false;
  #handedOver: Gate | null = null;
  /** The next messages are handed over in the next task. */
  #isResting = false;
  /** The worker is about to be left. */
  #isHeld = false;
  readonly #jobs = new Jobs();

  constructor(listener: OutgoingListener) {
    this.#listener = listener;
  }

  /** A message that fails at once. */
  refuse(to: string, error: unknown): SentMessage {
    const handle = new Handle(String(this.#next++), null);
    handle.fail(error);
    const undelivered = { id: handle.id, error, fragmentsAcked: 0, fragmentsTotal: 0 };
    queueMicrotask(() => this.#jobs.do(() => this.#listener.onUndelivered(undelivered, to)));
    return handle;
  }

  send(
    to: string,
    body: Uint8Array | Blob,
    settings: Omit<SendSettings, 'watched'>,
    signal: AbortSignal | undefined,
  ): SentMessage {
    const number = this.#next++;
    const entry: Entry = {
      number,
      handle: new Handle(String(number), {
        cancel: (reason) => this.#cancel(entry, reason),
        watch: (watched) => this.#watch(entry, watched),
      }),
      to,
      body: lasting(body),
      plan: null,
      bytes: body instanceof Blob ? body.size : body.byteLength,
      wire: crypto.getRandomValues(new Uint8Array(16)),
      settings,
      signal,
      onAbort: () => this.#cancel(entry, signal?.reason),
      handedOver: false,
      posted: false,
      watched: false,
      deadline: null,
      receipt: false,
      kept: false,
    };
    if (settings.timeoutMs) {
      const late = () => this.#fail(entry, mixError('timeout', undefined, { phase: 'queue' }));
      entry.deadline = new LinkTimer(settings.timeoutMs, late);
      entry.deadline.run(this.#linkUp);
    }
    this.#entries.set(number, entry);
    this.#waiting.add(entry);
    signal?.addEventListener('abort', entry.onAbort, { once: true });
    this.#handOver();
    return entry.handle;
  }

  /** Nothing is handed over until the next worker is there. */
  hold(): void {
    this.#isHeld = true;
  }

  /** From now on this worker takes the messages. */
  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    this.#isHeld = false;
    this.#handOver();
  }

  /**
   * The worker is gone, and another one takes over. What has an envelope goes again under its id, and bare bytes by the
   * plan, as the same fragments: the recipient sees them once. Without a plan nothing of them has left. Only of what is
   * not reliable nothing may leave twice, so that it fails once its plan was made.
   */
  detach(error: unknown): void {
    this.#rpc = null;
    this.#unanswered = 0;
    for (const entry of [...this.#entries.values()]) {
      if (!entry.body && !entry.plan) {
        this.#fail(entry, error);
        continue;
      }
      this.#release(entry);
      entry.posted = false;
      this.#waiting.add(entry);
    }
  }

  /** The link is up, or not any more: only then time passes for messages. */
  setLinkUp(up: boolean): void {
    this.#linkUp = up;
    for (const entry of this.#waiting) entry.deadline?.run(up);
  }

  /** Fails everything; whoever called it has done away with the worker. */
  failAll(error: unknown): void {
    this.#rpc = null;
    for (const entry of [...this.#entries.values()]) this.#fail(entry, error);
  }

  /** Resolves when the worker has been given everything. */
  whenHandedOver(): Promise<void> {
    if (this.#isHeld) return Promise.resolve();
    this.#handedOver ??= new Gate();
    const gate = this.#handedOver;
    this.#noticeHandedOver();
    return gate.opened;
  }

  /** Takes an event of the worker about one message. Unknown ones are of messages that were cancelled. */
  handle(event: CourseEvent): void {
    const entry = this.#entries.get(event.message);
    if (!entry) return;
    if (event.event === 'planned') {
      this.#plan(entry, event.plan);
      return;
    }
    follow(entry.handle, event, {
      receipt: entry.receipt,
      onRetransmit: (retransmit) => this.#listener.onRetransmit(retransmit),
      awaitReceipt: () => this.#release(entry),
      end: (error) => this.#end(entry, error),
      lose: ({ error, acked, total }) => this.#fail(entry, fromWire(error), acked, total),
    });
  }

  /** Gives the worker what it has room for, a part in each task. */
  #handOver(): void {
    const rpc = this.#rpc;
    if (!rpc || this.#isResting || this.#isHeld) return;
    let [count, copied] = [0, 0];
    for (const entry of this.#waiting) {
      if (!this.#hasRoomFor(entry)) return;
      const content = entry.plan ?? entry.body;
      // What is kept here is copied on its way: much of it in several tasks, and Blobs are read by the browser.
      if (content instanceof Uint8Array) copied += Math.min(content.byteLength, limits.copiedBytes);
      if (++count > limits.eventsAtOnce || copied > limits.copiedBytes) {
        this.#rest();
        return;
      }
      this.#waiting.delete(entry);
      this.#keep(entry);
      this.#bytes += entry.bytes;
      this.#count++;
      this.#unanswered++;
      entry.handedOver = true;
      if (entry.plan) void this.#readAndPost(rpc, entry, copyOf(entry.plan));
      else if (entry.body instanceof Blob) void this.#readAndPost(rpc, entry, readBlob(entry.body));
      else if (entry.body) this.#post(rpc, entry, entry.body, false);
    }
    this.#noticeHandedOver();
  }

  #rest(): void {
    this.#isResting = true;
    void nextTask().then(() => {
      this.#isResting = false;
      this.#handOver();
    });
  }

  #keep(entry: Entry): void {
    if (entry.kept) return;
    entry.kept = true;
    this.#kept += entry.bytes;
  }

  #forgetKept(entry: Entry): void {
    if (entry.kept) this.#kept -= entry.bytes;
    entry.kept = false;
  }

  /** From now on some of it may have left. */
  #plan(entry: Entry, plan: Uint8Array): void {
    entry.body = null;
    if (entry.settings.reliable) entry.plan = plan;
    else this.#forgetKept(entry);
    this.#rpc?.notify({ op: 'kept', message: entry.number });
    this.#handOver();
  }

  #hasRoomFor(entry: Entry): boolean {
    const keeps = !entry.kept && this.#kept > 0;
    if (keeps && this.#kept + entry.bytes > limits.keptBodiesBytes) return false;
    return (
      this.#bytes + entry.bytes <= limits.queueBytes &&
      this.#count < limits.queueMessages &&
      this.#unanswered < limits.unansweredMessages
    );
  }

  async #readAndPost(rpc: Rpc, entry: Entry, reading: Promise<Uint8Array>): Promise<void> {
    let body: Uint8Array;
    try {
      body = await reading;
    } catch (error) {
      this.#fail(entry, error);
      return;
    }
    if (this.#rpc !== rpc) return;
    if (this.#entries.has(entry.number)) this.#post(rpc, entry, body, true);
    else this.#answered();
  }

  /** `moves`: the bytes are not needed here any more. */
  #post(rpc: Rpc, entry: Entry, body: Uint8Array, moves: boolean): void {
    const { number: message, to, wire, watched } = entry;
    const options = { ...entry.settings, watched };
    // What it has waited here does not count once more.
    if (entry.deadline) options.timeoutMs = entry.deadline.stop();
    entry.deadline = null;
    entry.posted = true;
    const transfer = moves ? [body.buffer as ArrayBuffer] : [];
    const begun = entry.plan !== null;
    const planned = !begun && entry.settings.receipt !== true;
    rpc.request('send', { message, to, wire, body, planned, begun, options }, transfer).then(
      ({ receipt }) => {
        if (this.#rpc !== rpc) return;
        entry.receipt = receipt;
        entry.handle.reachQueued();
        this.#answered();
      },
      (error: unknown) => {
        // A worker that is gone answers nothing; what becomes of its messages is settled by then.
        if (this.#rpc !== rpc) return;
        this.#fail(entry, error);
        this.#answered();
      },
    );
  }

  #answered(): void {
    this.#unanswered--;
    this.#handOver();
  }

  #cancel(entry: Entry, reason: unknown): void {
    if (!this.#entries.has(entry.number)) return;
    // Whether the worker still knew the message makes no difference here.
    if (entry.posted) this.#rpc?.request('cancel', { message: entry.number }).catch(() => {});
    this.#fail(entry, reason);
  }

  #watch(entry: Entry, watched: boolean): void {
    entry.watched = watched;
    if (entry.posted) this.#rpc?.notify({ op: 'watch', message: entry.number, watched });
  }

  /** A delivered message is done with, and the receipt that did not come is no failure of the message. */
  #end(entry: Entry, error?: unknown): void {
    this.#remove(entry);
    entry.handle.failReceived(error);
  }

  #fail(entry: Entry, error: unknown, fragmentsAcked = 0, fragmentsTotal = 0): void {
    if (!this.#entries.has(entry.number)) return;
    this.#remove(entry);
    // All of them can fail at once.
    this.#jobs.do(() => {
      const { handle, to } = entry;
      if (handle.isDelivered) {
        handle.failReceived(error);
        return;
      }
      handle.fail(error);
      const undelivered = { id: handle.id, error, fragmentsAcked, fragmentsTotal };
      // In a microtask: a listener is never called before the `send` that failed has returned.
      queueMicrotask(() => this.#listener.onUndelivered(undelivered, to));
    });
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.number);
    this.#waiting.delete(entry);
    this.#forgetKept(entry);
    entry.deadline?.stop();
    this.#release(entry);
    entry.signal?.removeEventListener('abort', entry.onAbort);
    this.#handOver();
  }

  /** The worker's queue does not hold it any more. */
  #release(entry: Entry): void {
    if (!entry.handedOver) return;
    entry.handedOver = false;
    this.#bytes -= entry.bytes;
    this.#count--;
    this.#handOver();
  }

  #noticeHandedOver(): void {
    if (this.#waiting.size > 0) return;
    this.#handedOver?.open();
    this.#handedOver = null;
  }
}

/** A deadline that stands still while the link is down. */
class LinkTimer {
  #left: number;
  #since = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #late: () => void;

  constructor(ms: number, late: () => void) {
    this.#left = ms;
    this.#late = late;
  }

  /** Goes on, or stands still. */
  run(on: boolean): void {
    this.stop();
    if (!on) return;
    this.#since = performance.now();
    // What is longer than timers can be is looked at again by then.
    const ms = Math.min(this.#left, limits.timeoutMs);
    this.#timer = setTimeout(() => (this.stop() <= 1 ? this.#late() : this.run(true)), ms);
  }

  /** Stands still. Answers how many whole milliseconds are left, at least 1. */
  stop(): number {
    if (this.#timer !== undefined) this.#left -= performance.now() - this.#since;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return Math.max(1, Math.ceil(this.#left));
  }
}
