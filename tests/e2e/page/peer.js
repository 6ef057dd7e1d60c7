// A page with one client of either kind, mixlet or the published Nym client, behind the same few calls. What is timed
// and what is checked is the same code for both. Calls take and give plain data, as those of `page.js`.

import { bytesOf, digestOf } from '/lib/bytes.mjs';

let client;

/** `{ length, digest, tag, at }` by order of arrival; `digest` is a promise. */
const received = [];

/** The beginning of an envelope, as docs/PROTOCOL.md has it: magic, version, kind, flags, id. */
const MAGIC = [...new TextEncoder().encode('mixlet'), 0xf0, 1];
const HEAD = 8 + 3 + 16;
const UNSUPPORTED = 7;

/** Whom to wake when anything arrived. */
const watchers = new Set();

/** Milliseconds since 1970, in fractions: pages of one browser can be compared. */
const now = () => performance.timeOrigin + performance.now();

/** Each: `load()` fetches the script, `open(options)` gives back `{ address, plain, anonymous, reply, close }`. */
const KINDS = {
  nym: {
    load: () => import('/nym/nym_client_wasm.js'),
    async open({ default: init, NymClient }, options) {
      const wasm = await init();
      const nym = await new NymClient((bytes, tag) => arrived(bytes, tagText(wasm, tag)), options);
      return {
        address: nym.selfAddress(),
        plain: (to, body) => nym.send_regular_message(body, to),
        anonymous: (to, body, surbs) => nym.send_anonymous_message(body, to, surbs),
        reply: (tag, body) => nym.send_reply(body, tag),
      };
    },
  },
  mixlet: {
    load: () => import('/dist/index.js'),
    async open({ MixClient }, options) {
      const mixlet = new MixClient(options);
      mixlet.addEventListener('message', ({ detail }) => arrived(detail.data, detail.from));
      const address = await mixlet.connect();
      const queued = (message) => message.queued;
      return {
        address,
        plain: (to, body) => queued(mixlet.send(to, body, { replies: 0 })),
        anonymous: (to, body, surbs) => queued(mixlet.send(to, body, { replies: surbs })),
        reply: (tag, body) => queued(mixlet.send(tag, body)),
      };
    },
  },
};

function arrived(bytes, tag) {
  // A view into the module's memory would not last.
  const body = bytes.slice();
  received.push({ length: body.length, digest: digestOf(body), tag, at: now(), head: body.slice(0, HEAD) });
  for (const wake of watchers) wake();
  watchers.clear();
}

/** Lets what else the page has to do have its turn. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

/** How long the page is busy with one thing. */
const watch = {
  /** The browser tells of tasks from 50 ms on. */
  task: 0,
  gap: 0,
  timer: undefined,
  observer: new PerformanceObserver((list) => watch.take(list.getEntries())),

  begin() {
    this.task = 0;
    this.gap = 0;
    let last = performance.now();
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      const time = performance.now();
      this.gap = Math.max(this.gap, time - last - TICK_MS);
      last = time;
    }, TICK_MS);
    this.observer.observe({ type: 'longtask' });
  },

  take(entries) {
    for (const { duration } of entries) this.task = Math.max(this.task, duration);
  },

  end() {
    clearInterval(this.timer);
    this.take(this.observer.takeRecords());
    this.observer.disconnect();
    return { task: this.task, gap: this.gap };
  },
};
const TICK_MS = 4;

const change = () => new Promise((resolve) => watchers.add(resolve));

const plainMessage = async ({ length, digest, tag, at }) => ({ length, digest: await digest, tag, at });

const bodyOf = ({ text, seed, length }) =>
  text === undefined ? bytesOf(seed, length) : new TextEncoder().encode(text);

