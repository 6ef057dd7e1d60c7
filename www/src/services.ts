import type { MixClient, ReceivedMessage } from 'mixlet';
import { h } from './dom.js';
import { textOf } from './file.js';
import { whoWrote } from './messages.js';

type Handler = (request: ReceivedMessage, context: { signal: AbortSignal }) => string | Promise<string>;

/** How long the slow one takes. */
export const SLOW_MS = 8000;

/** What this page answers when others ask, by the service's name. */
const services: Record<string, Handler> = {
  echo: (request) => request.text(),
  // In UTC: the time of this place would say where it is.
  time: () => `${new Date().toISOString().slice(11, 19)} UTC`,
  'slow-echo': async (request, { signal }) => {
    await pause(SLOW_MS, signal);
    return request.text();
  },
};

/** Serves from the start; the box stops it. `served` gets an item for each request. */
export function serving(client: MixClient, served: (item: HTMLElement) => void): HTMLElement {
  let handles: { close(): void }[] = [];
  const start = () => {
    handles = Object.entries(services).map(([service, answer]) => {
      const handler: Handler = async (request, context) => {
        const { item, ended } = servedItem(service, request);
        served(item);
        try {
          const text = await answer(request, context);
          ended(`This page answers: ${text}`);
          return text;
        } catch (error) {
          ended('Not answered.');
          throw error;
        }
      };
      return client.serve(handler, { service });
    });
  };
  // Some browsers restore boxes when a page is loaded again, without an event.
  const box = h('input', { id: 'serve', type: 'checkbox', checked: true, autocomplete: 'off' });
  box.addEventListener('change', () => {
    if (box.checked) start();
    else for (const handle of handles.splice(0)) handle.close();
  });
  start();
  return h('label', { class: 'check' }, box, h('span', {}, 'Answer others who ask this page'));
}

function servedItem(service: string, request: ReceivedMessage) {
  const text = textOf(request.data) ?? `${request.data.length} B`;
  const outcome = h('p', { class: 'hint' }, 'Answering …');
  const item = h(
    'li',
    { class: 'theirs asked' },
    h('p', { class: 'who' }, `${whoWrote(request)} · asks for ${service}`),
  );
  if (text !== '') item.append(h('p', { class: 'text' }, text));
  item.append(outcome);
  return { item, ended: (how: string) => outcome.replaceChildren(how) };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
