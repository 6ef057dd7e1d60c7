import { MixClient } from 'mixlet';
import { asking } from './ask.js';
import { composer } from './composer.js';
import type { Sending } from './composer.js';
import { connection } from './connection.js';
import { copyButton, h } from './dom.js';
import { messageList, receivedItem, sentItem } from './messages.js';
import { addressBook, linkFor, partnerOf, title, whoIsIt } from './people.js';
import { recipient } from './recipient.js';
import { serving } from './services.js';
import { traffic } from './traffic.js';

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
  const client = new MixClient({ network: { directories: [directory] }, profile: name, tabs: 'share' });
  const messages = messageList();
  const answered = (sending: Sending) => messages.add(sentItem(sending, 'Your answer, to somebody'));
  client.addEventListener('message', ({ detail }) => messages.add(receivedItem(detail, answered)));
  const to = recipient(client, name);
  const send = composer(client, to, (sending) => messages.add(sentItem(sending, 'You')));
  const ask = asking(client, to, messages.add, serving(client, messages.add));
  const desk = h(
    'div',
    { id: 'desk' },
    h('div', { class: 'column' }, addresses(client, name), to.element, send, ask),
    messages.element,
    traffic(client),
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
