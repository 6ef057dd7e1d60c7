/** Every bound of the page's half in one place; sizes in bytes, times in milliseconds. */
export const limits = /* @__PURE__ */ Object.freeze({
  /** The largest body of one message; more is refused as `too-large`. */
  messageBytes: 32 * 1024 * 1024,
  /** Bodies of accepted messages that are not finished; beyond it `queued` waits. */
  queueBytes: 64 * 1024 * 1024,
  /** Accepted messages that are not finished; beyond it `queued` waits. */
  queueMessages: 16_384,
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
  /** Senders whose reply tags are watched for `canReply`; beyond it the oldest is forgotten. */
  watchedTags: 4096,
  /** The longest time reply blocks can be good for. */
  repliesMs: 24 * 60 * 60 * 1000,
  /** Characters of a profile's name. */
  profileLength: 64,
  connectTimeoutMs: 60_000,
  closeTimeoutMs: 10_000,
  statsTimeoutMs: 5_000,
  trafficTimeoutMs: 5_000,
  /** A worker that does not answer `close` is stopped so long after the deadline it was given. */
  closeGraceMs: 1_000,
  /** How long the address of an inlined worker's script is kept. */
  workerUrlMs: 60_000,
  /** A profile's lock may linger for so long after its page was reloaded. */
  lockGraceMs: 1_000,
  /** The longest deadline that can be set: timers of browsers end here. */
  timeoutMs: 2 ** 31 - 1,
});
