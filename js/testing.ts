/// <reference lib="esnext.disposable" preserve="true" />
import init, { Network } from '../pkg/testing/testing.js';
import { fromUrl } from './defaults.js';
import * as engine from './engine.js';
import { TestSocket } from './test-socket.js';
import type { Taker } from './test-socket.js';
import type { MixAddress, MixClientOptions, TopologyDocument } from './types.js';

/** What links do to packets between two nodes; latency also to what is between a client and its gateway. */
export interface LinkFaults {
  /** Share of the packets, acks too, that get lost on their way, 0 to 1. */
  loss: number;
  /** Share of the packets that arrive twice, 0 to 1. */
  duplicate: number;
  /** Share of the packets that are held back by 10 to 60 ms, so that later ones overtake them, 0 to 1. */
  reorder: number;
  /** How long a link takes, 0 to 10,000. */
  latencyMs: number;
  /** Up to so much longer, 0 to 10,000. */
  jitterMs: number;
}

/** All start at 0. */
export interface TestNetworkOptions extends Partial<LinkFaults> {
  /** 1 to 16. Default 2. */
  gateways?: number | undefined;
  /** In each of the three layers, 1 to 8. Default 1. */
  mixNodesPerLayer?: number | undefined;
  /** What the nodes' keys and the faults follow from: the same number, the same network. Default 1. */
  seed?: number | undefined;
  /** Where `testing.wasm` comes from, if not from beside the package's own file. */
  wasm?: URL | string | Response | BufferSource | WebAssembly.Module | undefined;
}

export interface TestClientOptions {
  /** The place of the client's gateway, from 0. Default: a random one. */
  gateway?: number | undefined;
  /** The client asks `network.directory` instead of being given the topology; the test then replaces `fetch`. */
  directory?: boolean | undefined;
}

/** The options of a client on a test network, as far as the network decides them. */
export type TestClient = Required<
  Pick<MixClientOptions, 'network' | 'webSocket' | 'worker' | 'engine' | 'storage' | 'privacy' | 'reconnect'>
> &
  Pick<MixClientOptions, 'gateway'>;

/** What the gateway saw of one link of a client. */
export interface LinkPackets {
  /** Rises with each link that is opened. */
  link: number;
  /** The place of the gateway. */
  gateway: number;
  /** The client, as it is named at the beginning of its address; `null` before it has logged in. */
  client: string | null;
  open: boolean;
  /** How many Sphinx packets the client wrote, by their size in bytes. */
  written: Readonly<Record<number, number>>;
  /** How many frames were pushed to the client, by their size in bytes. */
  pushed: Readonly<Record<number, number>>;
}

/** A gateway of a test network. */
export interface TestGateway {
  /** Its identity, as in `GatewayInfo`. */
  readonly id: string;
  readonly url: string;
  /** How many messages wait there for clients that are away. */
  readonly waiting: number;
  /** Is gone: all links end, new ones are refused, packets for it are lost. It keeps what it knows. */
  down(): void;
  /** Is there again. */
  up(): void;
  /** Stands still: links stay, new ones are not answered, what comes waits. */
  pause(): void;
  /** Goes on, with what waited. */
  resume(): void;
  /** All links end. With `forget` it has lost its clients and their messages, as after a broken disk. */
  restart(options?: { forget?: boolean | undefined }): void;
}

/**
 * A mixnet in memory, for the tests of apps: real gateways and mix nodes without sockets, in this thread.
 *
 * Time is that of `performance.now` and `setTimeout` as they are when they are called, so the fake timers of a test
 * runner move the network and its clients alike.
 */
