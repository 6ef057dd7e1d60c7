import { limits } from './limits.js';
import type { PageMessage } from './protocol.js';
import type { Desk, Seat } from './tab-desk.js';
import type { Ping } from './tab-follower.js';
import type { TabKeys } from './tab-key.js';
import { TabLine, seal, unseal } from './tab-line.js';
import { hallName, lineSalt, tabName } from './tab-names.js';

/** What the leader has of one follower. */
interface Follower {
  readonly channel: BroadcastChannel;
  readonly welcome: Uint8Array<ArrayBuffer>;
  readonly seat: Seat;
  readonly line: TabLine;
}

/** Lets other pages of the profile in to the desk, and notices when they go. */
export class TabLeader {
  readonly #keys: TabKeys;
  readonly #locks: LockManager;
  readonly #desk: Desk;
  readonly #hall: BroadcastChannel;
  /** By what they call themselves; `null`: one that is being let in. */
  readonly #followers = new Map<string, Follower | null>();
  readonly #watching = new AbortController();

  constructor(profile: string, keys: TabKeys, locks: LockManager, desk: Desk) {
    this.#keys = keys;
    this.#locks = locks;
    this.#desk = desk;
    this.#hall = new BroadcastChannel(hallName(profile));
    this.#hall.onmessage = ({ data }: MessageEvent) => void this.#greeted(data);
  }

  /** Nobody is let in any more, and nobody is heard. Resolves when what was posted has left. */
  async end(): Promise<void> {
    this.#watching.abort();
    this.#hall.close();
    const lines = [...this.#followers.values()].map((follower) => follower?.line.close() ?? Promise.resolve());
    this.#followers.clear();
    await Promise.all(lines);
  }

  async #greeted(sealed: unknown): Promise<void> {
    const hello = (await unseal(this.#keys.hall, sealed)) as { tab?: unknown } | null;
    const tab = hello?.tab;
    if (typeof tab !== 'string' || this.#watching.signal.aborted) return;
    const known = this.#followers.get(tab);
    if (known) known.channel.postMessage(known.welcome);
    else if (known === undefined && this.#followers.size < limits.sharingTabs) await this.#letIn(tab);
  }

  async #letIn(tab: string): Promise<void> {
    this.#followers.set(tab, null);
    const nonce = crypto.getRandomValues(new Uint8Array(16));
    const [{ up, down }, welcome] = await Promise.all([
      this.#keys.line(lineSalt(tab, nonce)),
      seal(this.#keys.hall, { tab, nonce }),
    ]);
    const channel = new BroadcastChannel(tabName(tab));
    const line: TabLine = new TabLine(
      channel,
      { write: down, read: up },
      {
        onMessage: (message) => {
          if ('ping' in (message as PageMessage | Ping)) line.post({ ping: true } satisfies Ping);
          else if (seat) this.#desk.handle(seat, message as PageMessage);
        },
        onBroken: () => this.#left(tab),
      },
    );
    const seat = this.#watching.signal.aborted ? null : this.#desk.join((message) => line.post(message));
    if (!seat) {
      this.#followers.delete(tab);
      channel.close();
      return;
    }
    channel.onmessage = ({ data }: MessageEvent) => line.handle(data);
    this.#followers.set(tab, { channel, welcome, seat, line });
    channel.postMessage(welcome);
    // Free when its worker has ended, however that came. Rejected by our own end.
    this.#locks.request(tabName(tab), { signal: this.#watching.signal }, () => this.#left(tab)).catch(() => {});
  }

  #left(tab: string): void {
    const follower = this.#followers.get(tab);
    if (!follower) return;
    this.#followers.delete(tab);
    void follower.line.close();
    this.#desk.leave(follower.seat);
  }
}
