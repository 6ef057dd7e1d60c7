/**
 * The messages between page and worker, as types; no code.
 *
 * The page posts a `PageMessage`, the worker a `WorkerMessage`. Requests carry a number that is unique for the life of
 * the worker and are answered exactly once, in any order. The exported wasm class takes every `PageMessage` except
 * that `js/worker.ts` loads the wasm and takes the Web Lock before it passes `open` on, and frees the lock before it
 * passes the answer to `close` back. Everything is plain objects (no `Map`), numbers are finite, absent fields are
 * left out or `undefined`.
 */

/** What the wasm exports, as `js/worker.ts` uses it. */
export interface EngineClient {
  /** Takes one message of the page. Answers and events come through the `post` function given to the constructor. */
  handle(message: PageMessage): void;
  free(): void;
}

/** Where the wasm exports send their answers and events; `transfer` names the buffers that move. */
export type Post = (message: WorkerMessage, transfer: ArrayBuffer[]) => void;

export type ClientState = 'idle' | 'connecting' | 'ready' | 'degraded' | 'reconnecting' | 'paused' | 'closed';

/** What time is being spent on, in progress reports and errors. */
export type Phase = 'engine' | 'storage' | 'topology' | 'gateway' | 'auth' | 'bandwidth' | 'queue' | 'network' | 'peer';

/** An error on its way to the page, which makes a `MixError` of it. */
export interface WireError {
  /** A `MixErrorCode`. */
  code: string;
  /** What happened and what to do next; empty: the page's own text for the code. */
  message: string;
  phase?: string | undefined;
  retriable: boolean;
}

/** A gateway as the page shows it. */
export interface GatewayData {
  /** Base58 of its identity key. */
  id: string;
  /** The WebSocket URL in use, or the one this page would use. */
  url: string;
  host: string;
  /** Whether the URL is `wss:`. */
  secure: boolean;
  /** Percent, as the directory rates it. */
  performance: number;
  /** Where it was measured: from opening a WebSocket to the first answer. */
  latencyMs?: number | undefined;
  usable: boolean;
  /** Why it is not usable. */
  why?: string | undefined;
}

/** Mean gaps of the two streams, mean delays at each node. */
export interface TrafficSettings {
  slotMs: number;
  loopMs: number;
  hopDelayMs: number;
  ackDelayMs: number;
  dangerNoPacing: boolean;
}

export interface OpenOptions extends TrafficSettings {
  /** Absolute http(s) URLs, asked in turn. May be empty when `topology` is there. */
  directories: string[];
  /** A hard-coded topology as JSON text. */
  topology?: string | undefined;
  /** Name of the store. */
  profile: string;
  storage: 'indexeddb' | 'memory' | 'indexeddb-or-memory';
  /** There is a passphrase to ask the page for, by `passphrase-wanted`. */
  passphrase?: boolean;
  /** An exported identity to begin with, where nothing is stored. */
  imported?: Imported | undefined;
  /** Whether pages may use the connection of another one. For `js/worker.ts` only. */
  tabs: 'exclusive' | 'share';
  inbox: 'memory' | 'durable';
  pseudonym: 'fresh' | 'kept';
  stats: 'visit' | 'kept';
  gatewayId?: string | undefined;
  /** How the gateway of a new client is chosen. `ask`: by the page, which is sent `choose-gateway`. */
  gatewaySelect: 'random' | 'fastest' | 'ask';
  minPerformance?: number | undefined;
  refreshMs?: number | undefined;
  /** `maxAttempts: null`: never give up. */
  reconnect: { minMs: number; maxMs: number; maxAttempts: number | null };
  /** The page was served over https, so only `wss:` gateways can be used. */
  securePage: boolean;
  askForMore: boolean;
  /** Tell of every packet, by `packets` events. */
  trace: boolean;
}

/** An exported identity and its passphrase. */
export interface Imported {
  file: Uint8Array;
  secret: string;
}

