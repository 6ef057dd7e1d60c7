import { fromWire, mixError } from './errors.js';
import type { MixError } from './errors.js';
import { copyOf } from './body.js';
import { defaultWasm, defaultWorker, fromUrl } from './defaults.js';
import type { CheckedOptions, PageOptions } from './options.js';
import type { Imported, OpenOptions, Phase, WasmSource, WorkerEvent, WorkerMessage } from './protocol.js';
import { Rpc } from './rpc.js';
import type { EngineThread } from './types.js';
import { Gate } from './wait.js';

/** What a session tells its client. */
export interface SessionListener {
  onEvent(event: WorkerEvent): void;
  /** The worker is gone without having been asked to. `left`: it is well, but the page whose connection it used is gone. */
  onCrash(error: MixError, left: boolean): void;
  /** The phase that errors without one belong to. */
  phase(): Phase | undefined;
}

/** The life of one worker, from its start to its end. */
export class Session {
  readonly rpc: Rpc;
  readonly #worker: Worker | EngineThread;
  readonly #listener: SessionListener;
  readonly #ended = new Gate();
  /** The script runs: a later error is not a failure to load it. */
  #heard = false;
  /** The lock that the worker holds; nothing for one that runs in this thread, or where there are no locks. */
  readonly alive: string | undefined;
  readonly #watching = new AbortController();

  /** Starts the worker, or what stands for it. Throws `MixError` `worker-crashed` when the browser refuses to. */
  constructor({ worker, engine, webSocket }: PageOptions, listener: SessionListener) {
    this.#listener = listener;
    const hasLocks = !engine && globalThis.navigator?.locks?.request !== undefined;
    this.alive = hasLocks ? `mixlet:alive:${crypto.randomUUID()}` : undefined;
    const makeWorker = typeof worker === 'function' ? worker : defaultWorker;
    try {
      this.#worker = engine ? engine.startInThread({ webSocket }) : makeWorker();
    } catch (cause) {
      throw mixError('worker-crashed', workerAdvice, { phase: 'engine', cause });
    }
    this.rpc = new Rpc(
      this.#worker,
      (event) => this.#handle(event),
      (error) => fromWire(error, listener.phase()),
    );
    this.#worker.addEventListener('message', this.#onMessage);
    this.#worker.addEventListener('messageerror', this.#onMessageError);
    this.#worker.addEventListener('error', this.#onError);
  }

  /** Resolves when the worker is gone. */
  get ended(): Promise<void> {
    return this.#ended.opened;
  }

  /** Notices the worker's end, of which the browser tells nothing when it kills one: its lock becomes free then. */
  watch(): void {
    const { alive } = this;
    if (alive === undefined) return;
    const freed = () => this.#crash('the browser has ended the worker');
    // Rejected by the end of the session.
    navigator.locks.request(alive, { signal: this.#watching.signal }, freed).catch(() => {});
  }

  /** Stops the worker at once. Open requests reject with the reason. */
  end(reason: unknown): void {
    if (this.#ended.isOpen) return;
    this.#forget(reason);
    this.#worker.terminate();
  }

  /** The same, but that the worker goes on, since other pages use its connection. It ends itself, or with this page. */
  leave(reason: unknown): void {
    if (!this.#ended.isOpen) this.#forget(reason);
  }

  #forget(reason: unknown): void {
    this.#ended.open();
    this.#watching.abort();
    this.#worker.removeEventListener('message', this.#onMessage);
    this.#worker.removeEventListener('messageerror', this.#onMessageError);
    this.#worker.removeEventListener('error', this.#onError);
    this.rpc.end(reason);
  }

  #handle(event: WorkerEvent): void {
    if (event.event === 'crashed') this.#crash(event.detail);
    else if (event.event === 'left') this.#fail(mixError('worker-crashed', leftAdvice), true);
    else if (event.event === 'error' && event.error.code === 'worker-crashed') this.#crash(event.error.message);
    else this.#listener.onEvent(event);
  }

  readonly #onMessage = (event: Event): void => {
    this.#heard = true;
    this.rpc.handle((event as MessageEvent<WorkerMessage>).data);
  };

  readonly #onMessageError = (): void => this.#crash('a message of the worker could not be read');

  readonly #onError = (event: Event): void => {
    // Else the browser writes it to the console; it is told to the application instead.
    event.preventDefault();
    // A script that cannot be loaded raises a plain event without a text.
    const text = (event as Partial<ErrorEvent>).message ?? '';
    if (this.#heard) this.#crash(text);
    else this.#fail(mixError('worker-crashed', workerAdvice, { phase: 'engine', cause: text || undefined }));
  };

  #crash(detail: string): void {
    this.#fail(mixError('worker-crashed', undefined, { phase: this.#listener.phase(), cause: detail || undefined }));
  }

