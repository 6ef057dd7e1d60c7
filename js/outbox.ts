import { copyOf, lasting, readBlob } from './body.js';
import { MixError, fromWire, mixError } from './errors.js';
import { fromHex, toHex } from './hex.js';
import { limits } from './limits.js';
import type { Errand, ErrandAnswer, Letter, OutboxData, SendSettings } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Handle, follow } from './sent.js';
import type { CourseEvent } from './sent.js';
import { nextTask } from './tasks.js';
import type { CallOptions, MixAddress, Outbox, OutboxEntry, Retransmit, SentMessage, Undelivered } from './types.js';
import { bounded } from './wait.js';

interface Entry {
  readonly id: string;
  readonly key: Uint8Array;
  readonly handle: Handle;
  readonly to: string;
  /** Until it is in the store. */
  draft: Draft | null;
  /** A worker was given it, and has not answered. */
  posted: boolean;
  /** No worker has had it yet: it is for the next one, and what ends with this one does not end it. */
  isEarly: boolean;
  /** What events name it by. */
  number: number | null;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

interface Draft {
  body: Uint8Array | Blob;
  wire: Uint8Array;
  expiresAt: number;
  options: SendSettings;
}

/** What the outbox asks of its client. */
export interface OutboxOwner {
  /** Neither connected, nor connecting or closing: the store is nobody's. */
  isAway(): boolean;
  /** Resolves when the client neither connects nor closes. Rejects `not-connected` between two workers. */
  settled(): Promise<void>;
  /** Does something with the store that is nobody's. */
  errand(task: Errand, alone: boolean): Promise<ErrandAnswer>;
  /** Throws where options of a call are wrong. */
  bounds(name: string, options: CallOptions): Parameters<typeof bounded>[1];
  onUndelivered(undelivered: Undelivered, to: string): void;
  onRetransmit(retransmit: Retransmit): void;
}

/**
 * Messages that are in the store until they have arrived. The store has them, the worker sends them, and here are the
 * handles: those of this page, and those it asked for. Where there is no worker the store is opened for each call.
 */
export class PersistedMessages implements Outbox {
  readonly #owner: OutboxOwner;
  readonly #entries = new Map<string, Entry>();
  readonly #byNumber = new Map<number, Entry>();
  /** Keys of those that were cancelled between two workers. */
  readonly #unwanted = new Set<string>();
  #rpc: Rpc | null = null;
  #isPosting = false;
  #isStoring = false;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
  }

