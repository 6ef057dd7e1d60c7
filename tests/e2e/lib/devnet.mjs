// A devnet of a test's own: how to start it, do things to it, and read what passed.

import { join } from 'node:path';
import { buildDevnet, startDevnet } from '../../../scripts/lib/devnet.mjs';
import { folder, logs } from '../../../scripts/lib/paths.mjs';

/** By the profile they are built with. */
const binaries = {};

export class Devnet {
  #running;

  /** Starts one on free ports. `name` names its log; `release` builds it as for use, which takes longer. */
  static async start(name, flags = [], { release = false } = {}) {
    binaries[release] ??= buildDevnet({ release });
    const log = join(folder(logs), `devnet-e2e-${name}.log`);
    return new Devnet(await startDevnet(await binaries[release], ['--forget', ...flags], { log }));
  }

  constructor(running) {
    this.#running = running;
    this.info = running.info;
  }

  /** Base URL of the directory. */
  get directory() {
    return this.info.directory;
  }

  /** Ids of the gateways in order. */
  get gatewayIds() {
    return this.info.gateways.map((gateway) => gateway.id);
  }

  stop() {
    return this.#running.stop();
  }

  /** kill, restart, silence, pause or resume the gateway at this place. */
  gateway(place, action) {
    return this.#post(`gateway/${place}/${action}`);
  }

  /** The same with the directory, which can also turn to `html`. */
  directoryAct(action) {
    return this.#post(`directory/${action}`);
  }

  /** Sets loss, duplicate, reorder (shares), latency_ms, jitter_ms; what is left out stays. */
  faults(faults) {
    return this.#post('faults', faults);
  }

  /** Counts of everything that passed. */
  summary() {
    return this.#get('record/summary');
  }

  /** What is counted for the client with this address; zeros when it is unknown. */
  async client(address) {
    const { clients } = await this.summary();
    return clients[clientOf(address)] ?? { registrations: 0, logins: 0, frames_in: 0, frames_out: 0 };
  }

  /**
   * The entries from number `since` on, oldest first; only of these kinds and about this client when named. Fails when
   * the record has forgotten some of them.
   */
  async entries({ since = 0, kinds = [], client } = {}) {
    const all = [];
    for (let next = since; ;) {
      const query = new URLSearchParams({ since: String(next) });
      if (kinds.length > 0) query.set('kind', kinds.join(','));
      if (client !== undefined) query.set('client', client);
      const page = await this.#get(`record?${query}`);
      if (page.oldest > next) throw new Error(`the record has forgotten what came before entry ${page.oldest}`);
      for (const entry of page.entries) all.push(entry);
      if (!page.more) return all;
      next = page.next;
    }
  }

  async #get(path) {
    return answerOf(await fetch(`${this.info.control}/${path}`));
  }

  async #post(path, body = {}) {
    return answerOf(await fetch(`${this.info.control}/${path}`, { method: 'POST', body: JSON.stringify(body) }));
  }
}

/** How a client is called in the record: the first part of its address. */
export function clientOf(address) {
  return address.slice(0, address.indexOf('.'));
}

async function answerOf(response) {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
