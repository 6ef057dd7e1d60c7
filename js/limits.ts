/** Every bound of the page's half in one place; sizes in bytes, times in milliseconds. */
export const limits = /* @__PURE__ */ Object.freeze({
  /** The largest body of one message; more is refused as `too-large`. */
  messageBytes: 32 * 1024 * 1024,
  /** Bodies of accepted messages that are not finished; beyond it `queued` waits. */
  queueBytes: 64 * 1024 * 1024,
  /** Accepted messages that are not finished; beyond it `queued` waits. */
  queueMessages: 16_384,
  /** Bodies kept for a worker that takes over, until their receipts are there; beyond it `queued` waits. */
  keptBodiesBytes: 32 * 1024 * 1024,
  /**
   * Bytes the page copies in one task, and events, messages and requests it handles in one. What there is more waits for
   * the next task. Only what a caller hands in is copied whole, in the call.
   */
  copiedBytes: 256 * 1024,
  eventsAtOnce: 64,
  /** A client whose worker crashes more often than so many times in so long is closed. */
  crashes: 3,
  crashesMs: 60_000,
  /** Ids of messages that were seen, for when a worker that takes over does not know them. */
  seenMessages: 8_192,
  /** Messages of the page that wait for the engine to be started; beyond it they are refused. */
  heldMessages: 1_024,
  /** How long a message with `persist` is tried, by the wall clock. */
  persistMs: 24 * 3_600_000,
  /** Messages the worker was given and has not yet answered for; the next waits, so that the worker stays responsive. */
  unansweredMessages: 1024,
  /** Reply blocks (SURBs) one message may carry. */
  repliesPerMessage: 100,
  /** Received messages kept until somebody listens. */
  keptMessages: 1024,
  keptBytes: 16 * 1024 * 1024,
  /** Received messages that wait for one slow iterator; later ones are dropped for it and reported as `overflow`. */
  iteratorMessages: 65_536,
  iteratorBytes: 96 * 1024 * 1024,
  /** Senders that can be answered; the worker knows fewer. Beyond it the oldest counts as one that cannot. */
  watchedTags: 4096,
  /** Characters of a profile's name. */
  profileLength: 64,
  /** Requests without an answer; beyond it `queue-full`. */
  requests: 16_384,
  /** Requests of others whose answers may still be lost; of older ones it is not told which it was. */
  answers: 4_096,
  /** Requests handed to the worker together. */
  requestsTogether: 64,
  /** Bytes of a service's name, and of a request's label. */
  serviceBytes: 64,
  labelBytes: 256,
  expectedReplyBytes: 16 * 1024,
  requestTimeoutMs: 60_000,
  /** Each so many bytes of a request and its answer add a second to its time. */
  requestBytesPerSecond: 64 * 1024,
  openStreamTimeoutMs: 60_000,
  streamWindowBytesMin: 16 * 1024,
  streamWindowBytesMax: 4 * 1024 * 1024,
  /** Written to a stream at a time. */
  streamWriteBytes: 64 * 1024,
  /** Streams that came and nobody has taken; later ones are refused. */
  streamsWaiting: 64,
  connectTimeoutMs: 60_000,
  closeTimeoutMs: 10_000,
  statsTimeoutMs: 5_000,
  /** The shortest time between two values of `statsStream`, and the time between two `stats` events. */
  statsEveryMs: 100,
  statsEventMs: 1_000,
  trafficTimeoutMs: 5_000,
  /** The gateway may take so long to forget a client, and reaching it for that. */
  forgetTimeoutMs: 5_000,
  /** The longest file of an exported identity. */
  identityFileBytes: 4 * 1024,
  /** `network.topology` and `network.gateways`; the latter with `measure`; `network.switchGateway`. */
  networkTimeoutMs: 5_000,
  measureTimeoutMs: 15_000,
  switchTimeoutMs: 60_000,
  /** Gateways that are measured at once, how often each, and how long one may take to answer. */
  measuredAtOnce: 8,
  measurements: 3,
  measurementMs: 5_000,
  /** A worker that does not answer `close` is stopped so long after the deadline it was given. */
  closeGraceMs: 1_000,
  outboxTimeoutMs: 5_000,
  /** How long the address of an inlined worker's script is kept. */
  workerUrlMs: 60_000,
  /** A profile's lock may linger for so long after its page was reloaded. */
  lockGraceMs: 1_000,
  /** Pages that share one connection; more are refused as long as there are so many. */
  sharingTabs: 64,
  /** Requests of others that are remembered with the page that handles them. */
  askedTabs: 4_096,
  /** A page that wants to share says so again after so long, until it is heard. */
  tabHelloMs: 250,
  /** It asks so often whether the tab with the connection runs, and takes over when that has said nothing for so long. */
  tabPingMs: 5_000,
  tabSilenceMs: 20_000,
  /** Bytes that are sealed at a time on the way to another page, and the longest message in such pieces. */
  tabPieceBytes: 256 * 1024,
  tabPieces: 160,
  /** The longest deadline that can be set: timers of browsers end here. */
  timeoutMs: 2 ** 31 - 1,
});
