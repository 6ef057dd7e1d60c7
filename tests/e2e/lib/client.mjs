// A mixlet client in a page, as the tests see it.

import { bytesOf, digestOf } from './bytes.mjs';
import { PageError } from './browsers.mjs';
import { expect } from './report.mjs';
import { within } from './time.mjs';

const CONNECT_MS = 90_000;
const SETTLE_MS = 180_000;

export class Client {
  address = null;

  /** Opens a page at `url` in a browser's profile and connects a client there. `options` are those of `MixClient`. */
  static async connect(profile, url, name, options) {
    const client = new Client(await profile.open(url), name, options);
    await client.connect();
    return client;
  }

  constructor(page, name, options) {
    this.page = page;
    this.name = name;
    this.options = { profile: name, ...options };
  }

  /** Connects, also again. Gives back `{ address, ms, gateway, phases }`. */
  async connect(connectOptions) {
    const connecting = this.page.call('connect', this.name, this.options, connectOptions);
    const connected = await within(CONNECT_MS, `${this.name} connects`, connecting);
    this.address = connected.address;
    return connected;
  }

  close(options) {
    return this.page.call('close', this.name, options);
  }

  /** Sends `{ text }` or `{ seed, length }`. Gives back `{ settle(what) }`. */
  async send(to, what, options) {
    return this.#handle(await this.page.call('send', this.name, to, what, options));
  }

  /** Answers a received message. */
  async reply(message, what, options) {
    return this.#handle(await this.page.call('reply', this.name, message.number, what, options));
  }

  #handle(number) {
    const settle = (what = 'delivered', ms = SETTLE_MS) =>
      within(ms, `${what} of ${this.name}`, this.page.call('settle', this.name, number, what));
    return { settle };
  }

  /** Waits for a message with exactly this body and gives it back. */
  async receive(what, ms = SETTLE_MS) {
    const body = what.text === undefined ? bytesOf(what.seed, what.length) : new TextEncoder().encode(what.text);
    const label = what.text ?? `${body.length} bytes`;
    const message = await within(
      ms,
      `${this.name} receives ${label}`,
      this.page.call('receive', this.name, await digestOf(body)),
    );
    expect(message.length === body.length, `${message.length} bytes came instead of ${body.length}`);
    return message;
  }

  /** Everything received so far. */
  received() {
    return this.page.call('received', this.name);
  }

  state() {
    return this.page.call('state', this.name);
  }

  stats() {
    return this.page.call('stats', this.name);
  }
}

/** The fields of the error a call in the page ends with; fails when it succeeds. */
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof PageError) return error.fields;
    throw error;
  }
  throw new Error(`it succeeded: ${JSON.stringify(value)}`);
}
