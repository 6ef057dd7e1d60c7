import { isAddress, isReplyTag } from './address.js';
import { Attempt } from './attempt.js';
import { MixError, fromWire, mixError } from './errors.js';
import { Closing } from './closing.js';
import { Exchange } from './exchange.js';
import { Identity, inTime } from './identity.js';
import { Incoming } from './incoming.js';
import { toBody } from './body.js';
import { limits } from './limits.js';
import { Listeners } from './listeners.js';
import {
  checkBoolean,
  checkCall,
  checkClientOptions,
  checkFunction,
  checkKeys,
  checkPrivacy,
  checkSendOptions,
  checkSignal,
  checkTimeout,
} from './options.js';
import type { CheckedOptions } from './options.js';
import { Network, gatewayInfo, topologyInfo } from './network.js';
import { PersistedMessages } from './outbox.js';
import { Outgoing } from './outgoing.js';
import { PageLife } from './page-life.js';
import { privacyReport } from './privacy.js';
import { OUTBOX_MESSAGES } from './protocol.js';
import type { ClientState, GatewayData, TrafficSettings, Opened as OpenedData, WorkerEvent } from './protocol.js';
import { Session, openOptions, wasmSource } from './session.js';
import { counted, statsStream } from './stats.js';
import { missingFeatures, supportAdvice } from './support.js';
import type {
  CallOptions,
  CloseOptions,
  ConnectOptions,
  GatewayInfo,
  IdentityManager,
  ListenOptions,
  MixAddress,
  MixClientEventMap,
  MixClientOptions,
  MixData,
  MixStats,
  MixStream,
  NetworkView,
  Outbox,
  PeerInfo,
  PrivacyReport,
  ProbeOptions,
  ReceivedMessage,
  ReplyTag,
  RequestHandler,
  RequestOptions,
  SendOptions,
  SentMessage,
  ServeOptions,
  StatsOptions,
  StatsStreamOptions,
  StreamOptions,
  TrafficControl,
  Undelivered,
} from './types.js';
import { Vault, givePassphrase } from './vault.js';
import { Gate, bounded, firstOf } from './wait.js';

type Listener<K extends keyof MixClientEventMap> =
  ((this: MixClient, event: MixClientEventMap[K]) => unknown) | { handleEvent(event: MixClientEventMap[K]): unknown };

/**
 * A client of a mix network.
 *
 * Making one does nothing; `connect` starts a worker, which holds the keys and does all the work. After `close` it can
 * connect again. One profile can be connected once per browser.
 */
