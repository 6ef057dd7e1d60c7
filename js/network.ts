import { mixError } from './errors.js';
import { limits } from './limits.js';
import { checkBoolean, checkCall, checkKeys } from './options.js';
import type { GatewayData, TopologyData } from './protocol.js';
import type { Rpc } from './rpc.js';
import type { CallOptions, GatewayInfo, GatewaysOptions, MixAddress, NetworkView, TopologyInfo } from './types.js';
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

  async switchGateway(id: string, options: CallOptions = {}): Promise<MixAddress> {
    const bounds = checkCall('network.switchGateway', options, limits.switchTimeoutMs);
    if (typeof id !== 'string') throw mixError('config-invalid', 'switchGateway() takes the id of a gateway.');
    const rpc = this.#line();
    let answered = false;
    const answer = rpc.request('switch', { gatewayId: id }).finally(() => (answered = true));
    try {
      return (await bounded(answer, bounds)).address as MixAddress;
    } catch (error) {
      if (!answered) rpc.notify({ op: 'stay' });
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
