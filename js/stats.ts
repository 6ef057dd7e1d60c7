import { checkKeys, checkNumber, checkSignal } from './options.js';
import { limits } from './limits.js';
import type { ClientState, KeptSums, StatsData } from './protocol.js';
import type { KeptStats, MixStats, StatsOptions, StatsStreamOptions } from './types.js';
import { pause } from './wait.js';

/** Where statistics come from: a client. */
export interface StatsSource extends EventTarget {
  readonly state: ClientState;
  stats(options: StatsOptions): Promise<MixStats>;
}

/** What the worker has counted. */
export function counted(stats: StatsData, state: ClientState): MixStats {
  return { ...stats, kept: stats.kept && keptStats(stats.kept), at: new Date(), state };
}

function keptStats(sums: KeptSums): KeptStats {
  const [since, visits, real, reply, retransmission, cover, message, ack, coverCome, unknown, bytesIn, bytesOut] = sums;
  const [delivered, received, undelivered, reconnects] = sums.slice(12) as [number, number, number, number];
  return {
    since: new Date(since * 1000),
    visits,
    out: { real, reply, retransmission, cover },
    in: { message, ack, cover: coverCome, unknown },
    bytesIn,
    bytesOut,
    delivered,
    received,
    undelivered,
    reconnects,
  };
}

/** The statistics now and then, asked for only when somebody waits for them. Throws `MixError` `config-invalid`. */
export function statsStream(source: StatsSource, options: StatsStreamOptions): AsyncIterableIterator<MixStats> {
  checkKeys('statsStream', options, ['everyMs', 'signal']);
  const { everyMs = limits.statsEventMs, signal } = options;
  checkSignal(signal);
  return values(source, checkNumber('everyMs', everyMs, limits.statsEveryMs, limits.timeoutMs), signal);
}

async function* values(source: StatsSource, everyMs: number, signal: AbortSignal | undefined) {
  const end = new AbortController();
  const onAbort = () => end.abort();
  const onState = () => {
    if (source.state === 'closed') end.abort();
  };
  source.addEventListener('statechange', onState);
  signal?.addEventListener('abort', onAbort);
  if (signal?.aborted || source.state === 'closed') end.abort();
  try {
    while (!end.signal.aborted) {
      const start = performance.now();
      // Not connected yet, or the worker is busy: there may be an answer the next time.
      const stats = await source.stats({ signal: end.signal }).catch(() => null);
      if (stats) yield stats;
      await pause(everyMs - (performance.now() - start), end.signal);
    }
  } finally {
    source.removeEventListener('statechange', onState);
    signal?.removeEventListener('abort', onAbort);
  }
}