  /** `isEarly`: the client is not connected, nor on its way there. */
  send(
    to: string,
    body: Uint8Array | Blob,
    settings: Omit<SendSettings, 'watched'>,
    signal: AbortSignal | undefined,
    isEarly: boolean,
  ): SentMessage {
    const { timeoutMs } = settings;
    const ends = timeoutMs === 0 ? 0 : Date.now() + (timeoutMs ?? limits.persistMs);
    const draft = {
      body: lasting(body),
      wire: crypto.getRandomValues(new Uint8Array(16)),
      expiresAt: Math.ceil(ends / 1000),
      options: { ...settings, watched: false },
    };
    const entry = this.#add(crypto.getRandomValues(new Uint8Array(16)), to, draft, signal);
    entry.isEarly = isEarly;
    void (this.#rpc && !isEarly ? this.#post() : this.#store());
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
    entry.isEarly = this.#owner.isAway();
    this.#stored(entry, found.message);
    this.#tell(entry, found);
    return entry.handle;
  }

  async cancel(id: string, reason: unknown = cancelled()): Promise<void> {
    const known = this.#entries.get(id);
    await (known ? this.#cancel(known, reason) : this.#forget(id));
  }

  /** From now on this worker has the messages. */
  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    if (this.#entries.size === 0 && this.#unwanted.size === 0) return;
    for (const entry of this.#entries.values()) entry.isEarly = false;
    // Asked before anything else, so that no event about them comes first.
    rpc.request('outbox', {}).then(
      (listed) => {
        if (this.#rpc === rpc) this.#meet(listed);
      },
      () => {},
    );
  }

  /** Connecting has failed: all wait for the next time, in the store, unless that is what failed. */
  park(error: unknown): void {
    this.#rpc = null;
    const isStorage = error instanceof MixError && error.phase === 'storage';
    for (const entry of [...this.#entries.values()]) {
      entry.isEarly = true;
      if (isStorage && entry.draft) this.#lose(entry, error);
    }
    this.#forgetUnwanted();
    void this.#store();
  }

  /** The worker is gone; the next one finds in the store what this one has. */
  detach(): void {
    this.#rpc = null;
    for (const entry of this.#entries.values()) entry.posted = false;
  }

  /** The client is closed. What is in the store stays there. `isGone`: the store is going too. */
  failAll(error: unknown, isGone = false): void {
    this.#rpc = null;
    for (const entry of [...this.#entries.values()]) if (isGone || !entry.isEarly) this.#end(entry, error);
    this.#forgetUnwanted();
  }

  handle(event: CourseEvent): void {
    const entry = this.#byNumber.get(event.message);
    if (!entry || event.event === 'planned') return;
    follow(entry.handle, event, {
      onRetransmit: (retransmit) => this.#owner.onRetransmit(retransmit),
      end: (error) => this.#end(entry, error),
      lose: ({ error, acked, total }) => {
        // A worker that is closed leaves it in the store.
        if (error.code === 'closed-before-delivery' || error.code === 'closed') return;
        this.#lose(entry, fromWire(error), acked, total);
      },
    });
  }

  #add(key: Uint8Array, to: string, draft: Draft | null, signal: AbortSignal | undefined): Entry {
    const id = toHex(key);
    const entry: Entry = {
      id,
      key,
      handle: new Handle(id, { cancel: (reason) => void this.#cancel(entry, reason), watch: () => {} }),
      to,
      draft,
      posted: false,
      isEarly: false,
      number: null,
      signal,
      onAbort: () => void this.#cancel(entry, signal?.reason),
    };
    this.#entries.set(id, entry);
    signal?.addEventListener('abort', entry.onAbort, { once: true });
    return entry;
  }

  #list(bounds: Parameters<typeof bounded>[1]): Promise<OutboxData[]> {
    return bounded(this.#look(), bounds);
  }

  async #look(): Promise<OutboxData[]> {
    await this.#owner.settled();
    if (this.#rpc) return this.#rpc.request('outbox', {});
    const { outbox = [] } = await this.#owner.errand({ task: 'outbox', letters: [], cancelled: [] }, false);
    return outbox;
  }

  /** What the store has, where another worker has taken over. */
  #meet(listed: OutboxData[]): void {
    const stored = new Map(listed.map((data) => [data.id, data]));
    for (const id of this.#unwanted) {
      const message = stored.get(id)?.message;
      if (message !== undefined) this.#rpc?.request('cancel', { message }).catch(() => {});
    }
    this.#unwanted.clear();
    for (const entry of [...this.#entries.values()]) {
      const data = stored.get(entry.id);
      if (data) {
        this.#stored(entry, data.message);
        this.#tell(entry, data);
      } else if (!entry.draft) {
        // It ended with the worker, and nobody was left to say how.
        this.#lose(entry, mixError('worker-crashed'));
      }
    }
    void this.#post();
  }

  #stored(entry: Entry, number: number): void {
    entry.draft = null;
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
      const entry = [...this.#entries.values()].find(({ draft, posted, isEarly }) => draft && !posted && !isEarly);
      if (!rpc || !entry?.draft) break;
      entry.posted = true;
      const { body } = entry.draft;
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
    const letter = this.#letter(entry, body);
    if (!letter) return;
    rpc.request('persist', letter, moves ? [body.buffer as ArrayBuffer] : []).then(
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

  #letter({ id, key, to, draft }: Entry, body: Uint8Array): Letter | null {
    if (!draft || !this.#entries.has(id)) return null;
    const { wire, expiresAt, options } = draft;
    return { message: 0, key, expiresAt, to, wire, body, options };
  }

  /** Puts into the store that is nobody's what is to be there, in parts. */
  async #store(): Promise<void> {
    if (this.#isStoring) return;
    this.#isStoring = true;
    for (;;) {
      // A worker that is there, or comes, takes them itself.
      const isSettled = await this.#owner.settled().then(
        () => true,
        () => false,
      );
      if (!isSettled || !this.#owner.isAway()) break;
      const part = this.#nextPart();
      if (part.length === 0) break;
      const letters: Letter[] = [];
      for (const entry of part) {
        const body = entry.draft?.body;
        try {
          const bytes = body && (await (body instanceof Blob ? readBlob(body) : copyOf(body)));
          const letter = bytes && this.#letter(entry, bytes);
          if (letter) letters.push(letter);
        } catch (error) {
          this.#lose(entry, error);
        }
      }
      if (this.#owner.isAway()) await this.#storePart(part, letters);
      for (const entry of part) entry.posted = false;
    }
    this.#isStoring = false;
  }

  #nextPart(): Entry[] {
    const part: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (!entry.draft || entry.posted) continue;
      const { body } = entry.draft;
      bytes += body instanceof Blob ? body.size : body.byteLength;
      if (part.length > 0 && (part.length === limits.eventsAtOnce || bytes > limits.copiedBytes)) break;
      entry.posted = true;
      part.push(entry);
    }
    return part;
  }

  async #storePart(part: Entry[], letters: Letter[]): Promise<void> {
    try {
      const { outbox = [], refused = [] } = await this.#owner.errand({ task: 'outbox', letters, cancelled: [] }, true);
      const numbers = new Map(outbox.map(({ id, message }) => [id, message]));
      const reasons = new Map(refused.map(({ id, error }) => [id, error]));
      for (const entry of part) {
        const [number, reason] = [numbers.get(entry.id), reasons.get(entry.id)];
        if (!this.#entries.has(entry.id)) continue;
        if (number !== undefined) this.#stored(entry, number);
        else this.#lose(entry, reason ? fromWire(reason) : mixError('worker-crashed'));
      }
    } catch (error) {
      for (const entry of part) this.#lose(entry, error);
    }
  }

  async #cancel(entry: Entry, reason: unknown): Promise<void> {
    const { id, number, posted } = entry;
    if (!this.#entries.has(id)) return;
    this.#lose(entry, reason);
    if (this.#rpc) {
      // Without a number: it is forgotten as soon as the worker says which it has.
      if (number !== null) await this.#rpc.request('cancel', { message: number }).catch(() => {});
    } else if (!this.#owner.isAway()) {
      this.#unwanted.add(id);
    } else if (number !== null || posted) {
      await this.#forget(id).catch(() => {});
    }
  }

  #forgetUnwanted(): void {
    for (const id of this.#unwanted) this.#forget(id).catch(() => {});
    this.#unwanted.clear();
  }

  /** Takes a message out of the store; one that is not there is fine. */
  async #forget(id: string): Promise<void> {
    await this.#owner.settled();
    const rpc = this.#rpc;
    if (rpc) {
      const found = (await rpc.request('outbox', {})).find((listed) => listed.id === id);
      if (found) await rpc.request('cancel', { message: found.message });
    } else if (isKey(id)) {
      await this.#owner.errand({ task: 'outbox', letters: [], cancelled: [fromHex(id)] }, true);
    }
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
    entry.draft = null;
    entry.signal?.removeEventListener('abort', entry.onAbort);
    if (entry.handle.isDelivered) entry.handle.failReceived(error);
    else entry.handle.fail(error);
  }
}

const isKey = (id: string) => /^[0-9a-f]{32}$/.test(id);

const cancelled = () => new DOMException('The message was cancelled.', 'AbortError');
