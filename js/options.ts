import { mixError } from './errors.js';
import { limits } from './limits.js';
import type { OpenOptions, RequestSettings, SendSettings, StreamSettings } from './protocol.js';
import type {
  CallOptions,
  GatewayChooser,
  MixClientOptions,
  PrivacyParams,
  PrivacyProfile,
  RequestOptions,
  SendOptions,
  StreamOptions,
} from './types.js';
import type { Bounds } from './wait.js';

/** The options with everything filled in, ready for the worker, and those that stay with the page. */
export type CheckedOptions = Omit<OpenOptions, 'securePage' | 'passphrase' | 'imported'> &
  PageOptions & {
    chooseGateway: GatewayChooser | undefined;
    askPassphrase: MixClientOptions['passphrase'];
  };
/** How the engine is started. */
export type PageOptions = Readonly<Pick<MixClientOptions, 'wasm' | 'worker' | 'engine' | 'webSocket'>>;

/** Slot, loop cover, delay at each node for messages and for acks. `balanced` is what Nym's own clients do. */
const profiles: Readonly<Record<PrivacyProfile, PrivacyParams>> = {
  strong: { slotMs: 20, loopMs: 200, hopDelayMs: 50, ackDelayMs: 50 },
  balanced: { slotMs: 20, loopMs: 200, hopDelayMs: 15, ackDelayMs: 15 },
  fast: { slotMs: 4, loopMs: 200, hopDelayMs: 10, ackDelayMs: 10 },
};

/** What others of the network do; `privacyReport` tells what differs. */
export const usual = profiles.balanced;

/** Throws `MixError` `config-invalid` or `network-required`. */
export function checkClientOptions(options: MixClientOptions): CheckedOptions {
  if (options === undefined || (options as { network?: unknown } | null)?.network === undefined) {
    throw mixError('network-required');
  }
  checkKeys('MixClient', options, [
    'network',
    'profile',
    'storage',
    'passphrase',
    'gateway',
    'privacy',
    'reconnect',
    'tabs',
    'inbox',
    'pseudonym',
    'stats',
    'askForMore',
    'trace',
    'wasm',
    'worker',
    'engine',
    'webSocket',
  ]);
  const {
    profile = 'default',
    storage = defaultStorage(),
    privacy = 'balanced',
    tabs = 'exclusive',
    inbox = 'memory',
    pseudonym = 'fresh',
    stats = 'visit',
    askForMore = true,
    trace = false,
  } = options;
  const { directories, topology, refreshMs, minPerformance } = checkNetwork(options.network);
  if (typeof profile !== 'string' || !isName(profile)) {
    throw invalid(`profile must be 1 to ${limits.profileLength} visible characters`);
  }
  if (storage !== 'indexeddb' && storage !== 'memory' && storage !== 'indexeddb-or-memory') {
    throw invalid("storage must be 'indexeddb', 'memory' or 'indexeddb-or-memory'");
  }
  if (options.passphrase !== undefined) checkFunction('passphrase', options.passphrase);
  if (tabs !== 'exclusive' && tabs !== 'share') throw invalid("tabs must be 'exclusive' or 'share'");
  if (tabs === 'share' && storage !== 'indexeddb') throw invalid("tabs: 'share' needs storage: 'indexeddb'");
  if (inbox !== 'memory' && inbox !== 'durable') throw invalid("inbox must be 'memory' or 'durable'");
  if (inbox === 'durable' && storage === 'memory') throw invalid("inbox: 'durable' needs storage: 'indexeddb'");
  if (pseudonym !== 'fresh' && pseudonym !== 'kept') throw invalid("pseudonym must be 'fresh' or 'kept'");
  if (stats !== 'visit' && stats !== 'kept') throw invalid("stats must be 'visit' or 'kept'");
  checkBoolean('askForMore', askForMore);
  checkBoolean('trace', trace);
  checkKeys('gateway', options.gateway ?? {}, ['id', 'select']);
  const { id: gatewayId, select = 'random' } = options.gateway ?? {};
  if (gatewayId !== undefined && typeof gatewayId !== 'string') throw invalid('gateway.id must be a string');
  if (typeof select !== 'function' && select !== 'random' && select !== 'fastest') {
    throw invalid("gateway.select must be 'random', 'fastest' or a function");
  }
  checkStart(options);
  return {
    directories,
    topology,
    profile,
    storage,
    tabs,
    inbox,
    pseudonym,
    stats,
    gatewayId,
    gatewaySelect: typeof select === 'function' ? 'ask' : select,
    askPassphrase: options.passphrase,
    chooseGateway: typeof select === 'function' ? select : undefined,
    ...checkPrivacy(privacy, usual),
    minPerformance,
    refreshMs,
    reconnect: checkReconnect(options.reconnect),
    askForMore,
    trace,
    wasm: checkWasm(options.wasm),
    worker: options.worker,
    engine: options.engine,
    webSocket: options.webSocket,
  };
}

