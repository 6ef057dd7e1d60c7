import { mixError } from './errors.js';
import { toHex } from './hex.js';
import { Inbox } from './inbox.js';
import { limits } from './limits.js';
import type { Sender, WorkerEvent } from './protocol.js';
import { Received } from './received.js';
import type { Replier } from './received.js';
import { Recent } from './recent.js';
import type { Rpc } from './rpc.js';
import type { MixClientEventMap, ReceivedMessage, ReplyTag } from './types.js';

/** What incoming messages ask of their client. */
export interface IncomingOwner {
  /** Raises the `message` event. */
  onMessage(message: ReceivedMessage): void;
  onOverflow(overflow: MixClientEventMap['overflow']['detail']): void;
  /** Somebody listens, or nobody does any more. */
  onHeard(): void;
  reply: Replier['reply'];
}

type Event = Extract<WorkerEvent, { event: 'received' }>;
type KeptEvent = Event & { kept: number };

/**
 * The messages that come in, on their way to whoever listens.
 *
 * Those of a durable inbox stay with the worker until they are done. It gives them only while somebody here listens, and
 * gives them again after anything that may have made them get lost on the way: so one that comes twice is known by its id.
 */
export class Incoming {
  readonly #owner: IncomingOwner;
  readonly #isDurable: boolean;
  readonly #inbox: Inbox<ReceivedMessage>;
  /** The senders that can be answered. */
  readonly #replyable = new Recent<string, true>(limits.watchedTags);
  /** Ids of envelopes that were seen. */
  readonly #seen = new Recent<string, true>(limits.seenMessages);
  /** Of a durable inbox: the messages here that are not done, bounded by what the worker gives at a time. */
  readonly #held = new Map<string, { kept: number }>();
  /** Those that are, for when the worker did not hear of it. */
  readonly #done = new Recent<string, true>(limits.seenMessages);
  #count = 0;
  #rpc: Rpc | null = null;

  constructor(isDurable: boolean, owner: IncomingOwner) {
    this.#owner = owner;
    this.#isDurable = isDurable;
    this.#inbox = new Inbox<ReceivedMessage>(
      !isDurable,
      ({ reason, message }) =>
        owner.onOverflow({ reason, from: message.from, messages: 1, bytes: message.data.byteLength }),
      () => {
        if (isDurable) this.#take();
        owner.onHeard();
      },
    );
  }

  get isHeard(): boolean {
    return this.#inbox.isHeard;
  }

  /** From now on this worker gives the messages. */
  attach(rpc: Rpc): void {
    this.#rpc = rpc;
    if (this.#isDurable && this.#inbox.isHeard) this.#take();
  }

  /** The worker is gone. */
  detach(): void {
    this.#rpc = null;
    this.#replyable.clear();
  }

  /** A listener for `message` events was added. */
  listen(): void {
    this.#inbox.listen((message) => this.#owner.onMessage(message));
  }

  /** The last one was removed. */
  unlisten(): void {
    if (this.#isDurable) this.#inbox.unlisten();
  }

  /** Throws `MixError` `config-invalid`. */
  iterate(signal: AbortSignal | undefined, ended: boolean): AsyncIterableIterator<ReceivedMessage> {
    if (this.#isDurable && this.#inbox.isIterated) {
      throw mixError(
        'config-invalid',
        "With inbox: 'durable' one messages() at a time takes them. Leave the other loop first.",
      );
    }
    return this.#inbox.iterate(signal, ended);
  }

  /** Ends all iterators. */
  end(): void {
    this.#inbox.end();
  }

  handle(event: Event): void {
    if (event.tag !== null) this.setReplyable(event.tag, event.canReply);
    if (event.kept !== undefined) this.#keep(event as KeptEvent);
    else if (event.wire === null || this.#isNew(event.wire)) {
      this.#inbox.push(this.message(event.body, event.via, event));
    }
  }

  /** A message that ends with being read. */
  message(body: Uint8Array, via: 'mixlet' | 'plain', sender: Sender): ReceivedMessage {
    return new Received({ id: String(++this.#count), body, via, sender, at: new Date() }, this.#replier);
  }

  setReplyable(tag: string, canReply: boolean): void {
    if (canReply) this.#replyable.set(tag, true);
    else this.#replyable.delete(tag);
  }

  #keep({ kept, wire, at, body, via, ...sender }: KeptEvent): void {
    const id = toHex(wire ?? new Uint8Array());
    const held = this.#held.get(id);
    if (held) {
      held.kept = kept;
      return;
    }
    if (this.#done.has(id)) {
      void this.#finish(kept);
      return;
    }
    if (this.#isDurable && !this.#inbox.isHeard) return;
    const entry = { kept };
    this.#held.set(id, entry);
    let finished: Promise<void> | undefined;
    const done = () => {
      if (finished) return finished;
      this.#done.set(id, true);
      this.#held.delete(id);
      return (finished = this.#finish(entry.kept));
    };
    const arrival = { id, body, via, sender, at: new Date(at ?? Date.now()), done };
    this.#inbox.push(new Received(arrival, this.#replier));
    // Left by a durable inbox of an earlier visit.
    if (!this.#isDurable) void done();
  }

  /** Resolves when the store does not have it any more. Another worker that gives it again is told the same. */
  async #finish(kept: number): Promise<void> {
    await this.#rpc?.request('done', { kept }).catch(() => {});
  }

  /** The worker is told who takes messages; what is not done is given again to who takes them next. */
  #take(): void {
    const taking = this.#inbox.isHeard;
    if (!taking) this.#held.clear();
    this.#rpc?.notify({ op: 'take', taking });
  }

  /** A worker that took over does not know what the one before it had handed out. */
  #isNew(wire: Uint8Array): boolean {
    const id = toHex(wire);
    if (this.#seen.has(id)) return false;
    this.#seen.set(id, true);
    return true;
  }

  readonly #replier: Replier = {
    canReply: (tag: ReplyTag) => this.#replyable.has(tag),
    reply: (sender, data, options) => this.#owner.reply(sender, data, options),
  };
}
