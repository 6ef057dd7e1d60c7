import { limits } from './limits.js';
import type { GatewayData } from './protocol.js';
import type { WebSocketClass } from './types.js';

export type OpenSocket = (url: string) => InstanceType<WebSocketClass>;

/** Measures how far gateways are. However many calls there are, only so many gateways are asked at once. */
export class Measurer {
  #free: number = limits.measuredAtOnce;
  readonly #waiting: (() => void)[] = [];
  readonly #openSocket: OpenSocket;

  constructor(openSocket: OpenSocket) {
    this.#openSocket = openSocket;
  }

  /**
   * The gateways, those that could be measured with their latency, and those that could not be reached as not usable.
   * After `timeoutMs` (0: no limit) or at the abort it answers with what is known; those not asked by then are as they were.
   */
  async measure(gateways: GatewayData[], timeoutMs: number, signal?: AbortSignal): Promise<GatewayData[]> {
    const stop = new AbortController();
    const timer = timeoutMs > 0 ? setTimeout(() => stop.abort(), timeoutMs) : undefined;
    const onAbort = () => stop.abort();
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) stop.abort();
    const answers = new Map(gateways.map((gateway) => [gateway.id, gateway]));
    // In any order, so that who has not the time for all does not always ask the same ones.
    const order = shuffled(gateways.filter(({ usable }) => usable));
    await Promise.all(
      order.map(async (gateway) => {
        await this.#turn();
        if (!stop.signal.aborted) answers.set(gateway.id, await measured(this.#openSocket, gateway, stop.signal));
        this.#done();
      }),
    );
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    return [...answers.values()];
  }

  async #turn(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #done(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}

/** Of the gateways that were measured, the nearest. */
export function fastest(gateways: GatewayData[]): GatewayData | undefined {
  const latency = ({ latencyMs = Infinity }: GatewayData) => latencyMs;
  return gateways
    .filter(({ usable, latencyMs }) => usable && latencyMs !== undefined)
    .sort((one, other) => latency(one) - latency(other))[0];
}

async function measured(openSocket: OpenSocket, gateway: GatewayData, stop: AbortSignal): Promise<GatewayData> {
  const samples: number[] = [];
  while (samples.length < limits.measurements && !stop.aborted) {
    try {
      samples.push(await roundTrip(() => openSocket(gateway.url), stop));
    } catch (error) {
      if (stop.aborted || samples.length > 0) break;
      return { ...gateway, usable: false, why: (error as Error).message };
    }
  }
  const middle = samples.sort((one, other) => one - other)[samples.length >> 1];
  return middle === undefined ? gateway : { ...gateway, latencyMs: middle };
}

/** From opening a WebSocket to the answer to the one question a gateway answers to strangers. */
function roundTrip(openSocket: () => InstanceType<WebSocketClass>, stop: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const socket = openSocket();
    let ended = false;
    const end = (then: () => void) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
      socket.close();
      then();
    };
    const fail = (why: string) => end(() => reject(new Error(why)));
    const onStop = () => fail('stopped');
    const seconds = limits.measurementMs / 1000;
    const timer = setTimeout(() => fail(`it did not answer within ${seconds} s`), limits.measurementMs);
    stop.addEventListener('abort', onStop);
    socket.addEventListener('open', () => {
      if (!ended) socket.send('{"type":"supportedProtocol"}');
    });
    socket.addEventListener('message', () => end(() => resolve(performance.now() - start)));
    for (const type of ['error', 'close'] as const) {
      socket.addEventListener(type, () => fail('it cannot be reached'));
    }
  });
}

function shuffled<T>(items: T[]): T[] {
  const order = items.map((item) => ({ item, place: crypto.getRandomValues(new Uint32Array(1))[0] as number }));
  return order.sort((one, other) => one.place - other.place).map(({ item }) => item);
}