export class MixClient extends EventTarget {
  /** How much leaves and how long it is held; may be changed at any time. mixlet never changes it by itself. */
  readonly traffic: TrafficControl;
  /** The network as this client sees it. */
  readonly network: NetworkView = new Network(() => this.#connected().rpc);
  /** The keys behind the address, and how they are kept. */
  readonly identity: IdentityManager;
  readonly #identity: Identity;
  readonly #options: CheckedOptions;
  readonly #vault: Vault;
  readonly #outgoing = new Outgoing({
    onUndelivered: (undelivered, to) => this.#onUndelivered(undelivered, to),
    onRetransmit: (retransmit) => this.#emit('retransmit', retransmit),
  });
  /** Messages sent with `persist` that have not arrived, also those of earlier runs. */
  readonly outbox: Outbox = Object.freeze({
    list: (options?: CallOptions) => this.#persisted.list(options),
    find: (id: string, options?: CallOptions) => this.#persisted.find(id, options),
    cancel: (id: string, reason?: unknown) => this.#persisted.cancel(id, reason),
  });
  readonly #persisted = new PersistedMessages({
    isAway: () => !this.#session && !this.#attempt && !this.#closing && this.#state !== 'reconnecting',
    settled: () => this.#settled(),
    errand: async (task, alone) => (this.#options.storage === 'memory' ? {} : this.#vault.errand(task, alone)),
    bounds: (name, options) => checkCall(name, options, limits.outboxTimeoutMs),
    onUndelivered: (undelivered, to) => this.#onUndelivered(undelivered, to),
    onRetransmit: (retransmit) => this.#emit('retransmit', retransmit),
  });
  readonly #exchange = new Exchange({
    state: () => this.#state,
    received: (body, sender) => this.#incoming.message(body, 'mixlet', sender),
    onLate: (late) => this.#emit('late', late),
    onAnswerLost: (id, to, error) => this.#onUndelivered({ id, error, fragmentsAcked: 0, fragmentsTotal: 0 }, to),
  });
  readonly #listeners = new Listeners((type) => this.#onListeners(type));
  readonly #incoming: Incoming;
  #statsTimer: ReturnType<typeof setInterval> | undefined;
  #traffic: Readonly<TrafficSettings>;
  #state: ClientState = 'idle';
  /** What the worker said last, also while the page is frozen. */
  #linkState: ClientState = 'ready';
  #address: MixAddress | null = null;
  #gateway: GatewayInfo | null = null;
  #attempt: Attempt | null = null;
  #session: Session | null = null;
  #closing: Closing | null = null;
  /** The worker is being left, and another one takes over. */
  #isLeaving = false;
  /** When workers of ours died. */
  #crashes: number[] = [];
  /** Opened when waiting for the next worker is over. */
  #hurry = new Gate();
  readonly #page = new PageLife({
    onOnline: () => this.#session?.rpc.notify({ op: 'online' }),
    // The socket is closed now, so that the gateway keeps what comes.
    onPageHide: () => {
      if (this.#session) this.#collapse(this.#session, mixError('closed-before-delivery', pageHideAdvice));
    },
    onFreeze: () => {
      if (this.#session && this.#state !== 'closed') this.#setState('paused');
    },
    onResume: () => {
      if (this.#state === 'paused') this.#setState(this.#linkState);
    },
  });

  /** Throws `MixError` `config-invalid` or `network-required`. */
  constructor(options: MixClientOptions) {
    super();
    this.#options = checkClientOptions(options);
    this.#vault = new Vault(this.#options);
    this.#identity = new Identity({
      options: this.#options,
      vault: this.#vault,
      state: () => this.#state,
      address: () => this.#address,
      rpc: () => (this.#state === 'closed' ? null : (this.#session?.rpc ?? null)),
      settled: () => this.#settled(),
      apart: (task, forgetMs) => this.#apart(task, forgetMs),
      connect: (timeoutMs) => this.connect({ timeoutMs }),
      forgotten: async () => {
        await this.#close(false, 0, limits.forgetTimeoutMs);
        this.#address = null;
      },
      destroyed: () => this.#persisted.failAll(mixError('closed'), true),
      onRisk: (risk) => this.#emit('identity-at-risk', risk),
      onGone: (error) => this.#emit('error', error),
    });
    this.identity = this.#identity;
    this.#incoming = new Incoming(this.#options.inbox === 'durable', {
      onMessage: (message) => this.#emit('message', message),
      onOverflow: (overflow) => this.#emit('overflow', overflow),
      onHeard: () => {
        if (this.#options.tabs === 'share') this.#tellListening();
      },
      reply: ({ tag, address }, data, options) => {
        if (tag !== null) return this.send(tag as ReplyTag, data, options);
        if (address !== null) return this.send(address as MixAddress, data, options);
        toBody(data);
        return this.#outgoing.refuse('', mixError('no-surbs', noTagAdvice));
      },
    });
    this.#traffic = Object.freeze(checkPrivacy({}, this.#options));
    const params = () => this.#traffic;
    this.traffic = {
      get params() {
        return params();
      },
      set: (privacy, options) => this.#setTraffic(privacy, options),
    };
    // Not a method: where the engine does not know the symbol, the class would get a method called "undefined".
    if (Symbol.asyncDispose) Object.defineProperty(this, Symbol.asyncDispose, { value: () => this.close() });
  }

  /** Closes with the defaults of `close`. Exists where the engine knows the symbol. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /**
   * Whether a client with these options has what it needs here, and what is missing. `worker: false` needs no `worker`,
   * `webSocket` no `websocket`, and `storage: 'memory'` neither `indexeddb` nor `web-locks`.
   */
  static isSupported(options: Partial<MixClientOptions> = {}): { ok: boolean; missing: string[] } {
    const missing = missingFeatures(options);
    return { ok: missing.length === 0, missing };
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Where others reach this client; known from the first `connect` on, and the same ever after. */
  get address(): MixAddress | null {
    return this.#address;
  }

  /** The gateway this client is or was last linked to. */
  get gateway(): GatewayInfo | null {
    return this.#gateway;
  }

  /**
   * Resolves when messages can flow. While connecting it returns the same promise and the first call's options hold;
   * when connected it resolves at once.
   */
  connect(options: ConnectOptions = {}): Promise<MixAddress> {
    let timeoutMs: number;
    try {
      checkKeys('connect', options, ['signal', 'timeoutMs', 'onProgress']);
      checkSignal(options.signal);
      if (options.onProgress !== undefined) checkFunction('onProgress', options.onProgress);
      timeoutMs = checkTimeout(options.timeoutMs, limits.connectTimeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#attempt) return this.#attempt.promise;
    if (options.signal?.aborted) return Promise.reject(options.signal.reason as Error);
    if (this.#state === 'reconnecting' || (this.#session && this.#state !== 'closed')) {
      return Promise.resolve(this.#address as MixAddress);
    }
    const attempt = new Attempt(options, timeoutMs, (progress) => this.#emit('progress', progress));
    this.#attempt = attempt;
    this.#crashes = [];
    void this.#connect(attempt);
    return attempt.promise;
  }

  /**
   * Refuses new work from now on, waits for the acks of what was accepted, and closes. What is not acknowledged by then
   * fails with `closed-before-delivery`. A second call with `drain: false` ends the waiting of the first.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { drain = true, signal } = options;
    let timeoutMs: number;
    try {
      checkKeys('close', options, ['drain', 'timeoutMs', 'signal']);
      checkSignal(signal);
      checkBoolean('drain', drain);
      timeoutMs = checkTimeout(options.timeoutMs, limits.closeTimeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
    const closed = bounded(this.#close(drain, timeoutMs), { signal });
    // An abort ends the draining.
    const closing = this.#closing;
    closed.catch(() => closing?.hurry());
    return closed;
  }

  /**
   * Sends a message. Never throws but `TypeError`; every failure is on the handle, and raises one `undelivered` event.
   * Before `connect` it is refused with `not-connected`, after `close` with `closed`; with `persist` it is stored all the
   * same, and sent after the next `connect`.
   */
  send(to: MixAddress | ReplyTag, data: MixData, options: SendOptions = {}): SentMessage {
    if (typeof to !== 'string') throw new TypeError('send(): the first argument must be an address or a reply tag');
    const body = toBody(data);
    if (typeof options !== 'object' || options === null) throw new TypeError('send(): the options must be an object');
    if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
      throw new TypeError('send(): signal must be an AbortSignal');
    }
    if (options.persist === true && this.#options.storage !== 'indexeddb') {
      throw new TypeError("send(): persist needs a store; make the client with storage: 'indexeddb'");
    }
    return this.#send(to, body, options);
  }

  /**
   * The messages that arrive, from now on; the first listener of any kind also gets what was kept. The iterator ends
   * when the client closes or the signal aborts. Throws `MixError` `config-invalid`.
   */
  messages(options: { signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<ReceivedMessage> {
    checkKeys('messages', options, ['signal']);
    checkSignal(options.signal);
    return this.#incoming.iterate(options.signal, this.#state === 'closed');
  }

  /**
   * Asks a peer that speaks mixlet, and resolves with its answer. Small requests made at the same time to one peer share
   * packets. Rejects `response-timeout` when the request arrived and no answer came, `timeout` when it did not arrive in
   * time, `no-handler`, `handler-failed`, `peer-unsupported`, `not-connected`, and as `send` does. Throws `TypeError`.
   */
  request(to: MixAddress | ReplyTag, data: MixData, options: RequestOptions = {}): Promise<ReceivedMessage> {
    return this.#exchange.request(to, data, options);
  }

  /** Several requests to one peer; each succeeds or fails alone. Throws `TypeError`. */
  requestAll(
    to: MixAddress | ReplyTag,
    items: MixData[],
    options: RequestOptions = {},
  ): Promise<PromiseSettledResult<ReceivedMessage>[]> {
    if (!Array.isArray(items)) throw new TypeError('requestAll(): the second argument must be a list of data');
    return Promise.allSettled(items.map((data) => this.#exchange.request(to, data, options)));
  }

  /**
   * Answers requests of others from now on, over all connects, until the handle is closed. Throws `MixError`
   * `config-invalid` when the service has a handler already.
   */
  serve(handler: RequestHandler, options: ServeOptions = {}): { close(): void } {
    return this.#exchange.serve(handler, options);
  }

  /** What is known of a peer's client. */
  peer(to: MixAddress | ReplyTag): PeerInfo {
    return this.#exchange.peer(to);
  }

  /** Asks a peer's client whether it speaks mixlet; resolves when it says so. Rejects `response-timeout`. */
  probe(to: MixAddress | ReplyTag, options: ProbeOptions = {}): Promise<void> {
    return this.#exchange.probe(to, options);
  }

  /** Opens a stream to a peer that listens. Rejects `no-handler`, `timeout`, and as `request` does. */
  openStream(to: MixAddress | ReplyTag, options: StreamOptions = {}): Promise<MixStream> {
    return this.#exchange.openStream(to, options);
  }

  /**
   * The streams that peers open, until the signal aborts, the loop is left or the client closes. Throws `MixError`
   * `config-invalid` when somebody listens for the service already.
   */
  listen(options: ListenOptions = {}): AsyncIterableIterator<MixStream> {
    return this.#exchange.listen(options);
  }

  /** What was counted since `connect`. Before it rejects with `not-connected`, after `close` with `closed`. */
  async stats(options: StatsOptions = {}): Promise<MixStats> {
    const bounds = checkCall('stats', options, limits.statsTimeoutMs);
    return counted(await bounded(this.#connected().rpc.request('stats', {}), bounds), this.#state);
  }

  /**
   * The counters now and then: the first when the client is connected. It ends when the client closes or the signal
   * aborts. Throws `MixError` `config-invalid`.
   */
  statsStream(options: StatsStreamOptions = {}): AsyncIterableIterator<MixStats> {
    return statsStream(this, options);
  }

  /** What the settings now in use show to whom, and what they cost. */
  privacyReport(): PrivacyReport {
    return privacyReport({ ...this.#options, ...this.#traffic });
  }

  override addEventListener<K extends keyof MixClientEventMap>(
    type: K,
    listener: Listener<K> | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener, options);
    this.#listeners.add(type, listener, options);
    if (type === 'message' && listener) this.#incoming.listen();
  }

  override removeEventListener<K extends keyof MixClientEventMap>(
    type: K,
    listener: Listener<K> | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener, options);
    this.#listeners.remove(type, listener, options);
  }

  /** The connection to the worker. Throws `MixError` `closed` or `not-connected`. */
  #connected(): Session {
    if (this.#state === 'closed') throw mixError('closed');
    if (!this.#session) throw mixError('not-connected', this.#state === 'reconnecting' ? revivingAdvice : undefined);
    return this.#session;
  }

  #setGateway(address: MixAddress, data: GatewayData | undefined): void {
    const previous = this.#gateway;
    this.#address = address;
    this.#gateway = data ? gatewayInfo(data) : null;
    const gateway = this.#gateway;
    if (gateway && gateway.id !== previous?.id) this.#emit('gatewaychange', { gateway, previous, address });
  }

  /** Asks the application which gateway a new client is to have. What it does wrong ends the attempt. */
  async #chooseGateway(attempt: Attempt, gateways: GatewayData[]): Promise<void> {
    const refuse = (what: string, cause?: unknown) =>
      attempt.abort(mixError('config-invalid', `gateway.select ${what}`, { phase: 'gateway', cause }));
    try {
      const chosen = await this.#options.chooseGateway?.(gateways.map(gatewayInfo));
      const id = gateways.find((gateway) => gateway.id === chosen?.id)?.id;
      if (id === undefined) refuse('must return one of the gateways it was given.');
      else attempt.session?.rpc.notify({ op: 'choose', gatewayId: id });
    } catch (cause) {
      refuse('has thrown. See the cause.', cause);
    }
  }

  async #connect(attempt: Attempt): Promise<void> {
    const { signal, timeoutMs } = attempt;
    try {
      const late = () => attempt.lateError();
      attempt.resolve(this.#begin(attempt, await bounded(this.#open(attempt), { signal, timeoutMs, late })));
    } catch (error) {
      attempt.abort(error);
      if (this.#attempt === attempt) {
        this.#attempt = null;
        if (this.#state === 'connecting') this.#setState('idle');
        this.#outgoing.failAll(error);
        this.#persisted.park(error);
        this.#exchange.failAll(error);
      }
      attempt.reject(error);
    }
  }

  /** Everything from nothing to the worker's answer. The session is the attempt's at once, so that an abort ends it. */
  async #open(attempt: Attempt): Promise<Opened> {
    // A client that is still closing holds the profile and takes no work, so the state stays for so long.
    if (this.#closing) await this.#closing.done.opened;
    attempt.signal.throwIfAborted();
    if (this.#state !== 'reconnecting') this.#setState('connecting');
    checkSupport(this.#options);
    await this.#vault.free;
    const wasm = await wasmSource(this.#options.wasm);
    const traffic = this.#traffic;
    const options = openOptions({ ...this.#options, ...traffic }, this.#identity.imported);
    this.#identity.opening();
    attempt.signal.throwIfAborted();
    const session = new Session(this.#options, {
      onEvent: (event) => this.#onEvent(event, session),
      onCrash: (error, left) => this.#onCrash(session, error, left),
      phase: () => this.#attempt?.phase,
    });
    attempt.session = session;
    const transfer = 'bytes' in wasm ? [wasm.bytes] : [];
    const { alive } = session;
    const opening = session.rpc.request('open', { options, wasm, alive }, transfer);
    this.#exchange.prepare(session.rpc);
    const opened = await opening;
    session.watch();
    return { session, opened, traffic };
  }

  #begin(attempt: Attempt, { session, opened, traffic }: Opened): MixAddress {
    const { gateway, traffic: shared } = opened;
    const address = opened.address as MixAddress;
    this.#session = session;
    this.#attempt = null;
    this.#setGateway(address, gateway);
    attempt.succeed();
    this.#page.begin();
    this.#identity.opened(opened);
    // Set while connecting: before the first message. It can only fail by the end of the session, which is told anyway.
    if (traffic === this.#traffic) this.#traffic = Object.freeze(shared ?? traffic);
    else session.rpc.request('traffic', { traffic: this.#traffic }).catch(() => {});
    const wanted = this.#listeners.has('retransmit') || this.#listeners.has('surbs');
    if (wanted || (this.#options.tabs === 'share' && this.#incoming.isHeard)) this.#tellListening();
    this.#timeStats();
    this.#persisted.attach(session.rpc);
    this.#outgoing.attach(session.rpc);
    this.#exchange.attach(session.rpc);
    this.#incoming.attach(session.rpc);
    this.#setLinkState(attempt.reportedState ?? 'ready');
    return address;
  }

  /** `close` came while connecting. */
  #giveUp(attempt: Attempt): void {
    this.#attempt = null;
    attempt.abort(mixError('closed', 'connect() was cut short by close().', { phase: attempt.phase }));
    this.#failAll(mixError('closed-before-delivery'), mixError('closed'));
  }

  /** `close` came between two attempts to start another worker. */
  #interrupt(): void {
    this.#hurry.open();
    this.#hurry = new Gate();
    this.#failAll(mixError('closed-before-delivery'), mixError('closed'));
  }

  /** `forgetMs`: as the last thing the gateway is asked to forget this client, and waited for so long. */
  async #close(drain: boolean, timeoutMs: number, forgetMs?: number): Promise<void> {
    if (this.#attempt) this.#giveUp(this.#attempt);
    else if (!this.#session && this.#state === 'reconnecting') this.#interrupt();
    if (this.#session && !this.#closing) this.#shutDown(this.#session, drain, timeoutMs, forgetMs);
    else if (!drain) this.#closing?.hurry();
    // A client that drains still receives; its iterators end with it.
    if (!this.#closing) this.#endListening();
    this.#setState('closed');
    await this.#closing?.done.opened;
  }

  #shutDown(session: Session, drain: boolean, timeoutMs: number, forgetMs: number | undefined): void {
    const closing = new Closing(session, forgetMs);
    this.#closing = closing;
    void closing.run(this.#outgoing, drain, timeoutMs).finally(() => {
      this.#closing = null;
      this.#letGo(session, mixError('closed'), mixError('closed-before-delivery'));
      closing.done.open();
    });
  }

  /** The worker of this client is gone or has to go; nothing of it remains. */
  #letGo(session: Session, reason: MixError, undelivered: MixError): void {
    session.end(reason);
    this.#leave(session);
    this.#failAll(undelivered, reason);
    this.#endListening();
  }

  /** Messages fail with the first, requests and streams with the second. */
  #failAll(undelivered: unknown, reason: unknown): void {
    this.#outgoing.failAll(undelivered);
    this.#persisted.failAll(undelivered);
    this.#exchange.failAll(reason);
  }

  #endListening(): void {
    this.#exchange.end();
    this.#incoming.end();
  }

  /** This worker is not asked anything any more. */
  #leave(session: Session): void {
    if (this.#session === session) this.#session = null;
    this.#page.end();
    this.#incoming.detach();
    clearInterval(this.#statsTimer);
    this.#outgoing.setLinkUp(false);
  }

  /** The worker has died, or the tab whose connection it used. Where the identity outlives it, another one takes over. */
  #onCrash(session: Session, error: MixError, left: boolean): void {
    if (this.#session !== session) return;
    const now = performance.now();
    if (!left) this.#crashes = this.#crashes.filter((at) => now - at < limits.crashesMs).concat(now);
    if (this.#closing || !this.#identity.outlivesWorker || this.#crashes.length > limits.crashes) {
      this.#collapse(session, error);
      return;
    }
    session.end(error);
    this.#leave(session);
    this.#outgoing.detach(error);
    this.#persisted.detach();
    this.#exchange.detach(error);
    this.#setState('reconnecting', error);
    void this.#revive();
  }

  async #settled(): Promise<void> {
    while (this.#attempt || this.#closing) await firstOf([this.#closing?.done.opened, this.#attempt?.promise]);
    if (this.#state === 'reconnecting' && !this.#session) throw mixError('not-connected', revivingAdvice);
  }

  /** Leaves, does something, and connects anew. What is sent meanwhile waits; what was not acknowledged fails. */
  async #apart(task: () => Promise<void>, forgetMs?: number): Promise<MixAddress> {
    const session = this.#session as Session;
    const closing = new Closing(session, forgetMs);
    this.#isLeaving = true;
    this.#setState('reconnecting');
    await firstOf([this.#outgoing.whenHandedOver(), session.ended], limits.closeTimeoutMs);
    this.#outgoing.hold();
    this.#persisted.detach();
    await closing.run(this.#outgoing, true, limits.closeTimeoutMs);
    this.#isLeaving = false;
    if (this.#session !== session) throw mixError('closed');
    const error = mixError('closed-before-delivery');
    session.end(error);
    this.#leave(session);
    this.#outgoing.detach(error);
    this.#exchange.detach(error);
    this.#incoming.detach();
    try {
      await task();
    } finally {
      // Also where it has failed: then with the identity there was.
      if (this.#state === 'reconnecting') await inTime(this.#revive().then(() => this.#address as MixAddress));
    }
    if (!this.#session) throw mixError('closed');
    return this.#address as MixAddress;
  }

  /** Starts workers until one of them is connected, the client is closed, or trying again cannot help. */
  async #revive(): Promise<void> {
    const { minMs, maxMs, maxAttempts } = this.#options.reconnect;
    let waitMs = minMs;
    for (let tries = 1; this.#state === 'reconnecting'; tries++) {
      const attempt = new Attempt({}, 0, () => {});
      attempt.promise.catch(() => {});
      this.#attempt = attempt;
      try {
        attempt.resolve(this.#begin(attempt, await bounded(this.#open(attempt), { signal: attempt.signal })));
        return;
      } catch (error) {
        attempt.abort(error);
        attempt.reject(error);
        if (this.#attempt !== attempt) return;
        this.#attempt = null;
        this.#exchange.detach(error);
        if (!(error instanceof MixError) || !error.retriable || (maxAttempts !== null && tries >= maxAttempts)) {
          this.#end(error as MixError);
          return;
        }
      }
      await firstOf([this.#hurry.opened], waitMs);
      waitMs = Math.min(2 * waitMs, maxMs);
    }
  }

  /** The client cannot go on, and nobody asked it to stop. While connecting, the attempt sees to it. */
  #collapse(session: Session, error: MixError): void {
    if (this.#session !== session) return;
    this.#letGo(session, error, error);
    if (this.#closing) return;
    this.#setState('closed', error);
    this.#emit('error', error);
  }

  /** The same without a worker. */
  #end(error: MixError): void {
    this.#failAll(error, error);
    this.#endListening();
    this.#setState('closed', error);
    this.#emit('error', error);
  }

  #send(to: string, body: Uint8Array | Blob | 'too-large', options: SendOptions): SentMessage {
    const refuse = (error: unknown) => this.#outgoing.refuse(to, error);
    const isAway = this.#state === 'idle' || this.#state === 'closed';
    if (isAway && options.persist !== true)
      return refuse(mixError(this.#state === 'idle' ? 'not-connected' : 'closed'));
    if (options.signal?.aborted) return refuse(options.signal.reason);
    if (!isAddress(to) && !isReplyTag(to)) return refuse(mixError('address-invalid'));
    if (body === 'too-large') return refuse(mixError('too-large'));
    try {
      const settings = this.#settings(to, options);
      if (options.persist) return this.#persisted.send(to, body, settings, options.signal, isAway);
      return this.#outgoing.send(to, body, settings, options.signal);
    } catch (error) {
      return refuse(error);
    }
  }

  /** A new worker does not know yet who speaks mixlet. */
  #settings(to: string, options: SendOptions) {
    const settings = checkSendOptions(options);
    const receipt = settings.receipt ?? (this.#exchange.gives(to, 'receipts') && settings.replies !== 0 ? true : null);
    return { ...settings, receipt };
  }

  async #setTraffic(privacy: Parameters<TrafficControl['set']>[0], options: CallOptions = {}): Promise<void> {
    const bounds = checkCall('traffic.set', options, limits.trafficTimeoutMs);
    this.#traffic = Object.freeze(checkPrivacy(privacy, this.#traffic));
    if (!this.#session || this.#state === 'closed') return;
    await bounded(this.#session.rpc.request('traffic', { traffic: this.#traffic }), bounds);
  }

  #onEvent(event: WorkerEvent, session: Session): void {
    switch (event.event) {
      case 'passphrase-wanted': {
        const attempt = this.#attempt;
        givePassphrase(this.#options, session.rpc).catch((error: unknown) => attempt?.abort(error));
        break;
      }
      case 'volatile':
        this.#identity.becameVolatile(fromWire(event.error));
        break;
      case 'progress':
        this.#attempt?.progress(event.phase, event.fraction, event.detail);
        break;
      case 'state':
        this.#onWorkerState(event.state, event.error && fromWire(event.error));
        break;
      case 'planned':
      case 'sent':
      case 'fragments':
      case 'delivered':
      case 'undelivered':
      case 'receipted':
      case 'notReceipted':
        (event.message >= OUTBOX_MESSAGES ? this.#persisted : this.#outgoing).handle(event);
        break;
      case 'received':
        this.#incoming.handle(event);
        break;
      case 'choose-gateway':
        if (this.#attempt) void this.#chooseGateway(this.#attempt, event.gateways);
        break;
      case 'moved':
        // Who named a gateway wants the one moved to from now on.
        if (this.#options.gatewayId !== undefined) this.#options.gatewayId = event.gateway?.id;
        this.#setGateway(event.address as MixAddress, event.gateway ?? undefined);
        break;
      case 'traffic':
        this.#traffic = Object.freeze(event.traffic);
        break;
      case 'topology':
        this.#emit('topology', topologyInfo(event.topology));
        break;
      case 'packets':
        this.#emit(
          'packet',
          event.packets.map((packet) => ({ ...packet, at: new Date(packet.at) })),
        );
        break;
      case 'surbs':
        this.#incoming.setReplyable(event.tag, event.canReply);
        this.#emit('surbs', { from: event.tag as ReplyTag, held: event.held });
        break;
      case 'overflow': {
        const { reason, from = null, messages, bytes } = event;
        this.#emit('overflow', { reason, from: from as ReplyTag | null, messages, bytes });
        break;
      }
      case 'error':
        this.#onTrouble(fromWire(event.error));
        break;
      case 'room':
        // Messages count their room here, by what is finished.
        this.#exchange.hasRoom();
        break;
      case 'crashed':
      case 'left':
        // Ends the session before it comes this far.
        break;
      case 'request':
      case 'streamOpened':
        // They bring reply blocks; how many is told when it changes.
        if (event.tag !== null) this.#incoming.setReplyable(event.tag, true);
        this.#exchange.handle(event);
        break;
      default:
        this.#exchange.handle(event);
    }
  }

  #onWorkerState(state: ClientState, error?: MixError): void {
    if (this.#attempt) {
      this.#attempt.report(state, error);
    } else if (this.#session && this.#state !== 'closed' && !this.#isLeaving) {
      if (state === 'closed') this.#collapse(this.#session, error ?? mixError('gateway-refused'));
      else if (state === this.#state && error) this.#emit('error', error);
      else if (state !== 'idle') this.#setLinkState(state === 'connecting' ? 'reconnecting' : state, error);
    }
  }

  /** What the worker says of the link; while the page is frozen it is for later. */
  #setLinkState(state: ClientState, error?: MixError): void {
    this.#linkState = state;
    this.#outgoing.setLinkUp(state === 'ready' || state === 'degraded');
    if (this.#state !== 'paused') this.#setState(state, error);
  }

  #onTrouble(error: MixError): void {
    if (this.#attempt) this.#attempt.trouble = error;
    this.#emit('error', error);
  }

  #onUndelivered(undelivered: Undelivered, to: string): void {
    if (undelivered.error instanceof MixError && undelivered.error.code === 'no-surbs')
      this.#incoming.setReplyable(to, false);
    this.#emit('undelivered', undelivered);
  }

  #onListeners(type: string): void {
    if (type === 'retransmit' || type === 'surbs') this.#tellListening();
    if (type === 'stats') this.#timeStats();
    if (type === 'message' && !this.#listeners.has(type)) this.#incoming.unlisten();
  }

  /** What is costly to tell is told only as long as somebody listens. */
  #tellListening(): void {
    const [retransmissions, surbs] = [this.#listeners.has('retransmit'), this.#listeners.has('surbs')];
    const shared = this.#options.tabs === 'share' ? { messages: this.#incoming.isHeard } : {};
    this.#session?.rpc.notify({ op: 'listen', retransmissions, surbs, ...shared });
  }

  #timeStats(): void {
    clearInterval(this.#statsTimer);
    if (!this.#session || !this.#listeners.has('stats')) return;
    this.#statsTimer = setInterval(this.#emitStats, limits.statsEventMs);
  }

  readonly #emitStats = (): void => {
    this.stats().then(
      (stats) => this.#emit('stats', stats),
      () => {
        // The client is closing, or the worker is busy; the next one tells.
      },
    );
  };

  #setState(state: ClientState, error?: MixError): void {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.#emit('statechange', error ? { state, previous, error } : { state, previous });
  }

  #emit<K extends keyof MixClientEventMap>(type: K, detail: MixClientEventMap[K]['detail']): void {
    this.#listeners.raised(type);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

interface Opened {
  session: Session;
  opened: OpenedData;
  /** What it was asked to open with. */
  traffic: Readonly<TrafficSettings>;
}

/** Throws `MixError` `unsupported-runtime` or `storage-blocked`. */
function checkSupport(options: CheckedOptions): void {
  const missing = missingFeatures(options);
  if (missing.length === 0) return;
  if (missing.length === 1 && missing[0] === 'indexeddb') throw mixError('storage-blocked', '', { phase: 'storage' });
  const text = `Missing here: ${missing.join(', ')}. ${supportAdvice(missing)}`;
  throw mixError('unsupported-runtime', text, { phase: 'engine' });
}

const noTagAdvice = 'This message came without reply blocks, so it cannot be answered. Its sender has to attach some.';

const revivingAdvice = 'Another worker is being started. Try again when the client is ready.';

const pageHideAdvice =
  'The page was left before the message was acknowledged, so it may or may not arrive. Connect and send it again if it may arrive twice.';
