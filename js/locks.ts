import { Refusal } from './load.js';
import { limits } from './limits.js';
import { profileLock, sharesLock } from './tab-names.js';

/** The locks that a worker holds. The browser frees them when it ends, however it does. */
export class Locks {
  readonly #manager: LockManager | undefined;
  readonly #onStolen: () => void;
  readonly #held = new Map<string, () => void>();
  #ended = false;

  /** `onStolen`: another worker has taken a lock that was held here. */
  constructor(manager: LockManager | undefined, onStolen: () => void) {
    this.#manager = manager;
    this.#onStolen = onStolen;
  }

  /** Throws `Refusal` `unsupported-runtime` where there are none. */
  get manager(): LockManager {
    if (this.#manager) return this.#manager;
    throw new Refusal('unsupported-runtime', 'storage', 'This browser has no Web Locks. Use a current browser.');
  }

  /** Whether the lock was granted. It is held until `release`. Rejects with an abort. */
  take(name: string, options: LockOptions): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const held = (lock: Lock | null) => {
        resolve(lock !== null);
        return lock && !this.#ended ? new Promise<void>((free) => this.#held.set(name, free)) : undefined;
      };
      this.manager.request(name, options, held).catch((error: unknown) => {
        if (this.#held.delete(name)) this.#onStolen();
        else reject(error);
      });
    });
  }

  release(name: string): void {
    this.#held.get(name)?.();
    this.#held.delete(name);
  }

  end(): void {
    this.#ended = true;
    for (const name of [...this.#held.keys()]) this.release(name);
  }

  /** Takes the lock of a profile. Throws `Refusal` `in-use` when another client holds it. */
  async takeProfile(profile: string): Promise<void> {
    if (!(await this.takeSoon(profileLock(profile)))) throw new Refusal('in-use', 'storage', '', { retriable: true });
  }

  /** Whether the lock was granted, at once or soon. */
  async takeSoon(name: string): Promise<boolean> {
    // The lock of a page that was just reloaded lingers for a moment, so a taken one is asked for once more.
    if (await this.take(name, { ifAvailable: true })) return true;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), limits.lockGraceMs);
    const taken = await this.take(name, { signal: patience.signal }).catch((error: unknown) => {
      if (patience.signal.aborted) return false;
      throw error;
    });
    clearTimeout(timer);
    return taken;
  }

  /** Whether the client that has the profile would share it; `null`: none has it. */
  async isShared(profile: string): Promise<boolean | null> {
    const { held = [] } = await this.manager.query();
    const holder = held.find(({ name }) => name === profileLock(profile));
    if (!holder) return null;
    return held.some(({ name, clientId }) => name === sharesLock(profile) && clientId === holder.clientId);
  }
}
