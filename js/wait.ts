/** Ways to stop waiting. */
export interface Bounds {
  /** Its abort rejects with `signal.reason` itself. */
  signal?: AbortSignal | undefined;
  /** 0: none. */
  timeoutMs?: number | undefined;
  /** What the deadline rejects with. */
  late?: () => Error;
}

/** Settles as the promise does, unless the abort or the deadline comes first. What the promise does then is ignored. */
export function bounded<T>(promise: Promise<T>, { signal, timeoutMs = 0, late }: Bounds): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => settle(() => reject(signal?.reason as Error));
    const timer = timeoutMs > 0 && late ? setTimeout(() => settle(() => reject(late())), timeoutMs) : undefined;
    const settle = (then: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      then();
    };
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
    if (signal?.aborted) aborted();
    else signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** A promise that can be opened from outside, once. It never rejects. */
export class Gate {
  readonly opened: Promise<void>;
  isOpen = false;
  #resolve!: () => void;

  constructor() {
    this.opened = new Promise((resolve) => (this.#resolve = resolve));
  }

  open(): void {
    this.isOpen = true;
    this.#resolve();
  }
}

/** Resolves when the first of them has settled in any way, or after so many milliseconds (0: no limit). */
export async function firstOf(promises: (Promise<unknown> | undefined)[], timeoutMs = 0): Promise<void> {
  const any = Promise.race(promises.flatMap((promise) => promise?.then(ignore, ignore) ?? []));
  await bounded(any, { timeoutMs, late: () => new Error() }).catch(ignore);
}

/** Resolves after so many milliseconds, or at the abort. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const never = new Promise<never>(() => {});
  return bounded(never, { signal, timeoutMs: Math.max(1, ms), late: () => new Error() }).catch(ignore);
}

const ignore = (): void => {};
