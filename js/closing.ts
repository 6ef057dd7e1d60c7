import { mixError } from './errors.js';
import { limits } from './limits.js';
import type { Outgoing } from './outgoing.js';
import type { Session } from './session.js';
import { Gate, firstOf } from './wait.js';

/** One closing, from `close` to the end of the worker. */
export class Closing {
  readonly done = new Gate();
  readonly #hurry = new Gate();
  readonly #session: Session;
  readonly #forgetMs: number | undefined;

  /** `forgetMs`: the gateway is to forget this client at the end, and is waited for so long. */
  constructor(session: Session, forgetMs?: number) {
    this.#session = session;
    this.#forgetMs = forgetMs;
  }

  /** The draining has to stop. */
  hurry(): void {
    this.#hurry.open();
  }

  /** Resolves when the worker has closed, or was given its time. */
  async run(outgoing: Outgoing, drain: boolean, timeoutMs: number): Promise<void> {
    const start = performance.now();
    const stop = [this.#hurry.opened, this.#session.ended];
    const graceMs = limits.closeGraceMs + (this.#forgetMs ?? 0);
    if (drain) await firstOf([outgoing.whenHandedOver(), ...stop], timeoutMs);
    if (drain && !this.#hurry.isOpen) {
      // 0 means no limit, so a limit that is used up must not become 0.
      const left = timeoutMs === 0 ? 0 : Math.max(1, Math.round(timeoutMs - (performance.now() - start)));
      await firstOf([this.#ask(true, left), ...stop], left === 0 ? 0 : left + graceMs);
      if (!this.#hurry.isOpen) return;
    }
    await firstOf([this.#ask(false, limits.closeGraceMs), this.#session.ended], drain ? limits.closeGraceMs : graceMs);
  }

  async #ask(drain: boolean, timeoutMs: number): Promise<void> {
    const { shared } = await this.#session.rpc.request('close', { drain, timeoutMs, forgetMs: this.#forgetMs });
    if (shared) this.#session.leave(mixError('closed'));
  }
}
