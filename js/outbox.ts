import { lasting, readBlob } from './body.js';
import { fromWire, mixError } from './errors.js';
import { fromHex, toHex } from './hex.js';
import { limits } from './limits.js';
import type { OutboxData, SendSettings, WorkerEvent } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Handle } from './sent.js';
import { nextTask } from './tasks.js';
import type { CallOptions, MixAddress, Outbox, OutboxEntry, Retransmit, SentMessage, Undelivered } from './types.js';
import { bounded } from './wait.js';

interface Entry {
  readonly id: string;
  readonly key: Uint8Array;
  readonly handle: Handle;
  readonly to: string;
  /** Until it is in the store. */
  letter: Letter | null;
  /** The worker was given it, and has not answered. */
  posted: boolean;
  /** What events name it by. */
  number: number | null;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

interface Letter {
  body: Uint8Array | Blob;
  wire: Uint8Array;
  expiresAt: number;
  options: SendSettings;
}

/** What the outbox asks of its client. */
export interface OutboxOwner {
  /** The worker. Throws `not-connected` or `closed`. */
  rpc(): Rpc;
  /** Throws where options of a call are wrong. */
  bounds(name: string, options: CallOptions): Parameters<typeof bounded>[1];
  onUndelivered(undelivered: Undelivered, to: string): void;
  onRetransmit(retransmit: Retransmit): void;
}

type MessageEvent = Extract<WorkerEvent, { message: number }>;

/**
 * Messages that are in the store until they have arrived. The store has them, the worker sends them, and here are the
 * handles: those of this page, and those it asked for.
 */
export class PersistedMessages implements Outbox {
  readonly #owner: OutboxOwner;
  readonly #entries = new Map<string, Entry>();
  readonly #byNumber = new Map<number, Entry>();
  #rpc: Rpc | null = null;
  #isPosting = false;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
  }

  send(
    to: string,
    body: Uint8Array | Blob,
    settings: Omit<SendSettings, 'watched'>,
    signal: AbortSignal | undefined,
  ): SentMessage {
    const { timeoutMs } = settings;
    const ends = timeoutMs === 0 ? 0 : Date.now() + (timeoutMs ?? limits.persistMs);
    const letter = {
      body: lasting(body),
      wire: crypto.getRandomValues(new Uint8Array(16)),
      expiresAt: Math.ceil(ends / 1000),
      options: { ...settings, watched: false },
    };
    const entry = this.#add(crypto.getRandomValues(new Uint8Array(16)), to, letter, signal);
    void this.#post();
    return entry.handle;
  }

  async list(options: CallOptions = {}): Promise<OutboxEntry[]> {
    const listed = await this.#list(this.#owner.bounds('outbox.list', options));
    return listed
      .filter(({ state }) => state !== 'writing')
      .map(({ id, to, bytes, createdAt, expiresAt, acked, total, state }) => ({
        id,
        to: to as MixAddress,
        bytes,
        createdAt: new Date(createdAt * 1000),
        expiresAt: expiresAt === 0 ? null : new Date(expiresAt * 1000),
        fragmentsAcked: acked,
        fragmentsTotal: total,
        state: state as OutboxEntry['state'],
      }));
  }

