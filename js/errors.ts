import type { Phase, WireError } from './protocol.js';

/** What can go wrong, as a stable name. Only ever added to. */
export type MixErrorCode =
  | 'address-invalid'
  | 'auth-refused'
  | 'bandwidth-exhausted'
  | 'clock-skew'
  | 'closed'
  | 'closed-before-delivery'
  | 'config-invalid'
  | 'directory-invalid'
  | 'directory-unreachable'
  | 'gateway-gone'
  | 'gateway-refused'
  | 'gateway-timeout'
  | 'handler-failed'
  | 'identity-conflict'
  | 'identity-corrupt'
  | 'identity-file-invalid'
  | 'in-use'
  | 'mixed-content'
  | 'network-required'
  | 'no-acks'
  | 'no-gateway'
  | 'no-handler'
  | 'no-receipt-support'
  | 'no-route'
  | 'no-surbs'
  | 'not-connected'
  | 'peer-unsupported'
  | 'protocol-version'
  | 'queue-full'
  | 'response-timeout'
  | 'stored-by-newer-version'
  | 'storage-blocked'
  | 'storage-quota'
  | 'timeout'
  | 'too-large'
  | 'unsupported-runtime'
  | 'wasm-load'
  | 'worker-crashed'
  | 'wrong-passphrase';

export interface MixErrorOptions {
  /** Trying again later, unchanged, can help. Default: what the table says for the code. */
  retriable?: boolean | undefined;
  /** What the time was spent on. */
  phase?: Phase | undefined;
  cause?: unknown;
}

/** Every failure of mixlet. `message` says what to do next, `code` is for programs. */
export class MixError extends Error {
  readonly code: MixErrorCode;
  /** Trying again later, unchanged, can help. */
  readonly retriable: boolean;
  /** What the time was spent on, where that is known. */
  readonly phase?: Phase;

