import { mixError } from './errors.js';
import type { CheckedOptions } from './options.js';
import type { Errand, ErrandAnswer } from './protocol.js';
import type { Rpc } from './rpc.js';
import { Session, wasmSource } from './session.js';

/** The store of a profile while no worker has it open. What needs the profile for itself is done one after the other. */
export class Vault {
  readonly #options: CheckedOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /** Resolves when nothing that was asked for so far needs the profile any more. */
  get free(): Promise<unknown> {
    return this.#last;
  }

  /**
   * Does something in a worker of its own, which ends with it. `alone`: nobody may use the profile meanwhile; rejects
   * `in-use` where somebody does.
   */
  errand(task: Errand, alone: boolean): Promise<ErrandAnswer> {
    if (!alone) return errand(this.#options, task, false);
    const turn = this.#last.then(() => errand(this.#options, task, true));
    this.#last = turn.catch(() => {});
    return turn;
  }
}

async function errand(options: CheckedOptions, task: Errand, alone: boolean): Promise<ErrandAnswer> {
  const { profile, askPassphrase } = options;
  const wasm = await wasmSource(options.wasm);
  let session: Session | undefined;
  try {
    return await new Promise((resolve, reject) => {
      session = new Session(options, {
        onEvent: (event) => {
          if (event.event === 'passphrase-wanted' && session) givePassphrase(options, session.rpc).catch(reject);
        },
        onCrash: reject,
        phase: () => 'storage',
      });
      const passphrase = askPassphrase !== undefined;
      const transfer = 'bytes' in wasm ? [wasm.bytes] : [];
      if (task.task === 'outbox') transfer.push(...task.letters.map(({ body }) => body.buffer as ArrayBuffer));
      session.rpc.request('vault', { ...task, profile, passphrase, alone, wasm }, transfer).then(resolve, reject);
    });
  } finally {
    session?.end(mixError('closed'));
  }
}

/** Asks the application for the passphrase. Rejects `config-invalid` with what it has thrown. */
export async function givePassphrase({ askPassphrase }: CheckedOptions, rpc: Rpc): Promise<void> {
  let secret: unknown;
  try {
    secret = await askPassphrase?.();
  } catch (cause) {
    throw mixError('config-invalid', 'The option passphrase has thrown. See the cause.', { phase: 'storage', cause });
  }
  if (typeof secret !== 'string') {
    throw mixError('config-invalid', 'The option passphrase must return a string, or a promise of one.', {
      phase: 'storage',
    });
  }
  rpc.notify({ op: 'passphrase', secret });
}
