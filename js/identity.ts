import { readBlob } from './body.js';
import { MixError, mixError } from './errors.js';
import { limits } from './limits.js';
import { checkKeys } from './options.js';
import type { CheckedOptions } from './options.js';
import type { Imported, Opened } from './protocol.js';
import type { Rpc } from './rpc.js';
import { sharesLock } from './tab-names.js';
import type { AtRisk, ClientState, Durability, IdentityManager, ImportOptions, MixAddress } from './types.js';
import type { Vault } from './vault.js';
import { bounded } from './wait.js';

/** What the identity needs of its client. */
export interface IdentityClient {
  readonly options: CheckedOptions;
  readonly vault: Vault;
  state(): ClientState;
  address(): MixAddress | null;
  /** The worker's line, while there is one. */
  rpc(): Rpc | null;
  /** Resolves when the client neither connects nor closes. */
  settled(): Promise<void>;
  /**
   * Does something while the client has no worker, which it then has again, and an address. `forgetMs`: before that the
   * gateway is asked to forget it, and waited for so long.
   */
  apart(task: () => Promise<void>, forgetMs?: number): Promise<MixAddress>;
  /** Connects, at most for so long. */
  connect(timeoutMs: number): Promise<unknown>;
  /** Closes at once and forgets the address, as the gateway is to. */
  forgotten(): Promise<void>;
  /** What was stored is gone. */
  destroyed(): void;
  onRisk(risk: AtRisk): void;
  onGone(error: MixError): void;
}

