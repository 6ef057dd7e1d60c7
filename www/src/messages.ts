import type { MixError, ReceivedMessage, SentMessage } from 'mixlet';
import { h } from './dom.js';

const meanings = {
  queued: 'The worker has accepted it.',
  sent: 'Every packet of it has left for your gateway.',
  delivered: "It is at the recipient's gateway. It does not say that it was read.",
} as const;

/** A message of ours, with a tick for each step it has made. */
export function sentItem(sent: SentMessage, text: string, how: string): HTMLElement {
  const ticks = h('p', { class: 'ticks', role: 'status' });
  const item = h('li', { class: 'mine' }, h('p', { class: 'who' }, how), h('p', { class: 'text' }, text), ticks);
  for (const step of ['queued', 'sent', 'delivered'] as const) {
    const tick = h('span', { class: 'tick', 'data-step': step, title: meanings[step] }, step);
    ticks.append(tick);
    sent[step].then(
      () => tick.classList.add('done'),
      () => tick.remove(),
    );
  }
  sent.delivered.then(
    ({ roundTripMs }) => ticks.append(h('span', { class: 'hint' }, `ack after ${(roundTripMs / 1000).toFixed(2)} s`)),
    (error: unknown) => ticks.append(h('span', { class: 'failed' }, `Not delivered. ${(error as MixError).message}`)),
  );
  return item;
}

/** A message that has arrived, with a box to answer it in. `answered` gets the answer, for the list. */
export function receivedItem(
  message: ReceivedMessage,
  answered: (sent: SentMessage, text: string) => void,
): HTMLElement {
  const time = message.receivedAt.toLocaleTimeString();
  const who = message.from === null ? 'Somebody' : `Somebody known as ${message.from.slice(0, 6)}`;
  const item = h(
    'li',
    { class: 'theirs' },
    h('p', { class: 'who' }, `${who} · ${time}`),
    h('p', { class: 'text' }, message.text()),
  );
  item.append(
    message.canReply
      ? replyBox(message, answered)
      : h('p', { class: 'hint' }, 'It brings no way to answer it. Write to an address instead.'),
  );
  return item;
}

function replyBox(message: ReceivedMessage, answered: (sent: SentMessage, text: string) => void): HTMLElement {
  const input = h('input', {
    type: 'text',
    placeholder: 'Answer without knowing who it is',
    'aria-label': 'Your answer',
  });
  return h(
    'form',
    {
      class: 'line reply',
      onsubmit: (event) => {
        event.preventDefault();
        const text = input.value.trim();
        if (text === '') return;
        answered(message.reply(text), text);
        input.value = '';
      },
    },
    input,
    h('button', {}, 'Reply'),
  );
}
