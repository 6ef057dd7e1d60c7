/// <reference lib="esnext.disposable" preserve="true" />
import type { MixError } from './errors.js';
import type { ClientState, Phase } from './protocol.js';

export type { ClientState, Phase };

/** Where others reach a client; `parseAddress` makes one of text. */
export type MixAddress = string & { readonly __brand: 'MixAddress' };
/** The handle for answering a sender whose address is not known. It may be stored. */
export type ReplyTag = string & { readonly __brand: 'ReplyTag' };
/** What can be sent. Text goes as UTF-8; bytes are copied, so the buffer can be used again at once. */
export type MixData = string | ArrayBuffer | ArrayBufferView | Blob;

/** A network that is known beforehand, in the form that Nym tools write (`rewarded_set` or `rewardedSet`, …). */
export type TopologyDocument = Readonly<Record<string, unknown>>;

export interface MixClientOptions {
  network: NetworkOptions;
  /** Name under which the identity is stored; one identity per profile, one client per profile. Default `default`. */
  profile?: string | undefined;
  /**
   * `memory`: a new identity each time. Default `indexeddb`; in Node, which has none, `memory`. `indexeddb-or-memory`: memory
   * where the browser gives no storage, as in some private windows; told by one `identity-at-risk` event. What is stored and
   * cannot be read is an error all the same.
   */
  storage?: 'indexeddb' | 'memory' | 'indexeddb-or-memory' | undefined;
  /**
   * Seals what is stored. Asked when a new profile is made, and when one that has a passphrase is opened; that time counts as
   * time of the call. See `identity.setPassphrase` for profiles that have none yet.
   */
  passphrase?: (() => string | Promise<string>) | undefined;
  /**
   * Whether several tabs of this origin may use this profile at once. `exclusive` (default): the second one is refused
   * with `in-use`. `share`: they use the connection of the one that came first, which is encrypted on its way between
   * them, and when that one is closed another takes over. Network, gateway and traffic are those of the tab that has the
   * connection. Every tab that listens gets every message; requests and streams for a service go to the tab that served
   * it first. Needs `storage: 'indexeddb'`, and the same in all tabs.
   */
  tabs?: 'exclusive' | 'share' | undefined;
  gateway?: {
    /** Base58 of the gateway's identity key. Default: the stored one, else one chosen by `select`. */
    id?: string | undefined;
    /**
     * How the gateway of a new client is chosen; a client that has an address keeps its gateway. `random` (default): the
     * better the directory rates it, the likelier. `fastest`: the nearest, for which all are contacted. A function gets
     * what is on offer and returns, or resolves with, one of them.
     */
    select?: 'random' | 'fastest' | GatewayChooser | undefined;
  };
  /** How much traffic leaves and how long packets are held. Default `balanced`. */
  privacy?: PrivacyProfile | Partial<PrivacyParams> | undefined;
  reconnect?: ReconnectOptions | undefined;
  /**
   * Where received messages wait for the application. `memory` (default): in the page, and what it has not taken is gone
   * after a reload. `durable`: in the store, encrypted, until they are done: at the next `next()` of `messages()`, which
   * waits until the store knows, or at `message.done()`. A message that was not done comes again, after a reload or when another loop begins, under the same
   * `id`. One loop at a time takes them. A receipt is sent only when the message is in the store. Needs
   * `storage: 'indexeddb'`.
   */
  inbox?: 'memory' | 'durable' | undefined;
  /**
   * The tag under which each recipient knows this client. `fresh` (default): a new one at each start. `kept`: the same at
   * each start, another for each recipient; a recipient then knows that it is you again.
   */
  pseudonym?: 'fresh' | 'kept' | undefined;
  /**
   * What `stats()` counts. `visit` (default): since `connect`, and nothing of it is stored. `kept`: besides, sums over all
   * visits are stored, encrypted, and are in `kept`; a copy of the disk that is opened then tells how much was sent and
   * received since when. Back at `visit` they are deleted. Of no effect with `storage: 'memory'`.
   */
  stats?: 'visit' | 'kept' | undefined;
  /** May ask a peer for more SURBs, which tells it our address. Default true. */
  askForMore?: boolean | undefined;
  /** Raises `packet` events, which cost something. Default false. */
  trace?: boolean | undefined;
  /** Where `mixlet.wasm` comes from, if not from beside the package's own file. */
  wasm?: URL | string | Response | BufferSource | WebAssembly.Module | undefined;
  /**
   * Makes the worker, if not from beside the package's own file. `false`: no worker, the engine runs in this thread,
   * where a page feels it; needs `engine`. For service workers, Node and tests.
   */
  worker?: (() => Worker) | false | undefined;
  /** With `worker: false`: `import * as engine from 'mixlet/engine'`. */
  engine?: MixEngine | undefined;
  /** With `worker: false`: what links are opened with where there is no global `WebSocket`, such as the class of `ws`. */
  webSocket?: WebSocketClass | undefined;
}

