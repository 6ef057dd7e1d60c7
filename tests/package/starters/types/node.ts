// An application in Node 20, which has no WebSocket of its own.
import { MixClient } from 'mixlet';
import * as engine from 'mixlet/engine';
import { WebSocket } from 'ws';

export const client = new MixClient({
  network: { directories: ['http://127.0.0.1:9/api'] },
  worker: false,
  engine,
  webSocket: WebSocket,
});
