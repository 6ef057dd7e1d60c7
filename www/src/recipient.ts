import { parseAddress } from 'mixlet';
import type { MixAddress, MixClient } from 'mixlet';
import { h } from './dom.js';
import { codeOf } from './format.js';
import { addressBook, partnerOf, title } from './people.js';

/** Whom messages, files and questions go to. */
export interface Recipient {
  element: HTMLElement;
  /** The address. Without a good one it says so and answers null. */
  read(): MixAddress | null;
}

export function recipient(client: MixClient, name: string): Recipient {
  const partner = partnerOf(name);
  const to = h('input', {
    id: 'to',
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: `${title(partner)}'s address`,
  });
  const problem = h('p', { class: 'failed', role: 'alert' });
  const whose = h('p', { class: 'hint' });
  const peer = peerLine(client, () => to.value);
  const fill = (address: string | null) => {
    if (!address || to.value !== '' || address === client.address) return;
    to.value = address;
    whose.textContent = `This is ${title(partner)}'s.`;
    peer.show();
  };
  to.addEventListener('input', () => {
    whose.textContent = '';
    problem.textContent = '';
    peer.show();
  });
  fill(new URLSearchParams(location.search).get('to'));
  fill(addressBook.find(partner));
  addressBook.watch(partner, fill);
  return {
    element: h('section', {}, h('h2', {}, h('label', { for: 'to' }, 'To')), to, whose, problem, peer.element),
    read: () => {
      problem.textContent = '';
      try {
        return parseAddress(to.value);
      } catch (error) {
        problem.textContent =
          to.value.trim() === ''
            ? `${title(partner)}'s address is missing. Open the link for ${title(partner)}, or paste an address here.`
            : (error as Error).message;
        to.focus();
        return null;
      }
    },
  };
}

/** What is known of the client at an address, and a button that asks it. */
function peerLine(client: MixClient, address: () => string) {
  const says = h('span', { id: 'peer' });
  const ask = h('button', { type: 'button', class: 'quiet', id: 'probe' }, 'Ask it');
  const element = h('div', { class: 'line' }, h('p', { class: 'hint', role: 'status' }, says), ask);
  /** What the last question came to, as long as the address is the same. */
  let asked = { address: '', outcome: '' };

  const show = () => {
    const text = address();
    const known = parsed(text);
    element.hidden = known === null;
    if (known === null) return;
    const { speaks } = client.peer(known);
    ask.hidden = speaks === 'mixlet';
    if (speaks === 'mixlet')
      says.textContent = 'The client there speaks mixlet: it sends receipts and answers requests.';
    else if (asked.address === text) says.textContent = asked.outcome;
    else if (speaks === 'plain') says.textContent = 'The client there has sent bare bytes only, so far.';
    else says.textContent = 'Whether the client there speaks mixlet, and so sends receipts, is not known yet.';
  };
  ask.addEventListener('click', () => {
    const text = address();
    const known = parsed(text);
    if (known === null) return;
    const ended = (outcome: string) => {
      asked = { address: text, outcome };
      ask.disabled = false;
      show();
    };
    asked = { address: text, outcome: 'Asking …' };
    ask.disabled = true;
    show();
    client.probe(known, { timeoutMs: PROBE_MS }).then(
      () => ended(''),
      (error: unknown) => ended(`No answer (${codeOf(error)}). It may be away, or speak plain Nym.`),
    );
  });
  // No event tells that something became known; while connected this one comes each second.
  client.addEventListener('stats', show);
  show();
  return { element, show };
}

const PROBE_MS = 15_000;

function parsed(text: string): MixAddress | null {
  try {
    return parseAddress(text);
  } catch {
    return null;
  }
}
