import type { Answer, Answers, Notice, Op, Request, WireError, WorkerEvent, WorkerMessage } from './protocol.js';

/** One end of a line to the worker: a `Worker` or a `MessagePort`. */
export interface Line {
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** The fields of a request besides its number and name. */
export type Fields<O extends Op> = Omit<Extract<Request, { op: O }>, 'id' | 'op'>;

interface Waiting {
  resolve(ok: unknown): void;
  reject(error: unknown): void;
}

/**
 * Numbered requests and their answers over one line. It knows nothing of mixnets, and it has no timers: deadlines are
 * the caller's. Every request settles: by its answer, or by `end`.
 */
export class Rpc {
  readonly #line: Line;
  readonly #onEvent: (event: WorkerEvent) => void;
  readonly #toError: (error: WireError) => Error;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #end: { reason: unknown } | null = null;

  constructor(line: Line, onEvent: (event: WorkerEvent) => void, toError: (error: WireError) => Error) {
    this.#line = line;
    this.#onEvent = onEvent;
    this.#toError = toError;
  }

  /** Resolves with the answer. Rejects with the answered error, or with the reason given to `end`. */
  request<O extends Op>(op: O, fields: Fields<O>, transfer: Transferable[] = []): Promise<Answers[O]> {
    return new Promise((resolve, reject) => {
      if (this.#end) {
        reject(this.#end.reason);
        return;
      }
      const id = this.#next++;
      this.#line.postMessage({ ...fields, id, op }, transfer);
      this.#waiting.set(id, { resolve: resolve, reject });
    });
  }

  /** Posts what has no answer. */
  notify(message: Notice): void {
    if (!this.#end) this.#line.postMessage(message, []);
  }

  /** Takes one message of the worker. What belongs to no request, or comes after the end, is ignored. */
  handle(message: WorkerMessage): void {
    if (this.#end) return;
    if ('event' in message) this.#onEvent(message);
    else this.#settle(message);
  }

  /** Rejects everything open and everything to come. */
  end(reason: unknown): void {
    if (this.#end) return;
    this.#end = { reason };
    for (const waiting of this.#waiting.values()) waiting.reject(reason);
    this.#waiting.clear();
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting.reject(this.#toError(answer.error));
    else waiting.resolve(answer.ok);
  }
}
