import { lasting, owned, readBlob } from './body.js';
import { fromWire, mixError } from './errors.js';
import { limits } from './limits.js';
import type { RequestSettings, WorkerEvent } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Jobs, nextTask } from './tasks.js';
import type { ReceivedMessage } from './types.js';

/** Who answered what. */
export type Answer = Extract<WorkerEvent, { event: 'response' | 'late' }>;

/** What the requests ask of their client. */
export interface RequestsOwner {
  /** Makes a message of an answer. */
  received(answer: Answer & { body: Uint8Array }): ReceivedMessage;
}

/** How one is asked: the time is kept by the page until the worker has it. */
export interface Question {
  to: string;
  body: Uint8Array | Blob;
  bytes: number;
  timeoutMs: number;
  settings: Omit<RequestSettings, 'timeoutMs'>;
  signal: AbortSignal | undefined;
}

interface Entry extends Question {
  readonly number: number;
  /** Its id, the same when it is asked again by another worker: the peer handles it once. */
  readonly wire: Uint8Array;
  readonly resolve: (message: ReceivedMessage) => void;
  readonly reject: (error: unknown) => void;
  readonly asked: number;
  readonly onAbort: () => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  posted: boolean;
}

/**
 * The requests of a client that have no answer yet. Those made in one turn of the event loop go to the worker together,
 * so that small ones to one peer can share packets. Each ends once: in an answer, an error, or its abort.
 */
export class Requests {
  readonly #owner: RequestsOwner;
  readonly #entries = new Map<number, Entry>();
  #waiting: Entry[] = [];
  #bytes = 0;
  #next = 1;
  #rpc: Rpc | null = null;
  #flushing = false;
  readonly #jobs = new Jobs();

  constructor(owner: RequestsOwner) {
    this.#owner = owner;
  }

