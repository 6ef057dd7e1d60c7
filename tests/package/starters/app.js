// What the starters for browsers have in common: connects, writes to itself, shows what arrives.
import { MixClient } from 'mixlet';

// The devnet prints the address of its directory; an application knows that of its network.
const directory = new URLSearchParams(location.search).get('directory');
const mix = new MixClient({ network: { directories: [directory] } });

const show = (id, text) => (document.getElementById(id).textContent = text);
mix.addEventListener('message', ({ detail }) => show('received', detail.text()));

try {
  show('address', await mix.connect());
  await mix.send(mix.address, `hello at ${location.pathname}`).delivered;
  show('state', 'delivered');
} catch (error) {
  show('error', `${error.code}: ${error.message}`);
}