  constructor(code: MixErrorCode, message?: string, options: MixErrorOptions = {}) {
    super(message || errorTable[code].advice, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retriable = options.retriable ?? errorTable[code].retriable;
    if (options.phase !== undefined) this.phase = options.phase;
  }

  // A getter on the prototype, so that the stack begins with the right name and minifiers cannot change it.
  override get name(): string {
    return 'MixError';
  }
}

/** A deadline has passed. */
export class MixTimeoutError extends MixError {
  override get name(): string {
    return 'MixTimeoutError';
  }
}
/** The gateway does not do what is needed. */
export class GatewayError extends MixError {
  override get name(): string {
    return 'GatewayError';
  }
}
/** The gateway does not let this client in. */
export class AuthError extends MixError {
  override get name(): string {
    return 'AuthError';
  }
}
/** Another tab or client uses this profile. */
export class SessionInUseError extends MixError {
  override get name(): string {
    return 'SessionInUseError';
  }
}
/** The network's directory gives no usable picture of the network. */
export class TopologyError extends MixError {
  override get name(): string {
    return 'TopologyError';
  }
}
/** The other side speaks no version that this mixlet speaks. */
export class ProtocolVersionError extends MixError {
  override get name(): string {
    return 'ProtocolVersionError';
  }
}
/** Keys cannot be read or kept. */
export class StorageError extends MixError {
  override get name(): string {
    return 'StorageError';
  }
}
/** A message was not delivered, or it is not known whether it was. */
export class DeliveryError extends MixError {
  override get name(): string {
    return 'DeliveryError';
  }
}
/** The other client cannot do what was asked. */
export class PeerError extends MixError {
  override get name(): string {
    return 'PeerError';
  }
}
/** mixlet itself failed: a bug. */
export class EnginePanicError extends MixError {
  override get name(): string {
    return 'EnginePanicError';
  }
}
/** This browser or page lacks something mixlet needs. */
export class UnsupportedRuntimeError extends MixError {
  override get name(): string {
    return 'UnsupportedRuntimeError';
  }
}

export interface ErrorTableEntry {
  /** The class a failure with this code has. */
  readonly type: typeof MixError;
  readonly retriable: boolean;
  /** What to do; also the text of errors that know nothing more precise. */
  readonly advice: string;
}

/** The codes with their classes; the table of the README is made from it. */
export const errorTable: Readonly<Record<MixErrorCode, ErrorTableEntry>> = /* @__PURE__ */ (() => {
  const entry = (type: typeof MixError, retriable: boolean, advice: string): ErrorTableEntry => ({
    type,
    retriable,
    advice,
  });
  return {
    'address-invalid': entry(
      MixError,
      false,
      'This is not a mixnet address. Copy the whole address again; it looks like identity.encryption@gateway.',
    ),
    'auth-refused': entry(
      AuthError,
      false,
      'The gateway refused this client. Choose another gateway, or another profile to register anew.',
    ),
    'bandwidth-exhausted': entry(
      GatewayError,
      false,
      'The gateway gives no more bandwidth without payment. Choose another gateway.',
    ),
    'clock-skew': entry(
      AuthError,
      true,
      'The clock of this machine is too far off for the gateway. Set it right and connect again.',
    ),
    closed: entry(MixError, false, 'The client is closed. Call connect() to use it again.'),
    'closed-before-delivery': entry(
      DeliveryError,
      true,
      'The client was closed before the message was acknowledged, so it may or may not arrive. Send it again if it may arrive twice.',
    ),
    'config-invalid': entry(MixError, false, 'An option makes no sense; the text names it. Correct it and try again.'),
    'directory-invalid': entry(
      TopologyError,
      true,
      'The directory answers, but not with a usable network. Check its URL, which usually ends in /api, or try another directory.',
    ),
    'directory-unreachable': entry(
      TopologyError,
      true,
      'No directory answers. Check the network connection, the URL, and that the directory allows requests from this page.',
    ),
    'gateway-gone': entry(
      GatewayError,
      false,
      'The gateway of this profile has left the network. Move to another one with network.switchGateway(); the address changes with it.',
    ),
    'gateway-refused': entry(
      GatewayError,
      true,
      'The gateway closed the connection or answered with what is not in the protocol. Try again later or choose another gateway.',
    ),
    'gateway-timeout': entry(
      GatewayError,
      true,
      'The gateway does not answer. Try again later or choose another gateway.',
    ),
    'handler-failed': entry(PeerError, false, 'The peer failed to handle the request. Ask its operator.'),
    'identity-conflict': entry(
      StorageError,
      false,
      "This profile has another identity. Pass onConflict: 'replace' to give that up for good, or import into another profile.",
    ),
    'identity-corrupt': entry(
      StorageError,
      false,
      'The stored keys of this profile cannot be read. Use another profile, or delete the data of this site.',
    ),
    'identity-file-invalid': entry(
      StorageError,
      false,
      'This file is no exported identity, or it is damaged. Choose the file that identity.export() has made.',
    ),
    'in-use': entry(
      SessionInUseError,
      true,
      'This profile is open in another tab or client. Close that one, or open this page with another profile.',
    ),
    'mixed-content': entry(
      GatewayError,
      false,
      'This page was served over https and may only open secure connections, but none is offered. Use a network with wss gateways and an https directory, or serve the page from localhost over http.',
    ),
    'network-required': entry(
      MixError,
      false,
      'No network was named. Give network.directories, for example { network: { directories: ["https://example.org/api"] } }, or network.topology.',
    ),
    'no-acks': entry(
      DeliveryError,
      true,
      'The message was not acknowledged in spite of all attempts. Try again later; it may have arrived all the same.',
    ),
    'no-gateway': entry(
      TopologyError,
      true,
      'No gateway is usable, or the one named is not in the network. Try again later, or name another.',
    ),
    'no-handler': entry(
      PeerError,
      false,
      'The peer does not serve requests of this kind. Check the name of the service.',
    ),
    'no-receipt-support': entry(
      PeerError,
      false,
      "The peer's client sends no receipts. Rely on delivered, which says that its gateway has the message.",
    ),
    'no-route': entry(
      DeliveryError,
      true,
      "The recipient's gateway is not in the network now. Check the address, or try again later.",
    ),
    'no-surbs': entry(
      DeliveryError,
      false,
      'Nothing is left to answer this sender with. Wait for its next message, which brings new reply blocks.',
    ),
    'not-connected': entry(MixError, true, 'The client is not connected. Call connect() first.'),
    'peer-unsupported': entry(
      PeerError,
      false,
      "The peer's client does not know this kind of message. Send a plain one.",
    ),
    'protocol-version': entry(
      ProtocolVersionError,
      false,
      'The gateway speaks no protocol version that this mixlet speaks. Update mixlet or choose another gateway.',
    ),
    'queue-full': entry(
      DeliveryError,
      true,
      'Too much is waiting to be sent. Await `queued` or `delivered` before sending more.',
    ),
    'response-timeout': entry(
      MixTimeoutError,
      true,
      'No response came in time. The peer may be away, or its client may not speak mixlet.',
    ),
    'stored-by-newer-version': entry(
      StorageError,
      false,
      'This profile was written by a newer mixlet. Update the page, or use another profile.',
    ),
    'storage-blocked': entry(
      StorageError,
      false,
      "The browser gives no storage, as in some private windows. Leave the private window or allow storage for this site, or use { storage: 'memory' }, which forgets the address at the next reload.",
    ),
    'storage-quota': entry(StorageError, true, 'The storage of this site is full. Free some space and try again.'),
    timeout: entry(MixTimeoutError, true, 'The deadline has passed. Try again, or allow more time with timeoutMs.'),
    'too-large': entry(
      DeliveryError,
      false,
      'A message holds at most 32 MiB. Send it over a stream, which has no such limit.',
    ),
    'unsupported-runtime': entry(
      UnsupportedRuntimeError,
      false,
      'This browser or page lacks something mixlet needs. Use a current browser, and serve the page over https or from localhost.',
    ),
    'wasm-load': entry(
      MixError,
      false,
      'The file mixlet.wasm could not be loaded. Serve the file dist/mixlet.wasm of the package beside the page and name its URL in the option wasm.',
    ),
    'worker-crashed': entry(
      EnginePanicError,
      true,
      'The worker stopped; this is a bug in mixlet, or the worker script could not be loaded. Call connect() to start again, and report it with the cause.',
    ),
    'wrong-passphrase': entry(StorageError, false, 'The passphrase is wrong. Ask for it again.'),
  };
})();

/** All codes, in the order of the table. */
export const errorCodes: readonly MixErrorCode[] = /* @__PURE__ */ Object.freeze(
  /* @__PURE__ */ Object.keys(errorTable) as MixErrorCode[],
);

/** The error of the class that belongs to the code. */
export function mixError(code: MixErrorCode, message?: string, options?: MixErrorOptions): MixError {
  return new errorTable[code].type(code, message, options);
}

/** What the worker reported, as the error users see. A code this page does not know counts as a crash. */
export function fromWire(error: WireError, fallbackPhase?: Phase): MixError {
  const known = Object.hasOwn(errorTable, error.code);
  const code = known ? (error.code as MixErrorCode) : 'worker-crashed';
  const phase = phases.has(error.phase ?? '') ? (error.phase as Phase) : fallbackPhase;
  const message = known ? error.message : `${error.message || 'The worker failed'} (${error.code})`;
  return mixError(code, message, { phase, retriable: known ? error.retriable : undefined });
}

const phases: ReadonlySet<string> = /* @__PURE__ */ new Set<Phase>([
  'engine',
  'storage',
  'topology',
  'gateway',
  'auth',
  'bandwidth',
  'queue',
  'network',
  'peer',
]);