/**
 * The keys behind the address, and how they are kept. All calls work also before `connect` and after `close`; one that
 * another tab keeps from it rejects `in-use`. They are done one after the other.
 */
export interface IdentityManager {
  /**
   * Keys and address as a file, sealed under the passphrase. Whoever has both is this client. Rejects `not-connected` when
   * there is no address yet.
   */
  export(options: { passphrase: string }): Promise<Blob>;
  /**
   * Takes keys and address from a file. A connected client drains, leaves and connects anew with them; resolves with the
   * address then. Without a connection with that in the file; `null`: the next `connect` tells. Rejects `identity-conflict`
   * where the profile has another identity, unless it is to be replaced, which loses that one and all that is stored.
   */
  import(blob: Blob, options: ImportOptions): Promise<MixAddress | null>;
  /**
   * New keys, and with them a new address. The gateway is asked to forget the old ones, as by `destroy`; what comes for
   * them is not fetched any more. A connected client drains, leaves and connects anew; resolves with the new address then.
   * Without a connection with `null`, after having connected to be forgotten: `connect` tells.
   */
  rotate(): Promise<MixAddress | null>;
  /**
   * Closes, has the gateway forget this client, and deletes all that is stored. Connects for that, at most for 5 s, and waits as long for the answer;
   * where the gateway cannot be reached or nothing can be read, it is deleted all the same.
   */
  destroy(): Promise<void>;
  /**
   * Sets, changes or removes (`null`) the passphrase of the profile. The next `connect` then draws another data key too, so
   * that who has an older copy of the disk and the older passphrase reads nothing that is written later.
   */
  setPassphrase(passphrase: string | null): Promise<void>;
  /**
   * `volatile`: gone with this client. `best-effort`: stored, until the browser needs the room or, as Safari, has not seen
   * the user for a week. `persisted`: only the user deletes it; `navigator.storage.persist()` asks for that.
   */
  durability(): Promise<Durability>;
}

export type Durability = 'volatile' | 'best-effort' | 'persisted';

export interface ImportOptions {
  /** Of the file. */
  passphrase: string;
  /** What to do where the profile has another identity. Default `fail`. */
  onConflict?: 'fail' | 'replace' | undefined;
}

/** The identity may be lost. */
export interface AtRisk {
  /** `best-effort`: it was not exported under this address. `volatile`: it could not be stored; `error` says why. */
  durability: 'volatile' | 'best-effort';
  error?: MixError;
}

export type GatewayChooser = (gateways: GatewayInfo[]) => GatewayInfo | Promise<GatewayInfo>;

/** What `mixlet/engine` exports. */
export interface MixEngine {
  /** Starts the engine in this thread; the client calls it. */
  startInThread(surroundings: EngineSurroundings): EngineThread;
}

export interface EngineSurroundings {
  webSocket?: WebSocketClass | undefined;
}