/** What can be done with the store of a profile that is not open. */
export type Errand =
  /** Delete it, whatever is in it. */
  | { task: 'destroy' }
  /** Seal the identity under a passphrase. */
  | { task: 'export'; secret: string }
  /** Keep an exported identity; `replace`: also in place of another one. */
  | ({ task: 'import'; replace: boolean } & Imported)
  /** Put messages into the outbox, take some out of it (keys, 16 bytes each), and list the rest. */
  | { task: 'outbox'; letters: Letter[]; cancelled: Uint8Array[] }
  /** Set a passphrase, or remove it. */
  | { task: 'protect'; secret: string | undefined }
  /** Open an exported identity and keep nothing. */
  | ({ task: 'read' } & Imported)
  /** New keys in place of the old ones. */
  | { task: 'rotate' }
  /** Whether there is a registration. */
  | { task: 'status' };

export interface ErrandAnswer {
  /** Of an exported or imported identity; `null`: it is not registered anywhere. */
  address?: string | null;
  file?: Uint8Array;
  registered?: boolean;
  outbox?: OutboxData[];
  /** Messages that were not taken: their keys, in hexadecimal digits, and why. */
  refused?: { id: string; error: WireError }[];
}

export interface SendSettings {
  /** `null`: the default of the engine; 0: no deadline. */
  timeoutMs: number | null;
  /** SURBs to attach. */
  replies: number | 'auto';
  reliable: boolean;
  /** 0 high, 1 normal, 2 bulk. */
  priority: 0 | 1 | 2;
  /** Whether the recipient is to receipt it; `null`: where it is known to do so. */
  receipt: boolean | null;
  /** How far it comes is told by `fragments` events, as after `watch`. */
  watched: boolean;
}

export interface RequestSettings {
  service: string;
  /** Comes back with a late answer. */
  label: string;
  /** For request and answer together. `null`: the default; 0: none. */
  timeoutMs: number | null;
  /** For the answer alone. */
  responseTimeoutMs?: number | undefined;
  expectedReplyBytes?: number | undefined;
  /** Ask again when the link is back, instead of failing when it goes. */
  retry: boolean;
  /** How many reply blocks go along is known from `expectedReplyBytes`. */
  replies: 'auto';
  reliable: boolean;
  priority: 0 | 1 | 2;
}

export interface StreamSettings {
  windowBytes?: number | undefined;
  /** 0: never. */
  idleTimeoutMs?: number | undefined;
  /** For the opening; 0: none. */
  timeoutMs?: number | undefined;
}

/** Where the wasm comes from. Bytes are transferred, a module is cloned. */
export type WasmSource = { url: string } | { bytes: ArrayBuffer } | { module: WebAssembly.Module };

export interface OpenRequest {
  id: number;
  op: 'open';
  options: OpenOptions;
  /** For `js/worker.ts` only; the wasm class never sees it. */
  wasm: WasmSource;
  /** A lock that the worker holds as long as it lives, so that its end is noticed. For `js/worker.ts` only. */
  alive?: string | undefined;
}
export interface SendRequest {
  id: number;
  op: 'send';
  /** Chosen by the page, unique for the life of the worker; names the message in later events. */
  message: number;
  /** An address, or a reply tag in base58. */
  to: string;
  /** The id of its envelope, if it gets one: 16 bytes. */
  wire: Uint8Array;
  /** Its buffer is transferred, but where the page keeps it. */
  body: Uint8Array;
  /** Nothing of it is to leave before a `planned` event is answered by `kept`. */
  planned?: boolean;
  /** What is in `body` is the plan by which another worker has begun to send it. */
  begun?: boolean;
  options: SendSettings;
}
/**
 * Sends a message that is in the store before this is answered, and goes on after any end of the worker. Its events name
 * it by the number it is answered with, the same in every run and for every page.
 */
