import type { ReceivedMessage, SentMessage } from 'mixlet';
import type { Sending } from './composer.js';
import { h } from './dom.js';
import { save, textOf, unpack } from './file.js';
import { bytes, codeOf, number, seconds } from './format.js';

const steps = ['queued', 'sent', 'delivered', 'received'] as const;

const meanings: Record<(typeof steps)[number], string> = {
  queued: 'The worker of this page has accepted it.',
  sent: 'Every packet of it has left for your gateway.',
  delivered: "Every packet is at the recipient's gateway. Their client may be off.",
  received: "The recipient's client has the whole of it. Only clients that speak mixlet say so.",
};

/** The list, newest first. */
export function messageList(): { element: HTMLElement; add: (item: HTMLElement) => void } {
  const list = h('ol', { id: 'messages' });
  const empty = h('p', { class: 'hint' }, 'Nothing yet.');
  const element = h('section', { id: 'log', 'aria-label': 'Messages' }, h('h2', {}, 'Messages'), legend(), empty, list);
  const add = (item: HTMLElement) => {
    // Where the list is below the forms, what was just sent would be out of sight.
    const isOurs = item.classList.contains('mine');
    empty.hidden = true;
    list.prepend(item);
    while (list.children.length > ITEMS_KEPT) list.lastElementChild?.remove();
    if (isOurs) item.scrollIntoView({ block: 'nearest' });
  };
  return { element, add };
}

/** Older ones make room: a page that stays open for days must not grow. */
const ITEMS_KEPT = 200;

function legend(): HTMLElement {
  const list = h('dl');
  for (const step of steps) list.append(h('dt', {}, step), h('dd', {}, meanings[step]));
  return h(
    'details',
    {},
    h('summary', {}, 'What the four ticks mean'),
    list,
    h(
      'p',
      { class: 'hint' },
      'None of them says that somebody has read it. The times count from pressing the button. A message travels in fragments; its packets leave one by one, and an ack comes back for each.',
    ),
  );
}

/** A message of ours, with a tick for each step it has made, and when. */
export function sentItem({ sent, text, isFile }: Sending, how: string): HTMLElement {
  const start = performance.now();
  const ticks = h('p', { class: 'ticks', role: 'status' });
  const item = h('li', { class: 'mine' }, h('p', { class: 'who' }, how), h('p', { class: 'text' }, text));
  if (isFile) item.append(...progressOf(sent));
  item.append(ticks);
  let reached = '';
  for (const step of steps) {
    const tick = h('span', { class: 'tick', 'data-step': step, title: meanings[step] }, step);
    ticks.append(tick);
    sent[step].then(
      () => {
        reached = step;
        tick.classList.add('done');
        tick.append(` ${seconds(performance.now() - start)}`);
      },
      () => tick.remove(),
    );
  }
  sent.delivered.catch((error: unknown) => ticks.append(failure(error, reached === 'sent')));
  sent.received.catch((error: unknown) => {
    if (reached === 'delivered') ticks.append(h('span', { class: 'hint' }, noReceipt(codeOf(error))));
  });
  return item;
}

function noReceipt(code: string): string {
  if (code === 'no-receipt-support') return 'no receipt: their client was not known to speak mixlet';
  return code === 'AbortError' ? 'no longer waiting for a receipt' : `no receipt (${code})`;
}

function failure(error: unknown, hasLeft: boolean): HTMLElement {
  const code = codeOf(error);
  const cancelled = hasLeft
    ? 'Cancelled, but all of it had left: it may still arrive.'
    : 'Cancelled. What has left cannot be called back; without the rest nobody can read it.';
  const text = code === 'AbortError' ? cancelled : `Not delivered (${code}). ${(error as Error).message}`;
  return h('span', { class: 'failed' }, text);
}

/** The bar of a message with many fragments, and the button that stops it. */
function progressOf(sent: SentMessage): HTMLElement[] {
  const bar = h('progress', { max: '1', value: '0', 'aria-label': 'Fragments acknowledged' });
  const count = h('p', { class: 'hint count' }, 'Waiting for its turn …');
  const cancel = h('button', { type: 'button', class: 'quiet', onclick: () => sent.cancel() }, 'Cancel');
  let total = 0;
  let again = '';
  const follow = async () => {
    for await (const { fragmentsSent, fragmentsAcked, fragmentsTotal, retransmissions } of sent.progress()) {
      total = fragmentsTotal;
      if (retransmissions > 0) again = ` · ${number(retransmissions)} went again`;
      bar.value = fragmentsAcked / fragmentsTotal;
      count.textContent = `Of ${number(total)} fragments ${number(fragmentsSent)} have left, ${number(fragmentsAcked)} are acknowledged${again}`;
    }
    cancel.remove();
    // A receipt may overtake the last acks, and then they are not waited for.
    await sent.delivered;
    bar.value = 1;
    if (total > 0) count.textContent = `All ${number(total)} fragments are there${again}`;
  };
  follow().catch(() => {});
  return [bar, h('div', { class: 'line' }, count, cancel)];
}

/** A message that has arrived, with a box to answer it in. `answered` gets the answer, for the list. */
export function receivedItem(message: ReceivedMessage, answered: (sending: Sending) => void): HTMLElement {
  const item = h('li', { class: 'theirs' }, h('p', { class: 'who' }, whoWrote(message)), contentOf(message));
  item.append(
    message.canReply
      ? replyBox(message, answered)
      : h('p', { class: 'hint' }, 'It brings no way to answer it. Write to an address instead.'),
  );
  return item;
}

/** Somebody, by the tag that stands for them here. */
export function whoWrote({ from, canReply, receivedAt }: ReceivedMessage): string {
  const known = from === null ? '' : ` known as ${from.slice(0, 6)}`;
  // Without a tag it can only be answered where it came over a reply block of ours, which we had given to an address.
  const who = from === null && canReply ? 'Somebody you wrote to' : `Somebody${known}`;
  return `${who} · ${receivedAt.toLocaleTimeString()}`;
}

/** Longer texts are cut, and can be saved. */
const TEXT_SHOWN = 4000;

function contentOf({ data }: ReceivedMessage): HTMLElement {
  const file = unpack(data);
  const text = file ? null : textOf(data);
  if (text !== null && text.length <= TEXT_SHOWN) return h('p', { class: 'text' }, text);
  const { name, content } = file ?? { name: 'message', content: data };
  const label = file ? name : text === null ? 'Bytes that are not text' : `${text.slice(0, TEXT_SHOWN)} …`;
  return h(
    'div',
    { class: 'line file' },
    h('p', { class: 'text' }, `${label} · ${bytes(content.length)}`),
    h('button', { type: 'button', class: 'quiet', onclick: () => save(name, content) }, 'Save'),
  );
}

function replyBox(message: ReceivedMessage, answered: (sending: Sending) => void): HTMLElement {
  const input = h('input', {
    type: 'text',
    placeholder: message.from === null ? 'Your answer' : 'Answer without knowing who',
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
        answered({ sent: message.reply(text), text, isFile: false });
        input.value = '';
      },
    },
    input,
    h('button', {}, 'Reply'),
  );
}