/** An engine in this thread, in the shape of a `Worker`. */
export interface EngineThread extends EventTarget {
  postMessage(message: unknown, transfer: Transferable[]): void;
  terminate(): void;
}

/** `WebSocket`, or a class with what is used of it. */
export type WebSocketClass = new (url: string) => {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  send(data: string | ArrayBuffer): void;
  close(): void;
  addEventListener(type: 'close' | 'error' | 'message' | 'open', listener: () => void): void;
};

export interface NetworkOptions {
  /** Base URLs of the network's directory, asked in turn. */
  directories?: string[] | undefined;
  /** A network known beforehand, instead of a directory. */
  topology?: TopologyDocument | undefined;
  /** Mean time between two looks at the directory, 10 s to 1 h. Default 5 min. */
  refreshMs?: number | undefined;
  /** Nodes that the directory rates lower are not used, percent. Default 50. */
  minPerformance?: number | undefined;
}

export type PrivacyProfile = 'strong' | 'balanced' | 'fast';

export interface PrivacyParams {
  /** Mean gap between two packets of the main stream, 1 to 10,000. */
  slotMs: number;
  /** Mean gap between two packets of loop cover, 1 to 10,000. */
  loopMs: number;
  /** Mean time a mix node holds a packet, 0 to 10,000. */
  hopDelayMs: number;
  /** Mean time a mix node holds an ack, 0 to 10,000. */
  ackDelayMs: number;
  /** As fast as the socket takes it and no cover beside it: the line shows when and how much is sent. For tests. */
  dangerNoPacing?: boolean;
}

/** What leaves and how long it is held, changeable at any time. */
export interface TrafficControl {
  /** What was set last. */
  readonly params: Readonly<PrivacyParams>;
  /**
   * A profile, or single values; those not named stay. While connected it resolves when the worker has taken it: new
   * gaps and new packets have it then. Else the next `connect` uses it. Rejects `config-invalid`, and nothing changes.
   */
  set(privacy: PrivacyProfile | Partial<PrivacyParams>, options?: CallOptions): Promise<void>;
}

/** What the settings in use show to whom. */
export interface PrivacyReport {
  sees: { who: 'gateway' | 'line' | 'mix nodes' | 'recipient' | 'directory'; what: string }[];
  /** Settings with a safer choice. */
  weakened: { setting: string; cost: string }[];
  /** Both directions together, as `stats` counts bytes, while nobody writes to this client. */
  bytesPerHour: number;
}

export interface ReconnectOptions {
  /** First wait. Default 500. */
  minMs?: number | undefined;
  /** Longest wait. Default 60,000. */
  maxMs?: number | undefined;
  /** Default: never give up. */
  maxAttempts?: number | undefined;
}

export interface ConnectOptions {
  signal?: AbortSignal | undefined;
  /** Default 60,000; 0: none. */
  timeoutMs?: number | undefined;
  onProgress?: ((progress: ConnectProgress) => void) | undefined;
}

export interface ConnectProgress {
  phase: Phase;
  /** Of the whole way, from 0 to 1; never gets smaller. */
  fraction: number;
  detail?: string;
  elapsedMs: number;
}

export interface CloseOptions {
  /** Wait for the acks of what was accepted. Default true. */
  drain?: boolean | undefined;
  /** How long at most. Default 10,000; 0: as long as it takes. */
  timeoutMs?: number | undefined;
  /** Stops the waiting; the client closes all the same. */
  signal?: AbortSignal | undefined;
}

/** Of a call that the worker answers. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Default 5,000; 0: none. */
  timeoutMs?: number | undefined;
}
export type StatsOptions = CallOptions;

export interface StatsStreamOptions {
  /** Time between two values, at least 100. Default 1,000. */
  everyMs?: number | undefined;
  /** Ends it. */
  signal?: AbortSignal | undefined;
}

