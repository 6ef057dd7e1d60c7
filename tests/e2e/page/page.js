// What the tests do in the page. Each call is asked for by name, takes and gives plain data, and may take its time:
// `start` begins one, `look` says how it ended.

import { MixClient, MixError, parseAddress } from '/dist/index.js';
import { bytesOf, digestOf, numbered } from '/lib/bytes.mjs';

/** Clients by the name the test gave them: `{ client, received, states, undelivered, errors, sent }`. */
const known = new Map();

/** Milliseconds since 1970; times of different pages can be compared. */
const now = () => performance.timeOrigin + performance.now();

/** Whom to wake when anything arrived. */
const watchers = new Set();

const calls = {
  /** Makes a client and leaves it at that. */
  make(name, options) {
    make(name, options);
  },

  /** Makes a client and connects it. `workerUrl` stands for the option `worker`, `wasmBytes` for other forms of it. */
  async connect(name, options, connectOptions = {}) {
    const entry = known.get(name) ?? make(name, options);
    const phases = [];
    const onProgress = ({ phase, fraction }) => phases.push([phase, fraction]);
    const start = now();
    const address = await entry.client.connect({ ...connectOptions, onProgress });
    return { address, ms: now() - start, gateway: entry.client.gateway, phases };
  },

  async close(name, options) {
    await known.get(name).client.close(options);
  },

  /** Sends `{ text }` or `{ seed, length }`; gives back a number for `settle`. */
  send(name, to, what, options) {
    const { client, sent } = known.get(name);
    const start = now();
    return sent.push({ message: client.send(to, bodyOf(what), options), start }) - 1;
  },

  /** Answers the message with this number in `received`. */
  reply(name, number, what, options) {
    const { received, sent } = known.get(name);
    const start = now();
    return sent.push({ message: received[number].message.reply(bodyOf(what), options), start }) - 1;
  },

  /** Waits for `queued`, `sent` or `delivered`; `at` is when `send` was called, and `ms` counts from then on. */
  async settle(name, number, what = 'delivered') {
    const { message, start } = known.get(name).sent[number];
    const { roundTripMs, retransmissions } = (await message[what]) ?? {};
    return { at: start, ms: now() - start, roundTripMs, retransmissions };
  },

  /** Sends `count` messages of `length` bytes which begin with their number. */
  sendMany(name, to, count, length, options) {
    const { client, sent } = known.get(name);
    const first = sent.length;
    for (let n = 0; n < count; n += 1) {
      const entry = { message: client.send(to, numbered(n, length), options), start: now() };
      entry.message.delivered.then(
        () => (entry.delivered = true),
        () => {},
      );
      sent.push(entry);
    }
    return first;
  },

  /** Waits until `count` messages from number `first` on have settled: are delivered, or what else is waited for. */
  async settleMany(name, first, count, what = 'delivered') {
    const { sent } = known.get(name);
    const all = await Promise.allSettled(sent.slice(first, first + count).map(({ message }) => message[what]));
    const failed = all.filter(({ status }) => status === 'rejected').map(({ reason }) => plainError(reason));
    const retransmissions = all.reduce((total, { value }) => total + (value?.retransmissions ?? 0), 0);
    return { delivered: all.length - failed.length, failed, retransmissions };
  },

  /** Follows a message of the outbox to its end. Gives back `[acknowledged, total]` of every step. */
  async follow(name, id) {
    const message = await known.get(name).client.outbox.find(id);
    const steps = [];
    for await (const { fragmentsAcked, fragmentsTotal } of message.progress()) {
      steps.push([fragmentsAcked, fragmentsTotal]);
    }
    await message.delivered;
    return steps;
  },

  /** How many of these messages are delivered by now. */
  deliveredOf(name, first, count) {
    const { sent } = known.get(name);
    return sent.slice(first, first + count).filter((entry) => entry.delivered).length;
  },

  /** What has arrived, from number `first` on. */
  async received(name, first = 0) {
    return Promise.all(known.get(name).received.slice(first).map(plainMessage));
  },

  /** Waits for the message with this digest. */
  async receive(name, digest) {
    const { received } = known.get(name);
    for (let next = 0; ;) {
      for (; next < received.length; next += 1) {
        if ((await received[next].digest) === digest) return plainMessage(received[next]);
      }
      await new Promise((resolve) => watchers.add(resolve));
    }
  },

  /** Waits until so many have arrived. */
  async receiveMany(name, count) {
    const { received } = known.get(name);
    while (received.length < count) await new Promise((resolve) => watchers.add(resolve));
    return calls.received(name);
  },

  /** Sends messages of `length` bytes, the next when one is delivered, for so long. */
  async sendFor(name, to, length, ms) {
    const { client } = known.get(name);
    const end = now() + ms;
    const limit = AbortSignal.timeout(ms);
    let delivered = 0;
    for (let seed = 0; now() < end; seed += 1) {
      try {
        await client.send(to, bytesOf(seed, length), { replies: 0, signal: limit }).delivered;
        delivered += 1;
      } catch (error) {
        if (!limit.aborted) throw error;
      }
    }
    return delivered;
  },

  /** Answers requests when so many are there, in random order; without a count never. */
  serve(name, service, count) {
    let waiting = [];
    const answer = () => {
      for (const [place] of waiting.entries()) {
        const other = Math.floor(Math.random() * (place + 1));
        [waiting[place], waiting[other]] = [waiting[other], waiting[place]];
      }
      for (const resolve of waiting) resolve();
      waiting = [];
    };
    known.get(name).client.serve(
      (request) =>
        new Promise((resolve) => {
          waiting.push(() => resolve(`answer to ${request.text()}`));
          if (count !== undefined && waiting.length >= count) answer();
        }),
      { service },
    );
  },

  /** Asks the numbers from 0 on, all at once. Gives back the answers, or the codes of errors. */
  async requestMany(name, to, count, options) {
    const start = now();
    const items = Array.from({ length: count }, (_, number) => String(number));
    const results = await known.get(name).client.requestAll(to, items, options);
    const answers = results.map(({ value, reason }) => value?.text() ?? reason.code ?? String(reason));
    return { answers, ms: now() - start };
  },

  /** Sends a message and gives it up after so long. How long it took to reject from then on, and with what. */
  async abortAfter(name, to, what, ms) {
    const { client, undelivered } = known.get(name);
    const before = undelivered.length;
    const giveUp = new AbortController();
    const message = client.send(to, bodyOf(what), { signal: giveUp.signal });
    await message.queued;
    await new Promise((resolve) => setTimeout(resolve, ms));
    const reason = new Error('no more of it');
    const start = now();
    giveUp.abort(reason);
    const error = await message.delivered.catch((error) => error);
    return { ms: now() - start, isReason: error === reason, undelivered: undelivered.length - before };
  },

  /**
   * Takes the messages of a durable inbox as an application does that wants each once: what it has taken it notes in a
   * database of its own, under the message's id, before it asks for the next.
   */
  async take(name) {
    const notes = await openNotes(name);
    for await (const message of known.get(name).client.messages()) {
      const digest = await digestOf(message.data);
      await notes.change(message.id, (note) => ({
        digest,
        length: message.data.length,
        times: (note?.times ?? 0) + 1,
      }));
    }
  },

  /** Exports the identity; the file as a list of bytes. */
  async exportIdentity(name, passphrase) {
    const file = await known.get(name).client.identity.export({ passphrase });
    return [...new Uint8Array(await file.arrayBuffer())];
  },

  /** Imports one into a client, which is made where there is none. */
  importIdentity(name, options, file, importOptions) {
    const { client } = known.get(name) ?? make(name, options);
    return client.identity.import(new Blob([new Uint8Array(file)]), importOptions);
  },

  /** `rotate`, `destroy`, `setPassphrase` or `durability`. */
  identity(name, what, argument = null) {
    return known.get(name).client.identity[what](argument);
  },

  /** What is in the outbox. */
  async outbox(name) {
    return (await known.get(name).client.outbox.list()).map((entry) => ({ ...entry }));
  },

  /** Takes a message out of the outbox. */
  async cancelStored(name, id) {
    await known.get(name).client.outbox.cancel(id);
  },

  /** A message of an earlier visit; gives back a number for `settle`, or null. */
  async findSent(name, id) {
    const { client, sent } = known.get(name);
    const start = now();
    const message = await client.outbox.find(id);
    return message && sent.push({ message, start }) - 1;
  },

  /** What an application writes in the clear. */
  async note(name, text) {
    await (await openNotes(name)).change('note', () => ({ text }));
  },

  /** What was taken so far, over all visits: `{ id, digest, length, times }` each. */
  async taken(name) {
    return (await openNotes(name)).all();
  },

  /** The names of all databases of this origin. */
  async databases() {
    return (await indexedDB.databases()).map(({ name }) => name);
  },

  /** Which of these needles, in hexadecimal digits, are in any record of any database of this origin. */
  async findStored(needles) {
    const found = new Set();
    let records = 0;
    for (const { name } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        const objects = database.transaction(store).objectStore(store);
        const [keys, values] = await Promise.all([done(objects.getAllKeys()), done(objects.getAll())]);
        for (const value of [...keys, ...values]) {
          records += 1;
          const hex = hexOf(value);
          for (const needle of needles) if (hex.includes(needle)) found.add(`${name}/${store}: ${needle}`);
        }
      }
      database.close();
    }
    return { found: [...found], records };
  },

  state(name) {
    const { client, ...heard } = known.get(name);
    // Copies: the answer is read later than it is made, and all of it is about one moment.
    const [states, undelivered, errors, overflow] = ['states', 'undelivered', 'errors', 'overflow'].map((what) => [
      ...heard[what],
    ]);
    return { state: client.state, address: client.address, states, undelivered, errors, overflow };
  },

  setTraffic(name, privacy) {
    return known.get(name).client.traffic.set(privacy);
  },

  /** Ends the worker as a browser does that needs its memory: without a word. */
  killWorker(name) {
    known.get(name).workers.at(-1).terminate();
  },

  stats(name) {
    return known.get(name).client.stats();
  },

  parse(text) {
    return parseAddress(text);
  },

  support() {
    return MixClient.isSupported();
  },
};

