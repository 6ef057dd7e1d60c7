import type { MixClient, MixStats } from 'mixlet';
import { h } from './dom.js';
import { bytes, number, seconds } from './format.js';

/** What leaves and arrives, as counted each second. */
export function traffic(client: MixClient): HTMLElement {
  const leaves = table('Packets that leave', [
    ['real', 'real', 'to an address'],
    ['reply', 'reply', 'to somebody unknown'],
    ['retransmission', 'again', 'as no ack came'],
    ['cover', 'cover', 'empty, to ourselves'],
  ]);
  const arrives = table('Packets that arrive', [
    ['message', 'message', 'with content'],
    ['ack', 'ack', 'for one that left'],
    ['cover', 'cover', 'our own, back again'],
    ['unknown', 'unknown', 'cannot be read'],
  ]);
  const rows = {
    up: row('Up'),
    down: row('Down'),
    roundTrip: row('Round trip', 'from a packet to its ack'),
    inFlight: row('In flight', 'left, not yet acknowledged'),
    waiting: row('In the queue', 'messages not finished'),
  };
  const list = h('dl', { id: 'numbers' }, ...Object.values(rows).flatMap(({ elements }) => elements));
  let last: MixStats | null = null;

  client.addEventListener('stats', ({ detail: now }) => {
    // A new connect counts from nothing.
    const before = last && now.bytesOut >= last.bytesOut ? last : null;
    const passed = before ? Math.max(0.1, (now.at.getTime() - before.at.getTime()) / 1000) : 0;
    const rate = (a: number, b: number | undefined) => (b === undefined ? null : (a - b) / passed);
    leaves.set(now.out, (kind) => rate(now.out[kind], before?.out[kind]));
    arrives.set(now.in, (kind) => rate(now.in[kind], before?.in[kind]));
    const way = (total: number, perSecond: number | null) =>
      `${perSecond === null ? '–' : bytes(Math.round(perSecond))}/s · ${bytes(total)} in all`;
    rows.up.set(way(now.bytesOut, rate(now.bytesOut, before?.bytesOut)));
    rows.down.set(way(now.bytesIn, rate(now.bytesIn, before?.bytesIn)));
    const trip = now.roundTripMs;
    rows.roundTrip.set(trip ? `median ${seconds(trip.p50)}, 95\u00a0% within ${seconds(trip.p95)}` : 'no ack yet');
    rows.inFlight.set(`${number(now.inFlight)} fragments`);
    rows.waiting.set(bytes(now.queuedBytes));
    last = now;
  });
  client.addEventListener('statechange', () => {
    if (client.state === 'connecting' || client.state === 'closed') last = null;
  });
  return h(
    'section',
    { id: 'traffic', 'aria-label': 'Traffic' },
    h('h2', {}, 'On the line'),
    h('p', { class: 'hint' }, 'Packets leave at the same pace whether you send or not: the line does not show which.'),
    h('div', { class: 'tables' }, leaves.element, arrives.element),
    list,
  );
}

/** Kinds of packets with their numbers: in the last second, and since connecting. */
function table<K extends string>(name: string, kinds: [kind: K, label: string, hint: string][]) {
  const cells = kinds.map(([kind, label, hint]) => {
    const perSecond = h('td', { 'data-rate': kind }, '–');
    const total = h('td', { 'data-count': kind }, '–');
    const head = h('th', { scope: 'row' }, label, ' ', h('span', { class: 'hint' }, hint));
    return { kind, perSecond, total, row: h('tr', {}, head, perSecond, total) };
  });
  const heads = [name, 'per s', 'in all'].map((text) => h('th', { scope: 'col' }, text));
  return {
    element: h('table', {}, h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...cells.map(({ row }) => row))),
    set: (totals: Record<K, number>, rate: (kind: K) => number | null) => {
      for (const { kind, perSecond, total } of cells) {
        const now = rate(kind);
        perSecond.textContent = now === null ? '–' : number(Math.round(now));
        total.textContent = number(totals[kind]);
      }
    },
  };
}

function row(name: string, hint = '') {
  const value = h('dd', {}, '–');
  const label = h('dt', {}, name, ' ');
  if (hint !== '') label.append(h('span', { class: 'hint' }, hint));
  return { elements: [label, value], set: (text: string) => value.replaceChildren(text) };
}
