// What a strict application writes; compiled with several compilers.
import { MixClient, MixError, limits, parseAddress } from 'mixlet';
import type { MixClientOptions, ReceivedMessage, SentMessage } from 'mixlet';
import * as engine from 'mixlet/engine';
import { MixClient as Inline } from 'mixlet/inline';
import { TestNetwork } from 'mixlet/testing';

const options: MixClientOptions = {
  network: { directories: ['http://127.0.0.1:9/api'] },
  privacy: { dangerNoPacing: true },
};
const client = new MixClient(options);
export const address: string = await client.connect({
  signal: AbortSignal.timeout(1),
  onProgress: (progress) => progress.fraction.toFixed(),
});
export const sent: SentMessage = client.send(parseAddress(address), new Uint8Array(3), { priority: 'bulk' });
client.addEventListener('message', ({ detail }) => detail.reply('x'));
client.addEventListener('undelivered', ({ detail }) => detail.fragmentsAcked.toFixed());
for await (const message of client.messages()) show(message);
function show(message: ReceivedMessage): string {
  return message.text();
}
export const inThread = new MixClient({ ...options, worker: false, engine, webSocket: WebSocket });
export const inline: string | null = new Inline(options).address;
const net: TestNetwork = await TestNetwork.create({ loss: 0.1 });
export const tested = new MixClient({ ...net.options({ gateway: 1 }), askForMore: false });
export const bytes: number = limits.messageBytes;
export const code = new MixError('timeout').code;
await client[Symbol.asyncDispose]();

// @ts-expect-error text is not an address
client.send('x', 'y');
// @ts-expect-error there is no such option
new MixClient({ ...options, profil: 'x' });
// @ts-expect-error the engine is a module
new MixClient({ ...options, worker: false, engine: 'mixlet/engine' });
// @ts-expect-error there is no such code
new MixError('no-such-code');
// @ts-expect-error a constant
limits.messageBytes = 1;