/** What `client.identity` is. Its calls are done one after the other. */
export class Identity implements IdentityManager {
  readonly #client: IdentityClient;
  /** What was imported, where nothing is stored. */
  #imported: Imported | undefined;
  /** Nothing is kept, although it was to be. */
  #isVolatile = false;
  #isOpen = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: IdentityClient) {
    this.#client = client;
  }

  /** What a worker is to begin with. */
  get imported(): Imported | undefined {
    return this.#imported;
  }

  /** Whether another worker would have the same identity. */
  get outlivesWorker(): boolean {
    return !this.#isMemory && !this.#isVolatile;
  }

  /** A worker is being started. */
  opening(): void {
    this.#isVolatile = false;
    this.#isOpen = false;
  }

  /** The client is connected. Tells once if what is stored may be lost. */
  opened({ exported }: Opened): void {
    this.#isOpen = true;
    if (exported !== false) return;
    void this.durability().then((durability) => {
      if (durability === 'best-effort') this.#client.onRisk({ durability });
    });
  }

  /** The worker keeps nothing, or not any more. */
  becameVolatile(error: MixError): void {
    this.#isVolatile = true;
    if (this.#isOpen) this.#client.onGone(error);
    else this.#client.onRisk({ durability: 'volatile', error });
  }

  export(options: { passphrase: string }): Promise<Blob> {
    return this.#inTurn(async () => {
      checkKeys('identity.export', options, ['passphrase']);
      const secret = checkPassphrase(options.passphrase);
      await this.#client.settled();
      const rpc = this.#client.rpc();
      let file: Uint8Array | undefined;
      if (!this.#isMemory && !this.#isVolatile) {
        ({ file } = await this.#client.vault.errand({ task: 'export', secret }, rpc === null));
      } else if (rpc) {
        ({ file } = await rpc.request('export', { secret }));
      } else {
        throw mixError(this.#client.state() === 'closed' ? 'closed' : 'not-connected');
      }
      return new Blob([file as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' });
    });
  }

  import(blob: Blob, options: ImportOptions): Promise<MixAddress | null> {
    return this.#inTurn(async () => {
      checkKeys('identity.import', options, ['passphrase', 'onConflict']);
      const { onConflict = 'fail' } = options;
      if (!(blob instanceof Blob)) throw mixError('config-invalid', 'identity.import() takes a Blob.');
      if (onConflict !== 'fail' && onConflict !== 'replace') {
        throw mixError('config-invalid', "Invalid option: onConflict must be 'fail' or 'replace'.");
      }
      const secret = checkPassphrase(options.passphrase);
      if (blob.size > limits.identityFileBytes) throw mixError('identity-file-invalid');
      const file = await readBlob(blob);
      await this.#client.settled();
      const replace = onConflict === 'replace';
      const imported = { file, secret };
      if (this.#client.rpc() === null) {
        if (!this.#isMemory) return await this.#import(imported, replace);
        const address = await this.#read(imported);
        this.#imported = imported;
        return address;
      }
      // A file that cannot be used, or is not to be, does not cost the connection.
      const address = await this.#read(imported);
      if (address !== null && address === this.#client.address()) return address;
      if (!replace) throw mixError('identity-conflict', '', { phase: 'storage' });
      await this.#alone();
      return await this.#client.apart(async () => {
        if (this.#isMemory) this.#imported = imported;
        else await this.#import(imported, replace);
      });
    });
  }

  rotate(): Promise<MixAddress | null> {
    return this.#inTurn(async () => {
      await this.#client.settled();
      await this.#alone();
      const rotate = async () => {
        this.#imported = undefined;
        if (!this.#isMemory) await this.#client.vault.errand({ task: 'rotate' }, true);
      };
      if (this.#client.rpc()) return await this.#client.apart(rotate, limits.forgetTimeoutMs);
      await this.#reach();
      if (this.#client.rpc()) await this.#client.forgotten();
      await rotate();
      return null;
    });
  }

  destroy(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#client.settled();
      await this.#alone();
      await this.#reach();
      await this.#client.forgotten();
      this.#client.destroyed();
      this.#imported = undefined;
      if (!this.#isMemory) await this.#client.vault.errand({ task: 'destroy' }, true);
    });
  }

  setPassphrase(passphrase: string | null): Promise<void> {
    return this.#inTurn(async () => {
      const secret = passphrase === null ? undefined : checkPassphrase(passphrase);
      if (this.#isMemory) throw mixError('config-invalid', "With storage: 'memory' nothing is stored to be protected.");
      await this.#client.settled();
      await this.#client.vault.errand({ task: 'protect', secret }, this.#client.rpc() === null);
    });
  }

  async durability(): Promise<Durability> {
    if (this.#isMemory || this.#isVolatile) return 'volatile';
    try {
      return (await navigator.storage.persisted()) ? 'persisted' : 'best-effort';
    } catch {
      // Where the browser cannot tell, or there is none.
      return 'best-effort';
    }
  }

  get #isMemory(): boolean {
    return this.#client.options.storage === 'memory';
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #read({ file, secret }: Imported): Promise<MixAddress | null> {
    return (await this.#client.vault.errand({ task: 'read', file, secret }, false)).address as MixAddress | null;
  }

  async #import({ file, secret }: Imported, replace: boolean): Promise<MixAddress | null> {
    const answer = await this.#client.vault.errand({ task: 'import', file, secret, replace }, true);
    return answer.address as MixAddress | null;
  }

  /** Other tabs that share the profile would lose what they use. Throws `in-use`. */
  async #alone(): Promise<void> {
    const { tabs, profile } = this.#client.options;
    if (tabs !== 'share') return;
    const { held = [] } = await navigator.locks.query();
    const own = this.#client.rpc() ? 1 : 0;
    if (held.filter(({ name }) => name === sharesLock(profile)).length > own) throw mixError('in-use');
  }

  /** Connects a client that some gateway knows, so that it can be asked to forget it. */
  async #reach(): Promise<void> {
    if (this.#isMemory || this.#client.rpc()) return;
    try {
      const { registered } = await this.#client.vault.errand({ task: 'status' }, true);
      if (registered) await this.#client.connect(limits.forgetTimeoutMs);
    } catch {
      // It cannot be reached, or what is stored cannot be read. Neither keeps the keys from being given up.
    }
  }
}

function checkPassphrase(passphrase: unknown): string {
  if (typeof passphrase === 'string' && passphrase !== '') return passphrase;
  throw mixError('config-invalid', 'Invalid option: passphrase must be a text that is not empty.');
}

/** Waits for an address, at most for so long. */
export function inTime(connected: Promise<MixAddress>): Promise<MixAddress> {
  const late = () => mixError('timeout', 'The client is still connecting; its address comes with statechange.');
  return bounded(connected, { timeoutMs: limits.connectTimeoutMs, late });
}
