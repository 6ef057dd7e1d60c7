import type { MixClient, SentMessage } from 'mixlet';
import { h } from './dom.js';
import { fits, pack } from './file.js';
import { about, bytes, number } from './format.js';
import type { Recipient } from './recipient.js';

/** What the list is told of something that is being sent. */
export interface Sending {
  sent: SentMessage;
  /** What it says, or the file's name and size. */
  text: string;
  /** It takes its time: with a bar and a way to stop it. */
  isFile: boolean;
}

/** What a fragment carries; a packet is longer. */
const FRAGMENT_BYTES = 1611;

/** The box for messages and the choice of a file. */
export function composer(client: MixClient, to: Recipient, sending: (sending: Sending) => void): HTMLElement {
  return h('section', {}, h('h2', {}, 'Send'), textForm(client, to, sending), fileForm(client, to, sending));
}

function textForm(client: MixClient, to: Recipient, sending: (sending: Sending) => void): HTMLElement {
  const text = h('textarea', { id: 'text', rows: '2', required: true, placeholder: 'Your message' });
  const submit = () => {
    const address = to.read();
    if (address === null || text.value.trim() === '') return;
    sending({ sent: client.send(address, text.value), text: text.value, isFile: false });
    text.value = '';
  };
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  return h(
    'form',
    { id: 'composer', onsubmit: handled(submit) },
    h('label', { for: 'text' }, 'A message'),
    text,
    h('button', { id: 'send' }, 'Send'),
  );
}

/** A file goes as one message. */
function fileForm(client: MixClient, to: Recipient, sending: (sending: Sending) => void): HTMLElement {
  const input = h('input', { id: 'file', type: 'file', 'aria-describedby': 'file-size' });
  const size = h('p', { id: 'file-size', role: 'status' });
  const button = h('button', { id: 'send-file' }, 'Send file');
  const show = () => {
    const [file] = input.files ?? [];
    const body = file && pack(file);
    button.disabled = !body || !fits(body);
    size.className = body && !fits(body) ? 'failed' : 'hint';
    if (!body) size.textContent = 'At most 32 MiB. It goes as one message, behind whatever else is to be sent.';
    else if (!fits(body)) size.textContent = `${bytes(body.size)} is more than a message may hold, which is 32 MiB.`;
    else size.textContent = `${bytes(body.size)}: ${estimate(client, body.size)}.`;
  };
  const submit = () => {
    const [file] = input.files ?? [];
    const address = to.read();
    if (address === null || !file) return;
    const sent = client.send(address, pack(file), { priority: 'bulk' });
    sending({ sent, text: `${file.name} · ${bytes(file.size)}`, isFile: true });
    input.value = '';
    show();
  };
  input.addEventListener('change', show);
  show();
  return h(
    'form',
    { id: 'file-form', onsubmit: handled(submit) },
    h('label', { for: 'file' }, 'Or a file'),
    input,
    size,
    button,
  );
}

/** One packet leaves in each slot, whether somebody sends or not: that is the pace. */
function estimate(client: MixClient, size: number): string {
  const fragments = Math.ceil(size / FRAGMENT_BYTES);
  const { slotMs } = client.traffic.params;
  return `about ${number(fragments)} fragments, a packet each; one packet per ${slotMs} ms makes ${about(fragments * slotMs)}`;
}

const handled = (then: () => void) => (event: Event) => {
  event.preventDefault();
  then();
};