export interface SendOptions {
  signal?: AbortSignal | undefined;
  /** Time with the link up. Default: 15 minutes and what the fragments need at the present pace; 0: none. */
  timeoutMs?: number | undefined;
  priority?: 'high' | 'normal' | 'bulk' | undefined;
  /** SURBs attached, at most 100. Default `auto`; 0: a message that can neither be answered nor linked to others. */
  replies?: number | 'auto' | undefined;
  /** Default true; false: one attempt, same packets and acks on the wire. */
  reliable?: boolean | undefined;
  /**
   * Ask the recipient's client for an end-to-end receipt, which settles `received`. Only mixlet sends receipts; other
   * clients would show their user the envelope. Default: where the recipient is known to speak mixlet.
   */
  receipt?: boolean | undefined;
  /**
   * The message is in the store before `queued` resolves, and goes on after reloads, crashes and `close`, until it has
   * arrived: see `client.outbox`. `timeoutMs` is wall time then, by default 24 hours. Needs `storage: 'indexeddb'`, but no
   * connection: before `connect` and after `close` it waits in the store for the next one. Then it fails with `in-use` where
   * another client has the profile.
   */
  persist?: boolean | undefined;
}

/** A message that is in the store and has not arrived. */
export interface OutboxEntry {
  /** That of its `SentMessage`, the same after a reload. */
  id: string;
  to: MixAddress | ReplyTag;
  bytes: number;
  createdAt: Date;
  /** `null`: it is never given up. */
  expiresAt: Date | null;
  fragmentsAcked: number;
  /** 0 before the message is cut into fragments, which is when its turn comes. */
  fragmentsTotal: number;
  /** `delivered`: its receipt is still to come. */
  state: 'queued' | 'sending' | 'delivered';
}

/**
 * The messages of this profile that were sent with `persist` and have not arrived, of all tabs and of runs before.
 *
 * Before `connect` and after `close` the store is opened for each call. While the client connects or closes, calls wait for
 * the end of that.
 */
export interface Outbox {
  /** Rejects with what is wrong with the store, `not-connected` while a worker that died is being replaced, `timeout`. */
  list(options?: CallOptions): Promise<OutboxEntry[]>;
  /** The handle of one, also after a reload; `null`: there is none. Rejects as `list` does. */
  find(id: string, options?: CallOptions): Promise<SentMessage | null>;
  /**
   * Forgets one. What is still open of its handle rejects with `reason`, by default an `AbortError`. Rejects as `list`
   * does, and `in-use` where the client is not connected and another one has the profile.
   */
  cancel(id: string, reason?: unknown): Promise<void>;
}

/** How a request is asked. It sees to reply blocks and acks of its own, so that there is neither `replies` nor `receipt`. */
export interface RequestOptions {
  signal?: AbortSignal | undefined;
  /** For request and answer together. Default: 60 s and 1 s for each 64 kB of both; 0: none. */
  timeoutMs?: number | undefined;
  /** For the answer alone, from the moment when every fragment of the request was acknowledged. Default: none. */
  responseTimeoutMs?: number | undefined;
  priority?: 'high' | 'normal' | 'bulk' | undefined;
  /** Default true; false: one attempt, same packets and acks on the wire. */
  reliable?: boolean | undefined;
  /** Which service of the peer, at most 64 bytes. Default: the one without a name. */
  service?: string | undefined;
  /** What a `late` event is told by, at most 256 bytes. */
  label?: string | undefined;
  /** How long the answer will be, for the reply blocks that go along. Default 16 kB. */
  expectedReplyBytes?: number | undefined;
  /** `retry` (default): asked again under the same id when the link is back; `fail`: fails at once when it goes. */
  onDisconnect?: 'retry' | 'fail' | undefined;
}

export interface ProbeOptions {
  signal?: AbortSignal | undefined;
  /** Default 60,000; 0: none. */
  timeoutMs?: number | undefined;
}

