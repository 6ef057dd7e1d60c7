import { Refusal, loadModule } from './load.js';
import { limits } from './limits.js';
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
  WireError,
  WorkerMessage,
} from './protocol.js';

/** What the host uses of the worker's global object, or of what stands for it. */
export interface Scope {
  postMessage(message: WorkerMessage, transfer: Transferable[]): void;
  addEventListener(type: string, listener: (event: Event) => void): void;
  readonly navigator: { readonly locks?: LockManager };
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
  #unlock: (() => void) | null = null;
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

  /** `openSocket` opens what gateways are measured with. */
  constructor(scope: Scope, startEngine: StartEngine, openSocket: OpenSocket = (url) => new WebSocket(url)) {
    this.#measurer = new Measurer(openSocket);
    this.#scope = scope;
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
    if (message.op === 'open') {
      void this.#open(message);
    } else if (message.op === 'stop') {
      this.#measuring.get(message.call)?.abort();
    } else if (this.#engine && message.op === 'gateways' && message.measure) {
      void this.#measure(this.#engine, message, message.measure);
    } else if (this.#engine) {
      if (message.op === 'close') this.#closeId = message.id;
      this.#guard(this.#engine, message);
    } else if ('id' in message) {
      this.#post({ id: message.id, error: notOpen }, []);
    }
  }

  /** Stops the engine at once and lets go of everything, as the end of a worker would. Nothing is posted any more. */
  end(): void {
    this.#ended = true;
    for (const stop of this.#measuring.values()) stop.abort();
    this.#engine?.free();
    this.#engine = null;
    this.#release();
  }

  async #open(request: OpenRequest): Promise<void> {
    const { wasm, ...open } = request;
    this.#select = open.options.gatewaySelect;
    try {
      this.#post({ event: 'progress', phase: 'engine', fraction: 0 }, []);
      if (open.options.storage === 'indexeddb') await this.#lock(open.options.profile);
      if (this.#ended) return;
      const module = await loadModule(wasm);
      if (this.#ended) return;
      const post: Post = (message, transfer) => this.#post(message, transfer);
      const engine = await this.#startEngine(module, post, (detail) => this.#crash(detail));
      if (this.#ended) {
        engine.free();
        return;
      }
      this.#engine = engine;
    } catch (error) {
      this.#release();
      this.#post({ id: request.id, error: toWire(error) }, []);
      return;
    }
    this.#guard(this.#engine, open as PageMessage);
  }

  /** Throws `Refusal` `in-use` when another client holds the profile. */
  async #lock(profile: string): Promise<void> {
    const name = `mixlet:${profile}`;
    // The lock of a page that was just reloaded lingers for a moment, so a taken one is asked for once more.
    if (!(await this.#take(name, { ifAvailable: true }))) {
      const patience = new AbortController();
      const timer = setTimeout(() => patience.abort(), limits.lockGraceMs);
      const taken = await this.#take(name, { signal: patience.signal }).catch((error: unknown) => {
        if (patience.signal.aborted) return false;
        throw error;
      });
      clearTimeout(timer);
      if (!taken) throw new Refusal('in-use', 'storage', '', { retriable: true });
    }
  }

  /** Whether the lock was granted. It is held until `#release`, or until the worker ends. */
  #take(name: string, options: LockOptions): Promise<boolean> {
    const { locks } = this.#scope.navigator;
    return new Promise((resolve, reject) => {
      const held = (lock: Lock | null) => {
        resolve(lock !== null);
        return lock && !this.#ended ? new Promise<void>((unlock) => (this.#unlock = unlock)) : undefined;
      };
      if (locks) locks.request(name, options, held).catch(reject);
      else
        reject(new Refusal('unsupported-runtime', 'storage', 'This browser has no Web Locks. Use a current browser.'));
    });
  }

  #release(): void {
    this.#unlock?.();
    this.#unlock = null;
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
    this.#scope.postMessage(message, transfer);
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
