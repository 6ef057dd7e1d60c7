import { makeGlue } from './glue.js';
import { guarded } from './guard.js';
import { Thread } from './thread.js';
import type { EngineSurroundings, EngineThread } from './types.js';

/**
 * Starts the engine in this thread. For the client, which does so when it was made with `worker: false` and this module
 * as `engine`. Importing the module does nothing; the wasm is loaded by `connect`.
 */
export function startInThread({ webSocket }: EngineSurroundings): EngineThread {
  return new Thread(webSocket, async (module, post, crash, socket) => {
    const glue = makeGlue((exports) => guarded(exports, crash));
    await glue.default({ module_or_path: module });
    return new glue.MixletClient(post, socket);
  });
}
