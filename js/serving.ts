import { answering } from './answering.js';
import { copyOf, owned, toBody } from './body.js';
import { MixError, mixError } from './errors.js';
import { limits } from './limits.js';
import type { WorkerEvent } from './protocol.js';
import { Recent } from './recent.js';
import type { Rpc } from './rpc.js';
import type { ReceivedMessage, RequestHandler } from './types.js';
import { Gate } from './wait.js';

type RequestEvent = Extract<WorkerEvent, { event: 'request' }>;

/** What serving asks of its client. */
export interface ServingOwner {
  received(event: RequestEvent): ReceivedMessage;
  /** An answer of a handler that will not arrive. */
  onLost(id: string, to: string, error: unknown): void;
}

/** The handlers for requests of others, one for each service. */
export class Serving {
  readonly #owner: ServingOwner;
  readonly #handlers = new Map<string, RequestHandler>();
  #rpc: Rpc | null = null;
  /** Aborted when the client closes. */
  #life = new AbortController();
  #room = new Gate();
  /** What was asked, by the numbers of the requests, oldest first: an answer can be lost long after it was given. */
  readonly #asked = new Recent<number, { id: string; to: string }>(limits.answers);

  constructor(owner: ServingOwner) {
    this.#owner = owner;
  }

  /** Throws `MixError` `config-invalid` when the service is served already. */
  serve(service: string, handler: RequestHandler): { close(): void } {
    if (this.#handlers.has(service)) {
      throw mixError('config-invalid', `The service "${service}" is served already. Close that handler first.`);
    }
    this.#handlers.set(service, handler);
    if (this.#rpc) announce(this.#rpc, service);
    return {
      close: () => {
        if (this.#handlers.get(service) !== handler) return;
        this.#handlers.delete(service);
        this.#rpc?.request('unserve', { service }).catch(ignore);
      },
    };
  }

  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    this.#life = new AbortController();
    for (const service of this.#handlers.keys()) announce(rpc, service);
  }

  /** The client is closed: handlers are told, and what they answer goes nowhere. */
  end(reason: unknown): void {
    this.#rpc = null;
    this.#asked.clear();
    this.#life.abort(reason);
    this.#room.open();
  }

  /** The worker has room again. */
  hasRoom(): void {
    this.#room.open();
    this.#room = new Gate();
  }

  /** An answer that was given will not arrive. */
  lost(request: number, error: unknown): void {
    const { id = '', to = '' } = this.#asked.get(request) ?? {};
    this.#asked.delete(request);
    this.#owner.onLost(id, to, error);
  }

  async handle(event: RequestEvent): Promise<void> {
    const rpc = this.#rpc;
    if (!rpc) return;
    const message = this.#owner.received(event);
    this.#asked.set(event.request, { id: message.id, to: event.tag ?? event.address ?? '' });
    const { signal } = this.#life;
    let body: Uint8Array | undefined;
    try {
      const handler = this.#handlers.get(event.service);
      if (handler) body = await bytesOf(await handler(message, { signal }));
    } catch {
      // The peer is told that it failed, and not why: the text may hold what it should not know.
    }
    await this.#respond(rpc, event, body).catch((error: unknown) => {
      if (this.#rpc === rpc) this.lost(event.request, error);
    });
  }

  async #respond(rpc: Rpc, event: RequestEvent, answer: Uint8Array | undefined): Promise<void> {
    const { request } = event;
    let body = answer;
    while (this.#rpc === rpc) {
      const room = this.#room;
      // It may have to be given once more. What is small is copied on its way.
      const large = body && body.byteLength > limits.copiedBytes ? body : null;
      const spare = large ? await copyOf(large) : body;
      try {
        await rpc.request('respond', { request, body, options: answering }, large ? [large.buffer as ArrayBuffer] : []);
        return;
      } catch (error) {
        if (!(error instanceof MixError) || error.code !== 'queue-full') throw error;
        await room.opened;
        body = spare;
      }
    }
  }
}

function announce(rpc: Rpc, service: string): void {
  // It can only fail by the end of the session, which is told anyway.
  rpc.request('serve', { service }).catch(ignore);
}

async function bytesOf(data: Awaited<ReturnType<RequestHandler>>): Promise<Uint8Array> {
  const body = toBody(data);
  if (body === 'too-large') throw mixError('too-large');
  const ours = owned(body);
  return ours instanceof Blob ? new Uint8Array(await ours.arrayBuffer()) : ours;
}

const ignore = (): void => {};