export class TestNetwork {
  /** The browser's `WebSocket`, with this network's gateways at the other end and nobody else. */
  readonly WebSocket: typeof WebSocket;
  readonly topology: TopologyDocument;
  readonly gateways: readonly TestGateway[];
  /** The URL of a directory that only `fetch` of this network reaches. */
  readonly directory = directoryUrl;
  /** Answers for the directory; what is for others goes to the global `fetch` there was when the network was made. */
  readonly fetch: typeof fetch;
  readonly #network: Network;
  readonly #inbox: News[];
  /** Those that have not ended, by link. */
  readonly #sockets = new Map<number, { place: number; socket: TestSocket }>();
  /** Gateways that take nothing from sockets. */
  readonly #paused = new Set<number>();
  readonly #turns = new Turns(() => this.#run());
  #faults: LinkFaults = { loss: 0, duplicate: 0, reorder: 0, latencyMs: 0, jitterMs: 0 };
  #isAwake = false;
  /** More was due than could be done at once. Nothing is taken from sockets then, so that they fill up as real ones do. */
  #isBehind = false;
  #isClosed = false;
  /** When the timer rings, by `#now`. */
  #timerAt = Infinity;
  #elapsed = 0;
  #reading = performance.now();

  /** Loads the wasm and makes a network. Throws `TypeError` for options it does not know or that are out of range. */
  static async create(options: TestNetworkOptions = {}): Promise<TestNetwork> {
    const { gateways = 2, mixNodesPerLayer = 1, seed = 1, wasm, ...faults } = options;
    checkNumber('gateways', gateways, 1, 16, true);
    checkNumber('mixNodesPerLayer', mixNodesPerLayer, 1, 8, true);
    checkNumber('seed', seed, 0, Number.MAX_SAFE_INTEGER, true);
    checkFaults(faults);
    await load(wasm);
    const news: News[] = [];
    const deliver = (link: number, what: News['what']) => news.push({ link, what });
    const network = new TestNetwork(new Network(gateways, mixNodesPerLayer, seed, Date.now(), deliver), news);
    network.setFaults(faults);
    return network;
  }

  private constructor(network: Network, inbox: News[]) {
    this.#network = network;
    this.#inbox = inbox;
    this.topology = JSON.parse(network.document()) as TopologyDocument;
    const gateways = JSON.parse(network.gateways()) as { id: string; url: string }[];
    this.gateways = gateways.map((gateway, place) => this.#gateway(gateway, place));
    const places = new Map(gateways.map(({ url }, place) => [new URL(url).href, place]));
    const line = {
      open: (url: string, socket: TestSocket) => this.#open(places.get(url) ?? nobody, socket),
      wake: () => this.#wake(),
    };
    this.WebSocket = class extends TestSocket {
      constructor(url: string | URL) {
        super(line, url);
      }
    };
    const fetchOthers = globalThis.fetch;
    this.fetch = (input, init) => this.#answer(input) ?? fetchOthers(input, init);
    // Not a method: where the engine does not know the symbol, the class would get a method called "undefined".
    if (Symbol.asyncDispose) Object.defineProperty(this, Symbol.asyncDispose, { value: () => this.close() });
  }

  /** The same as `close`. Exists where the engine knows the symbol. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /**
   * For `new MixClient(…)`: a client in this thread, on this network, that keeps nothing and sends as fast as it can.
   * What the test is about can be added or replaced.
   */
  options({ gateway, directory = false }: TestClientOptions = {}): TestClient {
    return {
      network: directory ? { directories: [this.directory] } : { topology: this.topology },
      ...(gateway === undefined ? {} : { gateway: { id: this.gateway(gateway).id } }),
      webSocket: this.WebSocket,
      worker: false,
      engine,
      storage: 'memory',
      // Cover is rare, so that what leaves is nearly all the application's.
      privacy: { dangerNoPacing: true, loopMs: 10_000, hopDelayMs: 1, ackDelayMs: 1 },
      reconnect: { minMs: 20, maxMs: 200 },
    };
  }

  /** The gateway with this place, from 0. Throws `TypeError` when there is none. */
  gateway(place: number): TestGateway {
    const gateway = this.gateways[place];
    if (!gateway) throw new TypeError(`gateway(${place}): this network has ${this.gateways.length} gateways, from 0`);
    return gateway;
  }

  /** What links are like from now on; what is not named stays. Throws `TypeError`, and nothing changes. */
  setFaults(faults: Partial<LinkFaults>): void {
    checkFaults(faults);
    this.#faults = { ...this.#faults, ...faults };
    const { loss, duplicate, reorder, latencyMs, jitterMs } = this.#faults;
    this.#live().setFaults(loss, duplicate, reorder, latencyMs, jitterMs);
  }

  /** What was counted on every link there was, in the order of their making; with an address only on its client's. */
  packets(address?: MixAddress): LinkPackets[] {
    const client = address?.split('.')[0];
    return this.#counts().links.filter((link) => client === undefined || link.client === client);
  }

  /** How many packets went no further at a node or between two, by reason. `lost` are those `setFaults` asked for. */
  dropped(): Readonly<Record<string, number>> {
    return this.#counts().dropped;
  }

  /** All links end, and no client reaches anybody any more. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    this.#turns.close();
    this.#network.free();
    for (const { socket } of sockets) socket.ended();
    return Promise.resolve();
  }

  #gateway({ id, url }: { id: string; url: string }, place: number): TestGateway {
    const change = (mode: 'running' | 'paused' | 'down') => {
      this.#live().setMode(place, mode, this.#now());
      if (mode === 'paused') this.#paused.add(place);
      else this.#paused.delete(place);
      this.#wake();
    };
    const waiting = () => this.#counts().waiting[place] ?? 0;
    return Object.freeze({
      id,
      url,
      get waiting() {
        return waiting();
      },
      down: () => change('down'),
      up: () => change('running'),
      pause: () => change('paused'),
      resume: () => change('running'),
      restart: ({ forget = false }: { forget?: boolean | undefined } = {}) => {
        change('down');
        this.#network.restart(place, forget, this.#now());
      },
    });
  }

  #live(): Network {
    if (this.#isClosed) throw new TypeError('This test network is closed.');
    return this.#network;
  }

  #counts(): Counts {
    return JSON.parse(this.#live().counts()) as Counts;
  }

  /** A client opens a socket; `place` may be none of ours. */
  #open(place: number, socket: TestSocket): number {
    if (this.#isClosed) {
      queueMicrotask(() => socket.ended());
      return nobody;
    }
    const link = this.#network.open(place, this.#now());
    this.#sockets.set(link, { place, socket });
    this.#wake();
    return link;
  }

