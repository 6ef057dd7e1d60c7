import { limits } from './limits.js';
import type { PageMessage, WorkerMessage } from './protocol.js';
import { hallName, lineSalt, tabName } from './tab-names.js';
import type { TabKeys } from './tab-key.js';
import { TabLine, seal, unseal } from './tab-line.js';

/** What a follower tells its host. */
export interface FollowerOwner {
  onMessage(message: WorkerMessage): void;
  onBroken(): void;
  /** The leader has not answered for long: the browser has stopped it, as it does with tabs that nobody looks at. */
  onSilence(): void;
}

/** Asks the leader whether it runs, and its answer. */
export interface Ping {
  ping: true;
}

/**
 * A page's way to the connection of another one. It greets in the hall, where every page of the profile can be heard,
 * until the leader opens a line for it, which only the two use.
 */
export class TabFollower {
  readonly #tab: string;
  readonly #keys: TabKeys;
  readonly #owner: FollowerOwner;
  readonly #hall: BroadcastChannel;
  readonly #channel: BroadcastChannel;
  #timer: ReturnType<typeof setInterval>;
  /** When the leader was heard last, and when that was looked at. */
  #heardAt = 0;
  #lookedAt = 0;
  #line: TabLine | null = null;
  #welcomed = false;
  /** What waits for the line. */
  #unsent: PageMessage[] = [];
  #ended = false;

  /** `tab`: names this page and nobody else; a lock of this name is held as long as it lives. */
  constructor(profile: string, tab: string, keys: TabKeys, owner: FollowerOwner) {
    this.#tab = tab;
    this.#keys = keys;
    this.#owner = owner;
    this.#hall = new BroadcastChannel(hallName(profile));
    this.#channel = new BroadcastChannel(tabName(tab));
    this.#channel.onmessage = ({ data }: MessageEvent) => {
      if (this.#line) this.#line.handle(data);
      else void this.#welcome(data);
    };
    this.#timer = setInterval(() => void this.#greet(), limits.tabHelloMs);
    void this.#greet();
  }

  /** Sends a message to the leader. Its byte arrays are copied, once there is a line. */
  post(message: PageMessage): void {
    if (this.#line) this.#line.post(message);
    else this.#unsent.push(message);
  }

  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#hall.close();
    if (this.#line) void this.#line.close();
    else this.#channel.close();
  }

  async #greet(): Promise<void> {
    const hello = await seal(this.#keys.hall, { tab: this.#tab });
    if (!this.#welcomed && !this.#ended) this.#hall.postMessage(hello);
  }

  async #welcome(sealed: unknown): Promise<void> {
    const welcome = (await unseal(this.#keys.hall, sealed)) as { tab?: unknown; nonce?: unknown } | null;
    if (welcome?.tab !== this.#tab || !(welcome.nonce instanceof Uint8Array) || this.#welcomed || this.#ended) return;
    this.#welcomed = true;
    clearInterval(this.#timer);
    this.#hall.close();
    const { up, down } = await this.#keys.line(lineSalt(this.#tab, welcome.nonce));
    if (this.#ended) return;
    this.#line = new TabLine(
      this.#channel,
      { write: up, read: down },
      {
        onMessage: (message) => {
          this.#heardAt = performance.now();
          if (!('ping' in (message as WorkerMessage | Ping))) this.#owner.onMessage(message as WorkerMessage);
        },
        onBroken: () => this.#owner.onBroken(),
      },
    );
    for (const message of this.#unsent) this.#line.post(message);
    this.#unsent = [];
    this.#heardAt = this.#lookedAt = performance.now();
    this.#timer = setInterval(() => this.#look(), limits.tabPingMs);
  }

  #look(): void {
    const now = performance.now();
    // Where this one was stopped, the answers are still to come.
    if (now - this.#lookedAt > 2 * limits.tabPingMs) this.#heardAt = now;
    this.#lookedAt = now;
    if (now - this.#heardAt > limits.tabSilenceMs) this.#owner.onSilence();
    else this.#line?.post({ ping: true } satisfies Ping);
  }
}
