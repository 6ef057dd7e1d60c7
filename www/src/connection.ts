import type { ConnectProgress, MixClient, MixError } from 'mixlet';
import { h } from './dom.js';
import { linkFor, title } from './people.js';

const phases: Record<string, string> = {
  engine: 'loading the engine',
  storage: 'looking for your keys',
  topology: 'asking the directory',
  gateway: 'calling the gateway',
  auth: 'showing who you are',
  bandwidth: 'claiming bandwidth',
};

const states: Record<string, string> = {
  idle: 'not connected',
  connecting: 'connecting',
  ready: 'connected',
  degraded: 'connected, but nothing comes back',
  reconnecting: 'the connection was lost; trying again',
  paused: 'paused',
  closed: 'closed',
};

const sharingHint = ' · shares this connection, and takes it over when this tab is closed';

/** The state, the progress bar, and what to do when connecting fails. */
export function connection(client: MixClient, me: string): HTMLElement {
  const state = h('span', { id: 'state', class: 'pill', role: 'status' }, '');
  const bar = h('progress', { id: 'progress', max: '1', value: '0', 'aria-label': 'Connecting' });
  const phase = h('p', { class: 'hint', id: 'phase' });
  const trouble = h('div', { id: 'trouble', role: 'alert' });

  const showState = () => {
    state.textContent = states[client.state] ?? client.state;
    state.dataset['state'] = client.state;
    bar.hidden = client.state !== 'connecting';
    phase.textContent = client.state === 'ready' ? `Gateway ${client.gateway?.host ?? ''}` : '';
  };
  const onProgress = ({ fraction, phase: name, elapsedMs }: ConnectProgress) => {
    // The last one comes after the state has changed.
    if (client.state !== 'connecting') return;
    bar.value = fraction;
    phase.textContent = `${phases[name] ?? name} … ${(elapsedMs / 1000).toFixed(1)} s`;
  };
  const connect = async () => {
    trouble.replaceChildren();
    bar.value = 0;
    try {
      await client.connect({ onProgress });
    } catch (error) {
      trouble.replaceChildren(...advice(error as MixError, () => void connect()));
    }
  };
  client.addEventListener('statechange', showState);
  client.addEventListener('error', ({ detail }) => {
    if (client.state === 'closed') trouble.replaceChildren(...advice(detail, () => void connect()));
  });
  showState();
  void connect();
  const again = h('a', { id: 'again', target: '_blank', rel: 'noopener', href: linkFor(me) }, 'Another tab');
  const sharing = h('p', { hidden: true }, again, h('span', { class: 'hint' }, sharingHint));
  client.addEventListener('statechange', () => (sharing.hidden = client.address === null));
  return h('section', { id: 'connection' }, h('h2', {}, title(me), ' ', state), bar, phase, sharing, trouble);
}

function advice(error: MixError, again: () => void): HTMLElement[] {
  const retry = h('button', { type: 'button', id: 'retry', onclick: again }, 'Try again');
  return [h('p', {}, error.message), h('p', { class: 'hint' }, `Code: ${error.code}`), retry];
}