  /** Runs soon, after what else waits for its turn. */
  #wake(): void {
    if (this.#isAwake || this.#isClosed) return;
    this.#isAwake = true;
    this.#turns.next();
  }

  /** Takes what sockets have queued, does a little of what is due, and tells sockets what came of it. */
  #run(): void {
    this.#isAwake = false;
    if (this.#isClosed) return;
    const ended = this.#isBehind ? [] : this.#drainSockets();
    const next = this.#network.run(this.#now(), Date.now(), THINGS_AT_ONCE);
    for (const socket of ended) socket.ended();
    for (const { link, what } of this.#inbox.splice(0)) this.#tell(link, what);
    // A listener may have closed the network.
    if (this.#isClosed) return;
    const now = this.#now();
    const wasBehind = this.#isBehind;
    this.#isBehind = next <= now;
    // Also once more when it has caught up: sockets may have queued something meanwhile.
    if (this.#isBehind || wasBehind) this.#wake();
    if (!this.#isBehind) this.#ringAt(next, now);
  }

  #drainSockets(): TestSocket[] {
    const now = this.#now();
    const taker: Taker = {
      text: (link, text) => this.#network.text(link, text, now),
      binary: (link, bytes) => this.#network.binary(link, bytes, now),
      close: (link) => this.#network.close(link, now),
    };
    const ended: TestSocket[] = [];
    for (const [link, { place, socket }] of this.#sockets) {
      if (this.#paused.has(place) || !socket.drain(taker)) continue;
      this.#sockets.delete(link);
      ended.push(socket);
    }
    return ended;
  }

  #tell(link: number, what: News['what']): void {
    const socket = this.#sockets.get(link)?.socket;
    if (!socket) return;
    if (what === true) socket.opened();
    else if (what !== false) socket.received(what);
    else {
      this.#sockets.delete(link);
      socket.ended();
    }
  }

  #ringAt(at: number, now: number): void {
    // A timer that should have rung was lost with the fake timers it belonged to.
    const isLost = this.#timerAt <= now;
    if (!isLost && this.#timerAt <= at) return;
    this.#timerAt = at;
    const timer: unknown = setTimeout(
      () => {
        if (this.#timerAt === at) this.#timerAt = Infinity;
        this.#run();
      },
      Math.min(Math.ceil(at - now), LONGEST_TIMER_MS),
    );
    (timer as { unref?: () => void }).unref?.();
  }

  /** Milliseconds since the network was made. A clock that is replaced, or set back, stands still for that moment. */
  #now(): number {
    const reading = performance.now();
    this.#elapsed += Math.max(0, reading - this.#reading);
    this.#reading = reading;
    return this.#elapsed;
  }

  /** The directory's answer, if it is asked. */
  #answer(input: RequestInfo | URL): Promise<Response> | null {
    const url = new URL(input instanceof Request ? input.url : input);
    if (!url.href.startsWith(`${directoryUrl}/`)) return null;
    const path = url.pathname.slice(new URL(directoryUrl).pathname.length);
    const answer = this.#live().answer(path, url.search.slice(1), Date.now());
    const headers = { 'content-type': 'application/json' };
    const response = answer === undefined ? new Response('{}', { status: 404 }) : new Response(answer, { headers });
    return Promise.resolve(Object.defineProperty(response, 'url', { value: url.href }));
  }
}

/** Gives others in this thread their turn, without waiting as long as a timer would. */
class Turns {
  readonly #turn: () => void;
  readonly #channel: MessageChannel | null;

  constructor(turn: () => void) {
    this.#turn = turn;
    this.#channel = setNodeImmediate ? null : new MessageChannel();
    if (this.#channel) this.#channel.port1.onmessage = turn;
  }

  next(): void {
    if (this.#channel) this.#channel.port2.postMessage(null);
    else setNodeImmediate?.(this.#turn);
  }

  close(): void {
    this.#channel?.port1.close();
  }
}

/**
 * In Node a port hands out a thousand messages before timers have their turn. Taken when this file is loaded: a fake one
 * would make the network wait for the test.
 */
const { setImmediate: setNodeImmediate } = globalThis as { setImmediate?: (turn: () => void) => unknown };

interface Counts {
  links: LinkPackets[];
  dropped: Record<string, number>;
  waiting: number[];
}

/** What a link has to say: `true` when it is open, `false` when it has ended, else a message. */
interface News {
  link: number;
  what: boolean | string | ArrayBuffer;
}

/** Of what is due, so much is done before others in this thread have their turn. */
const THINGS_AT_ONCE = 32;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** The place of no gateway. */
const nobody = 2 ** 32 - 1;
/** Nothing can listen there. */
const directoryUrl = 'http://127.0.0.1:1/api';

let loading: Promise<unknown> | null = null;

/** Loads the wasm, once for all networks. */
async function load(wasm: TestNetworkOptions['wasm']): Promise<void> {
  try {
    loading ??= wasmInput(wasm).then((module_or_path) => init({ module_or_path }));
    await loading;
  } catch (cause) {
    loading = null;
    throw new Error(
      'testing.wasm could not be loaded. Serve the file dist/testing.wasm of the package beside its testing.js, or give it in the option wasm.',
      { cause },
    );
  }
}

async function wasmInput(wasm: TestNetworkOptions['wasm'] = new URL('./testing.wasm', import.meta.url)) {
  if (typeof wasm !== 'string' && !(wasm instanceof URL)) return wasm;
  const source = await fromUrl(new URL(wasm, globalThis.document?.baseURI ?? globalThis.location?.href));
  if ('bytes' in source) return source.bytes;
  return 'module' in source ? source.module : source.url;
}

function checkFaults(faults: Partial<LinkFaults>): void {
  for (const [name, value] of Object.entries(faults) as [string, unknown][]) {
    if (['loss', 'duplicate', 'reorder'].includes(name)) checkNumber(name, value, 0, 1);
    else if (['latencyMs', 'jitterMs'].includes(name)) checkNumber(name, value, 0, 10_000);
    else throw new TypeError(`"${name}" is not an option of a test network`);
  }
}

function checkNumber(name: string, value: unknown, min: number, max: number, whole = false): void {
  const fits = typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
  if (!fits) throw new TypeError(`${name} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
}
