import type { Phase, WasmSource, WireError } from './protocol.js';

/** Why the worker cannot open a client; the text says what to do. */
export class Refusal extends Error {
  readonly code: string;
  readonly phase: Phase;
  readonly retriable: boolean;

  constructor(code: string, phase: Phase, message: string, options?: { cause?: unknown; retriable?: boolean }) {
    super(message, options);
    this.code = code;
    this.phase = phase;
    this.retriable = options?.retriable ?? false;
  }

  toWire(): WireError {
    return { code: this.code, message: this.message, phase: this.phase, retriable: this.retriable };
  }
}

/**
 * The compiled wasm. A wrong MIME type makes no difference but that it cannot be compiled while it arrives.
 *
 * Throws `Refusal` `wasm-load`.
 */
export async function loadModule(source: WasmSource): Promise<WebAssembly.Module> {
  if ('module' in source) return source.module;
  if ('bytes' in source) return compile(source.bytes, 'The bytes given as wasm');
  let response: Response;
  try {
    response = await fetch(source.url);
  } catch (cause) {
    throw wasmRefusal(`${source.url} could not be fetched. ${serveIt}`, { cause });
  }
  if (!response.ok) throw wasmRefusal(`${source.url} answered with status ${response.status}. ${serveIt}`);
  if (isWasmType(response)) {
    try {
      return await WebAssembly.compileStreaming(response.clone());
    } catch {
      // Whatever it is, the bytes below tell it better.
    }
  }
  let bytes: ArrayBuffer;
  try {
    bytes = await response.arrayBuffer();
  } catch (cause) {
    throw wasmRefusal(`${source.url} broke off while it was read. Try again.`, { cause });
  }
  return compile(bytes, source.url);
}

async function compile(bytes: ArrayBuffer, name: string): Promise<WebAssembly.Module> {
  if (!beginsLikeWasm(bytes)) {
    const what = beginsLikeHtml(bytes)
      ? 'is an HTML page, which is what servers send for a file they lack'
      : 'is no wasm';
    throw wasmRefusal(`${name} ${what}. ${serveIt}`);
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : '';
    throw wasmRefusal(
      `${name} could not be compiled (${text}). If this page has a content policy, its script-src needs 'wasm-unsafe-eval'; else the file is damaged: serve the one of the package.`,
      { cause },
    );
  }
}

function isWasmType(response: Response): boolean {
  // Parameters after the type are not allowed there.
  return response.headers.get('content-type')?.trim().toLowerCase() === 'application/wasm';
}

function beginsLikeWasm(bytes: ArrayBuffer): boolean {
  const [a, b, c, d] = new Uint8Array(bytes.slice(0, 4));
  return a === 0 && b === 0x61 && c === 0x73 && d === 0x6d;
}

function beginsLikeHtml(bytes: ArrayBuffer): boolean {
  return new TextDecoder().decode(bytes.slice(0, 64)).trimStart().startsWith('<');
}

function wasmRefusal(message: string, options?: { cause: unknown }): Refusal {
  return new Refusal('wasm-load', 'engine', message, options);
}

const serveIt =
  'Serve the file mixlet.wasm of the package (dist/mixlet.wasm) there, or name its URL in the option wasm.';
