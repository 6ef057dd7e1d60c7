import { Host } from './host.js';
import type { EngineClient, Post, WorkerMessage } from './protocol.js';
import type { EngineThread, WebSocketClass } from './types.js';

/** Makes the engine of the compiled wasm, which opens its links through `socket`. */
export type StartEngineHere = (
  module: WebAssembly.Module,
  post: Post,
  crash: (detail: string) => void,
  socket: (url: string) => unknown,
) => Promise<EngineClient>;

/**
 * What stands for a worker when there is none: the worker's host, in this thread. Messages arrive later and in order, as
 * from a worker. Nothing is cloned on the way: the client hands over copies, and the engine makes what it posts anew.
 */
export class Thread extends EventTarget implements EngineThread {
  readonly #host: Host;
  readonly #webSocket: WebSocketClass;
  /** Those that are not closed. An engine that has crashed cannot close them. */
  readonly #sockets = new Set<InstanceType<WebSocketClass>>();
  #ended = false;

  constructor(webSocket: WebSocketClass | undefined, start: StartEngineHere) {
    super();
    this.#webSocket = webSocket ?? WebSocket;
    const scope = {
      postMessage: (message: WorkerMessage) => this.#later(() => this.#deliver(message)),
      addEventListener: () => {},
      navigator: globalThis.navigator ?? {},
    };
    const open = (url: string) => this.#open(url);
    this.#host = new Host(scope, (module, post, crash) => start(module, post, crash, open), open);
  }

  postMessage(message: unknown): void {
    this.#later(() => this.#host.handle(message as Parameters<Host['handle']>[0]));
  }

  terminate(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.end();
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }

  #later(task: () => void): void {
    queueMicrotask(() => {
      if (!this.#ended) task();
    });
  }

  #deliver(data: WorkerMessage): void {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }

  #open(url: string): InstanceType<WebSocketClass> {
    const socket = new this.#webSocket(url);
    this.#sockets.add(socket);
    socket.addEventListener('close', () => this.#sockets.delete(socket));
    // Some classes throw an error that nobody listens for, which can come after the engine has let go.
    socket.addEventListener('error', () => {});
    return socket;
  }
}