export interface PersistRequest extends Letter {
  id: number;
  op: 'persist';
}
/** A message that is to be in the store. */
export interface Letter {
  /** Means nothing here. */
  message: 0;
  /** What it is called in every run: 16 bytes. */
  key: Uint8Array;
  /** When it is given up, in seconds since 1970; 0: never. */
  expiresAt: number;
  to: string;
  /** The id of its envelope, if it gets one: 16 bytes. */
  wire: Uint8Array;
  /** Its buffer is transferred. */
  body: Uint8Array;
  options: SendSettings;
}
/** The messages that are in the store and have not arrived. */
export interface OutboxRequest {
  id: number;
  op: 'outbox';
}
/**
 * The message of a durable inbox with this number is done. One that is done already is fine. Answered when the store does
 * not have it any more, or cannot let go of it.
 */
export interface DoneRequest {
  id: number;
  op: 'done';
  kept: number;
}
/** Drops what was not sealed yet. An unknown or finished message is fine. No event about the message follows. */
export interface CancelRequest {
  id: number;
  op: 'cancel';
  message: number;
}
export interface StatsRequest {
  id: number;
  op: 'stats';
}
/** Holds from the next gap and the next packet on. */
export interface TrafficRequest {
  id: number;
  op: 'traffic';
  traffic: TrafficSettings;
}
export interface TopologyRequest {
  id: number;
  op: 'topology';
}
export interface GatewaysRequest {
  id: number;
  op: 'gateways';
  /**
   * Also measure how far they are, at most so long (0: as long as it takes). For `js/worker.ts` only. `call` is chosen by
   * the page, to name the measurement in `stop`.
   */
  measure?: { call: number; timeoutMs: number };
}
/** Moves to another gateway, under another address. */
export interface SwitchRequest {
  id: number;
  op: 'switch';
  gatewayId: string;
}
/** An errand, in a worker that does nothing else. The passphrase may be asked for as after `open`. */
export type VaultRequest = {
  id: number;
  op: 'vault';
  profile: string;
  passphrase: boolean;
  /** Nobody may use the profile meanwhile. For `js/worker.ts` only, as is `wasm`. */
  alone: boolean;
  wasm: WasmSource;
} & Errand;
/** Exports the identity in use, where nothing is stored. */
export interface ExportRequest {
  id: number;
  op: 'export';
  secret: string;
}
export interface CloseRequest {
  id: number;
  op: 'close';
  /** Wait for the acks of what was accepted, at most `timeoutMs` (0: as long as it takes). */
  drain: boolean;
  timeoutMs: number;
  /** At the end have the gateway forget this client, and wait so long for it. */
  forgetMs?: number | undefined;
}
/**
 * Requests to one peer; each ends by a `response` or `requestFailed` event. The buffers are
 * transferred, but where the page keeps them. `wire`: the id of a request, 16 bytes.
 */