/** Throws `MixError` `config-invalid`. */
export function checkSendOptions(options: SendOptions): Omit<SendSettings, 'watched'> {
  checkKeys('send', options, ['signal', 'timeoutMs', 'priority', 'replies', 'reliable', 'receipt', 'persist']);
  const { timeoutMs, priority, replies = 'auto', reliable = true, receipt, persist = false } = options;
  if (replies !== 'auto') checkNumber('replies', replies, 0, limits.repliesPerMessage, true);
  checkBoolean('reliable', reliable);
  checkBoolean('persist', persist);
  if (persist && !reliable) throw invalid('what is to arrive in any case (persist) cannot be unreliable');
  if (receipt !== undefined) checkBoolean('receipt', receipt);
  return {
    timeoutMs: timeoutMs === undefined ? null : checkNumber('timeoutMs', timeoutMs, 0, Number.MAX_SAFE_INTEGER),
    replies,
    reliable,
    priority: checkPriority(priority),
    receipt: receipt ?? null,
  };
}

function checkPriority(priority: SendOptions['priority'] = 'normal'): 0 | 1 | 2 {
  const priorities = { high: 0, normal: 1, bulk: 2 } as const;
  if (!Object.hasOwn(priorities, priority)) throw invalid("priority must be 'high', 'normal' or 'bulk'");
  return priorities[priority];
}

/** `bytes`: the length of the request. Throws `MixError` `config-invalid`. */
export function checkRequestOptions(options: RequestOptions, bytes: number) {
  checkKeys('request', options, [
    'signal',
    'timeoutMs',
    'responseTimeoutMs',
    'priority',
    'reliable',
    'service',
    'label',
    'expectedReplyBytes',
    'onDisconnect',
  ]);
  const { signal, responseTimeoutMs, reliable = true, label = '', onDisconnect = 'retry' } = options;
  const { expectedReplyBytes = limits.expectedReplyBytes } = options;
  checkSignal(signal);
  checkBoolean('reliable', reliable);
  checkText('label', label, limits.labelBytes);
  checkNumber('expectedReplyBytes', expectedReplyBytes, 0, limits.messageBytes, true);
  if (onDisconnect !== 'retry' && onDisconnect !== 'fail') throw invalid("onDisconnect must be 'retry' or 'fail'");
  const usual =
    limits.requestTimeoutMs + 1000 * Math.floor((bytes + expectedReplyBytes) / limits.requestBytesPerSecond);
  const settings: Omit<RequestSettings, 'timeoutMs'> = {
    service: checkService(options.service),
    label,
    responseTimeoutMs: responseTimeoutMs === undefined ? undefined : checkTimeout(responseTimeoutMs, 0),
    expectedReplyBytes,
    retry: onDisconnect === 'retry',
    replies: 'auto',
    reliable,
    priority: checkPriority(options.priority),
  };
  return { signal, timeoutMs: checkTimeout(options.timeoutMs, usual), settings };
}