function make(name, { workerUrl, wasmFrom, passphraseText, ...options }) {
  if (passphraseText !== undefined) options.passphrase = () => passphraseText;
  const workers = [];
  if (workerUrl) {
    options.worker = () => {
      workers.push(new Worker(workerUrl, { type: 'module' }));
      return workers.at(-1);
    };
  }
  if (wasmFrom) options.wasm = new URL(wasmFrom, location.href);
  const client = new MixClient(options);
  const entry = { client, workers, received: [], sent: [], states: [], undelivered: [], errors: [], overflow: [] };
  // A durable inbox has one consumer, which `take` is.
  const hears = options.inbox === 'durable' ? () => {} : (listener) => client.addEventListener('message', listener);
  hears(({ detail: message }) => {
    entry.received.push({ message, at: now(), digest: digestOf(message.data) });
    for (const wake of watchers) wake();
    watchers.clear();
  });
  client.addEventListener('statechange', ({ detail: { state } }) => entry.states.push(state));
  client.addEventListener('undelivered', ({ detail }) => entry.undelivered.push(plainError(detail.error)));
  client.addEventListener('error', ({ detail }) => entry.errors.push(plainError(detail)));
  client.addEventListener('overflow', ({ detail }) => entry.overflow.push({ ...detail }));
  known.set(name, entry);
  return entry;
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The bytes of a stored value; of anything but bytes what it looks like as text. */
function hexOf(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer) : new TextEncoder().encode(text);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Where an application notes what it has taken. */
async function openNotes(name) {
  const opening = indexedDB.open(`notes of ${name}`, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('taken');
  const database = await done(opening);
  return {
    async change(id, change) {
      const transaction = database.transaction('taken', 'readwrite');
      const store = transaction.objectStore('taken');
      store.put(change(await done(store.get(id))), id);
      await new Promise((resolve) => (transaction.oncomplete = resolve));
    },
    async all() {
      const store = database.transaction('taken').objectStore('taken');
      const [ids, notes] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
      return ids.map((id, at) => ({ id, ...notes[at] }));
    },
  };
}

function bodyOf({ text, seed, length }) {
  return text ?? bytesOf(seed, length);
}

async function plainMessage(entry) {
  const { message, at, digest } = entry;
  const { data, from, canReply } = message;
  const number = [...known.values()].find(({ received }) => received.includes(entry)).received.indexOf(entry);
  const head = new TextDecoder().decode(data.subarray(0, 32));
  return { number, length: data.length, digest: await digest, head, from, canReply, at };
}

function plainError(error) {
  const { name, message, code, phase, retriable } = error ?? {};
  return { name, message, code, phase, retriable, isMixError: error instanceof MixError, text: String(error) };
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
      // What was left out comes through WebDriver as null.
      .then(() => calls[name](...args.map((arg) => arg ?? undefined)))
      .then(
        (value) => finish({ ok: value ?? null }),
        (error) => finish({ error: plainError(error) }),
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
