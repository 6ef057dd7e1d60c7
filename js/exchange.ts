import { isAddress, isReplyTag } from './address.js';
import { toBody } from './body.js';
import { fromWire, mixError } from './errors.js';
import { limits } from './limits.js';
import {
  checkFunction,
  checkKeys,
  checkRequestOptions,
  checkService,
  checkSignal,
  checkStreamOptions,
  checkTimeout,
} from './options.js';
import type { ClientState, Sender, WorkerEvent } from './protocol.js';
import { Recent } from './recent.js';
import { Requests } from './requests.js';
import type { Rpc } from './rpc.js';
import { Serving } from './serving.js';
import { Streams } from './streams.js';
import type {
  Late,
  ListenOptions,
  MixAddress,
  MixData,
  MixStream,
  PeerInfo,
  ProbeOptions,
  ReceivedMessage,
  ReplyTag,
  RequestHandler,
  RequestOptions,
  ServeOptions,
  StreamOptions,
} from './types.js';
import { Gate, bounded } from './wait.js';

/** What the exchange asks of its client. */
export interface ExchangeOwner {
  state(): ClientState;
  /** Makes a message for the application. */
  received(body: Uint8Array, sender: Sender): ReceivedMessage;
  onLate(late: Late): void;
  /** An answer of a handler will not arrive. */
  onAnswerLost(id: string, to: string, error: unknown): void;
}

type Events<E> = WorkerEvent extends infer W ? (W extends { event: E } ? W : never) : never;
type ExchangeEvent = Events<
  | 'response'
  | 'requestFailed'
  | 'late'
  | 'request'
  | 'responseLost'
  | 'peer'
  | 'streamReady'
  | 'streamFailed'
  | 'streamOpened'
  | 'streamData'
  | 'streamRoom'
  | 'streamClosed'
>;

/** What mixlet peers say to each other beside messages: requests and their answers, streams, and who speaks mixlet. */
export class Exchange {
  readonly #owner: ExchangeOwner;
  readonly #requests: Requests;
  readonly #serving: Serving;
  readonly #streams = new Streams();
  readonly #peers = new Recent<string, PeerInfo>(limits.watchedTags);
  #rpc: Rpc | null = null;
  /** Opened when there is a worker, or none any more. */
  #attached = new Gate();