/** Throws `MixError` `config-invalid`. */
export function checkStreamOptions(where: 'openStream' | 'listen', options: StreamOptions) {
  const known = ['service', 'signal', 'windowBytes', 'idleTimeoutMs', ...(where === 'listen' ? [] : ['timeoutMs'])];
  checkKeys(where, options, known);
  const { service, signal, timeoutMs, windowBytes, idleTimeoutMs } = options;
  checkSignal(signal);
  if (timeoutMs !== undefined) checkTimeout(timeoutMs, 0);
  if (idleTimeoutMs !== undefined) checkTimeout(idleTimeoutMs, 0);
  if (windowBytes !== undefined) {
    checkNumber('windowBytes', windowBytes, limits.streamWindowBytesMin, limits.streamWindowBytesMax, true);
  }
  const settings: StreamSettings = { windowBytes, idleTimeoutMs, timeoutMs };
  return { service: checkService(service), signal, settings };
}

/** Throws `MixError` `config-invalid`. */
export function checkService(service = ''): string {
  checkText('service', service, limits.serviceBytes);
  return service;
}

function checkText(name: string, text: unknown, bytes: number): void {
  if (typeof text !== 'string' || new TextEncoder().encode(text).byteLength > bytes) {
    throw invalid(`${name} must be a text of at most ${bytes} bytes`);
  }
}

/** The deadline in milliseconds; 0: none. Throws `MixError` `config-invalid`. */
export function checkTimeout(timeoutMs: number | undefined, fallback: number): number {
  return timeoutMs === undefined ? fallback : checkNumber('timeoutMs', timeoutMs, 0, limits.timeoutMs);
}

/** How long the caller waits for an answer of the worker. Throws `MixError` `config-invalid`, or the abort's reason. */
export function checkCall(name: string, options: CallOptions, fallback: number): Bounds {
  checkKeys(name, options, ['signal', 'timeoutMs']);
  const { signal } = options;
  checkSignal(signal);
  const timeoutMs = checkTimeout(options.timeoutMs, fallback);
  signal?.throwIfAborted();
  const late = () => mixError('timeout', `${name}() was not answered within ${timeoutMs / 1000} s.`);
  return { signal, timeoutMs, late };
}

/** Throws `MixError` `config-invalid` that names the first key which is not among `known`. */
export function checkKeys(where: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalid(`the options of ${where} must be an object`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw invalid(`"${key}" is not an option of ${where}; there are: ${known.join(', ')}`);
    }
  }
}

export function checkBoolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw invalid(`${name} must be true or false`);
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalid(`${name} must be a function`);
}

export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid('signal must be an AbortSignal');
}

/** Node has no IndexedDB. A browser that has lost its own must not be given a new address in silence. */
export function defaultStorage(): 'indexeddb' | 'memory' {
  const { location, process } = globalThis as { location?: unknown; process?: { versions?: { node?: string } } };
  return location === undefined && process?.versions?.node !== undefined ? 'memory' : 'indexeddb';
}

function checkStart({ worker, engine, webSocket }: MixClientOptions): void {
  if (worker !== undefined && worker !== false) checkFunction('worker', worker);
  if (webSocket !== undefined) checkFunction('webSocket', webSocket);
  if (engine !== undefined && typeof engine?.startInThread !== 'function') throw invalid(`engine is not ${engineIs}`);
  if (worker === false && !engine) throw invalid(`worker: false needs the option engine, ${engineIs}`);
  if (worker !== false && engine) throw invalid('engine is for worker: false; without it the engine is in the worker');
  // A class cannot be handed to a worker.
  if (worker !== false && webSocket) throw invalid('webSocket needs worker: false, and with it engine');
}

const engineIs = "the module mixlet/engine as a whole: import * as engine from 'mixlet/engine'";