export interface ServeOptions {
  /** At most 64 bytes. Default: the one without a name, which requests without a service go to. */
  service?: string | undefined;
}

/**
 * Answers a request. What it throws is told to the peer as `handler-failed`, without its text. `signal` aborts when the
 * client closes.
 */
export type RequestHandler = (request: ReceivedMessage, context: { signal: AbortSignal }) => MixData | Promise<MixData>;

export interface StreamOptions {
  /** Which service of the peer, at most 64 bytes. */
  service?: string | undefined;
  signal?: AbortSignal | undefined;
  /** For the opening. Default 60,000; 0: none. */
  timeoutMs?: number | undefined;
  /** How much the peer may send ahead of what was read, 16 kB to 4 MiB. Default 256 kB. */
  windowBytes?: number | undefined;
  /** The stream ends when nothing came for so long with the link up. Default 5 min; 0: never. */
  idleTimeoutMs?: number | undefined;
}

export interface ListenOptions {
  /** At most 64 bytes. Default: the one without a name. */
  service?: string | undefined;
  /** Ends the listening. */
  signal?: AbortSignal | undefined;
  /** As of `openStream`. */
  windowBytes?: number | undefined;
  /** As of `openStream`. */
  idleTimeoutMs?: number | undefined;
}

/** Bytes in order, both ways, with a peer that speaks mixlet. */
export interface MixStream {
  /** Who opened it, where a peer did. */
  readonly from: ReplyTag | null;
  /** Ends when the peer has ended its half. Errors when the stream was ended before its time. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Closing it ends our half; aborting it ends the stream. */
  readonly writable: WritableStream<Uint8Array>;
  /** Code 0 when both halves have ended; 1 to 255 are of mixlet, those from 256 on of applications. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Without a code: ends our half and waits for the peer's. With one from 256 on: ends the stream at once. */
  close(options?: { code?: number | undefined; reason?: string | undefined }): Promise<void>;
}

/** What is known of a peer's client. */
export interface PeerInfo {
  /** `unknown`: nothing came from it yet. `plain`: nothing but bare bytes did. */
  speaks: 'mixlet' | 'plain' | 'unknown';
  version?: number;
  features: ('receipts' | 'requests' | 'streams')[];
}

/** An answer to a request that had been given up. */
export interface Late {
  /** Of the request. */
  id: string;
  label: string;
  elapsedMs: number;
  /** `null`: the peer says that there is none. */
  message: ReceivedMessage | null;
}

/**
 * A message on its way. Its promises settle in the order `queued`, `sent`, `delivered`, `received`; a failure rejects all that are
 * still open with the same error. They may be ignored: a message that fails also raises one `undelivered` event.
 */
export interface SentMessage {
  readonly id: string;
  /** The worker has accepted it. */
  readonly queued: Promise<void>;
  /** Every fragment was written to the gateway's socket at least once. */
  readonly sent: Promise<void>;
  /** Every fragment reached the recipient's gateway, also if the recipient is away. Not: read. */
  readonly delivered: Promise<Delivery>;
  /**
   * The recipient's client has the whole message. Rejects `no-receipt-support` where it was not asked for a receipt, or
   * is not known to send any.
   */
  readonly received: Promise<Delivery>;
  /**
   * How far it has come, at most ten times a second; who reads slowly gets the latest. Ends with the message, after
   * what was last so. Nothing is told before the message is cut into fragments, which is when its turn comes.
   */
  progress(): AsyncIterableIterator<SendProgress>;
  /** Drops what was not sealed yet. What is still open rejects with `reason`, by default an `AbortError`. */
  cancel(reason?: unknown): void;
}

export interface Delivery {
  at: Date;
  /** From the last fragment's leaving to its ack. */
  roundTripMs: number;
  /** Fragments that went again. */
  retransmissions: number;
}

export interface SendProgress {
  /** Fragments that have left at least once. */
  fragmentsSent: number;
  fragmentsAcked: number;
  fragmentsTotal: number;
  /** Fragments that went again. */
  retransmissions: number;
}

