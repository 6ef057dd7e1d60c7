import type { MixData, ReceivedMessage, ReplyTag, SendOptions, SentMessage } from './types.js';

/** What a received message asks of its client. */
export interface Replier {
  canReply(tag: ReplyTag): boolean;
  reply(tag: ReplyTag | null, data: MixData, options?: SendOptions): SentMessage;
}

export class Received implements ReceivedMessage {
  readonly id: string;
  readonly data: Uint8Array;
  readonly receivedAt = new Date();
  readonly from: ReplyTag | null;
  readonly #replier: Replier;

  constructor(id: string, data: Uint8Array, from: ReplyTag | null, replier: Replier) {
    this.id = id;
    this.data = data;
    this.from = from;
    this.#replier = replier;
  }

  get canReply(): boolean {
    return this.from !== null && this.#replier.canReply(this.from);
  }

  text(): string {
    return new TextDecoder().decode(this.data);
  }

  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }

  reply(data: MixData, options?: SendOptions): SentMessage {
    return this.#replier.reply(this.from, data, options);
  }
}
