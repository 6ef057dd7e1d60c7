/** Web Locks, as far as they are used: exclusive and shared, with a queue, `ifAvailable`, `signal`, `steal` and `query`. */
export class FakeLocks {
  readonly #locks = new Map<string, Waiting>();
  /** What `query` names as the holder; each view has its own. */
  readonly clientId: string;
  readonly #all: FakeLocks;

  constructor(clientId = 'test', all?: FakeLocks) {
    this.clientId = clientId;
    this.#all = all ?? this;
  }

  /** The same locks for another worker. */
  view(clientId: string): FakeLocks {
    return new FakeLocks(clientId, this.#all);
  }

  get held(): string[] {
    return [...this.#all.#locks.keys()];
  }

  /** How many wait for a lock. */
  waiting(name: string): number {
    return this.#all.#locks.get(name)?.queue.length ?? 0;
  }

  /** Holds a lock, as another tab would. Returns what frees it. */
  take(name: string): () => void {
    const free = deferred<null>();
    void this.request(name, {}, () => free.promise);
    return () => free.resolve(null);
  }

  query(): Promise<LockManagerSnapshot> {
    const held = [...this.#all.#locks].flatMap(([name, { holders }]) =>
      holders.map(({ clientId, mode }) => ({ name, clientId, mode })),
    );
    return Promise.resolve({ held, pending: [] });
  }

  request(name: string, ...rest: [LockOptions, Use] | [Use]): Promise<unknown> {
    const [options, use] = rest.length === 2 ? rest : [{}, rest[0]];
    const { ifAvailable = false, signal, steal = false, mode = 'exclusive' } = options;
    const { clientId } = this;
    const locks = this.#all.#locks;
    const lock = locks.get(name) ?? { holders: [], queue: [] };
    locks.set(name, lock);
    return new Promise((resolve, reject) => {
      const holder: Holder = { clientId, mode, stolen: () => reject(new DOMException('stolen', 'AbortError')) };
      const grant = () => {
        lock.holders.push(holder);
        const done = () => {
          if (!lock.holders.includes(holder)) return;
          lock.holders.splice(lock.holders.indexOf(holder), 1);
          this.#all.#next(name, lock);
        };
        void Promise.resolve()
          .then(() => use({ name, mode }))
          .then(resolve, reject)
          .then(done);
      };
      const fits = () => lock.holders.length === 0 || (mode === 'shared' && lock.holders[0]?.mode === 'shared');
      if (steal) {
        for (const { stolen } of lock.holders.splice(0)) stolen();
        grant();
      } else if (fits()) grant();
      else if (ifAvailable) resolve(use(null));
      else {
        const entry = { fits, grant };
        lock.queue.push(entry);
        signal?.addEventListener('abort', () => {
          if (!lock.queue.includes(entry)) return;
          lock.queue.splice(lock.queue.indexOf(entry), 1);
          reject(signal.reason as Error);
        });
      }
    });
  }

  #next(name: string, lock: Waiting): void {
    while (lock.queue[0]?.fits()) lock.queue.shift()?.grant();
    if (lock.holders.length === 0 && lock.queue.length === 0) this.#locks.delete(name);
  }

  /** What the browser does when a worker ends: everything it holds is free. */
  end(): void {
    for (const [name, lock] of this.#all.#locks) {
      lock.holders = lock.holders.filter(({ clientId }) => clientId !== this.clientId);
      this.#all.#next(name, lock);
    }
  }
}

type Use = (lock: Lock | null) => unknown;

interface Holder {
  clientId: string;
  mode: LockMode;
  stolen: () => void;
}

interface Waiting {
  holders: Holder[];
  queue: { fits: () => boolean; grant: () => void }[];
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((yes) => (resolve = yes));
  return { promise, resolve };
}