export interface AskRequest {
  id: number;
  op: 'request';
  to: string;
  options: RequestSettings;
  /** `message`: chosen by the page, unique among requests and probes. */
  items: { message: number; wire: Uint8Array; body: Uint8Array }[];
}
/** Whether a peer speaks mixlet; ends as a request does. */
export interface ProbeRequest {
  id: number;
  op: 'probe';
  message: number;
  to: string;
  options: RequestSettings;
}
/** An unknown or ended request is fine. An answer that comes all the same is a `late` event. */
export interface CancelRequestRequest {
  id: number;
  op: 'cancelRequest';
  message: number;
}
/** Requests for this service become `request` events. */
export interface ServeRequest {
  id: number;
  op: 'serve';
  service: string;
}
export interface UnserveRequest {
  id: number;
  op: 'unserve';
  service: string;
}
/** Answers a `request` event; without a body: it could not be handled. */
export interface RespondRequest {
  id: number;
  op: 'respond';
  request: number;
  body: Uint8Array | undefined;
  options: SendSettings;
}
/** Streams for this service become `streamOpened` events. */
export interface AcceptStreamsRequest {
  id: number;
  op: 'acceptStreams';
  service: string;
  options: StreamSettings;
}
export interface RefuseStreamsRequest {
  id: number;
  op: 'refuseStreams';
  service: string;
}
/** Followed by `streamReady` or `streamFailed`. */
export interface OpenStreamRequest {
  id: number;
  op: 'openStream';
  /** Chosen by the page, below 2^52. */
  stream: number;
  to: string;
  service: string;
  options: StreamSettings;
}
/** The buffer is transferred. */
export interface StreamWriteRequest {
  id: number;
  op: 'streamWrite';
  stream: number;
  bytes: Uint8Array;
}
/** Nothing more is written. */
export interface StreamEndRequest {
  id: number;
  op: 'streamEnd';
  stream: number;
}
/** The application has taken so many bytes, and the peer may send as many more. */
export interface StreamReadRequest {
  id: number;
  op: 'streamRead';
  stream: number;
  bytes: number;
}
/** Ends a stream at once. No event follows. */
export interface StreamResetRequest {
  id: number;
  op: 'streamReset';
  stream: number;
  code: number;
  reason: string;
}
/** The browser says that the network is back. No answer. */
export interface OnlineNotice {
  op: 'online';
}
/** Tell how far a message comes, or do so no more. An unknown or finished message is fine. No answer. */
export interface WatchNotice {
  op: 'watch';
  message: number;
  watched: boolean;
}
/** The page has what `planned` brought, so that the message may leave. An unknown or finished one is fine. No answer. */
export interface KeptNotice {
  op: 'kept';
  message: number;
}
/** What is told only when somebody listens; nothing of it is in the beginning. No answer. */
export interface ListenNotice {
  op: 'listen';
  /** `fragments` events of every message of which something went again. */
  retransmissions: boolean;
  /** A `surbs` event for every change, not only when a peer can be answered or not any more. */
  surbs: boolean;
  /** Messages, where several pages share the connection; else the page gets all. For `js/worker.ts` only. */
  messages?: boolean;
}

export type Request =
  | OpenRequest
  | SendRequest
  | PersistRequest
  | OutboxRequest
  | DoneRequest
  | CancelRequest
  | StatsRequest
  | TrafficRequest
  | TopologyRequest
  | GatewaysRequest
  | SwitchRequest
  | AskRequest
  | ProbeRequest
  | CancelRequestRequest
  | ServeRequest
  | UnserveRequest
  | RespondRequest
  | AcceptStreamsRequest
  | RefuseStreamsRequest
  | OpenStreamRequest
  | StreamWriteRequest
  | StreamEndRequest
  | StreamReadRequest
  | StreamResetRequest
  | VaultRequest
  | ExportRequest
  | CloseRequest;
/** Answers to `choose-gateway`; `null`: any. No answer. */
export interface ChooseNotice {
  op: 'choose';
  gatewayId: string | null;
}
/** Gives up a move to another gateway. One that is done stays done. No answer. */
export interface StayNotice {
  op: 'stay';
}
/** Answers `passphrase-wanted`. No answer. */
export interface PassphraseNotice {
  op: 'passphrase';
  secret: string;
}
/** Stops a measurement, for `js/worker.ts` only. One that is over is fine. No answer. */
export interface StopNotice {
  op: 'stop';
  call: number;
}

/**
 * Somebody on the page takes the messages of a durable inbox, or nobody does any more. In the beginning nobody does. Those
 * that were given and are not done are given again when the next one begins. No answer.
 */
export interface TakeNotice {
  op: 'take';
  taking: boolean;
}
export type Notice =
  | OnlineNotice
  | WatchNotice
  | KeptNotice
  | ListenNotice
  | ChooseNotice
  | StayNotice
  | StopNotice
  | PassphraseNotice
  | TakeNotice;
export type PageMessage = Request | Notice;
export type Op = Request['op'];

