import { MixClient, parseAddress } from 'mixlet';
import type { MixAddress, SentMessage } from 'mixlet';
import { connection } from './connection.js';
import { copyButton, h } from './dom.js';
import { receivedItem, sentItem } from './messages.js';
import { addressBook, linkFor, partnerOf, title, whoIsIt } from './people.js';
import { trafficLine } from './traffic.js';

const page = document.querySelector('main') ?? document.body;
const header = h(
  'header',
  {},
  h('h1', {}, 'mixlet'),
  h('p', { class: 'hint' }, 'Messages through a mixnet. The whole client runs in this page.'),
);
const me = whoIsIt(location.search);
if (me === null) chooser();
else void start(me);

/** Without a name there is nothing to connect as. */
function chooser(): void {
  const choice = (name: string) => h('a', { class: 'button', href: linkFor(name) }, title(name));
  page.replaceChildren(
    header,
    h('section', {}, h('h2', {}, 'Who are you?'), h('p', { class: 'line choices' }, choice('alice'), choice('bob'))),
  );
}

async function start(name: string): Promise<void> {
  document.title = `${title(name)} · mixlet`;
  const directory = await findDirectory();
  if (directory === null) {
    page.replaceChildren(
      header,
      h(
        'section',
        { role: 'alert' },
        h('h2', {}, 'No network'),
        h(
          'p',
          {},
          'This page does not know which network to use. Start it with npm run demo, or add ?directory= and the URL of a directory to its address.',
        ),
      ),
    );
    return;
  }
  const client = new MixClient({ network: { directories: [directory] }, profile: name });
  const list = h('ol', { id: 'messages' });
  const add = (item: HTMLElement) => {
    list.prepend(item);
    empty.hidden = true;
  };
  const empty = h('p', { class: 'hint' }, 'Nothing yet.');
  const answered = (sent: SentMessage, text: string) => add(sentItem(sent, text, 'Your answer, to somebody'));
  client.addEventListener('message', ({ detail }) => add(receivedItem(detail, answered)));
  const desk = h(
    'div',
    { id: 'desk' },
    addresses(client, name),
    composer(client, name, (sent, text) => add(sentItem(sent, text, 'You'))),
    h('section', { 'aria-label': 'Messages' }, h('h2', {}, 'Messages'), empty, list),
    trafficLine(client),
  );
  // There is nothing to do with it as long as nobody is connected; what was received stays readable afterwards.
  const showDesk = () => (desk.hidden = client.state === 'idle' && client.address === null);
  client.addEventListener('statechange', showDesk);
  page.replaceChildren(header, connection(client, name), desk);
  showDesk();
}

/** From the page's own address, else from whoever serves it. */
async function findDirectory(): Promise<string | null> {
  const named = new URLSearchParams(location.search).get('directory');
  if (named) return named;
  try {
    const response = await fetch('config.json');
    return ((await response.json()) as { directory: string | null }).directory;
  } catch {
    return null;
  }
}

/** Our address, and the link for the one we want to talk to, which brings our address along. */
function addresses(client: MixClient, name: string): HTMLElement {
  const partner = partnerOf(name);
  const own = h('output', { id: 'address', class: 'address' }, 'known once connected');
  const link = h('a', { id: 'link', target: '_blank', rel: 'noopener' }, `Link for ${title(partner)}`);
  const copyAddress = copyButton('Copy', () => client.address ?? '');
  const show = () => {
    if (client.address) {
      own.textContent = client.address;
      addressBook.note(name, client.address);
    }
    copyAddress.disabled = client.address === null;
    link.href = linkFor(partner, client.address ?? undefined);
  };
  client.addEventListener('statechange', show);
  show();
  return h(
    'section',
    {},
    h('h2', {}, 'Your address'),
    h('div', { class: 'line' }, own, copyAddress),
    h(
      'div',
      { class: 'line' },
      h('p', {}, link, h('span', { class: 'hint' }, ' · opens this page with your address filled in')),
      copyButton('Copy link', () => link.href),
    ),
  );
}

function composer(client: MixClient, name: string, sending: (sent: SentMessage, text: string) => void): HTMLElement {
  const partner = partnerOf(name);
  const to = h('input', {
    id: 'to',
    type: 'text',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: `${title(partner)}'s address`,
  });
  const text = h('textarea', { id: 'text', rows: '2', required: true, placeholder: 'Your message' });
  const problem = h('p', { class: 'failed', role: 'alert' });
  const found = h('p', { class: 'hint' });
  const fill = (address: string | null) => {
    if (!address || to.value !== '' || address === client.address) return;
    to.value = address;
    found.textContent = `This is ${title(partner)}'s.`;
  };
  to.addEventListener('input', () => (found.textContent = ''));
  fill(new URLSearchParams(location.search).get('to'));
  fill(addressBook.find(partner));
  addressBook.watch(partner, fill);

  const submit = () => {
    problem.textContent = '';
    let address: MixAddress;
    try {
      address = parseAddress(to.value);
    } catch (error) {
      problem.textContent = (error as Error).message;
      to.focus();
      return;
    }
    if (text.value.trim() === '') return;
    sending(client.send(address, text.value), text.value);
    text.value = '';
  };
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  return h(
    'section',
    {},
    h('h2', {}, 'Send'),
    h(
      'form',
      {
        id: 'composer',
        onsubmit: (event) => {
          event.preventDefault();
          submit();
        },
      },
      h('label', { for: 'to' }, 'To'),
      to,
      found,
      h('label', { for: 'text' }, 'Message'),
      text,
      problem,
      h('button', { id: 'send' }, 'Send'),
    ),
  );
}
