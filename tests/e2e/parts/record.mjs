// What the network itself saw, not what the clients say: where every packet went, for how long it was held, what became
// of copies, and how acks come back.

import { readFile } from 'node:fs/promises';
import { Client } from '../lib/client.mjs';
import { clientOf, Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { evenness, mean, quantile, variation } from '../lib/statistics.mjs';
import { after } from '../lib/time.mjs';

/** The length of an ack on its way; every other packet carries data or cover. */
const ACK_LEN = 386;

/** The mean delay at a node that the default settings ask for. */
const MEAN_DELAY_US = 15_000;

/** How long the last packets may take to get where they are going. */
const SETTLE_MS = 3_000;

/** How much later than asked a packet may leave a node, on a machine that is busy: the median, and nine of ten. */
const LATE_US = { median: 500_000, most: 3_000_000 };

/** A route that far from even comes up once in a million runs. */
const UNLIKELY = 1e-6;

export async function record({ test, need }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  try {
    const network = { directories: [net.directory] };
    const open = (name, id) => Client.connect(profile, site.url, name, { network, gateway: { id } });
    const [alice, bob] = await Promise.all([open('alice', net.gatewayIds[0]), open('bob', net.gatewayIds[1])]);
    const exchange = async (seed) => {
      const send = async (from, to, seed) => {
        const what = { seed, length: 200_000 };
        const [sending] = await Promise.all([from.send(to.address, what), to.receive(what)]);
        await sending.settle();
      };
      await Promise.all([send(alice, bob, seed), send(bob, alice, seed + 1)]);
    };

    let all;
    await need('two clients exchange messages, for a while with a fifth of all packets doubled', async () => {
      await exchange(1);
      await net.faults({ duplicate: 0.2 });
      await exchange(3);
      await net.faults({ duplicate: 0 });
      await Promise.all([alice.close(), bob.close()]);
      await after(SETTLE_MS);
      all = new Passage(net.info, await net.entries());
      return `${all.entered.length} packets entered`;
    });

    let routes;
    await need('every packet crossed one node of each layer in order and reached a gateway', async () => {
      routes = all.entered.map((entry) => ({ entry, ...all.follow(entry.node, entry.packet) }));
      const count = (client) => routes.filter(({ end }) => end.client === clientOf(client.address)).length;
      const [toAlice, toBob] = [count(alice), count(bob)];
      expectEqual(toAlice + toBob, routes.length, 'packets for the two clients');
      expect(routes.length > 400, `only ${routes.length} packets`);
      return `${toAlice} to one client, ${toBob} to the other`;
    });

    await test('all of it over TCP connections between the nodes', async () => {
      const connected = await establishedPorts();
      const ports = [
        ...net.info.mixnodes.map(({ address }) => address),
        ...net.info.gateways.map(({ mix }) => mix),
      ].map((address) => Number(address.split(':')[1]));
      const without = ports.filter((port) => !connected.has(port));
      expectEqual(without, [], 'nodes without a connection');
      return `${ports.length} nodes`;
    });

    await test('routes vary: all combinations of nodes are used evenly, whatever the packet', () => {
      const layers = [1, 2, 3].map((layer) => net.info.mixnodes.filter((mix) => mix.layer === layer));
      const ways = layers.reduce((count, nodes) => count * nodes.length, 1);
      const counts = new Map();
      for (const { way } of routes) counts.set(way.join(' '), (counts.get(way.join(' ')) ?? 0) + 1);
      const { chiSquare, p } = evenness([...counts.values(), ...Array(ways - counts.size).fill(0)]);
      expect(p > UNLIKELY, `chi-square ${chiSquare.toFixed(1)}, which has a chance of ${p}`);
      return `${ways} routes, chi-square ${chiSquare.toFixed(1)}, p = ${p.toFixed(3)}`;
    });

    await test('nodes hold packets for as long as they ask, which is 15 ms on average and exponential', () => {
      const hops = all.hops;
      const asked = hops.map((hop) => hop.asked_us);
      const late = hops.map((hop) => hop.held_us - hop.asked_us);
      expect(Math.min(...late) >= -1, `a packet left ${-Math.min(...late)} µs too early`);
      const [median, most] = [quantile(late, 0.5), quantile(late, 0.9)];
      const figures =
        `${hops.length} times asked ${(mean(asked) / 1000).toFixed(2)} ms on average, ` +
        `variation ${variation(asked).toFixed(2)}; late by ${median} µs (median), ${most} µs (90 %)`;
      expect(median <= LATE_US.median && most <= LATE_US.most, figures);
      // Standard deviation of this mean: a sixtieth or less of it, with more than 3600 hops.
      expect(Math.abs(mean(asked) / MEAN_DELAY_US - 1) < 0.1, figures);
      expect(Math.abs(variation(asked) - 1) < 0.1, figures);
      return figures;
    });

    await test('every copy of a packet was dropped as a replay', () => {
      const doubled = all.of('doubled');
      const replays = all.of('dropped').filter(({ why }) => why === 'replay');
      expect(doubled.length > 50, `only ${doubled.length} packets were doubled`);
      const sorted = (entries) => entries.map(({ packet }) => packet).sort();
      expectEqual(sorted(replays), sorted(doubled), 'dropped as replays');
      const others = all.of('dropped').filter(({ why }) => why !== 'replay');
      expectEqual(others, [], 'dropped for other reasons');
      return `${doubled.length} copies`;
    });

    await test('acks travelled as packets through three nodes, back to whoever sent', () => {
      let acks = 0;
      for (const { entry, end } of routes) {
        if (end.len === ACK_LEN) throw new Error('a client sent something of the size of an ack');
        if (end.ack === null) continue;
        const ack = all.follow(end.node, end.ack);
        expectEqual(ack.end.len, ACK_LEN, 'the length of an ack');
        expectEqual(ack.end.client, entry.client, 'an ack returned to');
        acks += 1;
      }
      // Cover loops carry acks too, so that acks do not tell them from messages.
      expectEqual(acks, routes.length, 'acks');
      return `${acks} acks`;
    });
  } finally {
    await profile.close();
    await net.stop();
  }
}

/** All that passed, in a form in which packets can be followed. */
class Passage {
  #byKind = new Map();
  /** What left, by the node, then by the packet that left, and by what that packet was when it arrived. */
  #left = new Map();
  #arrived = new Map();
  #final = new Map();
  #layers;

  constructor(info, entries) {
    this.#layers = new Map(info.mixnodes.map(({ id, layer }) => [`mix-${id}`, layer]));
    for (const entry of entries) {
      const { kind, node, packet } = entry;
      if (!this.#byKind.has(kind)) this.#byKind.set(kind, []);
      this.#byKind.get(kind).push(entry);
      if (kind === 'left') {
        add(this.#left, `${node} packet ${packet}`, entry);
        add(this.#left, `${node} arrived ${entry.arrived}`, entry);
      }
      if (kind === 'arrived') add(this.#arrived, `${node} ${packet}`, entry);
      if (kind === 'final') add(this.#final, `${node} ${packet}`, entry);
    }
  }

  of(kind) {
    return this.#byKind.get(kind) ?? [];
  }

  /** What clients gave to their gateways. */
  get entered() {
    return this.of('entered');
  }

  /** What mix nodes sent on. */
  get hops() {
    return this.of('left').filter(({ node }) => this.#layers.has(node));
  }

  /**
   * Follows a packet from the gateway that sent it to the one it was for, and fails unless it crossed layers 1, 2 and 3
   * in this order, each node once. Gives back the nodes and the last entry.
   */
  follow(gateway, packet) {
    const way = [];
    let hop = this.#one(this.#left, `${gateway} packet ${packet}`);
    for (const layer of [1, 2, 3]) {
      const { to: node, packet: next, len } = hop;
      expectEqual(this.#layers.get(node), layer, `the layer of ${node}, which got a packet`);
      const arrived = this.#arrived.get(`${node} ${next}`) ?? [];
      expect(arrived.length > 0, `${node} never got a packet that was sent to it`);
      expectEqual(arrived[0].len, len, 'the length of a packet when it arrived');
      hop = this.#one(this.#left, `${node} arrived ${next}`);
      expectEqual(hop.len, len, 'the length of a packet when it left');
      way.push(node);
    }
    expect(hop.to.startsWith('gateway-'), `layer 3 sent a packet to ${hop.to}`);
    return { way, end: this.#one(this.#final, `${hop.to} ${hop.packet}`) };
  }

  #one(map, key) {
    const found = map.get(key) ?? [];
    if (found.length !== 1) throw new Error(`${found.length} entries for ${key}`);
    return found[0];
  }
}

function add(map, key, entry) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(entry);
}

/** The local ports of all established TCP connections over IPv4, from the kernel. */
async function establishedPorts() {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).trim().split('\n').slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const ESTABLISHED = '01';
  return new Set(
    fields.filter(([, , , state]) => state === ESTABLISHED).map(([, local]) => parseInt(local.split(':')[1], 16)),
  );
}