export interface ReceivedMessage {
  /** Different for each message of a client; with `inbox: 'durable'` also over reloads. */
  readonly id: string;
  readonly data: Uint8Array;
  readonly receivedAt: Date;
  /** `plain`: bare bytes, as every client of the network sends them. `mixlet`: the sender's client is mixlet. */
  readonly via: 'mixlet' | 'plain';
  /**
   * For answering; the same for all messages of one sender until it starts anew. `null`: there is no such tag. An answer
   * over reply blocks of ours has none and can be answered all the same, with `reply`.
   */
  readonly from: ReplyTag | null;
  /** Live: false when no SURB is left and none is on its way, or they have expired. */
  readonly canReply: boolean;
  /** The bytes as UTF-8; what is not UTF-8 becomes U+FFFD. */
  text(): string;
  /** The bytes as JSON. Throws `SyntaxError`. */
  json<T = unknown>(): T;
  /** The same as `send(message.from, …)`. Rejects `no-surbs` when it cannot be answered. */
  reply(data: MixData, options?: SendOptions): SentMessage;
  /**
   * Takes it out of the store, where `inbox: 'durable'` keeps it, and resolves when that is done: from then on it does not
   * come again. Else it does nothing. Never rejects.
   */
  done(): Promise<void>;
}

export interface GatewayInfo {
  id: string;
  url: string;
  host: string;
  secure: boolean;
  /** Percent, as the directory rates it. */
  performance: number;
  /** Where it was measured: from opening a connection to the first answer. */
  latencyMs?: number;
  usable: boolean;
  /** Why it is not usable. */
  why?: string;
}

/** The picture of the network that is in use. */
export interface TopologyInfo {
  epoch: number;
  /** Of the nodes' keys. */
  rotation: number;
  /** Mix nodes in each layer. */
  layers: [number, number, number];
  gateways: number;
  fetchedAt: Date;
}

export interface GatewaysOptions {
  /**
   * Also measure how far they are: the median of three times from opening a connection to the first answer, at most eight
   * gateways at once. All of them learn that somebody with your IP address looks for a gateway. Default false.
   */
  measure?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Default 5,000, with `measure` 15,000, after which it resolves with what was measured by then; 0: none. */
  timeoutMs?: number | undefined;
}

/** What is known of the network. Before `connect` has succeeded it rejects `not-connected`, after `close` `closed`. */
export interface NetworkView {
  topology(options?: CallOptions): Promise<TopologyInfo>;
  /** All gateways, also those that cannot be used from this page. */
  gateways(options?: GatewaysOptions): Promise<GatewayInfo[]>;
  /**
   * Moves to another gateway and resolves with the address there, which differs in its last part; the identity stays.
   * Until then, and when it rejects, everything is as it was. Messages to the old address, and answers over reply blocks
   * given out before, still arrive as long as the old gateway is listened to: until nothing has come from there for 30 s,
   * and at most 5 minutes. What comes there later is lost. Default deadline 60 s.
   */
  switchGateway(id: string, options?: CallOptions): Promise<MixAddress>;
}

export interface GatewayChange {
  gateway: GatewayInfo;
  previous: GatewayInfo | null;
  /** Our address there. */
  address: MixAddress;
}

/** Counted since `connect`. */
export interface MixStats {
  at: Date;
  state: ClientState;
  /** Packets that left, by what they carried. */
  out: Record<'real' | 'reply' | 'retransmission' | 'cover', number>;
  /** Packets that arrived. */
  in: Record<'message' | 'ack' | 'cover' | 'unknown', number>;
  bytesIn: number;
  bytesOut: number;
  /** Bytes of the messages that are not finished. */
  queuedBytes: number;
  /** Fragments sent and not yet acknowledged. */
  inFlight: number;
  undelivered: number;
  /** What arrived and led to nothing, by reason. */
  dropped: Record<string, number>;
  roundTripMs: { p50: number; p95: number } | null;
  reconnects: number;
  surbsHeld: number;
  topologyAgeMs: number;
  wasmBytes: number;
  /** The sums over all visits of this identity, with the option `stats: 'kept'` and where something is stored. */
  kept: KeptStats | null;
}

