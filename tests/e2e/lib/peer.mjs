// A client of either kind in a page of its own, as the tests and the benchmark see it.

import { bytesOf, digestOf } from './bytes.mjs';
import { within } from './time.mjs';

const OPEN_MS = 90_000;
const RECEIVE_MS = 180_000;

/** The bytes of what `what` stands for: `{ text }` or `{ seed, length }`. */
export function bodyOf({ text, seed, length }) {
  return text === undefined ? bytesOf(seed, length) : new TextEncoder().encode(text);
}

export class Peer {
  address = null;
  /** How long it took to open. */
  ms = null;

  /** Opens a page in a browser's profile. `kind` is `mixlet` or `nym`, `options` are those of that client. */
  static async open(profile, url, kind, options) {
    const page = await profile.open(`${url}page/peer.html`);
    const peer = new Peer(page, kind);
    Object.assign(peer, await within(OPEN_MS, `${kind} opens`, page.call('open', kind, options)));
    return peer;
  }

  constructor(page, kind) {
    this.page = page;
    this.kind = kind;
  }

  /** Resolves when the client has accepted the message, to when that began. */
  send(to, what, surbs = 0) {
    return within(RECEIVE_MS, `${this.kind} sends`, this.page.call('send', to, what, surbs));
  }

  reply(tag, what) {
    return within(RECEIVE_MS, `${this.kind} replies`, this.page.call('reply', tag, what));
  }

  sendMany(to, seed, count, length) {
    return within(RECEIVE_MS, `${this.kind} sends`, this.page.call('sendMany', to, seed, count, length));
  }

  /** The same, one after the other. The page is watched from when it begins. */
  sendEach(to, seed, count, length, ms = RECEIVE_MS) {
    return within(ms, `${this.kind} sends`, this.page.call('sendEach', to, seed, count, length));
  }

  /** Begins to watch the tasks of the page. */
  watch() {
    return this.page.call('watch');
  }

  /** `{ task, gap }`: the longest task and the longest time without a turn for others, in milliseconds. */
  watched() {
    return this.page.call('watched');
  }

  /** Waits for a message with exactly these bytes: `{ length, digest, tag, at }`. */
  async receive(what, ms = RECEIVE_MS) {
    const body = bodyOf(what);
    const label = `${this.kind} receives ${what.text ?? `${body.length} bytes`}`;
    return within(ms, label, this.page.call('receive', await digestOf(body)));
  }

  receiveMany(first, count, ms = RECEIVE_MS) {
    return within(ms, `${this.kind} receives ${count} messages`, this.page.call('receiveMany', first, count));
  }

  received() {
    return this.page.call('received');
  }

  close() {
    return this.page.close();
  }
}