  /** Rejects `queue-full`, and with what the worker says. */
  ask(question: Question): Promise<ReceivedMessage> {
    const { signal, bytes } = question;
    if (this.#entries.size >= limits.requests || this.#bytes + bytes > limits.queueBytes) {
      return Promise.reject(mixError('queue-full', requestsFullAdvice, { phase: 'queue' }));
    }
    const number = this.#next++;
    const { promise, resolve, reject } = deferred<ReceivedMessage>();
    const onAbort = () => this.#cancel(entry, signal?.reason);
    const entry: Entry = {
      ...question,
      body: question.settings.retry ? lasting(question.body) : owned(question.body),
      number,
      wire: crypto.getRandomValues(new Uint8Array(16)),
      resolve,
      reject,
      asked: performance.now(),
      onAbort,
      timer: undefined,
      posted: false,
    };
    this.#entries.set(number, entry);
    this.#bytes += bytes;
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(entry);
    if (this.#rpc) this.#flushSoon();
    else if (entry.timeoutMs > 0) entry.timer = setTimeout(() => this.#late(entry), entry.timeoutMs);
    return promise;
  }

  /** Asks whether a peer speaks mixlet. */
  probe(question: Question): Promise<ReceivedMessage> {
    return this.ask({ ...question, settings: { ...question.settings, service: PROBE } });
  }

  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    this.#flush();
  }

  /** The worker is gone, and another one takes over: those that may be are asked again. */
  detach(error: unknown): void {
    this.#rpc = null;
    for (const entry of [...this.#entries.values()]) {
      if (!entry.posted) continue;
      if (!entry.settings.retry) {
        this.#fail(entry, error);
        continue;
      }
      entry.posted = false;
      this.#waiting.push(entry);
    }
  }

  /** Fails everything; whoever called it has done away with the worker. */
  failAll(error: unknown): void {
    this.#rpc = null;
    this.#waiting = [];
    for (const entry of [...this.#entries.values()]) this.#fail(entry, error);
  }

  handle(event: Extract<WorkerEvent, { event: 'response' | 'requestFailed' }>): void {
    const entry = this.#entries.get(event.message);
    if (!entry) return;
    if (event.event === 'requestFailed') {
      this.#fail(entry, fromWire(event.error));
      return;
    }
    this.#remove(entry);
    entry.resolve(this.#owner.received(event));
  }

  #flushSoon(when: Promise<void> = Promise.resolve()): void {
    if (this.#flushing) return;
    this.#flushing = true;
    void when.then(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Posts what waits, a part in each task. Neighbours that differ in nothing but their bodies go together. */
  #flush(): void {
    const rpc = this.#rpc;
    if (!rpc) return;
    let group: Entry[] = [];
    const post = () => {
      if (group.length > 0) this.#post(rpc, group);
      group = [];
    };
    const part = this.#takePart();
    for (const entry of part) {
      const [first] = group;
      if (entry.body instanceof Blob) {
        post();
        entry.posted = true;
        void this.#readAndPost(rpc, entry, entry.body);
      } else {
        if (first && (group.length >= limits.requestsTogether || !isAlike(first, entry))) post();
        group.push(entry);
      }
    }
    post();
    if (this.#waiting.length > 0) this.#flushSoon(nextTask());
  }

  /** Takes from those that wait what one task may post. */
  #takePart(): Entry[] {
    let copied = 0;
    let end = this.#waiting.findIndex((entry, place) => {
      if (entry.settings.retry && !(entry.body instanceof Blob)) copied += entry.bytes;
      return place === limits.eventsAtOnce || copied > limits.copiedBytes;
    });
    if (end < 0) end = this.#waiting.length;
    return this.#waiting.splice(0, end);
  }

  async #readAndPost(rpc: Rpc, entry: Entry, blob: Blob): Promise<void> {
    let body: Uint8Array;
    try {
      body = await readBlob(blob);
    } catch (error) {
      this.#fail(entry, error);
      return;
    }
    if (this.#entries.has(entry.number) && this.#rpc === rpc) this.#post(rpc, [entry], body);
  }

  /** `read`: what was in the first one's Blob. */
  #post(rpc: Rpc, group: Entry[], read?: Uint8Array): void {
    const [first] = group;
    if (!first) return;
    for (const entry of group) {
      clearTimeout(entry.timer);
      entry.posted = true;
    }
    // Whole milliseconds less than was spent already; 0 would mean none.
    const left = first.timeoutMs && Math.max(1, first.timeoutMs - (performance.now() - first.asked));
    const { service } = first.settings;
    const options = { ...first.settings, timeoutMs: left, service: service === PROBE ? '' : service };
    const items = group.map(({ number: message, wire, body }) => ({
      message,
      wire,
      body: read ?? (body as Uint8Array),
    }));
    // Copied where they may have to be asked again; those are small, or were read from a Blob.
    const transfer = read || !first.settings.retry ? buffersOf(items) : [];
    const request =
      service === PROBE
        ? rpc.request('probe', { message: first.number, to: first.to, options })
        : rpc.request('request', { to: first.to, options, items }, transfer);
    request.catch((error: unknown) => {
      // A worker that is gone answers nothing; what becomes of its requests is settled by then.
      if (this.#rpc !== rpc) return;
      for (const entry of group) this.#fail(entry, error);
    });
  }

  #cancel(entry: Entry, reason: unknown): void {
    if (!this.#entries.has(entry.number)) return;
    // Whether the worker still knew it makes no difference here.
    if (entry.posted) this.#rpc?.request('cancelRequest', { message: entry.number }).catch(() => {});
    this.#fail(entry, reason);
  }

  #late(entry: Entry): void {
    this.#fail(
      entry,
      mixError('timeout', `The request did not leave within ${entry.timeoutMs / 1000} s.`, { phase: 'queue' }),
    );
  }

  #fail(entry: Entry, error: unknown): void {
    if (!this.#entries.has(entry.number)) return;
    this.#remove(entry);
    // All of them can fail at once.
    this.#jobs.do(() => entry.reject(error));
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.number);
    this.#bytes -= entry.bytes;
    if (!entry.posted) this.#waiting = this.#waiting.filter((other) => other !== entry);
    clearTimeout(entry.timer);
    entry.signal?.removeEventListener('abort', entry.onAbort);
  }
}

/** No service has this name: it is longer than one may be. */
const PROBE = 'probe'.repeat(20);

function isAlike(a: Entry, b: Entry): boolean {
  return (
    a.to === b.to &&
    a.timeoutMs === b.timeoutMs &&
    a.settings.service !== PROBE &&
    JSON.stringify(a.settings) === JSON.stringify(b.settings)
  );
}

/** Each buffer once: two bodies may share one. */
const buffersOf = (items: { body: Uint8Array }[]) => [...new Set(items.map(({ body }) => body.buffer as ArrayBuffer))];

function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const requestsFullAdvice = 'Too many requests wait for their answers. Await some of them before asking more.';