const calls = {
  /** Opens the client; `ms` counts from before its wasm is fetched, with its script at hand. */
  async open(kind, options) {
    const script = await KINDS[kind].load();
    const start = now();
    client = await KINDS[kind].open(script, options);
    return { address: client.address, ms: now() - start };
  },

  /** Sends `{ text }` or `{ seed, length }`, with SURBs or plain. Gives back when it began. */
  async send(to, what, surbs = 0) {
    const body = bodyOf(what);
    const start = now();
    await (surbs > 0 ? client.anonymous(to, body, surbs) : client.plain(to, body));
    return start;
  },

  async reply(tag, what) {
    await client.reply(tag, bodyOf(what));
  },

  /** Sends `count` plain messages of `length` bytes, with the seeds from `seed` on. Gives back when it began. */
  async sendMany(to, seed, count, length) {
    const bodies = Array.from({ length: count }, (_, n) => bytesOf(seed + n, length));
    const start = now();
    await Promise.all(bodies.map((body) => client.plain(to, body)));
    return start;
  },

  /**
   * Waits for the message with this number, which has to be an envelope of mixlet, and answers it as a client does that
   * does not know its version or kind.
   */
  async refuse(number) {
    while (received.length <= number) await change();
    const { head, tag } = received[number];
    const [version, kind] = head.slice(8);
    if (String(head.slice(0, 8)) !== String(MAGIC)) throw new Error('this is no envelope');
    const id = head.slice(11, HEAD);
    await client.reply(tag, new Uint8Array([...MAGIC, 1, UNSUPPORTED, 0, ...id, 0, version, kind]));
    return { version, kind };
  },

  /** Sends the same, one after the other, as soon as the client has accepted the one before. */
  async sendEach(to, seed, count, length) {
    const bodies = Array.from({ length: count }, (_, n) => bytesOf(seed + n, length));
    await turn();
    const start = now();
    watch.begin();
    for (const body of bodies) {
      await client.plain(to, body);
      await turn();
    }
    return start;
  },

  /** From now on the tasks of this page are watched. */
  watch: () => watch.begin(),

  /** The longest task, and the longest time in which the page could do nothing else, in milliseconds. */
  watched: () => watch.end(),

  /** Waits for the message with this digest. */
  async receive(digest) {
    for (let next = 0; ;) {
      for (; next < received.length; next += 1) {
        if ((await received[next].digest) === digest) return plainMessage(received[next]);
      }
      await change();
    }
  },

  /** Waits until `count` messages have arrived after the first `first`. */
  async receiveMany(first, count) {
    while (received.length < first + count) await change();
    return Promise.all(received.slice(first, first + count).map(plainMessage));
  },

  /** Everything that has arrived. */
  received: () => Promise.all(received.map(plainMessage)),
};

/**
 * A sender tag as the text that `send_reply` takes. This version of the client hands out an object that holds the 16
 * bytes in the module's memory, behind a word for its borrow count, and has no method to get at them.
 */
function tagText(wasm, tag) {
  if (tag === undefined || tag === null || typeof tag === 'string') return tag ?? null;
  return base58(new Uint8Array(wasm.memory.buffer, tag.__wbg_ptr + 4, 16));
}

function base58(bytes) {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let rest = bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
  let text = '';
  for (; rest > 0n; rest /= 58n) text = digits[Number(rest % 58n)] + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text;
}

let count = 0;
const running = new Map();

window.e2e = {
  /** Begins a call and gives back its number. */
  start(name, args) {
    const number = (count += 1);
    const call = { done: false };
    running.set(number, call);
    const finish = (outcome) => Object.assign(call, { done: true, outcome });
    Promise.resolve()
      .then(() => calls[name](...args.map((arg) => arg ?? undefined)))
      .then(
        (value) => finish({ ok: value ?? null }),
        (error) => finish({ error: { code: error?.code, message: error?.message ?? String(error) } }),
      );
    return number;
  },
  /** The outcome of a call, or null while it runs. */
  look(number) {
    const call = running.get(number);
    if (!call.done) return null;
    running.delete(number);
    return call.outcome;
  },
};
