import { limits } from './limits.js';
import { checkBoolean, checkCall, checkKeys } from './options.js';
import type { GatewayData, TopologyData } from './protocol.js';
import type { Rpc } from './rpc.js';
import type { CallOptions, GatewayInfo, GatewaysOptions, NetworkView, TopologyInfo } from './types.js';
import { bounded } from './wait.js';

/** What `client.network` is. `line` gives the connection to the worker, or throws why there is none. */
export class Network implements NetworkView {
  readonly #line: () => Rpc;
  #calls = 0;

  constructor(line: () => Rpc) {
    this.#line = line;
  }

  async topology(options: CallOptions = {}): Promise<TopologyInfo> {
    const bounds = checkCall('network.topology', options, limits.networkTimeoutMs);
    return topologyInfo(await bounded(this.#line().request('topology', {}), bounds));
  }

  async gateways(options: GatewaysOptions = {}): Promise<GatewayInfo[]> {
    checkKeys('network.gateways', options, ['measure', 'signal', 'timeoutMs']);
    const { measure = false, ...rest } = options;
    checkBoolean('measure', measure);
    const fallback = measure ? limits.measureTimeoutMs : limits.networkTimeoutMs;
    const bounds = checkCall('network.gateways', rest, fallback);
    const rpc = this.#line();
    if (!measure) return (await bounded(rpc.request('gateways', {}), bounds)).map(gatewayInfo);
    const { signal, timeoutMs = 0 } = bounds;
    const call = ++this.#calls;
    const answer = rpc.request('gateways', { measure: { call, timeoutMs } });
    // The worker answers in time with what it has; the deadline here is for one that hangs.
    const patience = timeoutMs > 0 ? timeoutMs + limits.closeGraceMs : 0;
    try {
      return (await bounded(answer, { ...bounds, timeoutMs: patience })).map(gatewayInfo);
    } catch (error) {
      if (signal?.aborted) rpc.notify({ op: 'stop', call });
      throw error;
    }
  }
}

export function gatewayInfo(data: GatewayData): GatewayInfo {
  const { id, url, host, secure, performance, usable, why, latencyMs } = data;
  return {
    id,
    url,
    host,
    secure,
    performance,
    usable,
    ...(why === undefined ? {} : { why }),
    ...(latencyMs === undefined ? {} : { latencyMs }),
  };
}

export function topologyInfo({ ageMs, ...rest }: TopologyData): TopologyInfo {
  return { ...rest, fetchedAt: new Date(Date.now() - ageMs) };
}