function checkNetwork(network: MixClientOptions['network']) {
  checkKeys('network', network, ['directories', 'topology', 'refreshMs', 'minPerformance']);
  const { directories = [], topology, refreshMs, minPerformance } = network;
  if (!Array.isArray(directories)) throw invalid('network.directories must be a list of URLs');
  if (topology !== undefined && (typeof topology !== 'object' || topology === null)) {
    throw invalid('network.topology must be a topology document');
  }
  if (directories.length === 0 && topology === undefined) throw mixError('network-required');
  if (refreshMs !== undefined) checkNumber('network.refreshMs', refreshMs, 10_000, 3_600_000);
  if (minPerformance !== undefined) checkNumber('network.minPerformance', minPerformance, 0, 100, true);
  return {
    directories: directories.map(checkDirectory),
    topology: topology && JSON.stringify(topology),
    refreshMs,
    minPerformance,
  };
}

function checkDirectory(text: unknown): string {
  let url: URL | undefined;
  try {
    url = new URL(String(text));
  } catch {
    // Falls through to the error below.
  }
  if (typeof text !== 'string' || !url || !['http:', 'https:'].includes(url.protocol)) {
    throw invalid(`network.directories: "${String(text)}" is not an absolute http:// or https:// URL`);
  }
  if (url.search || url.hash || url.username || url.password) {
    throw invalid(`network.directories: "${url.origin}${url.pathname}" may have no query, fragment or password`);
  }
  return url.href;
}

/** All values; `base` has those that are not named. Throws `MixError` `config-invalid`. */
export function checkPrivacy(
  privacy: PrivacyProfile | Partial<PrivacyParams>,
  base: PrivacyParams,
): Required<PrivacyParams> {
  if (typeof privacy === 'string') {
    if (!Object.hasOwn(profiles, privacy)) throw invalid("privacy must be 'strong', 'balanced', 'fast' or an object");
    return { dangerNoPacing: false, ...profiles[privacy] };
  }
  checkKeys('privacy', privacy, ['slotMs', 'loopMs', 'hopDelayMs', 'ackDelayMs', 'dangerNoPacing']);
  const given = Object.fromEntries(Object.entries(privacy).filter(([, value]) => value !== undefined));
  const { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing = false }: PrivacyParams = { ...base, ...given };
  checkNumber('privacy.slotMs', slotMs, 1, 10_000);
  checkNumber('privacy.loopMs', loopMs, 1, 10_000);
  checkNumber('privacy.hopDelayMs', hopDelayMs, 0, 10_000);
  checkNumber('privacy.ackDelayMs', ackDelayMs, 0, 10_000);
  checkBoolean('privacy.dangerNoPacing', dangerNoPacing);
  return { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing };
}

function checkReconnect(reconnect: MixClientOptions['reconnect'] = {}): OpenOptions['reconnect'] {
  checkKeys('reconnect', reconnect, ['minMs', 'maxMs', 'maxAttempts']);
  const { minMs = 500, maxMs = Math.max(60_000, minMs), maxAttempts } = reconnect;
  checkNumber('reconnect.minMs', minMs, 1, 3_600_000);
  checkNumber('reconnect.maxMs', maxMs, minMs, 3_600_000);
  if (maxAttempts !== undefined) checkNumber('reconnect.maxAttempts', maxAttempts, 1, 1_000_000, true);
  return { minMs, maxMs, maxAttempts: maxAttempts ?? null };
}

function checkWasm(wasm: unknown): MixClientOptions['wasm'] {
  const fits =
    wasm === undefined ||
    typeof wasm === 'string' ||
    wasm instanceof ArrayBuffer ||
    ArrayBuffer.isView(wasm) ||
    wasm instanceof URL ||
    wasm instanceof WebAssembly.Module ||
    wasm instanceof Response;
  if (!fits) throw invalid('wasm must be a URL, a Response, bytes or a WebAssembly.Module');
  return wasm;
}

/** The number. Throws `MixError` `config-invalid`. */
export function checkNumber(name: string, value: unknown, min: number, max: number, whole = false): number {
  const fits = typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
  if (!fits) throw invalid(`${name} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
  return value;
}

function isName(text: string): boolean {
  // Control characters would make two names look alike.
  return text.length > 0 && text.length <= limits.profileLength && !/\p{C}/u.test(text) && text.trim() === text;
}

const invalid = (what: string) => mixError('config-invalid', `Invalid option: ${what}.`);
