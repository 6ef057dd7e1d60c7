import { mixError } from './errors.js';
import type { MixError } from './errors.js';
import type { ClientState, Phase } from './protocol.js';
import type { Session } from './session.js';
import type { ConnectOptions, ConnectProgress, MixAddress } from './types.js';

/** One call of `connect`, from its beginning to its end. */
export class Attempt {
  readonly promise: Promise<MixAddress>;
  resolve!: (address: MixAddress) => void;
  reject!: (reason: unknown) => void;
  session: Session | null = null;
  phase: Phase = 'engine';
  /** What went wrong last, without ending the attempt. */
  trouble: MixError | null = null;
  /** The worker's state, if it is one a connected client can be in. */
  reportedState: ClientState | null = null;
  readonly timeoutMs: number;
  readonly #options: ConnectOptions;
  readonly #emit: (progress: ConnectProgress) => void;
  readonly #start = performance.now();
  readonly #controller = new AbortController();
  #fraction = 0;

  constructor(options: ConnectOptions, timeoutMs: number, emit: (progress: ConnectProgress) => void) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.timeoutMs = timeoutMs;
    this.#options = options;
    this.#emit = emit;
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Aborts with the caller's signal and with `abort`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the attempt and its worker. */
  abort(reason: unknown): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#controller.abort(reason);
    this.session?.end(reason);
  }

  /** The attempt has succeeded: nothing can abort it any more, and the bar ends full. */
  succeed(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    if (this.#fraction < 1) this.progress(this.phase, 1);
  }

  report(state: ClientState, error?: MixError): void {
    if (error) this.trouble = error;
    const connected: ClientState[] = ['ready', 'degraded', 'reconnecting', 'paused'];
    this.reportedState = connected.includes(state) ? state : null;
  }

  progress(phase: Phase, fraction: number, detail?: string): void {
    this.phase = phase;
    this.#fraction = Math.min(1, Math.max(this.#fraction, fraction));
    const elapsedMs = performance.now() - this.#start;
    const progress = { phase, fraction: this.#fraction, elapsedMs, ...(detail === undefined ? {} : { detail }) };
    const { onProgress } = this.#options;
    // In a microtask: what a callback throws must not stop us.
    if (onProgress) queueMicrotask(() => onProgress(progress));
    this.#emit(progress);
  }

  lateError(): MixError {
    const { phase, trouble: cause } = this;
    const text =
      `connect() did not finish within ${this.timeoutMs / 1000} s; the time went into the phase "${phase}". ` +
      (cause ? `The last trouble was: ${cause.message}` : 'Try again, or allow more time with timeoutMs.');
    return mixError('timeout', text, cause ? { phase, cause } : { phase });
  }

  readonly #onAbort = (): void => this.abort(this.#options.signal?.reason);
}