/** What each request is answered with. */
export interface Answers {
  /** When the link is up for the first time. After an error answer the worker is of no more use. */
  open: Opened;
  /**
   * When the message is in the queue; `receipt`: its delivery is followed by `receipted` or `notReceipted`. After an
   * error answer no event about the message follows.
   */
  send: { receipt: boolean };
  persist: { message: number };
  outbox: OutboxData[];
  cancel: object;
  request: object;
  probe: object;
  cancelRequest: object;
  serve: object;
  unserve: object;
  respond: object;
  acceptStreams: object;
  refuseStreams: object;
  openStream: object;
  /** `room`: more can be written at once; if not, `streamRoom` follows. */
  streamWrite: { room: boolean };
  streamEnd: object;
  streamRead: object;
  streamReset: object;
  stats: StatsData;
  traffic: object;
  topology: TopologyData;
  gateways: GatewayData[];
  /** When the new gateway has taken us in and what a reload needs is on disk. */
  switch: Opened;
  done: object;
  vault: ErrandAnswer;
  export: ErrandAnswer;
  /** When the gateway says so. */
  /**
   * When the link is closed and the store is flushed; what was not delivered has been reported before. `shared`: other
   * pages use the connection, so the worker has to live on.
   */
  close: { shared?: boolean };
}

/** A message of the outbox. Times in seconds since 1970, `expiresAt` 0: never. */
export interface OutboxData {
  message: number;
  /** Its key, in hexadecimal digits. */
  id: string;
  to: string;
  bytes: number;
  createdAt: number;
  expiresAt: number;
  acked: number;
  /** 0: it is not cut yet. */
  total: number;
  state: 'writing' | 'queued' | 'sending' | 'delivered';
}

/** Messages of the outbox have numbers from here on; those that pages choose are smaller. */
export const OUTBOX_MESSAGES = 2 ** 52;

export interface Opened {
  address: string;
  /** Whether the identity was exported under this address; not told where it is not stored. */
  exported?: boolean | undefined;
  gateway?: GatewayData | undefined;
  /** What holds where the connection is that of another page. */
  traffic?: TrafficSettings | undefined;
}

/** Counted since `open`. */
export interface StatsData {
  out: Record<'real' | 'reply' | 'retransmission' | 'cover', number>;
  in: Record<'message' | 'ack' | 'cover' | 'unknown', number>;
  bytesIn: number;
  bytesOut: number;
  /** Bytes of the messages that are not finished yet. */
  queuedBytes: number;
  /** Fragments sent and not yet acknowledged. */
  inFlight: number;
  undelivered: number;
  /** What came in and led to nothing, by reason. */
  dropped: Record<string, number>;
  roundTripMs: { p50: number; p95: number } | null;
  reconnects: number;
  surbsHeld: number;
  topologyAgeMs: number;
  wasmBytes: number;
  /** Over all visits, where that is kept. */
  kept: KeptSums | null;
}

/** As in the store; `since` is in seconds since 1970. */
export type KeptSums = [
  since: number,
  visits: number,
  real: number,
  reply: number,
  retransmission: number,
  cover: number,
  message: number,
  ack: number,
  coverCome: number,
  unknown: number,
  bytesIn: number,
  bytesOut: number,
  delivered: number,
  received: number,
  undelivered: number,
  reconnects: number,
];

export interface PacketData {
  kind: 'real' | 'reply' | 'retransmission' | 'cover' | 'message' | 'ack' | 'unknown';
  direction: 'out' | 'in';
  /** Bytes of its frame. */
  size: number;
  at: number;
}

export interface TopologyData {
  epoch: number;
  rotation: number;
  layers: [number, number, number];
  gateways: number;
  ageMs: number;
}

export type Answer = { id: number; ok: unknown } | { id: number; error: WireError };

/**
 * Who says something: a reply tag in base58; or an address, where it came over a reply block that had been given to that
 * address; or nobody knows.
 */
export interface Sender {
  tag: string | null;
  address: string | null;
}

