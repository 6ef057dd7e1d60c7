// The client in workerd: answers a request after it has written to itself through the mix network.
import { MixClient } from 'mixlet';
import * as engine from 'mixlet/engine';
import wasm from 'mixlet.wasm';

export default {
  async fetch(request) {
    const directory = new URL(request.url).searchParams.get('directory');
    const network = { directories: [directory] };
    const mix = new MixClient({ network, worker: false, engine, wasm, storage: 'memory' });
    try {
      const address = await mix.connect();
      const messages = mix.messages();
      await mix.send(address, 'hello from workerd').delivered;
      const { value } = await messages.next();
      return Response.json({ address, received: value.text() });
    } catch (error) {
      return Response.json({ error: `${error.code}: ${error.message}` }, { status: 500 });
    } finally {
      await mix.close();
    }
  },
};
