// The client in a service worker. A browser ends a service worker that has had no event for half a minute; the client
// ends with it, without a word. So it connects for each task and closes after it; the identity stays in IndexedDB.
import { MixClient } from 'mixlet';
import * as engine from 'mixlet/engine';

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('message', (event) => {
  const { directory } = event.data;
  event.waitUntil(
    talk(directory, (id, text) => event.source.postMessage({ id, text })).catch((error) =>
      event.source.postMessage({ id: 'error', text: `${error.code}: ${error.message}` }),
    ),
  );
});

async function talk(directory, show) {
  const mix = new MixClient({ network: { directories: [directory] }, worker: false, engine });
  show('address', await mix.connect());
  const messages = mix.messages();
  await mix.send(mix.address, 'hello from the service worker').delivered;
  const { value } = await messages.next();
  show('received', value.text());
  await mix.close();
  show('state', 'delivered');
}