export type WorkerEvent =
  /** `error`: why, when it got worse. After `closed` the worker is of no more use. */
  | { event: 'state'; state: ClientState; error?: WireError | undefined }
  /** `fraction` of the whole way from 0 to 1. */
  | { event: 'progress'; phase: Phase; fraction: number; detail?: string | undefined }
  /** Every fragment was written to the link at least once. */
  | { event: 'sent'; message: number }
  /** Every fragment was acknowledged by the recipient's gateway. `receipt`: one is still to come. */
  | { event: 'delivered'; message: number; roundTripMs: number; retransmissions: number; receipt?: boolean }
  | { event: 'undelivered'; message: number; error: WireError; acked: number; total: number; retransmissions?: number }
  /** How far a message has come, at most ten times a second. */
  | { event: 'fragments'; message: number; sent: number; acked: number; total: number; retransmissions: number }
  /** What a message is cut into, so that another worker can go on with it. The buffer is transferred. */
  | { event: 'planned'; message: number; plan: Uint8Array }
  /** How many SURBs are held of a peer, and whether it can be answered; at most ten times a second. */
  | { event: 'surbs'; tag: string; held: number; canReply: boolean }
  /** The recipient's client has the whole message. */
  | { event: 'receipted'; message: number; roundTripMs: number }
  | { event: 'notReceipted'; message: number; error: WireError }
  /**
   * The buffer of `body` is transferred. `via`: bare bytes, or the envelope of a mixlet peer, whose id is `wire`. One of a
   * durable inbox has a number in the store, the time at which it came, and a `wire` in any case.
   */
  | ({
      event: 'received';
      body: Uint8Array;
      via: 'mixlet' | 'plain';
      wire: Uint8Array | null;
      canReply: boolean;
      kept?: number;
      at?: number;
    } & Sender)
  | ({ event: 'response'; message: number; body: Uint8Array } & Sender)
  | { event: 'requestFailed'; message: number; error: WireError }
  /** An answer to a request that had been given up; without a body it says that there is none. */
  | ({ event: 'late'; message: number; label: string; elapsedMs: number; body?: Uint8Array } & Sender)
  /** Somebody asks; `request` names it in `respond`. */
  | ({ event: 'request'; request: number; service: string; body: Uint8Array } & Sender)
  /** An answer of ours will not arrive. */
  | { event: 'responseLost'; request: number; error: WireError }
  /** What is known of a peer has changed. `features`: 1 receipts, 2 requests, 4 streams. */
  | ({ event: 'peer'; speaks: 'mixlet' | 'plain'; features: number } & Sender)
  | { event: 'streamReady'; stream: number }
  | { event: 'streamFailed'; stream: number; error: WireError }
  | ({ event: 'streamOpened'; stream: number; service: string } & Sender)
  /** The buffer is transferred. `last`: nothing comes after it. */
  | { event: 'streamData'; stream: number; bytes: Uint8Array; last: boolean }
  | { event: 'streamRoom'; stream: number }
  /** Both sides are done, or one has ended it: `code` as in `docs/PROTOCOL.md`. */
  | { event: 'streamClosed'; stream: number; code: number; reason: string }
  /** Which gateway is to be registered with? `js/worker.ts` answers itself where the nearest is wanted. */
  | { event: 'choose-gateway'; gateways: GatewayData[] }
  /** The store needs a passphrase, which `passphrase` answers. */
  | { event: 'passphrase-wanted' }
  /** Nothing is kept, or, after `open` was answered, what was kept is gone. */
  | { event: 'volatile'; error: WireError }
  /** Another gateway is ours, and with it another address. */
  | { event: 'moved'; address: string; gateway: GatewayData | null }
  /** Another topology is in use. */
  | { event: 'topology'; topology: TopologyData }
  /** Packets that crossed the link, at most ten times a second. `at`: Unix time in milliseconds. */
  | { event: 'packets'; packets: PacketData[] }
  /** Something was dropped for lack of room. */
  | { event: 'overflow'; reason: string; from?: string | null; messages: number; bytes: number }
  /** A failure that belongs to no request. */
  | { event: 'error'; error: WireError }
  /** The send queue has room again. */
  | { event: 'room' }
  /** Another page has changed what leaves. */
  | { event: 'traffic'; traffic: TrafficSettings }
  /** The page whose connection was used is gone; another worker may find the next one, or be it. */
  | { event: 'left' }
  /** From `js/worker.ts`: the engine panicked, or the worker cannot go on. */
  | { event: 'crashed'; detail: string };

export type WorkerMessage = Answer | WorkerEvent;
