import type { ConnectProgress, MixClient, MixError } from 'mixlet';
import { h } from './dom.js';
import { linkFor, nextAfter, title } from './people.js';

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
      trouble.replaceChildren(...advice(error as MixError, me, () => void connect()));
    }
  };
  client.addEventListener('statechange', showState);
  client.addEventListener('error', ({ detail }) => {
    if (client.state === 'closed') trouble.replaceChildren(...advice(detail, me, () => void connect()));
  });
  showState();
  void connect();
  return h('section', { id: 'connection' }, h('h2', {}, title(me), ' ', state), bar, phase, trouble);
}

function advice(error: MixError, me: string, again: () => void): HTMLElement[] {
  const retry = h('button', { type: 'button', id: 'retry', onclick: again }, 'Try again');
  if (error.code === 'in-use') {
    const other = nextAfter(me);
    return [
      h(
        'p',
        {},
        `${title(me)} is already open in another tab or window of this browser. One person can be here only once, since two pages cannot share one mailbox.`,
      ),
      h(
        'p',
        { class: 'line' },
        h(
          'button',
          { type: 'button', id: 'other', onclick: () => location.assign(linkFor(other)) },
          `Open as another person: ${title(other)}`,
        ),
        h('button', { type: 'button', class: 'quiet', onclick: again }, 'I have closed it, try again'),
      ),
    ];
  }
  return [h('p', {}, error.message), h('p', { class: 'hint' }, `Code: ${error.code}`), retry];
}