  constructor(owner: ExchangeOwner) {
    this.#owner = owner;
    this.#requests = new Requests({ received: (answer) => owner.received(answer.body, answer) });
    this.#serving = new Serving({
      received: (event) => owner.received(event.body, event),
      onLost: (id, to, error) => owner.onAnswerLost(id, to, error),
    });
  }

  request(to: string, data: MixData, options: RequestOptions): Promise<ReceivedMessage> {
    checkRecipientType('request', to);
    const body = toBody(data);
    try {
      const { signal, timeoutMs, settings } = checkRequestOptions(options, body === 'too-large' ? 0 : sizeOf(body));
      this.#check(to, signal);
      if (body === 'too-large') throw mixError('too-large');
      return this.#requests.ask({ to, body, bytes: sizeOf(body), timeoutMs, settings, signal });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async probe(to: string, options: ProbeOptions): Promise<void> {
    checkRecipientType('probe', to);
    checkKeys('probe', options, ['signal', 'timeoutMs']);
    const { signal, timeoutMs } = options;
    const { settings } = checkRequestOptions({}, 0);
    const time = checkTimeout(timeoutMs, limits.requestTimeoutMs);
    this.#check(to, signal);
    const body = new Uint8Array();
    await this.#requests.probe({ to, body, bytes: 0, timeoutMs: time, settings, signal });
  }

  peer(to: string): PeerInfo {
    checkRecipientType('peer', to);
    return this.#peers.get(to) ?? { speaks: 'unknown', features: [] };
  }

  /** Whether a peer is known to have a feature. */
  gives(to: string, feature: PeerInfo['features'][number]): boolean {
    return this.#peers.get(to)?.features.includes(feature) ?? false;
  }

  serve(handler: RequestHandler, options: ServeOptions): { close(): void } {
    checkFunction('the handler', handler);
    checkKeys('serve', options, ['service']);
    return this.#serving.serve(checkService(options.service), handler);
  }

  async openStream(to: string, options: StreamOptions): Promise<MixStream> {
    checkRecipientType('openStream', to);
    const { service, settings, signal } = checkStreamOptions('openStream', options);
    this.#check(to, signal);
    const timeoutMs = settings.timeoutMs ?? limits.openStreamTimeoutMs;
    const late = () =>
      mixError('timeout', `The stream was not opened within ${timeoutMs / 1000} s.`, { phase: 'queue' });
    const start = performance.now();
    const rpc = await bounded(this.#worker(), { signal, timeoutMs, late });
    // 0 means no limit, so a limit that is used up must not become 0.
    const left = timeoutMs === 0 ? 0 : Math.max(1, timeoutMs - (performance.now() - start));
    return this.#streams.open(to, service, { ...settings, timeoutMs: left }, signal, rpc);
  }

  listen(options: ListenOptions): AsyncIterableIterator<MixStream> {
    const { service, settings, signal } = checkStreamOptions('listen', options);
    return this.#streams.listen(service, settings, signal, this.#owner.state() === 'closed');
  }

  /** A worker is being started: what others have asked meanwhile comes before it is connected. */
  prepare(rpc: Rpc): void {
    this.#serving.attach(rpc);
    this.#streams.attach(rpc);
  }

  /** The worker that was prepared for is connected. */
  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    this.#requests.attach(rpc);
    this.#attached.open();
  }

  /** The worker is gone, and another one takes over. Streams end with it. */
  detach(error: unknown): void {
    this.#rpc = null;
    this.#attached.open();
    this.#attached = new Gate();
    this.#requests.detach(error);
    this.#streams.failAll(error);
    this.#serving.end(error);
  }

  /** No worker will come, or the one there was is gone: what waits for it fails. */
  failAll(error: unknown): void {
    this.#rpc = null;
    this.#attached.open();
    this.#attached = new Gate();
    this.#requests.failAll(error);
    this.#streams.failAll(error);
    this.#serving.end(error);
  }

  /** The client is closed, so no stream comes any more. */
  end(): void {
    this.#streams.endListening();
  }

  /** The worker has room again. */
  hasRoom(): void {
    this.#serving.hasRoom();
  }

  handle(event: ExchangeEvent): void {
    switch (event.event) {
      case 'response':
      case 'requestFailed':
        this.#requests.handle(event);
        break;
      case 'late': {
        const message = event.body ? this.#owner.received(event.body, event) : null;
        this.#owner.onLate({ id: String(event.message), label: event.label, elapsedMs: event.elapsedMs, message });
        break;
      }
      case 'request':
        void this.#serving.handle(event);
        break;
      case 'responseLost':
        this.#serving.lost(event.request, fromWire(event.error));
        break;
      case 'peer':
        this.#heard(event);
        break;
      default:
        this.#streams.handle(event);
    }
  }

  #heard({ tag, address, speaks, features }: Events<'peer'>): void {
    const peer = tag ?? address ?? '';
    const names = FEATURES.filter((_, bit) => (features & (1 << bit)) !== 0);
    this.#peers.set(peer, { speaks, features: names, ...(speaks === 'mixlet' ? { version: 1 } : {}) });
  }

  /** Throws `MixError`, or the abort's reason. */
  #check(to: string, signal: AbortSignal | undefined): void {
    checkSignal(signal);
    const state = this.#owner.state();
    if (state === 'idle') throw mixError('not-connected');
    if (state === 'closed') throw mixError('closed');
    signal?.throwIfAborted();
    if (!isAddress(to) && !isReplyTag(to)) throw mixError('address-invalid');
  }

  /** The worker, as soon as there is one. Rejects `not-connected` when there will be none. */
  async #worker(): Promise<Rpc> {
    await this.#attached.opened;
    if (!this.#rpc) throw mixError('not-connected');
    return this.#rpc;
  }
}

function checkRecipientType(name: string, to: unknown): asserts to is MixAddress | ReplyTag {
  if (typeof to !== 'string') throw new TypeError(`${name}(): the first argument must be an address or a reply tag`);
}

const sizeOf = (body: Uint8Array | Blob) => (body instanceof Blob ? body.size : body.byteLength);

/** By their bits. */
const FEATURES = ['receipts', 'requests', 'streams'] as const;