  async find(id: string, options: CallOptions = {}): Promise<SentMessage | null> {
    const known = this.#entries.get(id);
    if (known) return known.handle;
    const found = (await this.#list(this.#owner.bounds('outbox.find', options))).find((listed) => listed.id === id);
    if (!found) return null;
    const entry = this.#entries.get(id) ?? this.#add(fromHex(id), found.to, null, undefined);
    this.#stored(entry, found.message);
    this.#tell(entry, found);
    return entry.handle;
  }

  async cancel(id: string, reason: unknown = cancelled()): Promise<void> {
    const rpc = this.#owner.rpc();
    const known = this.#entries.get(id);
    if (known) {
      this.#cancel(known, reason);
      return;
    }
    const found = (await rpc.request('outbox', {})).find((listed) => listed.id === id);
    if (found) await rpc.request('cancel', { message: found.message });
  }

  /** From now on this worker has the messages. */
  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    if (this.#entries.size === 0) return;
    // Asked before anything else, so that no event about them comes first.
    rpc.request('outbox', {}).then(
      (listed) => {
        if (this.#rpc === rpc) this.#meet(listed);
      },
      () => {},
    );
  }

  /** The worker is gone; the next one finds in the store what this one has. */
  detach(): void {
    this.#rpc = null;
    for (const entry of this.#entries.values()) entry.posted = false;
  }

  /** The client is closed. What is in the store stays there. */
  failAll(error: unknown): void {
    this.#rpc = null;
    for (const entry of [...this.#entries.values()]) this.#end(entry, error);
  }

  handle(event: MessageEvent): void {
    const entry = this.#byNumber.get(event.message);
    if (!entry) return;
    switch (event.event) {
      case 'sent':
        entry.handle.reachSent();
        break;
      case 'fragments': {
        const { sent, acked, total, retransmissions } = event;
        const progress = { fragmentsSent: sent, fragmentsAcked: acked, fragmentsTotal: total, retransmissions };
        const fragments = entry.handle.advance(progress);
        if (fragments > 0) this.#owner.onRetransmit({ id: entry.id, fragments, retransmissions });
        break;
      }
      case 'delivered': {
        const { roundTripMs, retransmissions } = event;
        entry.handle.reachDelivered({ at: new Date(), roundTripMs, retransmissions });
        if (!event.receipt) this.#end(entry);
        break;
      }
      case 'receipted':
        entry.handle.reachReceived(event.roundTripMs);
        this.#end(entry);
        break;
      case 'notReceipted':
        this.#end(entry, fromWire(event.error));
        break;
      case 'undelivered':
        // A worker that is closed leaves it in the store.
        if (event.error.code !== 'closed-before-delivery' && event.error.code !== 'closed') {
          this.#lose(entry, fromWire(event.error), event.acked, event.total);
        }
        break;
    }
  }

  #add(key: Uint8Array, to: string, letter: Letter | null, signal: AbortSignal | undefined): Entry {
    const id = toHex(key);
    const entry: Entry = {
      id,
      key,
      handle: new Handle(id, { cancel: (reason) => this.#cancel(entry, reason), watch: () => {} }),
      to,
      letter,
      posted: false,
      number: null,
      signal,
      onAbort: () => this.#cancel(entry, signal?.reason),
    };
    this.#entries.set(id, entry);
    signal?.addEventListener('abort', entry.onAbort, { once: true });
    return entry;
  }

  async #list(bounds: Parameters<typeof bounded>[1]): Promise<OutboxData[]> {
    return bounded(this.#owner.rpc().request('outbox', {}), bounds);
  }

  /** What the store has, where another worker has taken over. */
  #meet(listed: OutboxData[]): void {
    const stored = new Map(listed.map((data) => [data.id, data]));
    for (const entry of [...this.#entries.values()]) {
      const data = stored.get(entry.id);
      if (data) {
        this.#stored(entry, data.message);
        this.#tell(entry, data);
      } else if (!entry.letter) {
        // It ended with the worker, and nobody was left to say how.
        this.#lose(entry, mixError('worker-crashed'));
      }
    }
    void this.#post();
  }

  #stored(entry: Entry, number: number): void {
    entry.letter = null;
    entry.number = number;
    this.#byNumber.set(number, entry);
    entry.handle.reachQueued();
  }

  #tell({ handle }: Entry, { acked, total, state }: OutboxData): void {
    if (total > 0) {
      handle.advance({ fragmentsSent: acked, fragmentsAcked: acked, fragmentsTotal: total, retransmissions: 0 });
    }
    if (state === 'delivered') handle.reachDelivered({ at: new Date(), roundTripMs: 0, retransmissions: 0 });
  }

  /** Gives the worker what it does not have, a part in each task. */
  async #post(): Promise<void> {
    if (this.#isPosting) return;
    this.#isPosting = true;
    let [count, copied] = [0, 0];
    for (;;) {
      const rpc = this.#rpc;
      const entry = [...this.#entries.values()].find(({ letter, posted }) => letter && !posted);
      if (!rpc || !entry?.letter) break;
      entry.posted = true;
      const { body } = entry.letter;
      if (body instanceof Uint8Array) copied += body.byteLength;
      if (++count > limits.eventsAtOnce || copied > limits.copiedBytes) {
        await nextTask();
        [count, copied] = [1, body instanceof Uint8Array ? body.byteLength : 0];
      }
      try {
        const bytes = body instanceof Blob ? await readBlob(body) : body;
        if (this.#rpc === rpc) this.#persist(rpc, entry, bytes, body instanceof Blob);
      } catch (error) {
        this.#lose(entry, error);
      }
    }
    this.#isPosting = false;
  }

  #persist(rpc: Rpc, entry: Entry, body: Uint8Array, moves: boolean): void {
    const { key, to, letter } = entry;
    if (!letter || !this.#entries.has(entry.id)) return;
    const { wire, expiresAt, options } = letter;
    const transfer = moves ? [body.buffer as ArrayBuffer] : [];
    rpc.request('persist', { message: 0, key, expiresAt, to, wire, body, options }, transfer).then(
      ({ message }) => {
        if (this.#rpc !== rpc) return;
        // It was cancelled meanwhile.
        if (!this.#entries.has(entry.id)) rpc.request('cancel', { message }).catch(() => {});
        else this.#stored(entry, message);
      },
      (error: unknown) => {
        if (this.#rpc === rpc) this.#lose(entry, error);
      },
    );
  }

  #cancel(entry: Entry, reason: unknown): void {
    if (!this.#entries.has(entry.id)) return;
    if (entry.number !== null) this.#rpc?.request('cancel', { message: entry.number }).catch(() => {});
    this.#lose(entry, reason);
  }

  #lose(entry: Entry, error: unknown, fragmentsAcked = 0, fragmentsTotal = 0): void {
    const { handle, id, to } = entry;
    if (!this.#entries.has(id)) return;
    const wasDelivered = handle.isDelivered;
    this.#end(entry, error);
    if (wasDelivered) return;
    queueMicrotask(() => this.#owner.onUndelivered({ id, error, fragmentsAcked, fragmentsTotal }, to));
  }

  /** Nothing more comes of it. */
  #end(entry: Entry, error?: unknown): void {
    this.#entries.delete(entry.id);
    if (entry.number !== null) this.#byNumber.delete(entry.number);
    entry.letter = null;
    entry.signal?.removeEventListener('abort', entry.onAbort);
    if (entry.handle.isDelivered) entry.handle.failReceived(error);
    else entry.handle.fail(error);
  }
}

const cancelled = () => new DOMException('The message was cancelled.', 'AbortError');
