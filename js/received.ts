import type { Sender } from './protocol.js';
import type { MixData, ReceivedMessage, ReplyTag, SendOptions, SentMessage } from './types.js';

/** What a received message asks of its client. */
export interface Replier {
  canReply(tag: ReplyTag): boolean;
  reply(sender: Sender, data: MixData, options?: SendOptions): SentMessage;
}

/** A message that came in. */
export interface Arrival {
  readonly id: string;
  readonly body: Uint8Array;
  readonly via: 'mixlet' | 'plain';
  readonly sender: Sender;
  readonly at: Date;
  /** Takes it out of a durable inbox. */
  readonly done?: () => Promise<void>;
}

export class Received implements ReceivedMessage {
  readonly id: string;
  readonly data: Uint8Array;
  readonly receivedAt: Date;
  readonly via: 'mixlet' | 'plain';
  readonly from: ReplyTag | null;
  readonly #sender: Sender;
  readonly #done: (() => Promise<void>) | undefined;
  readonly #replier: Replier;

  constructor({ id, body, via, sender, at, done }: Arrival, replier: Replier) {
    this.id = id;
    this.data = body;
    this.receivedAt = at;
    this.via = via;
    this.from = sender.tag as ReplyTag | null;
    this.#sender = sender;
    this.#done = done;
    this.#replier = replier;
  }

  get canReply(): boolean {
    if (this.#sender.address !== null) return true;
    return this.from !== null && this.#replier.canReply(this.from);
  }

  text(): string {
    return new TextDecoder().decode(this.data);
  }

  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }

  reply(data: MixData, options?: SendOptions): SentMessage {
    return this.#replier.reply(this.#sender, data, options);
  }

  async done(): Promise<void> {
    await this.#done?.();
  }
}
