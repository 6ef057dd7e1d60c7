import { Refusal, loadModule } from './load.js';
import { limits } from './limits.js';
import { Locks } from './locks.js';
import { Measurer, fastest } from './measure.js';
import type { OpenSocket } from './measure.js';
import type {
  Answer,
  EngineClient,
  GatewayData,
  GatewaysRequest,
  OpenOptions,
  OpenRequest,
  PageMessage,
  Post,
  VaultRequest,
  WasmSource,
  WireError,
  WorkerMessage,
} from './protocol.js';
import { Desk } from './tab-desk.js';
import type { Seat } from './tab-desk.js';
import { TabFollower } from './tab-follower.js';
import { buffersIn } from './tab-frame.js';
import { forgetTabKey, tabKeys } from './tab-key.js';
import type { TabKeys } from './tab-key.js';
import { TabLeader } from './tab-leader.js';
import { profileLock, sharesLock, tabName } from './tab-names.js';
import { Gate } from './wait.js';

/** What the host uses of the worker's global object, or of what stands for it. */
export interface Scope {
  postMessage(message: WorkerMessage, transfer: Transferable[]): void;
  addEventListener(type: string, listener: (event: Event) => void): void;
  readonly navigator: { readonly locks?: LockManager };
  /** Ends the worker, where there is one. */
  close?: () => void;
}

/** Makes the engine of the compiled wasm. What it can tell of its own crashes, it tells `crash`. */
export type StartEngine = (
  module: WebAssembly.Module,
  post: Post,
  crash: (detail: string) => void,
) => Promise<EngineClient>;

/**
 * The worker's side of the line: takes the profile's lock, loads the wasm, then passes messages to the engine and back.
 * What the engine throws, now or in a task of its own, is reported as a crash.
 */
export class Host {
  readonly #scope: Scope;
  readonly #startEngine: StartEngine;
  #engine: EngineClient | null = null;
  readonly #locks: Locks;
  /** The profile whose lock is this worker's. */
  #profile: string | null = null;
  /** Where the pages meet that share the connection of this worker, and the place of its own page; */
  #desk: Desk | null = null;
  #seat: Seat | null = null;
  #leader: TabLeader | null = null;
  /** or the way to the connection of another page. */
  #follower: TabFollower | null = null;
  readonly #ending = new AbortController();
  /** The number of the request whose answer ends the engine's work. */
  #closeId: number | null = null;
  #crashed = false;
  #select: OpenOptions['gatewaySelect'] = 'random';
  readonly #measurer: Measurer;
  /** What is being measured, by the number of the call. */
  readonly #measuring = new Map<number, AbortController>();
  /** Requests of our own to the engine, by their negative numbers. */
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #nextId = -1;
  #ended = false;
  /** What came while the engine was being started; `null`: it is not. */
  #held: PageMessage[] | null = null;

  /** `openSocket` opens what gateways are measured with. */
  constructor(scope: Scope, startEngine: StartEngine, openSocket: OpenSocket = (url) => new WebSocket(url)) {
    this.#measurer = new Measurer(openSocket);
    this.#scope = scope;
    this.#locks = new Locks(scope.navigator.locks, () => this.#left());
    this.#startEngine = startEngine;
    scope.addEventListener('message', (event) => this.handle((event as MessageEvent<PageMessage>).data));
    scope.addEventListener('error', (event) => {
      event.preventDefault();
      this.#crash((event as Partial<ErrorEvent>).message ?? '');
    });
    scope.addEventListener('unhandledrejection', (event) => {
      event.preventDefault();
      this.#crash(String((event as PromiseRejectionEvent).reason));
    });
  }

  /** Takes one message of the page. */
  handle(message: PageMessage): void {
    if (message.op === 'open') void this.#open(message);
    else if (message.op === 'vault') void this.#vault(message);
    else if (this.#follower) this.#follower.post(message);
    else if (this.#desk && this.#seat) this.#desk.handle(this.#seat, message);
    else this.#take(message);
  }

  /** Takes one message of the page, or of one of those that share the connection. */
  #take(message: PageMessage): void {
    if (message.op === 'stop') {
      this.#measuring.get(message.call)?.abort();
    } else if (this.#engine && message.op === 'gateways' && message.measure) {
      void this.#measure(this.#engine, message, message.measure);
    } else if (this.#engine) {
      if (message.op === 'close') this.#closeId = message.id;
      this.#guard(this.#engine, message);
    } else if (this.#held && this.#held.length < limits.heldMessages) {
      this.#held.push(message);
    } else {
      this.#refuse(message);
    }
  }

  #refuse(message: PageMessage): void {
    if ('id' in message) this.#post({ id: message.id, error: notOpen }, []);
  }

