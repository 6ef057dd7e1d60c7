import type { MixClient, MixStats } from 'mixlet';
import { h } from './dom.js';

/** A line that says each second what left and what arrived in it. */
export function trafficLine(client: MixClient): HTMLElement {
  const leaves = row('Leaves', ['real', 'reply', 'retransmission', 'cover']);
  const arrives = row('Arrives', ['messages', 'acks', 'cover']);
  const rate = h('p', { class: 'hint', id: 'rate' }, 'Packets per second, once connected.');
  let last: MixStats | null = null;

  const look = async () => {
    if (client.state === 'idle' || client.state === 'connecting' || client.state === 'closed') {
      last = null;
      return;
    }
    const now = await client.stats().catch(() => null);
    if (now && last && now.bytesOut >= last.bytesOut) {
      const seconds = Math.max(0.1, (now.at.getTime() - last.at.getTime()) / 1000);
      const per = (a: number, b: number) => String(Math.round((a - b) / seconds));
      leaves.set([
        per(now.out.real, last.out.real),
        per(now.out.reply, last.out.reply),
        per(now.out.retransmission, last.out.retransmission),
        per(now.out.cover, last.out.cover),
      ]);
      arrives.set([
        per(now.in.message, last.in.message),
        per(now.in.ack, last.in.ack),
        per(now.in.cover, last.in.cover),
      ]);
      const kilobytes = (a: number, b: number) => `${Math.round((a - b) / seconds / 1000)} kB/s`;
      rate.textContent = `Packets per second. ${kilobytes(now.bytesOut, last.bytesOut)} up, ${kilobytes(now.bytesIn, last.bytesIn)} down.`;
    }
    last = now;
  };
  setInterval(() => void look(), 1000);
  return h(
    'section',
    { id: 'traffic', 'aria-label': 'Traffic' },
    h('h2', {}, 'On the line'),
    leaves.element,
    arrives.element,
    rate,
  );
}

function row(name: string, labels: string[]) {
  const numbers = labels.map((label) => h('b', { 'data-count': label }, '–'));
  const element = h('dl', { id: name.toLowerCase() }, h('dt', {}, name));
  labels.forEach((label, index) => element.append(h('dd', {}, numbers[index] ?? '', ` ${label}`)));
  return {
    element,
    set: (values: string[]) => values.forEach((value, index) => numbers[index]?.replaceChildren(value)),
  };
}
