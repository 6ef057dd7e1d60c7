import type { Sender } from './protocol.js';
import type { MixData, ReceivedMessage, ReplyTag, SendOptions, SentMessage } from './types.js';

/** What a received message asks of its client. */
export interface Replier {
  canReply(tag: ReplyTag): boolean;
  reply(sender: Sender, data: MixData, options?: SendOptions): SentMessage;
}

export class Received implements ReceivedMessage {
  readonly id: string;
  readonly data: Uint8Array;
  readonly receivedAt = new Date();
  readonly via: 'mixlet' | 'plain';
  readonly from: ReplyTag | null;
  readonly #sender: Sender;
  readonly #replier: Replier;

  constructor(id: string, data: Uint8Array, via: 'mixlet' | 'plain', sender: Sender, replier: Replier) {
    this.id = id;
    this.data = data;
    this.via = via;
    this.from = sender.tag as ReplyTag | null;
    this.#sender = sender;
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
}