  /** Stops the engine at once and lets go of everything, as the end of a worker would. Nothing is posted any more. */
  end(): void {
    this.#ended = true;
    this.#ending.abort();
    for (const stop of this.#measuring.values()) stop.abort();
    this.#engine?.free();
    this.#engine = null;
    this.#follower?.end();
    this.#release();
    this.#locks.end();
  }

  async #open(request: OpenRequest): Promise<void> {
    const {
      wasm,
      alive,
      options: { tabs, ...options },
      ...open
    } = request;
    this.#select = options.gatewaySelect;
    this.#held = [];
    try {
      this.#post({ event: 'progress', phase: 'engine', fraction: 0 }, []);
      if (alive !== undefined && this.#scope.navigator.locks) await this.#locks.take(alive, {});
      if (options.storage !== 'memory') {
        this.#profile = options.profile;
        if (tabs === 'share') {
          if (!(await this.#share(request))) return;
        } else if (!(await this.#takeProfile(options))) {
          options.storage = 'memory';
        }
      }
      const engine = await this.#load(wasm);
      if (!engine) return;
      this.#guard(engine, { ...open, options } as PageMessage);
    } catch (error) {
      this.#fail(request.id, error);
      return;
    }
    for (const message of this.#takeHeld()) this.#take(message);
  }

  /** Runs an errand. The worker does nothing else. */
  async #vault({ wasm, alone, ...request }: VaultRequest): Promise<void> {
    this.#held = [];
    this.#closeId = request.id;
    try {
      if (alone) {
        this.#profile = request.profile;
        await this.#locks.takeProfile(this.#profile);
        // Who would share it waits until this worker ends, and then finds no key of before.
        const isLast = request.task === 'destroy' && (await this.#locks.takeSoon(sharesLock(this.#profile)));
        if (isLast) await forgetTabKey(this.#profile);
      }
      const engine = await this.#load(wasm);
      if (!engine) return;
      this.#guard(engine, request as PageMessage);
    } catch (error) {
      this.#fail(request.id, error);
      return;
    }
    for (const message of this.#takeHeld()) this.#take(message);
  }

  /** Makes the profile this worker's. False: there is nothing to keep a profile in, and memory was chosen for that case. */
  async #takeProfile({ profile, storage }: Omit<OpenOptions, 'tabs'>): Promise<boolean> {
    try {
      await this.#locks.takeProfile(profile);
      return true;
    } catch (error) {
      if (storage !== 'indexeddb-or-memory' || (error instanceof Refusal && error.code === 'in-use')) throw error;
      this.#profile = null;
      this.#post({ event: 'volatile', error: { code: 'storage-blocked', message: '', retriable: false } }, []);
      return false;
    }
  }

  /** Starts the engine, unless this has ended meanwhile. */
  async #load(wasm: WasmSource): Promise<EngineClient | null> {
    if (this.#ended) return null;
    const module = await loadModule(wasm);
    if (this.#ended) return null;
    const post: Post = (message, transfer) => this.#post(message, transfer);
    const engine = await this.#startEngine(module, post, (detail) => this.#crash(detail));
    if (this.#ended) {
      engine.free();
      return null;
    }
    this.#engine = engine;
    return engine;
  }

  #fail(id: number, error: unknown): void {
    this.#release();
    this.#post({ id, error: toWire(error) }, []);
    for (const message of this.#takeHeld()) this.#refuse(message);
  }

  #takeHeld(): PageMessage[] {
    const held = this.#held ?? [];
    this.#held = null;
    return held;
  }

  /**
   * Finds out whose connection this page uses. False: another page's. True: its own, which others may use too, since the
   * lock of the profile is this worker's now.
   */
  async #share(request: OpenRequest): Promise<boolean> {
    const { profile } = request.options;
    const name = profileLock(profile);
    // First, so that who holds the profile's lock can be seen to share, and nobody takes the key away.
    await this.#locks.take(sharesLock(profile), { mode: 'shared' });
    const keys = await tabKeys(profile);
    while (!(await this.#locks.take(name, { ifAvailable: true }))) {
      const shared = await this.#locks.isShared(profile);
      if (shared === true) {
        if (await this.#follow(request, keys)) return false;
        break;
      }
      if (shared === false) {
        await this.#locks.takeProfile(profile);
        break;
      }
    }
    const desk = new Desk({ engine: (message) => this.#take(message), empty: () => this.#retire() });
    this.#seat = desk.join((message, transfer) => this.#scope.postMessage(message, transfer));
    this.#desk = desk;
    this.#leader = new TabLeader(profile, keys, this.#locks.manager, desk);
    desk.handle(this.#seat as Seat, request);
    // What its own page has posted meanwhile.
    for (const message of this.#held?.splice(0) ?? []) this.handle(message);
    return true;
  }

  /** Uses the connection of the page that holds the profile, until it goes. False: it has gone before it answered. */
  async #follow(request: OpenRequest, keys: TabKeys): Promise<boolean> {
    const { id, options } = request;
    const name = profileLock(options.profile);
    const tab = crypto.randomUUID();
    await this.#locks.take(tabName(tab), {});
    const answered = new Gate();
    const follower: TabFollower = new TabFollower(options.profile, tab, keys, {
      onMessage: (message) => {
        if ('id' in message && message.id === id) {
          this.#follower = follower;
          for (const held of this.#takeHeld()) follower.post(held);
          answered.open();
        }
        this.#scope.postMessage(message, buffersIn(message));
      },
      onBroken: () => this.#left(),
      // Who steals a lock has it; it is let go of at once, and whoever comes first takes over.
      onSilence: () => void this.#locks.take(name, { steal: true }).then(() => this.#left()),
    });
    // What it is asked to open with does not matter: the connection is there.
    follower.post({ id, op: 'open' } as PageMessage);
    const freed = this.#locks.take(name, { signal: this.#ending.signal }).catch(() => false);
    await Promise.race([answered.opened, freed]);
    if (answered.isOpen) {
      void freed.then((free) => free && this.#left());
      return true;
    }
    follower.end();
    this.#locks.release(tabName(tab));
    return false;
  }

  /** The connection that was used is gone, or another page has taken it over. The page of this worker starts another one. */
  #left(): void {
    if (this.#desk) this.#desk.say({ event: 'left' }, []);
    else this.#scope.postMessage({ event: 'left' }, []);
    this.end();
  }

  /** Nobody uses the connection any more, and the page of this worker has forgotten it. */
  #retire(): void {
    const id = this.#nextId--;
    this.#asked.set(id, () => {
      const written = this.#leader?.end() ?? Promise.resolve();
      this.end();
      void written.then(() => this.#scope.close?.());
    });
    this.#take({ id, op: 'close', drain: false, timeoutMs: limits.closeGraceMs });
  }

  #release(): void {
    void this.#leader?.end();
    this.#leader = null;
    if (this.#profile !== null) this.#locks.release(profileLock(this.#profile));
  }

  #guard(engine: EngineClient, message: PageMessage): void {
    try {
      engine.handle(message);
    } catch (error) {
      this.#crash(error instanceof Error ? error.message : String(error));
    }
  }

  /** The engine's list of gateways, with what was measured. */
  async #measure(
    engine: EngineClient,
    { id }: GatewaysRequest,
    { call, timeoutMs }: { call: number; timeoutMs: number },
  ) {
    const stop = new AbortController();
    this.#measuring.set(call, stop);
    const answer = await new Promise<Answer>((resolve) => {
      const own = this.#nextId--;
      this.#asked.set(own, resolve);
      this.#guard(engine, { id: own, op: 'gateways' });
    });
    if ('error' in answer) this.#post({ ...answer, id }, []);
    else {
      const ok = await this.#measurer.measure(answer.ok as GatewayData[], timeoutMs, stop.signal);
      this.#post({ id, ok }, []);
    }
    this.#measuring.delete(call);
  }

  async #chooseFastest(gateways: GatewayData[]): Promise<void> {
    const stop = new AbortController();
    // No page counts so low.
    this.#measuring.set(-1, stop);
    const measured = await this.#measurer.measure(gateways, limits.measureTimeoutMs, stop.signal);
    this.#measuring.delete(-1);
    const gatewayId = fastest(measured)?.id ?? null;
    if (this.#engine) this.#guard(this.#engine, { op: 'choose', gatewayId });
  }

  #post(message: WorkerMessage, transfer: ArrayBuffer[]): void {
    if (this.#ended) return;
    if ('id' in message && message.id < 0) {
      this.#asked.get(message.id)?.(message);
      this.#asked.delete(message.id);
      return;
    }
    if ('event' in message && message.event === 'choose-gateway' && this.#select === 'fastest') {
      void this.#chooseFastest(message.gateways);
      return;
    }
    // The page may connect again as soon as it has this answer.
    if ('id' in message && message.id === this.#closeId) this.#release();
    if (this.#desk) this.#desk.say(message, transfer);
    else this.#scope.postMessage(message, transfer);
  }

  #crash(detail: string): void {
    if (this.#crashed) return;
    this.#crashed = true;
    // Not the engine's memory any more: nothing is asked of it after a panic.
    this.#engine = null;
    this.#release();
    this.#post({ event: 'crashed', detail }, []);
  }
}

const notOpen: WireError = { code: 'not-connected', message: '', retriable: true };

function toWire(error: unknown): WireError {
  if (error instanceof Refusal) return error.toWire();
  const message = error instanceof Error ? error.message : String(error);
  // The imports do not fit, or there is not enough memory: both point to the file and not to its place.
  const advice = 'mixlet.wasm could not be started. Serve the file of the same version as the worker. The cause:';
  return { code: 'wasm-load', message: `${advice} ${message}`, phase: 'engine', retriable: false };
}
