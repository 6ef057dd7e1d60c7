// node main.mjs <directory>: connects, writes to itself, prints what arrives.
import { MixClient } from 'mixlet';
import * as engine from 'mixlet/engine';
import { WebSocket } from 'ws'; // from Node 22 on there is a global one, and `webSocket` can be left out

const options = { worker: false, engine, ...(globalThis.WebSocket ? {} : { webSocket: WebSocket }) };
const { ok, missing } = MixClient.isSupported(options);
if (!ok) throw new Error(`missing: ${missing.join()}`);

const mix = new MixClient({ network: { directories: [process.argv[2]] }, ...options });
console.log('address', await mix.connect());
const messages = mix.messages();
await mix.send(mix.address, `hello from Node ${process.versions.node}`).delivered;
const { value } = await messages.next();
console.log('received', value.text());
await mix.close();
