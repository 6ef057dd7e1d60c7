/// <reference lib="esnext.disposable" preserve="true" />
export { parseAddress } from './address.js';
export { MixClient } from './client.js';
export {
  AuthError,
  DeliveryError,
  EnginePanicError,
  GatewayError,
  MixError,
  MixTimeoutError,
  PeerError,
  ProtocolVersionError,
  SessionInUseError,
  StorageError,
  TopologyError,
  UnsupportedRuntimeError,
  errorCodes,
  errorTable,
} from './errors.js';
export type { ErrorTableEntry, MixErrorCode, MixErrorOptions } from './errors.js';
export { limits } from './limits.js';
export { readSdkPayload, writeSdkPayload } from './sdk-payload.js';
export type { SdkPayload } from './sdk-payload.js';
export type * from './types.js';