/** Sums over all visits, the present one included. A crash loses at most the last 10 s. */
export interface KeptStats {
  /** When the first visit that is counted began. */
  since: Date;
  /** How often a worker was connected; another one that takes over counts too. */
  visits: number;
  /** As in `MixStats`. */
  out: Record<'real' | 'reply' | 'retransmission' | 'cover', number>;
  in: Record<'message' | 'ack' | 'cover' | 'unknown', number>;
  bytesIn: number;
  bytesOut: number;
  /** Messages that were delivered. */
  delivered: number;
  /** Messages that came; with `inbox: 'durable'` those that are done. */
  received: number;
  undelivered: number;
  reconnects: number;
}

export interface StateChange {
  state: ClientState;
  previous: ClientState;
  /** Why, when it got worse. */
  error?: MixError;
}

export interface Undelivered {
  /** Of the message, or of the request that was answered. */
  id: string;
  /** A `MixError`, or the reason the message was cancelled with. */
  error: unknown;
  fragmentsAcked: number;
  /** 0 when it was never split. */
  fragmentsTotal: number;
}

/** Fragments of a message went again, as their acks did not come. At most ten times a second for each message. */
export interface Retransmit {
  /** Of the message. */
  id: string;
  /** How many since the last such event. */
  fragments: number;
  /** How many in all. */
  retransmissions: number;
}

/** How many reply blocks (SURBs) are held of a sender. */
export interface SurbStock {
  from: ReplyTag;
  held: number;
}

/** A packet that crossed the link to the gateway. */
export interface TracedPacket {
  /** Out: `real`, `reply`, `retransmission`, `cover`. In: `message`, `ack`, `cover`, `unknown`. */
  kind: 'real' | 'reply' | 'retransmission' | 'cover' | 'message' | 'ack' | 'unknown';
  direction: 'out' | 'in';
  /** Bytes of its frame. */
  size: number;
  at: Date;
}

/** Something was dropped for lack of room. */
export interface Overflow {
  /** `kept`: nobody listened; `iterator`: a slow one; others come from the engine. */
  reason: string;
  from: ReplyTag | null;
  messages: number;
  bytes: number;
}

/** The events of a `MixClient`; what they say is in `detail`. */
export interface MixClientEventMap {
  /** Once for each `connect`, where what is stored may be lost and was not exported, or is not stored. */
  'identity-at-risk': CustomEvent<AtRisk>;
  statechange: CustomEvent<StateChange>;
  message: CustomEvent<ReceivedMessage>;
  progress: CustomEvent<ConnectProgress>;
  undelivered: CustomEvent<Undelivered>;
  /** An answer to a request came after it had been given up. */
  late: CustomEvent<Late>;
  overflow: CustomEvent<Overflow>;
  retransmit: CustomEvent<Retransmit>;
  /** What is held of a sender's reply blocks has changed; at most ten times a second for each. */
  surbs: CustomEvent<SurbStock>;
  /** Each second while connected, as long as somebody listens. */
  stats: CustomEvent<MixStats>;
  /** Another gateway is ours: at the first `connect`, and when we have moved. */
  gatewaychange: CustomEvent<GatewayChange>;
  /** Another picture of the network is in use. */
  topology: CustomEvent<TopologyInfo>;
  /**
   * With the option `trace`: the packets since the last such event, at most ten times a second and 1,024 at a time; the
   * others are in `stats().dropped.trace`.
   */
  packet: CustomEvent<TracedPacket[]>;
  /** A failure that belongs to no call. */
  error: CustomEvent<MixError>;
}