  #fail(error: MixError, left = false): void {
    if (this.#ended.isOpen) return;
    this.end(error);
    this.#listener.onCrash(error, left);
  }
}

/** What `open` is asked with. Throws `MixError` `mixed-content` when no directory can be reached from this page. */
export function openOptions(options: CheckedOptions, imported?: Imported): OpenOptions {
  const {
    wasm: _wasm,
    worker: _worker,
    engine: _engine,
    webSocket: _webSocket,
    chooseGateway: _choose,
    askPassphrase,
    ...rest
  } = options;
  const securePage = globalThis.location?.protocol === 'https:';
  const directories = securePage ? rest.directories.filter(reachableFromSecurePage) : rest.directories;
  if (directories.length === 0 && rest.topology === undefined) {
    throw mixError(
      'mixed-content',
      'This page was served over https, but the directories are plain http. Serve the directory over https too, or the page from localhost over http.',
      { phase: 'topology' },
    );
  }
  return { ...rest, directories, securePage, passphrase: askPassphrase !== undefined, imported };
}

/** Where the worker finds the wasm. A `Response` is read here, since it cannot be handed over. */
export async function wasmSource(wasm: CheckedOptions['wasm']): Promise<WasmSource> {
  if (wasm instanceof WebAssembly.Module) return { module: wasm };
  if (wasm instanceof ArrayBuffer) return { bytes: (await copyOf(new Uint8Array(wasm))).buffer };
  if (ArrayBuffer.isView(wasm)) {
    return { bytes: (await copyOf(new Uint8Array(wasm.buffer, wasm.byteOffset, wasm.byteLength))).buffer };
  }
  if (typeof wasm === 'object' && 'arrayBuffer' in wasm) return { bytes: await readResponse(wasm) };
  if (wasm === undefined) return await defaultWasm();
  let url: URL;
  try {
    url = new URL(wasm, pageUrl());
  } catch (cause) {
    throw mixError('config-invalid', 'Invalid option: wasm must be an absolute URL where there is no page.', { cause });
  }
  return await fromUrl(url);
}

async function readResponse(response: Response): Promise<ArrayBuffer> {
  try {
    // A copy is read, so that a later `connect` finds the body unread.
    return await response.clone().arrayBuffer();
  } catch (cause) {
    throw mixError(
      'wasm-load',
      'The Response given as wasm could not be read. Give one whose body is unread, or a URL.',
      {
        phase: 'engine',
        cause,
      },
    );
  }
}

const pageUrl = () => globalThis.document?.baseURI ?? globalThis.location?.href;

function reachableFromSecurePage(directory: string): boolean {
  const { protocol, hostname } = new URL(directory);
  return protocol === 'https:' || /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

const leftAdvice =
  'The tab that held the connection was closed, so the message may or may not have arrived. Send it again if it may arrive twice.';

const workerAdvice =
  "The worker script could not be loaded. Serve the package's dist/worker.js from this page's own origin, allow it in the content policy (worker-src), or make the worker in the option worker.";
